# SPDX-License-Identifier: Apache-2.0
"""Batch jobs and their listing say what the JSON says, however loosely it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dli.api.jobs.models import BatchListing, BatchLog, BatchState, SparkBatch
from airflow_provider_dli.api.protocol.errors import WireError

Golden = Callable[[str], bytes]


def batch(**fields: Any) -> SparkBatch:
    return SparkBatch.from_wire({"id": "1", **fields})


def requested(**fields: Any) -> SparkBatch:
    return batch(req_body=json.dumps(fields))


def test_the_documented_job_is_read_as_printed(golden: Golden) -> None:
    shown = SparkBatch.from_wire(json.loads(golden("doc_batch_show.response")))

    assert shown == SparkBatch(
        id="0a324461-d9d9-45da-a52a-3b3c7a3d809e",
        name="",
        raw_state="starting",
        queue="test",
        owner="",
        app_id="",
        create_time=1531906043036,
        update_time=1531906043036,
        extra={
            "proxyUser": "",
            "kind": "",
            "log": ["stdout: ", "stderr: ", "YARN Diagnostics: "],
            "sc_type": "A",
        },
    )


def test_the_documented_listing_is_read_as_printed(golden: Golden) -> None:
    listing = BatchListing.from_wire(json.loads(golden("doc_batch_list.response")))

    assert listing.total == 1
    assert [(one.id, one.state, one.queue, one.app_id) for one in listing.batches] == [
        ("178fa687-2e8a-41ed-a439-b00de60bb176", BatchState.DEAD, "test", None)
    ]


def test_a_state_is_read_without_regard_to_case(golden: Golden) -> None:
    shown = SparkBatch.from_wire(json.loads(golden("doc_batch_state_capitalised.response")))

    assert (shown.raw_state, shown.state) == ("Success", BatchState.SUCCESS)


@pytest.mark.parametrize(
    ("word", "state", "is_terminal"),
    [
        ("starting", BatchState.STARTING, False),
        ("running", BatchState.RUNNING, False),
        (" RECOVERING ", BatchState.RECOVERING, False),
        ("success", BatchState.SUCCESS, True),
        ("Dead", BatchState.DEAD, True),
        ("killed", BatchState.UNKNOWN, False),
        ("", BatchState.UNKNOWN, False),
        (None, BatchState.UNKNOWN, False),
    ],
)
def test_only_a_documented_end_is_an_end(word: str, state: BatchState, is_terminal: bool) -> None:
    read = batch(state=word)

    assert (read.state, read.is_terminal) == (state, is_terminal)


@pytest.mark.parametrize(
    ("fields", "queue"),
    [
        ({"queue": "q", "cluster_name": "q"}, "q"),
        ({"queue": "q", "cluster_name": "old"}, "q"),
        ({"queue": "", "cluster_name": "old"}, "old"),
        ({"cluster_name": "old"}, "old"),
        ({"queue": "q"}, "q"),
        ({"queue": "", "cluster_name": None}, ""),
        ({}, None),
    ],
)
def test_the_queue_has_two_names(fields: dict[str, Any], queue: str | None) -> None:
    assert batch(**fields).queue == queue


@pytest.mark.parametrize(
    ("sent", "app_id", "extra"),
    [
        ("app-1", "app-1", {}),
        (["app-1"], "app-1", {}),
        ([], None, {"appId": []}),
        (["a", "b"], None, {"appId": ["a", "b"]}),
        (None, None, {}),
    ],
)
def test_an_app_id_may_be_text_or_a_list(sent: Any, app_id: str | None, extra: Any) -> None:
    read = batch(appId=sent)

    assert (read.app_id, read.extra) == (app_id, extra)


@pytest.mark.parametrize("sent", ['{"file": "a.jar"}', {"file": "a.jar"}])
def test_the_request_is_decoded(sent: Any) -> None:
    assert batch(req_body=sent).request == {"file": "a.jar"}


@pytest.mark.parametrize("sent", [None, "", "no json", "[]", "\ud800", 7, ["a"]])
def test_a_request_that_cannot_be_read_is_none(sent: Any) -> None:
    assert batch(req_body=sent).request is None


def test_a_request_is_not_shown_for_it_may_hold_secrets() -> None:
    read = requested(conf={"spark.hadoop.fs.obs.secret.key": "hidden"})

    assert "hidden" not in repr(read)
    assert "hidden" not in json.dumps(read.as_dict())


def test_a_job_is_plain_json() -> None:
    read = batch(name="n", state="Running", queue="q", owner="o", appId="a", create_time="7")

    assert read.as_dict() == {
        "id": "1",
        "name": "n",
        "state": "running",
        "raw_state": "Running",
        "queue": "q",
        "owner": "o",
        "app_id": "a",
        "create_time": 7,
        "update_time": None,
        "extra": {},
    }


def test_a_job_is_made_again_of_its_plain_json() -> None:
    read = batch(name="n", state="Running", queue="q", appId="a", create_time="7", kind="spark")

    assert SparkBatch.from_dict(json.loads(json.dumps(read.as_dict()))) == read


def test_a_job_has_a_short_form_for_xcom() -> None:
    read = batch(name="n", state="Success", queue="q", owner="o")

    assert read.summary == {"batch_id": "1", "name": "n", "state": "success", "queue": "q"}


def test_the_documented_request_names_groups_and_packages(golden: Golden) -> None:
    read = batch(req_body=golden("doc_batch_create_groups.request").decode())

    assert read.named_groups == {"batchTest", "groupTest", "groupTestJar"}
    assert read.named_packages == {"demo-1.0.0.jar", "count.txt", "kafka-clients-0.10.0.0.jar"}


@pytest.mark.parametrize("field", ["jars", "pyFiles", "python_files", "files", "modelFiles"])
def test_each_list_of_files_may_name_groups_and_packages(field: str) -> None:
    read = requested(**{field: ["g.1/a.jar", " b.jar ", "obs://bucket/g2/c.jar"]})

    assert (read.named_groups, read.named_packages) == ({"g.1"}, {"b.jar"})


def test_groups_may_be_named_whole() -> None:
    assert requested(groups=[{"name": " g"}, "h"]).named_groups == {"g", "h"}


def test_a_job_without_a_request_names_nothing() -> None:
    read = batch()

    assert (read.named_groups, read.named_packages) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    "fields", [{"groups": [{}]}, {"groups": {"g": []}}, {"jars": "a.jar"}, {"file": ["a.jar"]}]
)
def test_a_request_of_another_shape_is_an_error(fields: dict[str, Any]) -> None:
    read = requested(**fields)

    with pytest.raises(WireError):
        _ = (read.named_groups, read.named_packages)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "the body has no sessions"),
        ({"sessions": None, "total": 0}, "the body has no sessions"),
        ({"sessions": {}}, "sessions is a JSON object, not a list"),
        ({"sessions": ["a"]}, "an entry of sessions is a JSON string"),
        ({"sessions": [{"state": "running"}]}, "a batch job has no id"),
    ],
)
def test_what_is_no_listing_is_not_taken_for_an_empty_one(body: Any, why: str) -> None:
    with pytest.raises(WireError, match=why):
        BatchListing.from_wire(body)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ({"log": ["a", "b"], "from": "7", "total": "9"}, BatchLog(("a", "b"), 7, 9)),
        ({"log": ["a"]}, BatchLog(("a",))),
        ({"log": [None, 7]}, BatchLog(("", "7"))),
        ({"log": None, "from": 0, "total": 0}, BatchLog((), 0, 0)),
        ({"log": "", "from": ""}, BatchLog(())),
        ({"total": None}, BatchLog(())),
    ],
)
def test_a_log_is_read_however_it_is_typed(body: dict[str, Any], read: BatchLog) -> None:
    assert BatchLog.from_wire(body) == read


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"id": "1"}, "the body has none of log, from and total"),
        ({"log": "a line"}, "log is a JSON string, not a list"),
        ({"log": [{"line": "a"}]}, "a line of the log is not text"),
    ],
)
def test_what_is_no_log_is_not_taken_for_an_empty_one(body: dict[str, Any], why: str) -> None:
    with pytest.raises(WireError, match=why):
        BatchLog.from_wire(body)
