# SPDX-License-Identifier: Apache-2.0
"""Batch jobs are listed, filtered and shown as the documentation says."""

from __future__ import annotations

import json

import pytest

# Field by field, from the pages on listing jobs and on the details of one.
DOCUMENTED = {
    "id", "state", "appId", "log", "sc_type", "cluster_name", "create_time", "name", "owner",
    "proxyUser", "kind", "queue", "image", "req_body", "update_time", "duration",
}  # fmt: skip


def listed(api, query=""):
    answer = api("GET", f"/batches{query}")
    assert answer.status_code == 200
    return [job["id"] for job in answer.json()["sessions"]]


def test_a_listing_has_the_documented_fields(api, emulator):
    emulator.add_batch({"file": "a.jar"})

    body = api("GET", "/batches").json()

    assert (body["from"], body["total"]) == (0, 1)
    assert set(body["sessions"][0]) == DOCUMENTED


def test_a_project_without_jobs_has_an_empty_listing(api):
    assert api("GET", "/batches").json() == {"from": 0, "total": 0, "sessions": []}


def test_a_job_has_the_documented_fields(api, emulator, clock):
    batch_id = emulator.add_batch({"file": "a.jar", "queue": "q", "name": "n", "image": "i"})
    clock.advance(2)

    job = api("GET", f"/batches/{batch_id}").json()

    assert set(job) == DOCUMENTED
    assert (job["queue"], job["cluster_name"], job["name"], job["image"]) == ("q", "q", "n", "i")
    assert (job["create_time"], job["duration"]) == (1_700_000_000_000, 2000)


def test_the_request_is_printed_as_json_text_with_lists_for_what_it_left_out(api, emulator):
    batch_id = emulator.add_batch({"file": "a.jar", "jars": ["g/b.jar"]})

    request = json.loads(api("GET", f"/batches/{batch_id}").json()["req_body"])

    assert (request["file"], request["jars"], request["pyFiles"]) == ("a.jar", ["g/b.jar"], [])


def test_a_request_may_be_text_that_is_no_json(api, emulator):
    batch_id = emulator.add_batch("{")

    assert api("GET", f"/batches/{batch_id}").json()["req_body"] == "{"


def test_a_request_may_be_absent(api, emulator):
    batch_id = emulator.add_batch(None)

    assert "req_body" not in api("GET", f"/batches/{batch_id}").json()


def test_a_request_may_be_absent_from_the_listing_alone(api, emulator):
    batch_id = emulator.add_batch({"file": "a.jar"}, listed=False)

    assert "req_body" not in api("GET", "/batches").json()["sessions"][0]
    assert "req_body" in api("GET", f"/batches/{batch_id}").json()


@pytest.mark.parametrize(
    ("request_body", "sc_type"),
    [
        ({}, "A"),
        ({"sc_type": "C"}, "C"),
        ({"sc_type": "C", "driverMemory": "2G"}, "CUSTOMIZED"),
        ({"numExecutors": 1}, "CUSTOMIZED"),
    ],
)
def test_a_job_of_its_own_size_says_so(api, emulator, request_body, sc_type):
    batch_id = emulator.add_batch(request_body)

    assert api("GET", f"/batches/{batch_id}").json()["sc_type"] == sc_type


def test_a_state_can_be_any_word_and_be_changed(api, emulator, clock):
    batch_id = emulator.add_batch({}, "nobody knows this")
    clock.advance(5)
    emulator.set_batch_state(batch_id, "Success")

    job = api("GET", f"/batches/{batch_id}").json()

    assert (job["state"], job["update_time"] - job["create_time"]) == ("Success", 5000)


def test_the_duration_of_a_job_that_ended_stands_still(api, emulator, clock):
    batch_id = emulator.add_batch({})
    clock.advance(5)
    emulator.set_batch_state(batch_id, "dead")
    clock.advance(5)

    assert api("GET", f"/batches/{batch_id}").json()["duration"] == 5000


def test_the_newest_job_comes_first(api, emulator, clock):
    ids = []
    for _ in range(3):
        ids.append(emulator.add_batch({}))
        clock.advance(1)

    assert listed(api) == ids[::-1]


def test_pages_are_cut_out_and_the_total_counts_all(api, emulator, clock):
    ids = []
    for _ in range(5):
        ids.append(emulator.add_batch({}))
        clock.advance(1)

    body = api("GET", "/batches?from=1&size=2&order=CREATE_TIME_ASC").json()

    assert (body["from"], body["total"]) == (1, 5)
    assert [job["id"] for job in body["sessions"]] == ids[1:3]


def test_a_page_has_a_hundred_jobs_by_default(api, emulator):
    for _ in range(101):
        emulator.add_batch({})

    assert (len(listed(api)), len(listed(api, "?from=100"))) == (100, 1)


@pytest.mark.parametrize(
    "query",
    [
        "job_name=n",
        "queue_name=q",
        "cluster_name=q",
        "state=starting",
        "owner=emulator-user&job_name=n",
        "job_name=n&state=",
        "end=1700000000000",
    ],
)
def test_filters_let_through_what_matches(api, emulator, clock, query):
    wanted = emulator.add_batch({"name": "n", "cluster_name": "q"}, "starting")
    clock.advance(1)
    emulator.add_batch({"name": "nn", "queue": "qq"})

    assert listed(api, f"?{query}") == [wanted]


@pytest.mark.parametrize("query", ["job_name=x", "owner=nobody", "start=1700000000001", "job-id=x"])
def test_filters_keep_out_what_does_not_match(api, emulator, query):
    emulator.add_batch({"name": "n"})

    assert api("GET", f"/batches?{query}").json() == {"from": 0, "total": 0, "sessions": []}


@pytest.mark.parametrize(
    ("order", "first"), [("DURATION_DESC", 0), ("DURATION_ASC", 1), ("CREATE_TIME_ASC", 0)]
)
def test_jobs_can_be_ordered(api, emulator, clock, order, first):
    ids = [emulator.add_batch({})]
    clock.advance(1)
    ids.append(emulator.add_batch({}))

    assert listed(api, f"?order={order}")[0] == ids[first]


@pytest.mark.parametrize("query", ["from=-1", "size=x", "start=1.5", "order=NAME_ASC", "order=x"])
def test_a_wrong_filter_is_refused(api, emulator, query):
    emulator.add_batch({})

    answer = api("GET", f"/batches?{query}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "DLI.0001")


@pytest.mark.parametrize(
    ("batch_id", "code"),
    [("0a324461-d9d9-45da-a52a-3b3c7a3d809e", "DLI.0002"), ("batch-session-1", "DLI.0001")],
)
def test_an_absent_job_is_refused(api, batch_id, code):
    answer = api("GET", f"/batches/{batch_id}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/batches"), ("GET", "/batches/"), ("GET", "/batches/1/2"), ("PATCH", "/batches/1")],
)
def test_another_path_or_method_is_no_api(api, method, path):
    answer = api(method, path)

    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")


def test_each_project_has_its_own_jobs(start):
    api = start(project_ids=["p1", "p2"])
    other = api.emulator.add_batch({})
    batch_id = api.emulator.add_batch({}, project_id="p2")
    api.emulator.set_batch_state(batch_id, "dead")

    assert listed(api) == [other]
    assert api("GET", "/batches", project_id="p2").json()["sessions"][0]["state"] == "dead"
    assert api("GET", f"/batches/{batch_id}").status_code == 400


def test_jobs_are_not_for_strangers(api):
    answer = api("GET", "/batches", headers={"X-Auth-Token": "wrong"})

    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIGW.0301")
