# SPDX-License-Identifier: Apache-2.0
"""What a task needs to wait in the triggerer as it would in the worker. Loads no client."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Protocol

GRACE = timedelta(minutes=2)
"""How long after its deadline a wait may still be without an event: then no triggerer runs."""


class Limited(Protocol):
    """A task, as far as its time is limited."""

    execution_timeout: timedelta | None


class TimeLimits:
    """When a wait that begins now has to end: by its own timeout or by the task's.

    `started` is the Unix time at which the task began, where that was before the wait.
    Airflow does not enforce `execution_timeout` while a task is deferred, so the wait itself does.
    """

    def __init__(self, task: Limited, timeout: float, started: float | None = None) -> None:
        now = time.time()
        whole = task.execution_timeout.total_seconds() if task.execution_timeout else float("inf")
        left = whole if started is None else max(whole - (now - started), 0.0)
        self.limit = "execution_timeout" if left < timeout else "timeout"
        self.deadline = now + min(left, timeout)
        self.backstop = timedelta(seconds=min(left, timeout)) + GRACE


def states_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Give the states of an event of `PackageGroupTrigger`, or raise what it says went wrong.

    Where the task's `execution_timeout` was the nearer limit, running into it raises
    `AirflowTaskTimeout`, as in the worker.
    """
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    from airflow_provider_dli.api.errors import DliError, PackageGroupTimeoutError, restored

    if event.get("status") == "ready":
        return dict(event.get("states") or {})
    if not event.get("message"):
        raise DliError(f"The wait ended with an event that this version cannot read: {event}")
    error = restored(event)
    by_execution_timeout = event.get("limit") == "execution_timeout"
    if by_execution_timeout and isinstance(error, PackageGroupTimeoutError):
        raise AirflowTaskTimeout(str(error)) from error
    raise error


def check_complete(group: str | None, names: Collection[str], states: Mapping[str, str]) -> None:
    """Raise `PackageGroupFailedError` where the states leave one of the packages out."""
    from airflow_provider_dli.api.readiness import ABSENT, Readiness, Verdict
    from airflow_provider_dli.api.waiting import failed

    left_out = {name: ABSENT for name in names if name not in states}
    if left_out:
        raise failed(group, Readiness(Verdict.FAILED, left_out))
