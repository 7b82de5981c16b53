# SPDX-License-Identifier: Apache-2.0
"""The sensor for Spark jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dli.sensors.base import WaitSensor
from airflow_provider_dli.triggers.events import batch_of

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.wait import JobWait
    from airflow_provider_dli.api.protocol.wire import Call
    from airflow_provider_dli.hooks.dli import DliHook


class SparkBatchSensor(WaitSensor["SparkBatch"]):
    """Wait until a Spark job has ended with success; a dead job fails the task with the cause.

    It does not matter who submitted the job, and the sensor never cancels it. A dead job stays
    dead, so the task is not retried; with ``soft_fail`` it is skipped. Modes ``poke`` and
    ``reschedule``, or ``deferrable``; ``docs/operators.md`` has a table of how the task ends.

    .. code-block:: python

        SparkBatchSensor(
            task_id="ended", batch_id="{{ ti.xcom_pull('submit', key='batch_id') }}"
        )

    The XCom value holds ``batch_id``, ``name``, ``state``, ``queue``, ``project_id`` and
    ``region``.

    :param batch_id: id of the job (templated)
    :param auto_recovery: the job was submitted with it, so it is dead only if two polls say so
    :param max_unknown_time: seconds for which DLI may be unavailable, or the job missing or in an
        unknown state, before the task fails; a ``reschedule`` task keeps its slot meanwhile
    :param deferrable: wait in the triggerer, where all waits on an account share their polls
    :param driver_log: with ``deferrable``: write the log of the driver into the log of the task
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
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
        super().__init__(
            max_unknown_time=max_unknown_time,
            deferrable=deferrable,
            dli_conn_id=dli_conn_id,
            region=region,
            project_id=project_id,
            **kwargs,
        )
        self.batch_id = batch_id
        self.auto_recovery = auto_recovery
        self.driver_log = driver_log

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

    def _trigger(self, arguments: Mapping[str, Any]) -> BaseTrigger:
        from airflow_provider_dli.triggers.spark import SparkBatchTrigger

        return SparkBatchTrigger(
            batch_id=self.batch_id,
            auto_recovery=self.auto_recovery,
            driver_log=self.driver_log,
            cancel_on_kill=False,
            **arguments,
        )

    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        batch = batch_of(event)
        with self.hook as hook:
            return self._result(hook, batch)

    def _result(self, hook: DliHook, found: SparkBatch) -> dict[str, Any]:
        if found.is_dead:
            raise hook.explain_batch(found)
        return found.summary | self.project_and_region()
