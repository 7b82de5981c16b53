# SPDX-License-Identifier: Apache-2.0
"""The sensor for Spark jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dli.sensors.base import WaitSensor
from airflow_provider_dli.triggers.events import batch_of, wait_fields

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.wait import JobWait
    from airflow_provider_dli.api.protocol.wire import Call
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.operators.deferral import TimeLimits


class SparkBatchSensor(WaitSensor["SparkBatch"]):
    """Wait until a Spark job has ended well; one that is dead fails the task and says why.

    Who submitted the job does not matter, and it is never cancelled. A dead job stays dead, so
    there is no retry for one; with ``soft_fail`` the task is skipped. Modes ``poke`` and
    ``reschedule``, or ``deferrable``; ``docs/operators.md`` has a table of how it ends.

    .. code-block:: python

        SparkBatchSensor(
            task_id="ended", batch_id="{{ ti.xcom_pull('submit', key='batch_id') }}"
        )

    The XCom value holds ``batch_id``, ``name``, ``state``, ``queue``, ``project_id`` and
    ``region``.

    :param batch_id: id of the job (templated)
    :param auto_recovery: the job was submitted with it: it is dead only when two looks say so
    :param max_unknown_time: seconds for which DLI may be out of reach, the job be absent, or its
        state be a word that nobody knows; in ``reschedule`` mode the slot is held meanwhile
    :param deferrable: wait in the triggerer, where all waits share their polls
    :param driver_log: with ``deferrable``: write the driver's log into the task's
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
    """

    switches = ("deferrable", "auto_recovery", "driver_log")
    template_fields: Sequence[str] = ("batch_id", "dli_conn_id", "region", "project_id")
    ui_color = "#fdf1e3"

    def __init__(
        self,
        *,
        batch_id: str,
        auto_recovery: bool = False,
        max_unknown_time: float = 300.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        driver_log: bool = False,
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.auto_recovery = auto_recovery
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable
        self.driver_log = driver_log
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    def _call(self) -> Call[SparkBatch | None]:
        from airflow_provider_dli.api.jobs import calls

        return calls.show(self.batch_id)

    def _begin(self, deadline: float | None) -> JobWait:
        from airflow_provider_dli.api.jobs.wait import JobWait

        progress = self.hook.batch_progress()
        return JobWait(
            self.batch_id,
            self.auto_recovery,
            deadline=deadline,
            poll_interval=self.poke_interval,
            max_unknown_time=self.max_unknown_time,
            observe=progress,
            trouble=progress.trouble,
        )

    def _trigger(self, limits: TimeLimits, *, looked: bool) -> BaseTrigger:
        from airflow_provider_dli.triggers.spark import SparkBatchTrigger

        return SparkBatchTrigger(
            batch_id=self.batch_id,
            auto_recovery=self.auto_recovery,
            driver_log=self.driver_log,
            cancel_on_kill=False,
            silent_fail=self.silent_fail,
            looked=looked,
            **wait_fields(self, limits, self.poke_interval),
        )

    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        batch = batch_of(event)
        with self.hook as hook:
            return self._result(hook, batch)

    def _result(self, hook: DliHook, found: SparkBatch) -> dict[str, Any]:
        from airflow_provider_dli.api.jobs.models import BatchState

        if found.state is BatchState.DEAD:
            raise hook.explain_batch(found)
        return found.summary | self.project_and_region(self.log)
