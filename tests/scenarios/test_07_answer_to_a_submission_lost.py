"""Fault: a submission is handled and its answer is lost: replaced by an error or a page, cut off,
never sent; or it is the submission itself that is lost on its way.

Expected: the job is found by its name and taken over, so there is one. What cannot be looked up
"may be running". Nothing is ever submitted a second time on a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from scenarios.blips import LOST
from scenarios.jobs import NEVER, states, submissions, submit
from scenarios.modes import Mode
from task_runs import TaskRun, first, retried

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    ServiceError,
    SparkBatchFailedError,
    SparkBatchLostError,
)
from airflow_provider_dli.emulator import Emulator, Fault

# What happens before a task waits is the same in both modes.
pytestmark = pytest.mark.parametrize("mode", ["worker"], indirect=True)

LOOKS = {"method": "GET", "path": "/batches"}


def lose(dli: Emulator, name: str, when: str) -> None:
    dli.add_fault(Fault(**LOST[name][0], method="POST", path="/batches", when=when))


def run_of(mode: Mode, retries: int = 0) -> TaskRun:
    return first(mode.spark(retries=retries))


def posts(dli: Emulator) -> int:
    return sum(record.method == "POST" for record in dli.requests)


@pytest.mark.parametrize("name", LOST)
def test_a_job_whose_submission_had_no_answer_is_taken_over(
    mode: Mode, dli: Emulator, name: str, task_log: Callable[[], str]
) -> None:
    lose(dli, name, "after")

    result = mode.run(mode.spark(), run=run_of(mode))

    assert (list(dli.batches()), result["state"]) == ([result["batch_id"]], "success")
    assert (posts(dli), submissions(dli)) == (1, 1)
    assert "The job is looked up by its name, and not submitted again: POST" in task_log()


@pytest.mark.parametrize("name", LOST)
def test_a_submission_that_was_lost_on_its_way_is_left_to_the_retry(
    mode: Mode, dli: Emulator, name: str
) -> None:
    lose(dli, name, "before")
    run = run_of(mode, retries=1)

    with pytest.raises(LOST[name][1], match=r"POST /v2\.0/.*/batches") as caught:
        mode.run(mode.spark(retries=1), run=run)

    assert "DLI lists no job named" in caught.value.__notes__[0]
    assert (posts(dli), submissions(dli)) == (1, 0)
    assert mode.run(mode.spark(retries=1), run=retried(run))["state"] == "success"
    assert submissions(dli) == 1


def test_a_submission_that_is_throttled_is_sent_again(mode: Mode, dli: Emulator) -> None:
    """The service says that it did nothing."""
    dli.add_fault(Fault("throttled", method="POST", path="/batches", times=2))

    assert mode.run(mode.spark(), run=run_of(mode))["state"] == "success"
    assert (posts(dli), submissions(dli)) == (3, 1)


@pytest.mark.parametrize("trouble", ["unavailable", "reset", "html", "forbidden", "bad-token"])
def test_a_job_that_cannot_be_looked_for_may_be_running(
    mode: Mode, dli: Emulator, trouble: str
) -> None:
    lose(dli, "reset", "after")
    dli.add_fault(Fault(trouble, **LOOKS, skip=1, times=None))
    run = run_of(mode, retries=1)

    with pytest.raises(SparkBatchLostError, match="may be running: its submission had no usable"):
        mode.run(mode.spark(retries=1), run=run)

    assert (posts(dli), submissions(dli)) == (1, 1)


def test_what_may_be_running_is_found_by_the_retry(mode: Mode, dli: Emulator) -> None:
    lose(dli, "reset", "after")
    dli.add_fault(Fault("unavailable", **LOOKS, skip=1, times=None))
    run = run_of(mode, retries=1)
    with pytest.raises(SparkBatchLostError):
        mode.run(mode.spark(retries=1), run=run)
    dli.clear_faults()

    assert mode.run(mode.spark(retries=1), run=retried(run))["state"] == "success"
    assert submissions(dli) == 1


def test_what_may_be_running_is_left_to_the_retry(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    lose(dli, "reset", "after")
    dli.add_fault(Fault("unavailable", **LOOKS, skip=1, times=None))

    with pytest.raises(SparkBatchLostError):
        mode.run(mode.spark(retries=1), run=run_of(mode, retries=1))
    assert states(dli) == ["running"]


def test_what_may_be_running_is_cancelled_where_no_try_is_left(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    lose(dli, "reset", "after")
    dli.add_fault(Fault("forbidden", **LOOKS, skip=1, times=1))

    with pytest.raises(SparkBatchLostError):
        mode.run(mode.spark(), run=run_of(mode))
    assert states(dli) == ["dead"]


def test_what_may_be_running_and_cannot_be_cancelled_is_said_to_run(
    mode: Mode, dli: Emulator
) -> None:
    lose(dli, "reset", "after")
    dli.add_fault(Fault("forbidden", **LOOKS, skip=1, times=None))

    with pytest.raises(SparkBatchLostError) as caught:
        mode.run(mode.spark(), run=run_of(mode))
    assert "may still be running: it could not be cancelled" in "".join(caught.value.__notes__)


def test_nothing_is_submitted_when_nobody_can_look_first(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault("unavailable", **LOOKS, times=None))

    with pytest.raises(ServiceError, match=r"GET /v2\.0/.*/batches"):
        mode.run(mode.spark(), run=run_of(mode))
    assert posts(dli) == 0


def test_a_job_that_died_before_it_was_found_is_explained(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "dead")], log=[(0, "java.lang.OutOfMemoryError: heap")])
    lose(dli, "reset", "after")

    with pytest.raises((SparkBatchFailedError, AirflowFailException), match="OutOfMemoryError"):
        mode.run(mode.spark(), run=run_of(mode))
    assert submissions(dli) == 1


@pytest.mark.parametrize("policy", ["cancel", "leave"])
def test_the_last_try_that_cannot_even_look_gives_up_the_job_of_the_one_before(
    mode: Mode, dli: Emulator, policy: Any
) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = run_of(mode, retries=1)
    submit(mode, run, retries=1)
    dli.add_fault(Fault("forbidden", **LOOKS, times=1))

    with pytest.raises(DliError, match="403") as caught:
        mode.run(mode.spark(retries=1, on_failure=policy), run=retried(run))

    if policy == "cancel":
        assert states(dli) == ["dead"]
    else:
        assert "may still be running: the task leaves it" in caught.value.__notes__[0]


def test_a_retry_that_is_wrong_gives_up_the_job_of_the_try_before(
    mode: Mode, dli: Emulator
) -> None:
    """Somebody changed the DAG in between; there will be no other try."""
    dli.set_batch_timeline("*", NEVER)
    run = run_of(mode, retries=2)
    submit(mode, run, retries=2)

    with pytest.raises(AirflowFailException, match="queue_name is missing"):
        mode.run(mode.spark(retries=2, queue_name=None), run=retried(run))
    assert states(dli) == ["dead"]


def test_a_retry_whose_connection_is_wrong_says_what_may_run(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = run_of(mode, retries=2)
    submit(mode, run, retries=2)

    with pytest.raises(AirflowFailException, match="region is 'Eu 7'") as caught:
        mode.run(mode.spark(retries=2, region="Eu 7"), run=retried(run))
    assert "may still be running" in caught.value.__cause__.__notes__[0]
