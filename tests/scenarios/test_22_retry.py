"""Fault: a task fails and is tried again; what was noted of its job, or DLI's record of the job, is
cleaned up in between; or the whole run is deleted, and made again.

Expected: a retry reconnects to the job. What is gone from Airflow is found by its name; what is
gone from DLI fails closed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred
from fake_clock import SkippingClock
from scenarios.jobs import states, submissions, submit
from scenarios.modes import Mode, again, deferred, event, resume
from task_runs import StateStore, cleared, first, retried

from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError, SparkBatchLostError
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook

in_the_worker = pytest.mark.parametrize("mode", ["worker"], indirect=True)


def later(mode: Mode, seconds: float) -> None:
    """Make time pass in the worker."""
    assert mode.clock
    mode.clock.sleep(seconds)


def test_a_retry_after_a_dead_job_runs_a_new_one(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(20), "dead")])
    run = first(mode.spark(retries=1))
    with pytest.raises(SparkBatchFailedError):
        mode.run(mode.spark(retries=1), run=run)
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert (submissions(dli), result["state"]) == (2, "success")


@in_the_worker
def test_a_job_of_an_earlier_try_that_dies_later_counts_as_none(mode: Mode, dli: Emulator) -> None:
    """Whoever clears a running task has its job cancelled, which may take a while."""
    dli.set_batch_timeline("*", [(0, "running"), (60, "dead")])
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert (submissions(dli), states(dli)) == (2, ["dead", "success"])
    assert result["state"] == "success"


@pytest.mark.parametrize("mode", ["triggerer"], indirect=True)
def test_in_the_triggerer_it_counts_as_none_too(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (0.3, "dead")])
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    dli.clear_batch_timelines()
    left = deferred(mode.spark(retries=1), retried(run))

    with pytest.raises(TaskDeferred) as again_left:
        resume(mode.spark(retries=1), left, event(again(left.trigger)), retried(run))

    last = again_left.value
    result = resume(mode.spark(retries=1), last, event(again(last.trigger)), retried(run))
    assert (result["state"], states(dli)) == ("success", ["dead", "success"])


@pytest.mark.parametrize("mode", ["triggerer"], indirect=True)
@pytest.mark.parametrize("is_kept", [True, False], ids=["a row of today", "an older row"])
def test_the_execution_timeout_counts_once_for_a_try_that_defers_twice(
    mode: Mode, dli: Emulator, is_kept: bool
) -> None:
    limited: dict[str, Any] = {"execution_timeout": timedelta(seconds=60), "timeout": None}
    dli.set_batch_timeline("*", [(0, "running"), (0.3, "dead")])
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    dli.clear_batch_timelines()
    left = deferred(mode.spark(retries=1, **limited), retried(run))
    payload = event(again(left.trigger))
    assert left.trigger.started == payload["started"]
    began = payload["started"] = payload["started"] - 40
    if not is_kept:
        del payload["started"]

    with pytest.raises(TaskDeferred) as again_left:
        resume(mode.spark(retries=1, **limited), left, payload, retried(run))

    seconds = again_left.value.trigger.deadline - began
    assert (seconds == pytest.approx(60)) if is_kept else seconds > 90


@pytest.mark.parametrize("mode", ["triggerer"], indirect=True)
def test_no_other_job_is_submitted_when_the_execution_timeout_is_over(
    mode: Mode, dli: Emulator
) -> None:
    limited: dict[str, Any] = {"execution_timeout": timedelta(seconds=60), "timeout": None}
    dli.set_batch_timeline("*", [(0, "running"), (0.3, "dead")])
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    left = deferred(mode.spark(retries=1, **limited), retried(run))
    payload = event(again(left.trigger))
    payload["started"] -= 61

    later = mode.spark(retries=1, **limited)
    later.hook = DliHook(clock=SkippingClock())  # it looks for the job for a minute

    with pytest.raises(AirflowTaskTimeout):
        resume(later, left, payload, retried(run))

    assert submissions(dli) == 1


@in_the_worker
def test_a_new_job_that_dies_fails_the_try_that_submitted_it(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (60, "dead")])
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)

    with pytest.raises(SparkBatchFailedError):
        mode.run(mode.spark(retries=1), run=retried(run))
    assert states(dli) == ["dead", "dead"]


@in_the_worker
@pytest.mark.parametrize("store", [StateStore(), None], ids=["by its state", "by its name"])
def test_a_retry_finds_the_job(mode: Mode, dli: Emulator, store: StateStore | None) -> None:
    run = first(mode.spark(retries=1))
    batch_id = submit(mode, run, store, retries=1)["batch_id"]
    dli.clear_requests()

    result = submit(mode, retried(run), store, retries=1)

    assert result["batch_id"] == batch_id
    found_by = "/batches" if store is None else f"/batches/{batch_id}"
    assert dli.requests[0].path.endswith(found_by)


@in_the_worker
def test_a_retry_finds_the_job_by_its_name_when_the_state_was_cleaned(
    mode: Mode, dli: Emulator
) -> None:
    run, store = first(mode.spark(retries=1)), StateStore()
    batch_id = submit(mode, run, store, retries=1)["batch_id"]
    store.clear()

    assert submit(mode, retried(run), store, retries=1)["batch_id"] == batch_id
    assert submissions(dli) == 1


@in_the_worker
def test_a_retry_does_not_submit_a_job_anew_whose_record_is_gone(mode: Mode, dli: Emulator) -> None:
    """DLI forgets jobs; that there was one, the state of the task tells on Airflow 3.3."""
    run, store = first(mode.spark(retries=1)), StateStore()
    submit(mode, run, store, retries=1)
    later(mode, 7 * 3600)

    with pytest.raises(SparkBatchLostError, match="its result is unknown") as caught:
        submit(mode, retried(run), store, retries=1)
    assert "clear the task to run it anew" in str(caught.value)
    assert submissions(dli) == 1


@in_the_worker
def test_the_clear_after_that_runs_a_new_job(mode: Mode, dli: Emulator) -> None:
    run, store = first(mode.spark(retries=1)), StateStore()
    submit(mode, run, store, retries=1)
    later(mode, 7 * 3600)
    with pytest.raises(SparkBatchLostError):
        submit(mode, retried(run), store, retries=1)

    submit(mode, cleared(retried(run), 1), store, retries=1)

    assert submissions(dli) == 2


# A run that was deleted, and made again under the same id


@in_the_worker
def test_a_run_that_was_made_again_does_not_take_the_old_success(mode: Mode, dli: Emulator) -> None:
    run = first(mode.spark())
    submit(mode, run)
    later(mode, 3600)

    submit(mode, run)

    assert submissions(dli) == 2


@in_the_worker
def test_a_run_that_was_made_again_takes_over_the_job_that_still_runs(
    mode: Mode, dli: Emulator
) -> None:
    run = first(mode.spark())
    old = submit(mode, run)["batch_id"]

    assert submit(mode, run)["batch_id"] == old
    assert submissions(dli) == 1


@in_the_worker
def test_the_retry_of_a_run_that_was_made_again_does_not_take_the_old_success_either(
    mode: Mode, dli: Emulator
) -> None:
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    later(mode, 3600)
    dli.set_batch_timeline("*", [(0, "dead")])
    with pytest.raises(SparkBatchFailedError):
        submit(mode, run, retries=1)

    with pytest.raises(SparkBatchFailedError):
        submit(mode, retried(run), retries=1)
    assert states(dli) == ["success", "dead", "dead"]
