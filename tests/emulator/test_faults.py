# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on demand: when, for which calls, and how it looks to the client."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

import pytest
import requests
from eventually import HANG, at_last

from airflow_provider_dli.emulator import Fault, running
from airflow_provider_dli.emulator.faults import ACTIONS
from airflow_provider_dli.emulator.messages import Call
from airflow_provider_dli.emulator.presets import PRESETS
from airflow_provider_dli.emulator.responses import client_leaves


def test_an_answer_of_ones_own_replaces_the_services_once(api, emulator):
    emulator.add_fault(Fault(status=503, headers={"X-Why": "test"}, body={"a": 1}))

    answer, next_answer = api("GET", "/resources"), api("GET", "/resources")

    assert (answer.status_code, answer.headers["X-Why"]) == (503, "test")
    assert answer.json() == {"a": 1}
    assert next_answer.status_code == 200


def test_an_answer_may_be_any_text(api, emulator):
    emulator.add_fault(Fault(body="<html>", headers={"Content-Type": "text/html"}))

    answer = api("GET", "/resources")

    assert (answer.status_code, answer.text) == (200, "<html>")
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("when", "stored"), [("before", []), ("after", ["tools"])])
def test_a_fault_comes_before_or_after_the_service_did_its_work(api, emulator, when, stored):
    emulator.add_fault(Fault("unavailable", when=when))

    answer = api.upload("a.jar", group="tools")

    assert answer.status_code == 503
    assert list(emulator.groups()) == stored


@pytest.mark.parametrize(
    ("matcher", "matches"),
    [
        ({}, True),
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"path": "/resources/*"}, True),
        ({"path": "/resources"}, False),
        ({"path": "/v2.0/*/resources/a.jar"}, True),
        ({"path": "*.py"}, False),
        ({"method": "GET", "path": "/resources/a.jar"}, True),
    ],
    ids=str,
)
def test_a_fault_hits_the_calls_that_it_describes(matcher, matches):
    call = Call("GET", "/v2.0/p/resources/%61.jar")

    assert Fault("reset", **matcher).matches(call) is matches


def test_a_fault_can_describe_a_path_outside_of_any_project():
    assert Fault("reset", path="/elsewhere").matches(Call("GET", "/elsewhere"))


