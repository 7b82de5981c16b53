"""Fault: a user clears a task that ended, or whose job still runs.

Expected: the clear gives a new job and ends the old one, unless the task reattaches to that.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scenarios.jobs import NEVER, states, submissions, submit
from scenarios.modes import Mode
from task_runs import StateStore, cleared, first, retried

from airflow_provider_dli.api.protocol.errors import PermissionDeniedError, SparkBatchFailedError
from airflow_provider_dli.emulator import Emulator, Fault

in_the_worker = pytest.mark.parametrize("mode", ["worker"], indirect=True)


def test_a_clear_after_a_success_runs_a_new_job(mode: Mode, dli: Emulator) -> None:
    run = first(mode.spark())
    before = mode.run(mode.spark(), run=run)

    after = mode.run(mode.spark(), run=cleared(run))

    assert before["batch_id"] != after["batch_id"]
    assert (submissions(dli), after["state"]) == (2, "success")


@in_the_worker
def test_a_clear_after_a_success_runs_a_new_job_though_the_state_was_left(
    mode: Mode, dli: Emulator
) -> None:
    """As Airflow 3.3 leaves it."""
    run, store = first(mode.spark()), StateStore()
    submit(mode, run, store)
    assert mode.clock
    mode.clock.sleep(3600)

    submit(mode, cleared(run), store)

    assert submissions(dli) == 2


def test_a_clear_ends_the_job_of_before_and_runs_a_new_one(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark())
    old = submit(mode, run)["batch_id"]
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(), run=cleared(run))

    assert dli.batches()[old]["state"] == "dead"
    assert (submissions(dli), result["state"]) == (2, "success")


@in_the_worker
def test_the_job_of_before_has_ended_when_the_new_one_is_submissions(
    mode: Mode, dli: Emulator
) -> None:
    """Or else both would write to the same place."""
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark())
    old = submit(mode, run)["batch_id"]
    dli.clear_requests()

    submit(mode, cleared(run))

    asked = [(record.method, record.path.rpartition("/")[2]) for record in dli.requests]
    assert (
        asked.index(("DELETE", old)) < asked.index(("GET", old)) < asked.index(("POST", "batches"))
    )


@in_the_worker
def test_nothing_is_submitted_where_the_job_of_before_cannot_be_ended(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    dli.add_fault(Fault("forbidden", method="DELETE"))

    with pytest.raises(PermissionDeniedError):
        submit(mode, cleared(run, 1), retries=1)
    assert submissions(dli) == 1


@in_the_worker
def test_the_retry_after_a_clear_ends_what_the_first_try_could_not(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark(retries=1))
    submit(mode, run, retries=1)
    dli.add_fault(Fault("forbidden", method="DELETE"))
    after = cleared(run, 1)
    with pytest.raises(PermissionDeniedError):
        submit(mode, after, retries=1)

    submit(mode, retried(after), retries=1)

    assert states(dli) == ["dead", "running"]


@in_the_worker
def test_a_job_of_before_that_does_not_end_is_warned_of(
    mode: Mode, dli: Emulator, task_log: Callable[[], str]
) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark())
    old = submit(mode, run)["batch_id"]
    # DLI takes the cancel and does nothing.
    dli.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    submit(mode, cleared(run))

    assert f"Jobs from before the clear are still running: {old}" in task_log()
    assert submissions(dli) == 2


@in_the_worker
def test_a_task_that_leaves_its_jobs_leaves_the_one_of_before(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark())
    submit(mode, run)

    submit(mode, cleared(run), on_kill="leave")

    assert states(dli) == ["running", "running"]


@in_the_worker
def test_every_clear_ends_the_job_before_it(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = first(mode.spark())
    for _ in range(3):
        submit(mode, run)
        run = cleared(run)

    submit(mode, run)

    assert states(dli) == ["dead", "dead", "dead", "running"]


@in_the_worker
@pytest.mark.parametrize(("before", "after"), [(3, 2), (0, 2), (1, 0)])
def test_a_clear_ends_the_job_of_before_though_the_retries_were_changed(
    mode: Mode, dli: Emulator, before: int, after: int
) -> None:
    dli.set_batch_timeline("*", NEVER)
    run = retried(first(mode.spark(retries=before)))
    submit(mode, run, retries=before)

    submit(mode, cleared(run, after), retries=after)

    assert states(dli) == ["dead", "running"]


@in_the_worker
def test_a_clear_of_one_mapped_task_leaves_the_jobs_of_the_others(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)
    runs = [first(mode.spark()) for _ in range(3)]
    for index, run in enumerate(runs):
        run.map_index = index
        submit(mode, run)

    submit(mode, cleared(runs[1]))

    assert states(dli) == ["running", "dead", "running", "running"]


# A clear of a task that reattaches


def test_a_task_may_reattach_to_the_job_of_before(mode: Mode, dli: Emulator) -> None:
    run = first(mode.spark())
    old = submit(mode, run)["batch_id"]

    result = mode.run(mode.spark(on_clear="reattach"), run=cleared(run))

    assert (result["batch_id"], result["state"]) == (old, "success")
    assert submissions(dli) == 1


@in_the_worker
def test_a_task_may_take_the_success_of_before(mode: Mode, dli: Emulator) -> None:
    run = first(mode.spark())
    before = mode.run(mode.spark(), run=run)

    assert mode.run(mode.spark(on_clear="reattach"), run=cleared(cleared(run))) == before
    assert submissions(dli) == 1


@in_the_worker
def test_the_retry_after_a_reattachment_reconnects_too(mode: Mode, dli: Emulator) -> None:
    run = first(mode.spark(retries=1))
    old = submit(mode, run, retries=1)["batch_id"]
    after = cleared(run, 1)
    submit(mode, after, retries=1, on_clear="reattach")

    result = submit(mode, retried(after), retries=1, on_clear="reattach")

    assert (result["batch_id"], submissions(dli)) == (old, 1)


@in_the_worker
def test_a_dead_job_of_before_is_nothing_to_reattach_to(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "dead")])
    run = first(mode.spark())
    with pytest.raises(SparkBatchFailedError):
        submit(mode, run)
    dli.clear_batch_timelines()

    submit(mode, cleared(run), on_clear="reattach")

    assert submissions(dli) == 2
