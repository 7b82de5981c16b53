# SPDX-License-Identifier: Apache-2.0
"""Which job belongs to a task, as Airflow tells it, and what the task keeps of that job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.jobs.names import BATCH_ID, Owner

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_dli.api.protocol.log import Log

_KEPT = "dli_spark_batch"


def owner_of(task: BaseOperator, context: Context, label: str | None) -> Owner:
    """Give the task instance that runs; `label` begins the name of its job, if given."""
    ti = context.get("ti")
    label = (label or "").strip()  # a template may render nothing
    if ti is None:
        return Owner(label or f"{task.dag_id}-{task.task_id}", task.dag_id, task.task_id)
    return Owner(
        label=label or f"{ti.dag_id}-{ti.task_id}",
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
        generation=ti.max_tries,
        retries=task.retries or 0,
    )


class JobMemory:
    """What a task keeps of its job, beside its name: XCom values, and on Airflow 3.3 its state.

    The job is found by its name as well, so failing to keep something fails nothing.
    """

    def __init__(self, context: Context, owner: Owner, log: Log) -> None:
        self._ti: Any = context.get("ti")
        self._state: Any = context.get("task_state_store")
        self._owner = owner
        self._log = log

    @property
    def batch_id(self) -> str | None:
        """The id of the job that an earlier try of the same generation submitted, if it is kept."""
        if self._state is None or self._owner.is_first_try:
            return None
        kept = self._try("read the task's state", lambda: self._state.get(_KEPT))
        # A user's clear leaves the state on Airflow 3.3: then it is of another generation.
        if not isinstance(kept, dict) or kept.get("name") != self._owner.name:
            return None
        return str(kept["batch_id"]) if kept.get("batch_id") else None

    def keep(self, batch_id: str, links: Callable[[Any], object]) -> None:
        """Keep a job that was submitted or found; `links` is given the task instance."""
        if self._state is not None:
            kept = {"batch_id": batch_id, "name": self._owner.name}
            self._try("write the task's state", lambda: self._state.set(_KEPT, kept))
        if self._ti is not None:
            self._try("push an XCom value", lambda: self._ti.xcom_push(BATCH_ID, batch_id))
            self._try("keep the links", lambda: links(self._ti))

    def forget(self) -> None:
        """Let the next try begin anew: the job is dead."""
        if self._state is not None:
            self._try("delete the task's state", lambda: self._state.delete(_KEPT))

    def _try(self, what: str, act: Callable[[], object]) -> object:
        try:
            return act()
        except Exception as error:
            self._log.warning(
                "Airflow did not %s (%s: %s). The job is found by its name, %s.",
                what,
                type(error).__name__,
                error,
                self._owner.name,
            )
            return None
