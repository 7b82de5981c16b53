"""Cancelling a job: what counts as done, what is said of a job that goes on, what is an error."""

from __future__ import annotations

import pytest
from api.script import Script, client, slow
from fake_clock import FakeClock

from airflow_provider_dli.api.jobs.cancelling import LAST_LOOK, cancel
from airflow_provider_dli.api.protocol.errors import (
    BadRequestError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
)
from airflow_provider_dli.api.protocol.wire import Response
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook

IGNORED = Fault(method="DELETE", path="/batches/*", times=None, body={"msg": "deleted"})
"""A cancel that is taken, and does nothing."""


def asked(emulator: Emulator) -> list[str]:
    return [record.method for record in emulator.requests]


def test_a_job_that_runs_is_cancelled_and_looked_at(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.raw_state == emulator.batches()[batch_id]["state"] == "dead"
    assert asked(emulator) == ["DELETE", "GET"]


@pytest.mark.parametrize("state", ["success", "dead", "DEAD", " Success "])
def test_a_job_that_had_ended_counts_as_done(hook: DliHook, emulator: Emulator, state: str) -> None:
    batch_id = emulator.add_batch({}, state)
    emulator.add_fault(Fault(method="DELETE", status=400, body={"error_code": "DLI.0001"}))

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.is_terminal


def test_a_job_that_is_unknown_counts_as_done(hook: DliHook) -> None:
    assert hook.cancel_batch("0a324461-d9d9-45da-a52a-3b3c7a3d809e") is None


def test_a_job_that_vanishes_while_it_is_looked_at_counts_as_done(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault("not-found", method="GET", path="/batches/*"))

    assert hook.cancel_batch(batch_id) is None


def test_a_job_that_is_unknown_to_the_cancel_alone_is_looked_at(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "success")
    emulator.add_fault(Fault("not-found", method="DELETE"))

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.raw_state == "success"


def test_a_job_that_runs_on_for_a_while_is_waited_for(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.set_batch_timeline("*", [(0, "running"), (30, "dead")])
    emulator.add_fault(IGNORED)
    batch_id = submitted(hook, emulator)

    last = hook.cancel_batch(batch_id, seconds=60)

    assert last is not None
    assert last.raw_state == "dead"
    assert asked(emulator).count("DELETE") == 1
    assert 30 <= sum(clock.slept) <= 41


def test_a_job_that_does_not_end_is_given_as_it_is_when_time_is_up(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(IGNORED)

    last = hook.cancel_batch(batch_id, seconds=60)

    assert last is not None
    assert last.raw_state == "running"
    assert 50 <= sum(clock.slept) <= 60


def test_a_cancel_that_takes_all_the_time_is_followed_by_one_look(clock: FakeClock) -> None:
    taken = Response(200, {}, b'{"msg": "deleted"}')
    ended = Response(200, {}, b'{"id": "j1", "state": "dead"}')
    script = Script(clock, [slow(clock, taken), ended])

    last = script.run(cancel(client(clock), "j1", seconds=4))

    assert last is not None
    assert last.raw_state == "dead"
    assert script.asked == ["DELETE j1", "GET j1"]
    assert script.limits == [4, LAST_LOOK]


def test_a_state_that_nobody_knows_is_not_taken_for_the_end(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "STOPPING")
    emulator.add_fault(IGNORED)

    last = hook.cancel_batch(batch_id, seconds=5)

    assert last is not None
    assert not last.is_terminal


def test_a_cancel_that_is_refused_for_a_job_that_runs_is_an_error(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    refusal = {"error_code": "DLI.0001", "error_msg": "not now"}
    emulator.add_fault(Fault(method="DELETE", status=400, body=refusal))

    with pytest.raises(BadRequestError, match="not now"):
        hook.cancel_batch(batch_id)


def test_a_missing_right_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault("forbidden", method="DELETE"))

    with pytest.raises(PermissionDeniedError):
        hook.cancel_batch(batch_id)

    assert emulator.batches()[batch_id]["state"] == "running"


@pytest.mark.parametrize("action", ["throttled", "unavailable", "internal-error", "reset"])
def test_a_cancel_that_failed_is_sent_again(hook: DliHook, emulator: Emulator, action: str) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault(action, method="DELETE"))

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.raw_state == "dead"
    assert asked(emulator) == ["DELETE", "DELETE", "GET"]


@pytest.mark.parametrize("action", ["unavailable", "internal-error", "reset", "html", "cut-off"])
def test_a_cancel_that_was_carried_out_and_had_no_answer_counts_as_done(
    hook: DliHook, emulator: Emulator, action: str
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault(action, method="DELETE", when="after"))

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.raw_state == "dead"


@pytest.mark.parametrize(
    ("action", "error"), [("throttled", ThrottledError), ("unavailable", ServiceError)]
)
def test_a_cancel_that_fails_for_ever_is_an_error(
    hook: DliHook, emulator: Emulator, action: str, error: type[Exception]
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault(action, method="DELETE", times=None))

    with pytest.raises(error):
        hook.cancel_batch(batch_id)


def test_the_active_jobs_of_a_name_are_cancelled_and_no_other(
    hook: DliHook, emulator: Emulator
) -> None:
    mine = [emulator.add_batch({"name": "n"}, state) for state in ("starting", "PAUSED")]
    emulator.add_batch({"name": "n"}, "success")
    other = emulator.add_batch({"name": "n-2"}, "running")

    running = hook.cancel_batches_named("n")

    assert running == []
    assert [emulator.batches()[batch_id]["state"] for batch_id in mine] == ["dead", "dead"]
    assert emulator.batches()[other]["state"] == "running"
    assert asked(emulator).count("DELETE") == 2


def test_the_ids_of_jobs_that_still_run_are_given(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"name": "n"}, "running")
    emulator.add_fault(IGNORED)

    assert hook.cancel_batches_named("n", seconds=1) == [batch_id]


def test_a_job_of_any_of_the_names_is_found(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_batch({"name": "second"}, "running")

    hook.cancel_batches_named("first", "second")

    assert "DELETE" in asked(emulator)


def test_a_job_whose_submission_was_broken_off_is_looked_for_a_while(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    batch_id = emulator.add_batch({"name": "n"}, "running")
    unlisted = {"from": 0, "total": 0, "sessions": []}
    emulator.add_fault(Fault(method="GET", path="/batches", times=3, body=unlisted))

    hook.cancel_batches_named("n", late=3)

    assert emulator.batches()[batch_id]["state"] == "dead"
    assert 1 < sum(clock.slept) <= 3


def test_a_job_that_never_comes_is_looked_for_no_longer(hook: DliHook, clock: FakeClock) -> None:
    assert hook.cancel_batches_named("n", late=3) == []
    assert 2 <= sum(clock.slept) <= 3


def submitted(hook: DliHook, emulator: Emulator) -> str:
    """Submit a job by the hook and give its id, with no request on record."""
    from airflow_provider_dli.api.jobs.spark_job import SparkJob

    job = SparkJob(file="obs://bucket/a.py", queue="q", name="n", spark_version="3.3.1")
    batch_id = hook.submit_batch(job).batch.id
    emulator.clear_requests()
    return batch_id
