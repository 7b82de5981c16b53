# SPDX-License-Identifier: Apache-2.0
"""What a task does with its Spark job: follow it to its end, here or in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_dli.operators.deferral import TimeLimits, limits_of
from airflow_provider_dli.operators.job_owner import JobMemory
from airflow_provider_dli.operators.responsible import Policy, ResponsibleOperator
from airflow_provider_dli.triggers.events import batch_of, wait_fields

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.submission import Submission
    from airflow_provider_dli.hooks.dli import DliHook


class FollowingOperator(ResponsibleOperator):
    """An operator that submits one Spark job and waits for its end.

    :meta private:
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool,
        poll_interval: float,
        timeout: float | None,
        max_unknown_time: float,
        deferrable: bool,
        driver_log: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable
        self.driver_log = driver_log

    @property
    def recovers(self) -> bool:
        """Whether DLI starts the job again when its driver fails."""
        raise NotImplementedError

    def follow(
        self, hook: DliHook, job: Submission, started: float, keeper: JobMemory
    ) -> dict[str, Any]:
        """Wait for the job's end, here or in the triggerer, and give what XCom keeps.

        `started` is the Unix time at which the try began. The task's `execution_timeout` counts
        from then, also when it goes on after a deferral; `timeout` from the wait's own beginning.
        """
        batch = job.batch
        self.check_alive(hook)
        if self.wait_for_completion and not batch.is_terminal:
            if self.deferrable:
                self._defer(job, limits_of(self, started), started)
            batch = hook.wait_for_batch(
                batch.id,
                poll_interval=self.poll_interval,
                timeout=self.timeout,
                max_unknown_time=self.max_unknown_time,
                auto_recovery=self.recovers,
                driver_log=self.driver_log,
            )
        return self._ended(hook, batch, keeper)

    def run_job(self, context: Context, started: float | None = None) -> dict[str, Any]:
        """Submit the job or reconnect to it, follow it, and give what XCom keeps.

        `started` is the Unix time at which the try began, where that was before a deferral.
        """
        raise NotImplementedError

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the wait: give what XCom keeps, or raise as the worker would have."""
        from airflow_provider_dli.api.jobs.models import BatchState

        owner = self._begin(context)
        self.batch_id = event.get("batch_id")
        keeper = JobMemory(context, owner, self.log)
        with self.hook as hook, self.responsible(hook, owner):
            batch = batch_of(event)
            is_new = event.get("is_new", True)
            if is_new or batch.state is not BatchState.DEAD:
                return self._ended(hook, batch, keeper)
            self.count_as_none(batch, keeper)
        # Not `execute`: Airflow warns of, or refuses, whoever calls that but itself.
        started = event.get("started")  # rows of earlier versions have none
        return self.run_job(context, started if isinstance(started, float | int) else None)

    def count_as_none(self, batch: SparkBatch, keeper: JobMemory) -> None:
        """Take a job that an earlier try submitted, and that is dead by now, for none.

        So it would have been, had this try begun a little later: somebody who clears a running task
        has its job cancelled, and the next try may find that one still active.
        """
        self.log.warning(
            "Spark job %s, which an earlier try submitted, is %s: it counts as none.",
            batch.id,
            batch.raw_state,
        )
        keeper.forget()
        self.batch_id = None

    def _ended(self, hook: DliHook, batch: SparkBatch, keeper: JobMemory) -> dict[str, Any]:
        from airflow_provider_dli.api.jobs.models import BatchState
        from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError

        if batch.state is BatchState.DEAD:
            keeper.forget()
            if self.is_ended_by_kill:
                raise SparkBatchFailedError(self.cancelled(batch.id), batch.id)
            raise hook.explain_batch(batch)
        if batch.is_terminal:
            self._is_settled = True
        return batch.summary | self.project_and_region(self.log)

    def _check_wait(self, started: float) -> None:
        """Check the arguments of the wait, and that there is time left for one."""
        from airflow_provider_dli.api import checks

        checks.boolean("driver_log", self.driver_log)
        policies: Mapping[str, str] = {
            "on_timeout": self.timeout_policy,
            "on_kill": self.kill_policy,
            "on_failure": self.failure_policy,
        }
        for field, policy in policies.items():
            checks.choice(field, policy, get_args(Policy))
        limits = limits_of(self, started)
        if limits.limit == "execution_timeout" and limits.deadline is not None:
            from airflow.providers.common.compat.sdk import AirflowTaskTimeout

            if limits.deadline <= time.time():
                raise AirflowTaskTimeout("The task's execution_timeout is over.")

    def _defer(self, job: Submission, limits: TimeLimits, started: float) -> None:
        from airflow_provider_dli.triggers.spark import SparkBatchTrigger

        self.defer(
            trigger=SparkBatchTrigger(
                batch_id=job.batch.id,
                is_new=job.is_new,
                auto_recovery=self.recovers,
                driver_log=self.driver_log,
                cancel_on_kill=self.kill_policy == "cancel",
                started=started,
                looked=True,
                **wait_fields(self, limits, self.poll_interval),
            ),
            method_name="execute_complete",
            timeout=limits.backstop,
        )
