# SPDX-License-Identifier: Apache-2.0
"""The hook waits for the emulator's Spark batch jobs, and follows their drivers' logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.api.protocol.errors import InputError, SparkBatchTimeoutError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook


def submitted(hook: DliHook, **fields: Any) -> str:
    """Submit a job that plays the timeline of the test, and give its id."""
    defaults = {"file": "obs://bucket/a.py", "queue": "q", "spark_version": "3.1.1", "name": "job"}
    return hook.submit_batch(SparkJob(**defaults | fields)).batch.id


def requests(emulator: Emulator, ending: str = "") -> int:
    return sum(record.path.endswith(ending) for record in emulator.requests)


@pytest.mark.parametrize("end", ["success", "dead"])
def test_a_job_is_waited_for_until_it_has_ended(
    hook: DliHook, emulator: Emulator, clock: FakeClock, end: str
) -> None:
    emulator.set_batch_timeline("job", [(0, "starting"), (30, "running"), (100, end)])
    batch_id, started = submitted(hook), clock.now()

    ended = hook.wait_for_batch(batch_id, poll_interval=10)

    assert (ended.id, ended.raw_state) == (batch_id, end)
    assert 100 <= clock.now() - started < 112


def test_a_job_that_has_ended_is_given_after_the_first_look(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    batch_id = emulator.add_batch({}, "success")

    hook.wait_for_batch(batch_id, driver_log=False)

    assert len(emulator.requests) == 1


def test_time_is_up_for_a_wait(hook: DliHook, emulator: Emulator, clock: FakeClock) -> None:
    batch_id, started = emulator.add_batch({}, "running"), clock.now()

    with pytest.raises(SparkBatchTimeoutError, match=r"had not ended by .* UTC: running"):
        hook.wait_for_batch(batch_id, timeout=60)

    assert clock.now() - started == pytest.approx(60)


@pytest.mark.parametrize("field", ["poll_interval", "timeout", "max_unknown_time"])
def test_a_wait_with_a_wrong_number_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, field: str
) -> None:
    with pytest.raises(InputError, match=f"{field} is -1"):
        hook.wait_for_batch("b", **{field: -1})

    assert emulator.requests == []


def test_the_driver_is_followed_while_the_job_runs_and_to_its_end(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    log = [(20, "it begins"), (50, "it works"), (60, "it ends")]
    emulator.set_batch_timeline("job", [(0, "starting"), (20, "running"), (60, "success")], log)
    batch_id, started = submitted(hook), clock.now()
    taken: list[tuple[float, str]] = []

    hook.wait_for_batch(
        batch_id, driver_log=lambda line: taken.append((clock.now() - started, line))
    )

    assert [line for _, line in taken] == ["it begins", "it works", "it ends"]
    assert taken[0][0] < 32
    assert taken[1][0] < 62


def test_the_driver_is_followed_in_the_log_of_the_hook_unless_asked_otherwise(
    hook: DliHook,
    emulator: Emulator,
    logged: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    emulator.set_batch_timeline("job", [(0, "running"), (20, "success")], [(5, "it works")])

    hook.wait_for_batch(submitted(hook))

    assert logged("[driver]").count("[driver] it works") == 1


def test_without_the_drivers_log_nobody_asks_for_it(hook: DliHook, emulator: Emulator) -> None:
    hook.wait_for_batch(submitted(hook), driver_log=False)

    assert requests(emulator, "/log") == 0


def test_a_job_that_starts_is_not_asked_for_its_log(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "starting")

    with pytest.raises(SparkBatchTimeoutError):
        hook.wait_for_batch(batch_id, timeout=60)

    assert requests(emulator, "/log") == 0


RUNS = [(0, "running"), (30, "dead"), (33, "recovering"), (60, "running"), (90, "success")]


def test_a_job_that_is_started_again_is_followed_through_its_runs_without_repeats(
    hook: DliHook, emulator: Emulator
) -> None:
    log = [(5, "it begins"), (30, "it fails"), (40, "it begins"), (90, "it ends")]
    emulator.set_batch_timeline("job", RUNS, log)
    batch_id = submitted(hook, auto_recovery=True, max_retry_times=3)
    taken: list[str] = []

    ended = hook.wait_for_batch(batch_id, auto_recovery=True, driver_log=taken.append)

    assert ended.raw_state == "success"
    assert taken == [
        "it begins",
        "it fails",
        "… the driver was restarted: run 2",
        "it begins",
        "it ends",
    ]


def test_a_job_that_is_started_again_is_dead_when_it_stays_so(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.set_batch_timeline("job", [*RUNS[:-1], (90, "dead")])
    batch_id = submitted(hook, auto_recovery=True, max_retry_times=1)
    started = clock.now()

    ended = hook.wait_for_batch(batch_id, auto_recovery=True)

    assert ended.raw_state == "dead"
    assert 90 < clock.now() - started < 122


def test_a_job_that_nobody_starts_again_is_dead_at_the_first_look(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.set_batch_timeline("job", RUNS)

    assert hook.wait_for_batch(submitted(hook)).raw_state == "dead"


def test_a_wait_goes_on_when_the_log_is_refused(
    hook: DliHook, emulator: Emulator, logged: Callable[[str], str]
) -> None:
    emulator.add_fault(Fault("forbidden", path="/batches/*/log", times=None))
    emulator.set_batch_timeline("job", [(0, "running"), (60, "success")])

    ended = hook.wait_for_batch(submitted(hook))

    words = "Could not read the driver log, not trying again"
    assert ended.raw_state == "success"
    assert logged(words).count(words) == 1
    assert requests(emulator, "/log") == 1


def test_a_look_that_fails_is_followed_by_the_next(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "success")
    emulator.add_fault(Fault("unavailable"))

    hook.wait_for_batch(batch_id, driver_log=False)

    assert [record.status for record in emulator.requests] == [503, 200]
