"""Fault: the state of a package or a Spark job is absent, null, empty or a word that nobody knows;
or the answer is `{}` or HTML.

Expected: never a success, never a second upload or submission; it is waited for as long as the
unknown may last, and then the task fails, showing the word.
"""

from __future__ import annotations

from typing import Any

import pytest
from builders import group_entry, listing_body
from scenarios.jobs import cancels, job, submissions
from scenarios.modes import Mode

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    PackageGroupFailedError,
    SparkBatchLostError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault

ABSENT = object()


def listing(state: Any, group_state: str = "READY") -> dict[str, Any]:
    group = group_entry({"a.jar": "READY", "b.jar": state}, status=group_state)
    if state is ABSENT:
        del group["details"][1]["status"]
    return listing_body(group)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ABSENT, "UNKNOWN"),
        (None, "UNKNOWN"),
        ("", "UNKNOWN"),
        ("  ", "UNKNOWN"),
        ("PAUSED", "PAUSED"),
        ("READYING", "READYING"),
        (True, "UNKNOWN"),
        ([], "UNKNOWN"),
    ],
    ids=["absent", "null", "empty", "blanks", "PAUSED", "READYING", "true", "list"],
)
def test_a_state_that_nobody_knows_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, state: Any, shown: str
) -> None:
    dli.add_fault(Fault(status=200, body=listing(state), method="GET", times=None))

    with pytest.raises(PackageGroupFailedError, match=rf"b\.jar is {shown}\b"):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))

    assert sum(record.method == "POST" for record in dli.requests) == 1


def test_a_state_that_nobody_knows_may_still_become_ready(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault(status=200, body=listing("PAUSED"), method="GET", times=1))

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_a_package_that_is_listed_by_name_only_is_not_ready(mode: Mode, dli: Emulator) -> None:
    group = {"group_name": "g", "status": "READY", "resources": ["a.jar", "b.jar"]}
    dli.add_fault(Fault(status=200, body=listing_body(group), method="GET", times=None))

    with pytest.raises(PackageGroupFailedError, match=r"a\.jar is UNKNOWN, b\.jar is UNKNOWN"):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))


@pytest.mark.parametrize("action", ["empty-object", "html", "empty-body"])
def test_an_answer_without_a_listing_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, action: str
) -> None:
    dli.add_fault(Fault(action, method="GET", times=None))

    with pytest.raises(UnusableAnswerError):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))


def test_the_wait_for_a_word_that_nobody_knows_ends_at_the_deadline_too(
    mode: Mode, dli: Emulator
) -> None:
    dli.add_fault(Fault(status=200, body=listing("PAUSED"), method="GET", times=None))

    with pytest.raises(DliError, match=r"b\.jar is PAUSED") as caught:
        mode.run(mode.upload(timeout=mode.seconds(40)))

    assert isinstance(caught.value, TimeoutError)


def odd_job(dli: Emulator, state: Any, times: int | None = None) -> str:
    """Make the looks at a submitted job show this; the job itself runs."""
    batch_id = dli.add_batch({"name": "odd"}, "running")
    told = {"id": batch_id} | ({} if state is ABSENT else {"state": state})
    submitted = {"id": batch_id, "state": "starting"}
    dli.add_fault(Fault(status=200, body=submitted, method="POST", path="/batches"))
    dli.add_fault(Fault(status=200, body=told, method="GET", path="/batches/*", times=times))
    return batch_id


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ABSENT, "''"),
        (None, "''"),
        ("", "''"),
        ("  ", "'  '"),
        ("PAUSED", "'PAUSED'"),
        ("successful", "'successful'"),
        ("not_success", "'not_success'"),
        (True, "''"),
        ([], "''"),
    ],
    ids=["absent", "null", "empty", "blanks", "PAUSED", "successful", "not", "true", "list"],
)
def test_a_job_in_a_state_that_nobody_knows_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, state: Any, shown: str
) -> None:
    odd_job(dli, state)
    limit = mode.seconds(40)

    with pytest.raises(SparkBatchLostError, match=f"its state is {shown}, .* for {limit:g} sec"):
        mode.run(mode.spark(max_unknown_time=limit, on_failure="leave", driver_log=False))

    assert sum(record.method == "POST" for record in dli.requests) == 1
    assert cancels(dli) == 0


def test_a_job_in_a_state_that_nobody_knows_is_cancelled_when_no_try_is_left(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", [(0, "starting"), (0.001, "PAUSED")])

    with pytest.raises(SparkBatchLostError):
        mode.run(mode.spark(max_unknown_time=mode.seconds(40)))

    assert cancels(dli) == 1
    assert job(dli)["state"] == "dead"


@pytest.mark.parametrize("state", [ABSENT, None, "", "PAUSED"])
def test_a_job_in_a_state_that_nobody_knows_may_still_succeed(
    mode: Mode, dli: Emulator, state: Any
) -> None:
    batch_id = odd_job(dli, state, times=1)
    dli.set_batch_state(batch_id, "success")

    result = mode.run(mode.spark(driver_log=False))

    assert (result["batch_id"], result["state"]) == (batch_id, "success")


def test_a_submission_that_tells_no_state_is_waited_for(mode: Mode, dli: Emulator) -> None:
    batch_id = dli.add_batch({"name": "odd"}, "success")
    dli.add_fault(Fault(status=200, body={"id": batch_id}, method="POST", path="/batches"))

    assert mode.run(mode.spark())["batch_id"] == batch_id


@pytest.mark.parametrize("action", ["empty-object", "html", "empty-body"])
def test_an_answer_that_tells_of_no_job_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, action: str
) -> None:
    dli.add_fault(Fault(action, method="GET", path="/batches/*", times=None))

    with pytest.raises(UnusableAnswerError):
        mode.run(mode.spark(max_unknown_time=mode.seconds(40), on_failure="leave"))

    assert submissions(dli) == 1
