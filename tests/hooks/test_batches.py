# SPDX-License-Identifier: Apache-2.0
"""The hook lists, shows, explains and cancels the emulator's Spark batch jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.jobs.driver_log import DriverLog
from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.api.protocol.errors import (
    InputError,
    NotFoundError,
    PermissionDeniedError,
    SparkBatchFailedError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook


def test_a_job_on_an_engine_that_the_cloud_no_longer_supports_is_warned_of(
    hook: DliHook, connect: Callable[..., None], task_log: Callable[[], str]
) -> None:
    connect(cloud="huawei")
    job = SparkJob(file="obs://bucket/a.py", queue="q", name="n", spark_version="3.1.1")

    hook.submit_batch(job)

    assert "Support for Spark 3.1.1 has ended on 2024-12-31 on this cloud" in task_log()


def test_all_pages_of_a_listing_are_read(hook: DliHook, emulator: Emulator) -> None:
    ids = {emulator.add_batch({"name": f"job-{number}"}) for number in range(101)}

    listed = hook.list_batches()

    assert {batch.id for batch in listed} == ids
    assert [record.query["from"] for record in emulator.requests] == ["0", "99"]


def test_filters_are_sent(hook: DliHook, emulator: Emulator) -> None:
    wanted = emulator.add_batch({"name": "n", "queue": "q"}, "dead")
    emulator.add_batch({"name": "n", "queue": "q"}, "running")

    listed = hook.list_batches(name="n", queue="q", state="dead")

    assert [batch.id for batch in listed] == [wanted]


def test_a_job_is_shown_with_its_request(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"file": "g/a.jar"}, "starting", listed=False)

    shown = hook.get_batch(batch_id)

    assert (shown.raw_state, shown.named_groups) == ("starting", {"g"})


def test_an_absent_job_is_not_found(hook: DliHook) -> None:
    with pytest.raises(NotFoundError, match="0a324461-d9d9-45da-a52a-3b3c7a3d809e"):
        hook.get_batch("0a324461-d9d9-45da-a52a-3b3c7a3d809e")


def test_a_wrong_id_is_refused_before_any_request(hook: DliHook, emulator: Emulator) -> None:
    with pytest.raises(InputError, match="batch_id"):
        hook.get_batch("")

    assert emulator.requests == []


def test_an_answer_that_is_no_listing_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_fault(Fault("empty-object", times=None))

    with pytest.raises(UnusableAnswerError, match="the body has no sessions"):
        hook.list_batches()


def test_a_missing_right_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_fault(Fault("forbidden", path="/batches"))

    with pytest.raises(PermissionDeniedError):
        hook.list_batches()


def test_a_listing_is_asked_for_again_after_a_blip(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_batch({})
    emulator.add_fault(Fault("unavailable", path="/batches"))

    assert len(hook.list_batches()) == 1


def test_lines_of_the_log_are_given_as_they_are_asked_for(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.write_batch_log(batch_id, [f"line {number}" for number in range(150)])

    assert len(hook.get_batch_log(batch_id).lines) == 100
    page = hook.get_batch_log(batch_id, start=10, size=2)
    assert (page.lines, page.start, page.total) == (("line 10", "line 11"), 10, 150)
    assert hook.get_batch_log(batch_id, index=1).lines == ()


def test_what_is_new_in_the_log_is_given(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")
    log = DriverLog(batch_id)

    emulator.write_batch_log(batch_id, ["a"])
    assert hook.read_batch_log(log) == ["a"]
    emulator.write_batch_log(batch_id, ["b"])
    assert hook.read_batch_log(log) == ["b"]


def test_a_dead_job_is_explained_by_its_log(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "dead")
    emulator.write_batch_log(batch_id, ["ModuleNotFoundError: No module named 'words'"])

    error = hook.explain_batch(hook.get_batch(batch_id))

    assert isinstance(error, SparkBatchFailedError)
    assert (error.batch_id, error.cause, error.is_permanent) == (batch_id, "missing-module", True)


def test_a_dead_job_without_a_readable_log_is_explained_as_far_as_possible(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "dead")
    emulator.add_fault(Fault("forbidden", path="/batches/*/log", times=None))

    error = hook.explain_batch(hook.get_batch(batch_id))

    assert "Its driver's log is empty or could not be read." in str(error)


def test_a_job_is_cancelled_and_looked_at_until_it_has_ended(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")

    last = hook.cancel_batch(batch_id)

    assert last is not None
    assert last.raw_state == "dead"
    assert [record.method for record in emulator.requests] == ["DELETE", "GET"]


def test_a_job_that_goes_on_after_its_cancel_is_given_as_it_is(
    hook: DliHook,
    emulator: Emulator,
    clock: FakeClock,
    task_log: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch_id = emulator.add_batch({}, "running")
    done = Fault(status=200, body={"msg": "deleted"}, method="DELETE", times=None)
    emulator.add_fault(done)
    started = clock.now()

    last = hook.cancel_batch(batch_id, seconds=30)

    assert last is not None
    assert last.raw_state == "running"
    assert 20 < clock.now() - started <= 30
    assert "was cancelled, but 30 s later it is still running" in task_log() + caplog.text


@pytest.mark.parametrize("state", ["success", "dead"])
def test_to_cancel_a_job_that_has_ended_is_done(
    hook: DliHook, emulator: Emulator, state: str
) -> None:
    last = hook.cancel_batch(emulator.add_batch({}, state))

    assert last is not None
    assert last.raw_state == state


def test_to_cancel_a_job_that_is_absent_is_done(hook: DliHook) -> None:
    assert hook.cancel_batch("0a324461-d9d9-45da-a52a-3b3c7a3d809e") is None


def test_active_jobs_are_cancelled_by_their_names(hook: DliHook, emulator: Emulator) -> None:
    names = {"a": "running", "b": "starting", "c": "success", "other": "running"}
    ids = {name: emulator.add_batch({"name": name}, state) for name, state in names.items()}

    still_running = hook.cancel_batches_named("a", "b", "c", "absent")

    states = {name: emulator.batches()[batch_id]["state"] for name, batch_id in ids.items()}
    assert states == {"a": "dead", "b": "dead", "c": "success", "other": "running"}
    assert still_running == []


def test_jobs_that_go_on_after_their_cancel_are_named(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE", times=None))

    assert hook.cancel_batches_named("a", seconds=5) == [batch_id]
