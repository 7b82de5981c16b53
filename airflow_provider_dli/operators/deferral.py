# SPDX-License-Identifier: Apache-2.0
"""What a task needs to wait in the triggerer as it would in the worker. Loads no client."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.protocol.errors import DliError

GRACE = timedelta(minutes=2)
"""How long after its deadline a wait may still be without an event: then no triggerer runs."""


class Limited(Protocol):
    """A task, as far as its time is limited."""

    execution_timeout: timedelta | None


class Waiting(Limited, Protocol):
    """A task that may wait for something, here or in the triggerer."""

    wait_for_completion: bool
    deferrable: bool
    poll_interval: float
    max_unknown_time: float

    @property
    def timeout(self) -> float | None:
        """Seconds; None leaves the limit to the task's own."""


class TimeLimits:
    """When a wait that begins now has to end: by its own timeout or by the task's.

    `started` is the Unix time at which the task began, where that was before the wait.
    Airflow does not enforce `execution_timeout` while a task is deferred, so the wait itself does.
    Without any limit `deadline` and `backstop` are `None`.
    """

    def __init__(self, task: Limited, timeout: float | None, started: float | None = None) -> None:
        now = time.time()
        whole = task.execution_timeout.total_seconds() if task.execution_timeout else float("inf")
        left = whole if started is None else max(whole - (now - started), 0.0)
        own = float("inf") if timeout is None else timeout
        seconds = min(left, own)
        is_endless = seconds == float("inf")
        self.limit = "execution_timeout" if left < own else "timeout"
        self.deadline = None if is_endless else now + seconds
        self.backstop = None if is_endless else timedelta(seconds=seconds) + GRACE


def limits_of(task: Waiting, started: float | None = None) -> TimeLimits:
    """Check the arguments of a task's wait, and let its time begin.

    `started` is the Unix time at which the task began, where that was earlier.
    """
    from airflow_provider_dli.api import checks

    for field in ("wait_for_completion", "deferrable"):
        checks.boolean(field, getattr(task, field))
    for field in ("poll_interval", "max_unknown_time"):
        checks.seconds(field, getattr(task, field))
    if task.timeout is not None:
        checks.seconds("timeout", task.timeout)
    return TimeLimits(task, task.timeout, started)


def outcome_of(event: Mapping[str, Any], status: str) -> Mapping[str, Any]:
    """Give an event that has this status, or raise what it says went wrong.

    Where the task's `execution_timeout` was the nearer limit, running into it raises
    `AirflowTaskTimeout`, as in the worker.
    """
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    from airflow_provider_dli.api.protocol.errors import restored

    if event.get("status") == status:
        return event
    if not event.get("message"):
        raise _unreadable(event)
    error = restored(event)
    if event.get("limit") == "execution_timeout" and isinstance(error, TimeoutError):
        raise AirflowTaskTimeout(str(error)) from error
    raise error


def states_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Give the states of an event of `PackageGroupTrigger`, or raise what it says went wrong."""
    return dict(outcome_of(event, "ready").get("states") or {})


def batch_of(event: Mapping[str, Any]) -> SparkBatch:
    """Give the job of an event of `SparkBatchTrigger`, or raise what it says went wrong."""
    from airflow_provider_dli.api.jobs.models import SparkBatch

    batch = outcome_of(event, "ended").get("batch")
    if not isinstance(batch, Mapping) or "id" not in batch:
        raise _unreadable(event)
    return SparkBatch.from_dict(batch)


def check_complete(group: str | None, names: Collection[str], states: Mapping[str, str]) -> None:
    """Raise `PackageGroupFailedError` where the states leave one of the packages out."""
    from airflow_provider_dli.api.packages.readiness import ABSENT, Readiness, Verdict
    from airflow_provider_dli.api.packages.wait import failed

    left_out = {name: ABSENT for name in names if name not in states}
    if left_out:
        raise failed(group, Readiness(Verdict.FAILED, left_out))


def _unreadable(event: Mapping[str, Any]) -> DliError:
    from airflow_provider_dli.api.protocol.errors import DliError

    return DliError(f"The wait ended with an event that this version cannot read: {event}")
