# SPDX-License-Identifier: Apache-2.0
"""Batch jobs are listed, shown and cancelled as the documentation says."""

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
    ("method", "path"), [("GET", ""), ("GET", "/state"), ("GET", "/log"), ("DELETE", "")]
)
@pytest.mark.parametrize(
    ("batch_id", "code"),
    [("0a324461-d9d9-45da-a52a-3b3c7a3d809e", "DLI.0002"), ("batch-session-1", "DLI.0001")],
)
def test_an_absent_job_is_refused(api, batch_id, code, method, path):
    answer = api(method, f"/batches/{batch_id}{path}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/batches/1"),
        ("GET", "/batches/"),
        ("GET", "/batches/1/2"),
        ("GET", "/batches/1/log/2"),
        ("DELETE", "/batches"),
        ("PATCH", "/batches/1"),
    ],
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


def test_the_state_of_a_job_is_told_alone(api, emulator, golden):
    batch_id = emulator.add_batch({}, "Success")

    answer = api("GET", f"/batches/{batch_id}/state")

    assert answer.json() == golden("doc_batch_state_capitalised.response") | {"id": batch_id}


def test_a_job_that_runs_can_be_cancelled_and_is_dead(api, emulator, clock, golden):
    batch_id = emulator.add_batch({})
    clock.advance(5)

    answer = api("DELETE", f"/batches/{batch_id}")

    job = emulator.batches()[batch_id]
    assert (answer.status_code, answer.json()) == (200, golden("doc_batch_cancel.response"))
    assert (job["state"], job["duration"]) == ("dead", 5000)


@pytest.mark.parametrize("state", ["success", "Success", "dead"])
def test_a_job_that_ended_cannot_be_cancelled(api, emulator, state):
    batch_id = emulator.add_batch({}, state)

    answer = api("DELETE", f"/batches/{batch_id}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "DLI.0001")
    assert emulator.batches()[batch_id]["state"] == state


def test_the_log_of_the_service_itself_is_told_without_a_type(api, emulator, golden):
    batch_id = emulator.add_batch({})
    emulator.write_batch_log(batch_id, ["of the driver"])

    answer = api("GET", f"/batches/{batch_id}/log")

    assert answer.json() == golden("doc_batch_log.response") | {"id": batch_id}


@pytest.mark.parametrize("query", ["type=driver", "index=0", "type=driver&index=0&from="])
def test_the_log_of_the_driver_is_told_by_type_or_index(api, emulator, query):
    batch_id = emulator.add_batch({})
    emulator.write_batch_log(batch_id, ["one", "two"])

    answer = api("GET", f"/batches/{batch_id}/log?{query}")

    assert answer.json() == {"id": batch_id, "from": 0, "total": 2, "log": ["one", "two"]}


@pytest.mark.parametrize(
    ("query", "first", "after"),
    [
        ("", 150, 250),
        ("&size=10", 240, 250),
        ("&size=300", 0, 250),
        ("&from=5", 5, 105),
        ("&from=240&size=3", 240, 243),
        ("&from=249", 249, 250),
        ("&from=250", 250, 250),
        ("&from=400&size=1", 400, 400),
    ],
)
def test_a_part_of_a_log_is_cut_out_and_the_total_counts_all(api, emulator, query, first, after):
    lines = [f"line {number}" for number in range(250)]
    batch_id = emulator.add_batch({})
    emulator.write_batch_log(batch_id, lines)

    log = api("GET", f"/batches/{batch_id}/log?type=driver{query}").json()

    assert (log["from"], log["total"], log["log"]) == (first, 250, lines[first:after])


def test_each_run_of_a_job_has_a_log_of_its_own(api, emulator):
    batch_id = emulator.add_batch({})
    emulator.write_batch_log(batch_id, ["first"])
    emulator.set_batch_state(batch_id, "recovering")
    emulator.write_batch_log(batch_id, ["second"])

    logs = [
        api("GET", f"/batches/{batch_id}/log?type=driver&index={run}").json()["log"]
        for run in range(3)
    ]

    assert logs == [["first"], ["second"], []]


@pytest.mark.parametrize("query", ["type=executor", "index=x", "from=-1", "size=x", "index=-1"])
def test_a_wrong_part_of_a_log_is_refused(api, emulator, query):
    batch_id = emulator.add_batch({})

    answer = api("GET", f"/batches/{batch_id}/log?{query}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "DLI.0001")


@pytest.mark.parametrize("path", ["", "/state", "/log"])
def test_the_record_of_a_successful_job_vanishes_after_six_hours(api, emulator, clock, path):
    batch_id = emulator.add_batch({}, "success")
    clock.advance(6 * 60 * 60 - 1)
    before = api("GET", f"/batches/{batch_id}{path}").status_code
    clock.advance(1)

    after = api("GET", f"/batches/{batch_id}{path}")

    assert before == 200
    assert (after.status_code, after.json()["error_code"]) == (400, "DLI.0002")
    assert (listed(api), emulator.batches()) == ([], {})


def test_the_records_of_other_jobs_stay(api, emulator, clock):
    ids = [emulator.add_batch({}, state) for state in ("dead", "running")]
    clock.advance(24 * 60 * 60)

    assert listed(api) == ids[::-1]


def test_records_can_be_kept_for_ever(api, emulator, clock):
    emulator.batch_retention = None
    batch_id = emulator.add_batch({}, "success")
    clock.advance(24 * 60 * 60)

    assert listed(api) == [batch_id]


def test_jobs_are_not_for_strangers(api):
    answer = api("GET", "/batches", headers={"X-Auth-Token": "wrong"})

    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIGW.0301")
