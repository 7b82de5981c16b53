# SPDX-License-Identifier: Apache-2.0
"""The operator that cancels Spark jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    InputError,
    SparkBatchError,
    SparkBatchTimeoutError,
)
from airflow_provider_dli.operators.base import DliTask, no_retry_of_wrong_input

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.jobs.models import SparkBatch

# What a template renders an XCom value to that was never pushed.
_NO_JOB = {"", "None", "null", "[]"}


class CancelSparkBatchOperator(DliTask):
    """Cancel Spark jobs, and wait until they have ended.

    All cancels are sent before the first poll. Jobs that have ended already, or that DLI does not
    know, count as cancelled. So does a ``batch_id`` that a template renders to nothing: the task
    that pushes it failed before it submitted a job. The task fails when a job still runs after
    ``timeout`` seconds or cannot be cancelled, and names each such job. The XCom value is a list
    with ``batch_id`` and ``state`` of each job; the state of a job that DLI does not know is
    ``None``.

    .. code-block:: python

        CancelSparkBatchOperator(
            task_id="stop",
            batch_id="{{ ti.xcom_pull('count', key='batch_id') }}",
            trigger_rule="one_failed",
        )

    :param batch_id: id of a job, or a list of them (templated)
    :param timeout: seconds to wait for the end of all jobs together
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
    """

    template_fields: Sequence[str] = ("batch_id", "dli_conn_id", "region", "project_id")
    ui_color = "#f7ebe8"

    def __init__(
        self,
        *,
        batch_id: str | Sequence[str],
        timeout: float = 60.0,
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dli_conn_id=dli_conn_id, region=region, project_id=project_id, **kwargs)
        self.batch_id = batch_id
        self.timeout = timeout

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> list[dict[str, str | None]]:
        """Cancels the jobs, waits until they have ended, and returns their states."""
        ids, seconds = self._check_arguments()
        if not ids:
            self.log.info("There is nothing to cancel: batch_id names no job.")
            return []
        with self.hook as hook:
            outcomes = hook.cancel_batches(ids, seconds=seconds)
        failure = _failure_of(outcomes, seconds)
        if failure is not None:
            raise failure
        return [
            {"batch_id": batch_id, "state": job.state.value if job else None}
            for batch_id, job in outcomes.items()
            if not isinstance(job, Exception)
        ]

    def _check_arguments(self) -> tuple[list[str], float]:
        """Returns the ids of the jobs, without values that name none, and the time limit."""
        given: Any = self.batch_id
        several = [given] if given is None or isinstance(given, str) else given
        if not isinstance(several, Sequence) or isinstance(several, (bytes, bytearray)):
            raise InputError("batch_id", given, "give the id of a job, or a list of them")
        ids = [
            checks.stored_name("batch_id", batch_id)
            for batch_id in several
            if batch_id is not None and str(batch_id).strip() not in _NO_JOB
        ]
        return ids, checks.seconds("timeout", self.timeout)


def _failure_of(
    outcomes: Mapping[str, SparkBatch | DliError | None], seconds: float
) -> DliError | None:
    """Returns the error that names each job that may still be running; `None` if all have ended.

    It is the job's own error if there is one job, `SparkBatchTimeoutError` if DLI accepted all
    cancels, and `SparkBatchError` otherwise.
    """
    failed = {key: one for key, one in outcomes.items() if isinstance(one, DliError)}
    running = [
        one.id
        for one in outcomes.values()
        if one is not None and not isinstance(one, DliError) and not one.is_terminal
    ]
    if not failed and not running:
        return None
    if failed and len(outcomes) == 1:
        return next(iter(failed.values()))
    still = (
        f"Cancelled, but still running after {seconds:g} seconds: {', '.join(running)}. "
        "DLI accepted the cancel. Check the jobs later, or cancel them again."
    )
    if not failed:
        return SparkBatchTimeoutError(still, running[0])
    reasons = [f"Spark job {key} may still be running: {error}" for key, error in failed.items()]
    number = f"{len(failed) + len(running)} of {len(outcomes)} Spark jobs may still be running."
    text = " ".join([number, *reasons, *([still] if running else [])])
    return SparkBatchError(text, next(iter(failed)))
