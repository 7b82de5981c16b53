# SPDX-License-Identifier: Apache-2.0
"""The control path does over HTTP what a test does in process."""

from __future__ import annotations

import json

import pytest


def test_the_state_shows_everything_but_the_keys(api, emulator):
    emulator.put_group("tools", {"a.jar": "READY"})
    emulator.put_package("lone.jar")
    batch_id = emulator.add_batch({"file": "a.jar"})
    api.control("POST", "/faults", {"action": "reset", "skip": 5})
    api.control("POST", "/timelines", {"pattern": "*.jar", "timeline": [[0, "FAILED"]]})
    job = {"pattern": "a-*", "timeline": [[0, "dead"]], "log": [[0, "why"]]}
    api.control("POST", "/batch-timelines", job)
    api("GET", "/resources")

    answer = api.control("GET", "/state")

    state = answer.json()
    project = state["projects"][emulator.project_id]
    assert answer.status_code == 200
    assert list(project["groups"]) == ["tools"]
    assert list(project["packages"]) == ["lone.jar"]
    assert list(project["batches"]) == [batch_id]
    assert state["faults"][0]["action"] == "reset"
    assert (state["faults"][0]["seen"], state["faults"][0]["hit"]) == (1, 0)
    assert state["timelines"] == {"*.jar": [[0, "FAILED"]]}
    assert state["batch_timelines"] == {"a-*": {"timeline": [[0, "dead"]], "log": [[0, "why"]]}}
    assert state["settings"] == {
        "latency": 0,
        "upload_seconds": 3,
        "batch_seconds": 3,
        "batch_retention": 21600,
    }
    assert state["requests"] == 1
    assert state["users"] == ["emulator-user", "emulator-user-2"]
    assert state["issued"] == {"tokens": [], "keys": []}
    assert emulator.secret_key not in answer.text
    assert emulator.auth_token not in answer.text


def test_a_fault_can_be_set_and_cleared(api):
    fault = {"action": "throttled", "path": "/resources", "times": None, "retry_after": 3}

    set_answer = api.control("POST", "/faults", fault)
    hit = api("GET", "/resources")
    cleared = api.control("DELETE", "/faults")

    assert set_answer.status_code == 201
    assert set_answer.json().items() >= fault.items()
    assert (hit.status_code, hit.headers["Retry-After"]) == (429, "3")
    assert cleared.status_code == 204
    assert api("GET", "/resources").status_code == 200


def test_settings_can_be_changed(api, emulator):
    settings = {
        "latency": 0.001,
        "upload_seconds": 7,
        "batch_seconds": 0,
        "batch_retention": None,
    }

    answer = api.control("PUT", "/settings", settings)

    assert answer.json() == settings
    assert (emulator.latency, emulator.upload_seconds) == (0.001, 7)
    assert (emulator.batch_seconds, emulator.batch_retention) == (0, None)


def test_settings_are_changed_all_or_none(api, emulator):
    answer = api.control("PUT", "/settings", {"upload_seconds": 7, "latency": "long"})

    assert answer.status_code == 400
    assert emulator.upload_seconds == 3


def test_a_timeline_can_be_set_and_cleared(api, emulator):
    timeline = {"pattern": "*.jar", "timeline": [[0, "UPLOADING"], [2, None]]}

    set_answer = api.control("POST", "/timelines", timeline)
    api.upload("a.jar", group="tools")
    api.control("DELETE", "/timelines")
    api.upload("b.jar", group="tools")

    assert (set_answer.status_code, set_answer.json()) == (201, timeline)
    assert emulator.groups()["tools"]["resources"] == ["b.jar"]


def test_the_log_shows_requests_without_secrets_and_can_be_cleared(api, emulator, clock):
    api("POST", "/resources?x=1", {"group": "tools"})
    api("POST", "/resources", "no json")

    first, second = api.control("GET", "/requests").json()
    api.control("DELETE", "/requests")

    assert first["method"] == "POST"
    assert first["path"] == f"/v2.0/{emulator.project_id}/resources"
    assert first["query"] == {"x": "1"}
    assert first["status"] == 400
    assert first["body"] == {"group": "tools"}
    assert first["time"] == clock.now
    assert first["headers"]["x-auth-token"] == "***"
    assert first["headers"]["content-type"] == "application/json"
    assert (second["status"], second["body"]) == (400, "no json")
    assert first["request_id"] != second["request_id"]
    assert emulator.requests == []


