"""Fault: the rows of deferred triggers were written by another version of this package: fields are
missing, unknown, or hold what this version takes for nonsense.

Expected: what can be waited for is waited for; anything else is one event that says what is wrong,
never an exception out of the trigger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from scenarios.modes import Mode, again, deferred, event, events, plain, resume
from task_runs import first

from airflow_provider_dli.api.protocol.errors import (
    InputError,
    PackageGroupFailedError,
    SparkBatchFailedError,
    restored,
)
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.operators.packages import UploadPackageGroupOperator
from airflow_provider_dli.triggers.packages import PackageGroupTrigger
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

GOOD = {"group": "g", "packages": ["a.jar"], "poll_interval": 0.1}


def outcome(row: dict[str, Any]) -> list[dict[str, Any]]:
    return asyncio.run(events(PackageGroupTrigger(**plain(row))))


@pytest.fixture(autouse=True)
def _ready(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})


@pytest.mark.parametrize(
    "row",
    [
        {"group": "g"},
        {"packages": ["a.jar"], "group": "g"},
        GOOD,
        GOOD | {"added_later": {"nested": [1, None]}},
        GOOD | {"endpoint": "https://elsewhere.example", "token": None},
        GOOD | {"deadline": None},
        GOOD | {"deadline": 4_000_000_000},
        GOOD | {"poll_interval": 1},
        GOOD | {"accepted": None, "kind": None},
    ],
)
def test_a_row_with_fields_too_many_or_too_few_is_waited_for(row: dict[str, Any]) -> None:
    assert outcome(row) == [{"status": "ready", "states": {"a.jar": "READY"}}]


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({}, "group is missing"),
    ({"group": None, "packages": []}, "group is missing"),
    ({"group": ""}, "group is ''"),
    ({"group": 7}, "group is 7"),
    ({"group": ["g"]}, r"group is \['g'\]"),
    (GOOD | {"packages": "a.jar"}, r"packages is 'a\.jar'"),
    (GOOD | {"packages": 7}, "packages is 7"),
    (GOOD | {"packages": []}, r"packages is \[\]"),
    (GOOD | {"packages": [["a.jar"]]}, "packages"),
    (GOOD | {"packages": [7]}, "packages"),
    (GOOD | {"kind": "JAR"}, "kind is 'JAR'"),
    (GOOD | {"kind": 7}, "kind is 7"),
    (GOOD | {"kind": ["jar"]}, "kind is "),
    (GOOD | {"poll_interval": "abc"}, "poll_interval is 'abc'"),
    (GOOD | {"poll_interval": -1}, "poll_interval is -1"),
    (GOOD | {"poll_interval": 0}, "poll_interval is 0"),
    (GOOD | {"poll_interval": True}, "poll_interval is True"),
    (GOOD | {"max_unknown_time": "soon"}, "max_unknown_time is 'soon'"),
    (GOOD | {"max_unknown_time": -5}, "max_unknown_time is -5"),
    (GOOD | {"deadline": "tomorrow"}, "deadline is 'tomorrow'"),
    (GOOD | {"deadline": "2026-11-21T00:00:00Z"}, "deadline is '2026-11-21T00:00:00Z'"),
    (GOOD | {"deadline": ""}, "deadline is ''"),
    (GOOD | {"deadline": []}, r"deadline is \[\]"),
    (GOOD | {"deadline": -1}, "deadline is -1"),
    (GOOD | {"deadline": False}, "deadline is False"),
    (GOOD | {"region": 7}, "region is 7"),
    (GOOD | {"region": "Mars!"}, "region is 'Mars!'"),
    (GOOD | {"project_id": 7}, "project_id is 7"),
    (GOOD | {"project_id": "a/b"}, "project_id is 'a/b'"),
    (GOOD | {"dli_conn_id": 7}, "dli_conn_id is 7"),
    (GOOD | {"accepted": "false"}, "accepted is 'false'"),
]


@pytest.mark.parametrize(("row", "message"), NONSENSE, ids=lambda value: str(value)[-40:])
def test_a_row_that_makes_no_sense_is_one_event_that_says_so(
    dli: Emulator, row: dict[str, Any], message: str
) -> None:
    (only,) = outcome({"deadline": time.time() + 0.4} | row)

    assert (only["status"], only.get("error")) == ("failed", "InputError")
    with pytest.raises(InputError, match=message):
        raise restored(only)
    assert dli.requests == []


# A null group is no nonsense: packages may belong to none.
@pytest.mark.parametrize("name", [name for name in PackageGroupTrigger.fields if name != "group"])
def test_a_null_in_any_field_is_one_event(name: str) -> None:
    (only,) = outcome({"deadline": time.time() + 0.4} | GOOD | {name: None})

    assert only["status"] == "ready" or only["error"] == "InputError"


def test_a_deadline_of_long_ago_is_a_timeout(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})

    (only,) = outcome(GOOD | {"deadline": 1})

    assert only["error"] == "PackageGroupTimeoutError"


def test_a_row_of_before_the_limit_of_the_unknown_gets_the_usual_one(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})

    (only,) = outcome(GOOD | {"deadline": time.time() + 0.3, "accepted": True})

    assert only["error"] == "PackageGroupTimeoutError"


def test_a_task_of_before_the_execution_timeout_was_kept_is_resumed(dli: Emulator) -> None:
    dli.upload_seconds = 0.2
    operator = Mode("triggerer", None).upload()
    left = deferred(operator)
    for name in ("by_execution_timeout", "limit"):
        (left.kwargs or {}).pop(name, None)

    result = resume(operator, left, event(again(left.trigger)))

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


@pytest.mark.parametrize(
    "payload",
    [
        {"status": "failed", "error": "ErrorOfALaterVersion", "message": "the moon is full"},
        {"status": "failed", "message": "the moon is full", "fields": None, "notes": None},
    ],
)
def test_an_event_of_another_version_fails_the_task_with_its_words(
    dli: Emulator, payload: dict[str, Any]
) -> None:
    operator = Mode("triggerer", None).upload()
    left = deferred(operator)

    with pytest.raises(Exception, match="the moon is full"):
        resume(operator, left, payload)


def test_an_event_that_leaves_a_package_out_is_no_success(
    connect: Callable[..., None], dli: Emulator
) -> None:
    operator: UploadPackageGroupOperator = Mode("triggerer", None).upload()
    left = deferred(operator)

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar"):
        resume(operator, left, {"status": "ready", "states": {"a.jar": "READY"}})


# Spark jobs

JOB = {"poll_interval": 0.1, "driver_log": False}


@pytest.fixture
def job(dli: Emulator) -> str:
    """Returns the id of a job that has succeeded."""
    return dli.add_batch({"file": "a.py", "name": "job"}, "success")


def outcome_of_job(row: dict[str, Any]) -> dict[str, Any]:
    (only,) = asyncio.run(events(SparkBatchTrigger(**plain(row))))
    return only


@pytest.mark.parametrize(
    "row",
    [
        {},
        JOB,
        JOB | {"added_later": {"nested": [1, None]}, "endpoint": "https://elsewhere.example"},
        JOB | {"deadline": None, "limit": None},
        JOB | {"deadline": 4_000_000_000},
        JOB | {"is_new": None, "cancel_on_kill": None},
    ],
)
def test_a_row_of_a_job_with_fields_too_many_or_too_few_is_waited_for(
    job: str, row: dict[str, Any]
) -> None:
    only = outcome_of_job({"batch_id": job} | row)

    assert (only["status"], only["batch_id"], only["batch"]["state"]) == ("ended", job, "success")


JOB_NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"batch_id": None}, "batch_id is missing"),
    ({"batch_id": ""}, "batch_id is ''"),
    ({"batch_id": 7}, "batch_id is 7"),
    ({"batch_id": ["a"]}, r"batch_id is \['a'\]"),
    ({"poll_interval": "abc"}, "poll_interval is 'abc'"),
    ({"poll_interval": 0}, "poll_interval is 0"),
    ({"max_unknown_time": "soon"}, "max_unknown_time is 'soon'"),
    ({"deadline": "tomorrow"}, "deadline is 'tomorrow'"),
    ({"deadline": False}, "deadline is False"),
    ({"auto_recovery": "no"}, "auto_recovery is 'no'"),
    ({"auto_recovery": None}, "auto_recovery is "),
    ({"region": "Mars!"}, "region is 'Mars!'"),
    ({"project_id": "a/b"}, "project_id is 'a/b'"),
    ({"dli_conn_id": 7}, "dli_conn_id is 7"),
]


@pytest.mark.parametrize(("row", "message"), JOB_NONSENSE, ids=lambda value: str(value)[-40:])
def test_a_row_of_a_job_that_makes_no_sense_is_one_event_that_says_so(
    dli: Emulator, job: str, row: dict[str, Any], message: str
) -> None:
    only = outcome_of_job({"batch_id": job, "deadline": time.time() + 0.4} | JOB | row)

    assert (only["status"], only.get("error")) == ("failed", "InputError")
    with pytest.raises(InputError, match=message):
        raise restored(only)
    assert dli.requests == []


@pytest.mark.parametrize("name", SparkBatchTrigger.fields)
def test_a_null_in_any_field_of_a_job_is_one_event(job: str, name: str) -> None:
    only = outcome_of_job({"batch_id": job, "deadline": time.time() + 0.4} | JOB | {name: None})

    assert only["status"] == "ended" or only["error"] == "InputError"


@pytest.mark.parametrize("value", ["no", "", 0, 7, [], {}], ids=repr)
@pytest.mark.parametrize("name", ["driver_log", "cancel_on_kill", "is_new", "limit"])
def test_what_no_verdict_hangs_on_may_be_anything(job: str, name: str, value: object) -> None:
    assert outcome_of_job({"batch_id": job} | JOB | {name: value})["status"] == "ended"


def test_a_job_of_a_row_from_before_the_policies_is_cancelled_as_the_operator_does_by_default(
    dli: Emulator,
) -> None:
    job = dli.add_batch({"file": "a.py", "name": "job"}, "running")

    asyncio.run(SparkBatchTrigger(batch_id=job).on_kill())

    assert dli.batches()[job]["state"] == "dead"


@pytest.mark.parametrize(
    "payload",
    [
        {"status": "failed", "error": "ErrorOfALaterVersion", "message": "the moon is full"},
        {"status": "failed", "message": "the moon is full", "fields": None, "notes": None},
    ],
)
def test_an_event_of_a_job_from_another_version_fails_the_task_with_its_words(
    dli: Emulator, payload: dict[str, Any]
) -> None:
    operator = Mode("triggerer", None).spark()
    left = deferred(operator, first(operator))

    with pytest.raises(Exception, match="the moon is full"):
        resume(operator, left, payload, first(operator))


def test_an_event_that_leaves_the_kind_of_try_out_is_taken_for_the_first_versions(
    dli: Emulator,
) -> None:
    """Such an event tells of a job that its own try submitted, so it is not run again."""
    operator = Mode("triggerer", None).spark()
    left = deferred(operator, first(operator))
    (job,) = dli.batches().values()
    payload = {"status": "ended", "batch": {"id": job["id"], "raw_state": "dead"}}

    with pytest.raises(SparkBatchFailedError):
        resume(operator, left, payload, first(operator))
    assert sum(dli.submissions.values()) == 1


def test_an_event_that_tells_more_of_a_job_than_this_version_knows_is_its_success(
    dli: Emulator,
) -> None:
    operator = Mode("triggerer", None).spark()
    left = deferred(operator, first(operator))
    told = {"id": "7", "raw_state": "success", "added_later": [1]}

    result = resume(operator, left, {"status": "ended", "batch": told}, first(operator))

    assert (result["batch_id"], result["state"]) == ("7", "success")


@pytest.mark.parametrize(
    "payload",
    [{}, {"status": "ended"}, {"status": "ended", "batch": {}}, {"status": "new word"}],
    ids=str,
)
def test_an_event_of_a_job_that_cannot_be_read_fails_the_task(
    dli: Emulator, payload: dict[str, Any]
) -> None:
    operator = Mode("triggerer", None).spark()
    left = deferred(operator, first(operator))

    with pytest.raises(Exception, match="event"):
        resume(operator, left, payload, first(operator))
    assert sum(dli.submissions.values()) == 1
