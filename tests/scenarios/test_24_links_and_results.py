"""Fault: a task fails after its submission, in a push of its XCom values, or while it waits.

Expected: the job's id and its links are there in every state; what goes into XCom is plain JSON;
and a push that fails does not run the job twice.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from scenarios.jobs import job, submissions
from scenarios.modes import Mode, again, deferred, event, once, resume
from task_runs import MuteRun, TaskRun, first, retried

from airflow_provider_dli.api.protocol.errors import AnswerLostError, SparkBatchFailedError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.links.spark import GROUP_LINK, JOB_LINK, UI_LINK

in_the_worker = pytest.mark.parametrize("mode", ["worker"], indirect=True)
in_the_triggerer = pytest.mark.parametrize("mode", ["triggerer"], indirect=True)

KEPT = {"batch_id", JOB_LINK, GROUP_LINK, UI_LINK}


def run_of(mode: Mode, retries: int = 0) -> TaskRun:
    return first(mode.spark(retries=retries))


def test_the_result_is_plain_json(mode: Mode, dli: Emulator) -> None:
    run = run_of(mode)

    result = mode.run(mode.spark(), run=run)

    assert json.loads(json.dumps([result, run.xcoms])) == [result, run.xcoms]
    assert result["batch_id"] == run.xcoms["batch_id"] == job(dli)["id"]


def test_the_result_is_the_same_in_both(mode: Mode, dli: Emulator) -> None:
    result = mode.run(mode.spark(name="words"), run=run_of(mode))

    assert result == {
        "batch_id": job(dli)["id"],
        "name": job(dli)["name"],
        "state": "success",
        "queue": "queue",
        "project_id": dli.project_id,
        "region": "eu-west-101",
    }


def test_id_and_links_are_there_when_the_job_died(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(30), "dead")])
    run = run_of(mode)

    with pytest.raises(SparkBatchFailedError) as caught:
        mode.run(mode.spark(), run=run)

    assert (run.xcoms["batch_id"], set(run.xcoms)) == (job(dli)["id"], KEPT)
    assert caught.value.batch_id == job(dli)["id"]


def test_id_and_links_are_there_when_the_job_died_at_once(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "dead")])
    run = run_of(mode)

    with pytest.raises(SparkBatchFailedError):
        mode.spark().execute({"ti": run})

    assert set(run.xcoms) == KEPT


def test_id_and_links_are_there_when_the_wait_failed(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault("reset", path="/batches/*", times=None))
    run = run_of(mode, retries=1)

    with pytest.raises(AnswerLostError):
        mode.run(mode.spark(retries=1, max_unknown_time=mode.seconds(60)), run=run)

    assert (run.xcoms["batch_id"], set(run.xcoms)) == (job(dli)["id"], KEPT)


@in_the_worker
def test_id_and_links_are_there_while_the_job_runs(mode: Mode, dli: Emulator) -> None:
    run = run_of(mode)
    seen: list[set[str]] = []
    started = mode.now()

    mode.run(
        mode.spark(),
        once(lambda: mode.now() > started, lambda: seen.append(set(run.xcoms))),
        run=run,
    )

    assert seen == [KEPT]


@in_the_triggerer
def test_id_and_links_are_there_while_the_task_is_deferred(mode: Mode, dli: Emulator) -> None:
    run = run_of(mode)

    left = deferred(mode.spark(), run)

    assert (run.xcoms["batch_id"], set(run.xcoms)) == (job(dli)["id"], KEPT)
    assert resume(mode.spark(), left, event(again(left.trigger)), run)["state"] == "success"


def test_id_and_links_are_there_when_a_retry_reconnects(mode: Mode, dli: Emulator) -> None:
    run = run_of(mode, retries=1)
    mode.spark(retries=1, wait_for_completion=False).execute({"ti": run})
    after = retried(run)

    mode.run(mode.spark(retries=1), run=after)

    assert (after.xcoms["batch_id"], set(after.xcoms)) == (job(dli)["id"], KEPT)


@in_the_worker
def test_without_a_submission_there_is_nothing_to_link_to(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault("permission-denied", method="POST"))
    run = run_of(mode)

    with pytest.raises(Exception, match=r"DLI\.0003"):
        mode.run(mode.spark(), run=run)

    assert run.xcoms == {}


def test_a_push_that_fails_does_not_run_the_job_twice(mode: Mode, dli: Emulator) -> None:
    mute = MuteRun(max_tries=1)

    result = mode.run(mode.spark(retries=1), run=mute)

    assert result["state"] == "success"
    assert submissions(dli) == 1


@in_the_worker
def test_a_push_of_the_result_that_fails_does_not_run_the_job_twice(
    mode: Mode, dli: Emulator
) -> None:
    """Airflow pushes it when the task is done; then the task fails, and is tried again."""
    run = run_of(mode, retries=1)
    results: list[Any] = [mode.run(mode.spark(retries=1), run=one) for one in (run, retried(run))]

    assert results[0] == results[1]
    assert submissions(dli) == 1