def test_an_empty_body_is_logged_as_none(api, emulator):
    api("GET", "/resources")

    assert emulator.requests[0].body is None


def test_issued_credentials_can_be_seen_and_expired(api, emulator, clock):
    emulator.credentials.issue_token("someone", "p")
    emulator.credentials.issue_key("agency", 900)

    before = api.control("GET", "/state")
    clock.now += 60
    answer = api.control("DELETE", "/credentials")

    issued_at = "2023-11-14T22:13:20.000000Z"
    until = {"token": "2023-11-15T22:13:20.000000Z", "key": "2023-11-14T22:28:20.000000Z"}
    assert before.json()["issued"] == {
        "tokens": [
            {
                "user": "someone",
                "project_id": "p",
                "issued_at": issued_at,
                "expires_at": until["token"],
            }
        ],
        "keys": [{"source": "agency", "issued_at": issued_at, "expires_at": until["key"]}],
    }
    assert emulator.issued_tokens[0].value not in before.text
    assert emulator.issued_keys[0].secret_key not in before.text
    assert answer.status_code == 204
    assert emulator.issued_tokens[0].expires_at == clock.now
    assert emulator.issued_keys[0].expires_at == clock.now


def test_keys_can_be_rotated(api, emulator):
    answer = api.control("PUT", "/keys", {"access_key": "AK2", "secret_key": "SK2"})

    assert answer.status_code == 204
    assert (emulator.access_key, emulator.secret_key) == ("AK2", "SK2")


def test_a_batch_job_can_be_added_and_changed(api, emulator):
    added = api.control("POST", "/batches", {"request": {"file": "a.jar"}, "state": "starting"})
    changed = api.control("PUT", f"/batches/{added.json()['id']}", {"state": "dead"})

    shown = api("GET", f"/batches/{added.json()['id']}").json()
    assert (added.status_code, changed.status_code) == (201, 204)
    assert (shown["state"], json.loads(shown["req_body"])["file"]) == ("dead", "a.jar")


def test_lines_of_a_log_can_be_written_and_end_a_run(api, emulator):
    batch_id = emulator.add_batch({"file": "a.jar"})

    written = api.control("PUT", f"/batches/{batch_id}", {"log": ["one"]})
    ended = api.control("PUT", f"/batches/{batch_id}", {"log": ["two"], "state": "recovering"})

    log = api("GET", f"/batches/{batch_id}/log?type=driver").json()["log"]
    assert (written.status_code, ended.status_code, log) == (204, 204, ["one", "two"])
    assert emulator.batches()[batch_id]["state"] == "recovering"


def test_a_timeline_of_batch_jobs_can_be_set_and_cleared(api, emulator):
    body = {"pattern": "*", "timeline": [[0, "dead"]], "log": [[0, "why"]]}

    set_answer = api.control("POST", "/batch-timelines", body)
    first = api.submit().json()
    cleared = api.control("DELETE", "/batch-timelines")
    second = api.submit().json()

    assert (set_answer.status_code, set_answer.json(), cleared.status_code) == (201, body, 204)
    assert (first["state"], second["state"]) == ("dead", "starting")


def test_the_state_counts_submissions(api):
    for name in ("a", "a", "b"):
        api.submit(name=name)

    assert api.control("GET", "/state").json()["submissions"] == {"a": 2, "b": 1}


def test_the_control_path_itself_is_not_logged(api, emulator):
    api.control("GET", "/state")

    assert emulator.requests == []


