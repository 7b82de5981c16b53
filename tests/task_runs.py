"""Runs of one task, as far as an operator sees them: the instance, its XCom values, its state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator


@dataclass
class TaskRun:
    """One try of a task. `max_tries` is what a clear raises and a retry leaves as it is."""

    task_id: str = "run"
    dag_id: str = "dag"
    run_id: str = "manual__2026-11-21"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    task: Any = field(default_factory=SimpleNamespace)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


class StateStore(dict[str, Any]):
    """The task's state of Airflow 3.3."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class BrokenStore(StateStore):
    """A state store that is out of order."""

    def get(self, *_: Any) -> Any:
        raise RuntimeError("no get")

    def set(self, key: str, value: Any) -> None:
        raise RuntimeError("no set")

    def delete(self, key: str) -> None:
        raise RuntimeError("no delete")


class MuteRun(TaskRun):
    """A try that cannot push any XCom value."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise RuntimeError("no push")


def first(operator: BaseOperator) -> TaskRun:
    """Returns the first try of a task."""
    return TaskRun(task_id=operator.task_id, max_tries=operator.retries)


def retried(run: TaskRun) -> TaskRun:
    """Returns the try that follows one that failed."""
    return replace(run, try_number=run.try_number + 1, xcoms={})


def cleared(run: TaskRun, retries: int = 0) -> TaskRun:
    """Returns the try that follows a user's clear."""
    number = run.try_number
    return replace(run, try_number=number + 1, max_tries=number + retries, xcoms={})


def context(run: TaskRun, store: StateStore | None = None) -> Any:
    """Returns what an operator is executed with; without a store as before Airflow 3.3."""
    state = {} if store is None else {"task_state_store": store}
    return {"ti": run, "run_id": run.run_id, **state}
