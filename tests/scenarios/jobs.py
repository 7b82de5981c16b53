"""What the emulator saw of Spark jobs, and the one job that there is."""

from __future__ import annotations

from typing import Any

from scenarios.modes import Mode
from task_runs import StateStore, TaskRun, context

from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook

NEVER = [(0, "running")]


def job(emulator: Emulator) -> dict[str, Any]:
    """Returns the one job there is, as the service shows it."""
    (only,) = emulator.batches().values()
    return only


def submissions(emulator: Emulator) -> int:
    """Count what submissions really came to."""
    return sum(emulator.submissions.values())


def asked(emulator: Emulator, method: str, ending: str = "") -> list[int | str]:
    """Returns the statuses of the requests about one job whose path ends so."""
    return [
        record.status
        for record in emulator.requests
        if record.method == method
        and "/batches/" in record.path
        and record.path.endswith(ending)
        and (ending or not record.path.endswith("/log"))
    ]


def cancels(emulator: Emulator) -> int:
    """Count the requests to cancel a job."""
    return len(asked(emulator, "DELETE"))


def looks(emulator: Emulator) -> list[int | str]:
    """Returns the statuses of the looks at one job so far."""
    return asked(emulator, "GET")


def states(emulator: Emulator) -> list[str]:
    """Returns the states of all jobs, the oldest first."""
    return [batch["state"] for batch in emulator.batches().values()]


def submit(
    mode: Mode, run: TaskRun, store: StateStore | None = None, **arguments: Any
) -> dict[str, Any]:
    """Run a task that ends with its submission, and give its result."""
    operator = mode.spark(wait_for_completion=False, **arguments)
    operator.hook = DliHook(clock=mode.clock)
    return operator.execute(context(run, store))
