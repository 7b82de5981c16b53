"""Fault: the service refuses a call (429) and says to come again in ten minutes, a day, an age.

Expected: a wait keeps its deadline, and looks once more when it comes; what cancels a job waits for
nobody; a job that ended well is not lost; no number makes an error that nobody knows.
"""

from __future__ import annotations

from typing import Any

import pytest
from fake_clock import FakeClock
from scenarios.jobs import NEVER, cancels, job
from scenarios.modes import Mode, once
from task_runs import first

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.protocol.errors import SparkBatchTimeoutError, ThrottledError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook

LONG = ["600", "86400", "9999999999", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"]
"""Values of `Retry-After`."""


def throttled(retry_after: str, **what: Any) -> Fault:
    return Fault(
        "throttled", retry_after=retry_after, **{"method": "GET", "path": "/batches/*"} | what
    )


@pytest.mark.parametrize("said", LONG)
def test_a_task_that_is_told_to_come_much_later_cancels_its_job_in_time(
    mode: Mode, dli: Emulator, said: str
) -> None:
    dli.set_batch_timeline("*", NEVER)
    dli.add_fault(throttled(said))
    began = mode.now()

    with pytest.raises(SparkBatchTimeoutError):
        mode.run(mode.spark(timeout=mode.seconds(20), driver_log=False))

    assert cancels(dli) == 1
    assert job(dli)["state"] == "dead"
    assert mode.now() - began < 30


@pytest.mark.parametrize("said", LONG)
def test_a_job_that_ended_well_before_the_deadline_is_a_success(
    mode: Mode, dli: Emulator, said: str
) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(10), "success")])
    dli.add_fault(throttled(said))

    result = mode.run(mode.spark(timeout=mode.seconds(60), driver_log=False))

    assert result["state"] == "success"
    assert cancels(dli) == 0


@pytest.mark.parametrize("said", LONG)
def test_packages_that_are_ready_before_the_deadline_are_a_success(
    mode: Mode, dli: Emulator, said: str
) -> None:
    dli.add_fault(throttled(said, path="/resources"))

    result = mode.run(mode.upload(timeout=mode.seconds(60)))

    assert {package["state"] for package in result["packages"]} == {"READY"}


def test_a_job_is_cancelled_at_once_after_any_call_was_throttled(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(throttled("3600", times=1))
    hook.list_batches()
    with pytest.raises(ThrottledError):
        hook._run(hook._client.once(calls.show(batch_id)))
    emulator.clear_requests()
    began = hook.now()

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.is_terminal
    assert hook.now() == began


def test_a_cancel_that_is_throttled_itself_does_not_wait_as_long_as_it_is_told(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(throttled("600", method="DELETE"))
    began = hook.now()

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.is_terminal
    assert hook.now() - began < 5


def test_a_task_that_is_ended_cancels_its_job_after_any_call_was_throttled(
    clock: FakeClock, dli: Emulator
) -> None:
    mode = Mode("worker", clock)
    dli.set_batch_timeline("*", NEVER)
    operator = mode.spark(driver_log=False)
    dli.add_fault(throttled("3600"))
    kill = once(lambda: operator.job_guard.batch_id, operator.on_kill)

    with pytest.raises(Exception, match="ended"):
        mode.run(operator, kill, first(operator))

    assert cancels(dli) == 1
