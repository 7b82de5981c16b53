# SPDX-License-Identifier: Apache-2.0
"""What a task needs to wait in the triggerer as it would in the worker. Loads no client."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Protocol

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
