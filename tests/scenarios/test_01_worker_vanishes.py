"""Fault: the worker of a running task vanishes in the middle of a poll, without a word to anybody.

Expected: the retry reconnects to the job, submits nothing, and gives the result of that job. How a
real process is killed: tests/triggerer.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scenarios.jobs import submissions
from scenarios.modes import Mode, once
from task_runs import TaskRun, first, retried

from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.operators.spark import SparkBatchOperator

pytestmark = pytest.mark.parametrize("mode", ["worker"], indirect=True)


class Vanished(BaseException):
    """Nothing catches it, so nothing is done any more; that is how it is with SIGKILL."""


def vanish() -> None:
    raise Vanished


def vanishing(mode: Mode, after: float, operator: SparkBatchOperator, run: TaskRun) -> None:
    """Execute a task whose worker vanishes so many seconds later."""
    started = mode.now()
    with pytest.raises(Vanished):
        mode.run(operator, once(lambda: mode.now() - started >= after, vanish), run)


@pytest.fixture
def long_job(dli: Emulator) -> Emulator:
    """A job that takes ten minutes."""
    dli.set_batch_timeline("*", [(0, "starting"), (60, "running"), (600, "success")])
    return dli


@pytest.mark.parametrize("after", [1, 30, 300])
def test_a_retry_reconnects_to_the_job_that_runs(
    mode: Mode, long_job: Emulator, task_log: Callable[[], str], after: float
) -> None:
    run = first(mode.spark(retries=1))
    vanishing(mode, after, mode.spark(retries=1), run=run)

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert submissions(long_job) == 1
    (batch_id,) = long_job.batches()
    assert (result["batch_id"], result["state"]) == (batch_id, "success")
    assert f"Reconnected to Spark job {batch_id}" in task_log()


def test_a_retry_takes_the_result_of_a_job_that_ended_meanwhile(
    mode: Mode, long_job: Emulator
) -> None:
    run = first(mode.spark(retries=1))
    vanishing(mode, 60, mode.spark(retries=1), run=run)
    assert mode.clock
    mode.clock.sleep(3600)

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert (submissions(long_job), result["state"]) == (1, "success")


def test_a_retry_submits_anew_when_the_job_died_meanwhile(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (600, "dead")])
    run = first(mode.spark(retries=1))
    vanishing(mode, 60, mode.spark(retries=1), run=run)
    assert mode.clock
    mode.clock.sleep(3600)
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert (submissions(dli), result["state"]) == (2, "success")


def test_every_one_of_many_retries_reconnects(mode: Mode, long_job: Emulator) -> None:
    run = first(mode.spark(retries=5))
    for _ in range(5):
        vanishing(mode, 20, mode.spark(retries=5), run=run)
        run = retried(run)

    assert mode.run(mode.spark(retries=5), run=run)["state"] == "success"
    assert submissions(long_job) == 1


def test_a_retry_reconnects_though_the_retries_were_changed_in_between(
    mode: Mode, long_job: Emulator
) -> None:
    run = first(mode.spark(retries=3))
    vanishing(mode, 60, mode.spark(retries=3), run=run)
    assert mode.clock
    mode.clock.sleep(3600)

    result = mode.run(mode.spark(retries=0), run=retried(run))

    assert (submissions(long_job), result["state"]) == (1, "success")


def test_mapped_tasks_reconnect_to_their_own_jobs(mode: Mode, long_job: Emulator) -> None:
    runs = [first(mode.spark(retries=1)) for _ in range(2)]
    for index, run in enumerate(runs):
        run.map_index = index
        vanishing(mode, 5, mode.spark(retries=1), run=run)
    assert mode.clock
    mode.clock.sleep(700)

    results = [mode.run(mode.spark(retries=1), run=retried(run)) for run in runs]

    assert [result["batch_id"] for result in results] == list(long_job.batches())
