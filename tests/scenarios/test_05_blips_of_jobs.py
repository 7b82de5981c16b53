"""Fault: while a task waits for its Spark job, looks fail in every way a service and a network
know, or the job just submitted is not known yet.

Expected: shorter than `max_unknown_time`, the task goes on, with one warning for each change and
without a second submission; longer, it fails with the last error and does what `on_failure` says
when no try is left. While tries are left, the job is left for the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import FakeClock
from scenarios import blips
from scenarios.blips import WARNING
from scenarios.jobs import cancels, job, looks, submissions
from scenarios.modes import Mode, again, deferred, event, resume
from task_runs import first, retried

from airflow_provider_dli.api.protocol.errors import (
    NotSentError,
    ServiceError,
    SparkBatchLostError,
    SparkBatchTimeoutError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook

OF_ANOTHER = ({"status": 200, "body": {"id": "x", "state": "dead"}}, UnusableAnswerError)
BLIPS = blips.BLIPS | {"of another job": OF_ANOTHER}
ABSENT: dict[str, dict[str, Any]] = {
    "400 DLI.0002": {"status": 400, "body": {"error_code": "DLI.0002", "error_msg": "no job"}},
    "404": {"action": "not-found"},
}


def blip(arguments: dict[str, Any], times: int | None) -> Fault:
    return Fault(**arguments | {"method": "GET", "path": "/batches/*", "times": times})


@pytest.mark.parametrize("name", BLIPS)
def test_a_blip_is_endured_with_one_warning(
    mode: Mode,
    dli: Emulator,
    name: str,
    logged: Callable[[str], str],
) -> None:
    dli.add_fault(blip(BLIPS[name][0], 1 if mode.clock is None else 3))

    result = mode.run(mode.spark(driver_log=False))

    assert result["state"] == "success"
    assert submissions(dli) == 1
    assert logged(WARNING).count(WARNING) == 1


@pytest.mark.parametrize("name", BLIPS)
def test_trouble_that_lasts_fails_with_the_last_error(mode: Mode, dli: Emulator, name: str) -> None:
    arguments, kind = BLIPS[name]
    dli.add_fault(blip(arguments, None))
    limit = mode.seconds(40)

    with pytest.raises(kind, match=r"GET /v2\.0/\S+/batches/") as caught:
        mode.run(mode.spark(max_unknown_time=limit, on_failure="leave"))

    assert caught.value.__notes__ == [
        f"No look at Spark job {job(dli)['id']} succeeded for {limit:g} seconds.",
        f"Spark job {job(dli)['id']} may still be running: the task leaves it.",
    ]
    assert (submissions(dli), cancels(dli)) == (1, 0)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://dli.invalid"])
def test_a_service_that_cannot_be_reached_fails_a_deferred_wait_after_the_unknown_time(
    dli: Emulator, connect: Callable[..., None], endpoint: str
) -> None:
    operator = Mode("triggerer", None).spark(max_unknown_time=0.4, on_failure="leave")
    left = deferred(operator)
    connect(endpoint=endpoint)

    with pytest.raises(NotSentError, match=f"could not connect to {endpoint}"):
        resume(operator, left, event(again(left.trigger)))


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://dli.invalid"])
def test_a_service_that_cannot_be_reached_fails_a_wait_of_the_worker_as_late(
    clock: FakeClock, connect: Callable[..., None], endpoint: str
) -> None:
    connect(endpoint=endpoint)

    with pytest.raises(NotSentError), DliHook(clock=clock) as hook:
        hook.wait_for_batch("5c8b1b6e-0000-4000-8000-000000000000", max_unknown_time=40)

    assert 40 <= sum(clock.slept) < 60


def test_each_change_of_trouble_is_a_warning(
    mode: Mode,
    dli: Emulator,
    logged: Callable[[str], str],
) -> None:
    for action in ("unavailable", "html", "not-found", "unavailable"):
        dli.add_fault(Fault(action, method="GET", path="/batches/*", times=1))

    mode.run(mode.spark(driver_log=False))

    assert logged(WARNING).count(WARNING) == 4


def test_a_job_that_is_not_known_for_a_while_after_its_submission_is_waited_for(
    mode: Mode,
    dli: Emulator,
    logged: Callable[[str], str],
) -> None:
    known, ended = mode.seconds(20), mode.seconds(60)
    dli.set_batch_timeline("*", [(0, "starting"), (0.001, None), (known, "x"), (ended, "success")])

    result = mode.run(mode.spark(poll_interval=mode.seconds(5), driver_log=False))

    assert result["state"] == "success"
    assert (submissions(dli), cancels(dli)) == (1, 0)
    assert 400 in looks(dli)
    assert logged(WARNING).count(WARNING) == 1


@pytest.mark.parametrize("name", ABSENT)
def test_a_job_that_is_never_known_is_lost_after_the_unknown_time(
    mode: Mode, dli: Emulator, name: str
) -> None:
    dli.add_fault(blip(ABSENT[name], None))
    limit = mode.seconds(40)

    said = rf"DLI does not know it in project \w+, for {limit:g} seconds"
    with pytest.raises(SparkBatchLostError, match=said):
        mode.run(mode.spark(max_unknown_time=limit))

    assert submissions(dli) == 1


def test_after_trouble_that_lasted_the_job_is_cancelled_when_the_service_is_back(
    dli: Emulator,
) -> None:
    dli.set_batch_timeline("*", [(0, "running")])
    operator = Mode("triggerer", None).spark(max_unknown_time=0.4)
    left = deferred(operator)
    dli.add_fault(blip({"action": "unavailable"}, None))
    ended = event(again(left.trigger))
    dli.clear_faults()

    with pytest.raises(ServiceError):
        resume(operator, left, ended)

    assert cancels(dli) == 1
    assert job(dli)["state"] == "dead"


@pytest.mark.parametrize("mode", ["worker"], indirect=True)  # in real time it takes too long
def test_a_service_that_stays_away_leaves_nobody_to_believe_that_the_job_was_cancelled(
    mode: Mode, dli: Emulator
) -> None:
    dli.add_fault(Fault("unavailable", path="/batches/*", times=None))

    with pytest.raises(ServiceError, match="GET") as caught:
        mode.run(mode.spark(max_unknown_time=40))

    assert f"Spark job {job(dli)['id']} may still be running" in caught.value.__notes__[-1]


def test_while_tries_are_left_the_job_is_left_and_the_next_try_takes_it_over(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(150), "success")])
    dli.add_fault(blip({"action": "unavailable"}, 1000))
    operator = mode.spark(max_unknown_time=mode.seconds(40), retries=1)
    run = first(operator)

    with pytest.raises(ServiceError):
        mode.run(operator, run=run)
    dli.clear_faults()
    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert result["state"] == "success"
    assert (submissions(dli), cancels(dli)) == (1, 0)


def test_trouble_at_the_deadline_is_a_timeout_that_says_so(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(blip({"action": "unavailable"}, None))

    with pytest.raises(SparkBatchTimeoutError, match=r"not seen\. The last look failed: GET .*503"):
        mode.run(mode.spark(timeout=mode.seconds(40), on_timeout="leave"))


def test_a_job_that_is_not_known_at_the_deadline_is_a_timeout_that_says_so(
    mode: Mode, dli: Emulator
) -> None:
    dli.add_fault(blip({"action": "not-found"}, None))

    with pytest.raises(SparkBatchTimeoutError, match=r"The last look failed: GET .*404"):
        mode.run(mode.spark(timeout=mode.seconds(40)))