def test_a_reset_goes_back_to_the_start(api, emulator):
    fresh = emulator.state()
    emulator.put_group("tools", {"a.jar": "READY"})
    emulator.add_batch({"file": "a.jar"})
    emulator.latency, emulator.upload_seconds = 0.001, 7
    emulator.batch_seconds, emulator.batch_retention = 7, None
    emulator.set_batch_timeline("*", [(0, "dead")])
    first_key = emulator.access_key
    emulator.rotate_keys("AK2", "SK2")
    emulator.credentials.issue_token("someone", None)
    emulator.credentials.issue_key("agency", 900)
    api.control("POST", "/faults", {"action": "throttled"})
    api.control("POST", "/timelines", {"pattern": "*", "timeline": [[0, "FAILED"]]})
    api("GET", "/resources")

    answer = api.control("POST", "/reset")

    assert answer.status_code == 204
    assert emulator.state() == fresh
    assert emulator.access_key == first_key


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("POST", "/faults", {"action": "explode"}, "action must be one of answer, reset"),
        ("POST", "/faults", {"tiems": 2}, "tiems is not a field of a fault"),
        ("POST", "/faults", {"times": 0}, "times must be a whole number"),
        ("POST", "/faults", [], "the body must be a JSON object"),
        ("PUT", "/settings", {"latency": -1}, "latency must be a number of seconds"),
        ("PUT", "/settings", {"upload_seconds": True}, "upload_seconds must be a number"),
        ("PUT", "/settings", {"upload": 1}, "upload is not a field here"),
        ("PUT", "/settings", {"batch_seconds": None}, "batch_seconds must be a number"),
        ("PUT", "/settings", {"batch_retention": -1}, "batch_retention must be a number"),
        ("POST", "/timelines", {"timeline": [[0, "READY"]]}, "pattern must be a text"),
        ("POST", "/timelines", {"pattern": 7}, "pattern must be a text"),
        ("POST", "/timelines", {"pattern": "*"}, "timeline must be a list"),
        ("POST", "/timelines", {"pattern": "*", "timeline": "x"}, "timeline must be a list"),
        ("POST", "/timelines", {"pattern": "*", "timeline": [0]}, "timeline must consist of pairs"),
        ("POST", "/timelines", {"pattern": "*", "timeline": [[0, 1]]}, "timeline must name states"),
        ("POST", "/timelines", {"pattern": "*", "timeline": [["0", "A"]]}, "timeline must be a nu"),
        ("POST", "/timelines", {"pattern": "*", "timeline": [[1, "A"]]}, "timeline must begin at"),
        (
            "POST",
            "/timelines",
            {"pattern": "*", "timeline": [[0, "A"], [0, "B"]]},
            "timeline must rise",
        ),
        ("POST", "/timelines", {"state": 1}, "state is not a field here"),
        ("PUT", "/keys", {"access_key": "AK"}, "access_key and secret_key must be text"),
        ("PUT", "/keys", {"access_key": "", "secret_key": "s"}, "access_key and secret_key must n"),
        ("PUT", "/keys", {"ak": "AK"}, "ak is not a field here"),
        ("POST", "/batches", {"request": 7}, "request must be the body of a submission"),
        ("POST", "/batches", {"state": ""}, "state must be a word such as 'running'"),
        ("POST", "/batches", {"listed": "no"}, "listed must be true or false"),
        ("POST", "/batches", {"file": "a.jar"}, "file is not a field here"),
        ("PUT", "/batches/7", {"state": "dead"}, "batch_id must be that of a job, not '7'"),
        ("PUT", "/batches/7", {"state": 7}, "state must be a word such as 'running'"),
        ("PUT", "/batches/7", {"status": "dead"}, "status is not a field here"),
        ("PUT", "/batches/7", {}, "state must be a word such as 'running'"),
        ("PUT", "/batches/7", {"log": "one"}, "log must be a list of lines"),
        ("PUT", "/batches/7", {"log": [1]}, "log must be a list of lines"),
        ("POST", "/batch-timelines", {"timeline": [[0, "dead"]]}, "pattern must be a text such"),
        ("POST", "/batch-timelines", {"pattern": "*"}, "timeline must be a list"),
        ("POST", "/batch-timelines", {"pattern": "*", "timeline": [[1, "a"]]}, "timeline must be"),
        (
            "POST",
            "/batch-timelines",
            {"pattern": "*", "timeline": [[0, "a"]], "log": "one"},
            "log must be a list",
        ),
        (
            "POST",
            "/batch-timelines",
            {"pattern": "*", "timeline": [[0, "a"]], "log": ["one"]},
            "log must consist of pairs",
        ),
        (
            "POST",
            "/batch-timelines",
            {"pattern": "*", "timeline": [[0, "a"]], "log": [["0", "one"]]},
            "log must be a number of seconds",
        ),
    ],
    ids=str,
)
def test_bad_input_is_answered_with_a_sentence_that_names_the_field(
    api, method, path, body, sentence
):
    answer = api.control(method, path, body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_a_control_body_that_is_no_json_is_refused(api, emulator):
    answer = api.session.post(f"{emulator.url}/_emulator/faults", data="{", timeout=60)

    assert (answer.status_code, answer.json()) == (400, {"error": "the body is no JSON"})