def test_a_fault_skips_the_first_calls_and_then_hits_some(api, emulator):
    emulator.add_fault(Fault(status=500, skip=1, times=2))

    assert [api("GET", "/resources").status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def test_a_fault_may_hit_for_ever_until_it_is_cleared(api, emulator):
    emulator.add_fault(Fault(status=500, times=None))
    before = {api("GET", "/resources").status_code for _ in range(5)}

    emulator.clear_faults()

    assert before == {500}
    assert api("GET", "/resources").status_code == 200


def test_several_faults_act_one_after_the_other(api, emulator):
    emulator.add_fault(Fault("throttled"))
    emulator.add_fault(Fault("unavailable"))

    assert [api("GET", "/resources").status_code for _ in range(3)] == [429, 503, 200]


def test_a_reset_is_a_reset_and_keeps_what_was_stored(api, emulator):
    emulator.add_fault(Fault("reset", when="after"))

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.upload("a.jar", group="tools")

    assert list(emulator.groups()) == ["tools"]
    assert emulator.requests[-1].status == "reset"


def test_a_cut_off_answer_promises_twice_of_what_it_sends(api, emulator):
    whole = len(api("GET", "/resources").content)
    emulator.add_fault(Fault("cut-off", when="after"))
    headers = {"X-Auth-Token": emulator.auth_token}

    with closing(HTTPConnection(urlsplit(emulator.url).netloc, timeout=60)) as connection:
        connection.request("GET", f"/v2.0/{emulator.project_id}/resources", headers=headers)
        answer = connection.getresponse()
        with pytest.raises(IncompleteRead) as cut:
            answer.read()

    assert (answer.status, int(answer.headers["Content-Length"])) == (200, whole)
    assert len(cut.value.partial) == whole // 2


def test_a_cut_off_answer_is_an_error_of_the_connection(api, emulator):
    emulator.add_fault(Fault("cut-off"))

    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        api("DELETE", "/resources/a.jar")

    assert emulator.requests[-1].status == "cut-off"


def test_a_cut_off_answer_may_be_any(api, emulator):
    emulator.add_fault(Fault("cut-off", status=503, body="x" * 10))

    answer = api("GET", "/resources", stream=True)

    assert (answer.status_code, answer.headers["Content-Length"]) == (503, "10")
    answer.close()


def test_a_hanging_call_ends_with_the_patience_of_the_client(api, emulator):
    emulator.add_fault(Fault("hang"))
    url = f"{emulator.url}/v2.0/{emulator.project_id}/resources"

    with pytest.raises(requests.ReadTimeout):
        api.session.get(url, timeout=0.05)

    assert emulator.requests[-1].status == "hang"
    assert api("GET", "/resources").status_code == 200


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_hangs_for_a_while_goes_on_afterwards(api, emulator, when):
    emulator.add_fault(Fault("hang", seconds=0.01, when=when))

    answer = api.upload("a.jar", group="tools")

    assert (answer.status_code, answer.json()["group_name"]) == (201, "tools")
    assert len(emulator.requests) == 1


def test_more_of_the_request_is_not_taken_for_the_end_of_the_client():
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    asyncio.run(client_leaves(receive))

    assert messages == []


@pytest.mark.timeout(HANG)
def test_a_hanging_call_does_not_hold_up_the_end():
    with running() as emulator:
        emulator.add_fault(Fault("hang"))
        errors = []

        def call():
            try:
                requests.get(emulator.url, timeout=2 * HANG)
            except requests.ConnectionError as error:
                errors.append(error)

        client = threading.Thread(target=call)
        client.start()
        at_last(lambda: emulator.requests)
    client.join()

    assert len(errors) == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_an_answer_ready(api, emulator, preset):
    emulator.add_fault(Fault(preset))

    answer = api("GET", "/resources")

    assert answer.status_code == PRESETS[preset][0]


def test_throttling_looks_as_recorded(api, emulator):
    emulator.add_fault(Fault("throttled"))

    answer = api("GET", "/resources")

    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers
    assert answer.json() == {
        "error_msg": "The throttling threshold has been reached: "
        "policy ip over ratelimit,limit:5,time:1 minute",
        "error_code": "APIG.0308",
        "request_id": answer.headers["X-Request-Id"],
    }


@pytest.mark.parametrize("retry_after", [3, 1.58, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_throttling_may_say_when_to_come_back(api, emulator, retry_after):
    emulator.add_fault(Fault("throttled", retry_after=retry_after))

    assert api("GET", "/resources").headers["Retry-After"] == str(retry_after)


def test_a_preset_may_be_changed_in_parts(api, emulator):
    emulator.add_fault(Fault("internal-error", status=500))

    answer = api("GET", "/resources")

    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")


def test_malformed_json_is_no_json(api, emulator):
    emulator.add_fault(Fault("malformed-json"))

    with pytest.raises(requests.JSONDecodeError):
        api("GET", "/resources").json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", "explode"),
        ("action", None),
        ("method", 7),
        ("method", ""),
        ("path", None),
        ("skip", -1),
        ("skip", True),
        ("times", 0),
        ("times", "2"),
        ("when", "later"),
        ("status", 199),
        ("status", 600),
        ("status", "503"),
        ("headers", ["a"]),
        ("headers", {"Retry-After": 3}),
        ("retry_after", True),
        ("retry_after", [3]),
        ("seconds", -1),
        ("seconds", False),
        ("seconds", "1"),
        ("seconds", float("inf")),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_its_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        Fault(**{field: value})


def test_a_fault_survives_the_way_through_json():
    fault = Fault("throttled", method="GET", headers={"a": "b"}, retry_after=3)

    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault


def test_latency_lets_every_call_wait(api, emulator):
    emulator.latency = 2 * HANG

    with pytest.raises(requests.ReadTimeout):
        api("GET", "/resources", timeout=0.05)

    emulator.latency = 0.02
    assert api("GET", "/resources").status_code == 200


@pytest.mark.timeout(HANG)
def test_a_slow_call_does_not_hold_up_the_end():
    with running(latency=60) as emulator, socket.socket() as client:
        address = urlsplit(emulator.url)
        client.connect((address.hostname, address.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        requests.get(f"{emulator.url}/_emulator/state", timeout=60)  # the other one is in by now

    assert emulator.requests == []


def test_the_actions_are_the_ones_that_the_documentation_names():
    assert ACTIONS[:4] == ("answer", "reset", "cut-off", "hang")
    assert {"throttled", "internal-error", "unavailable", "malformed-json"} <= set(ACTIONS)
