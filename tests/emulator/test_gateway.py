# SPDX-License-Identifier: Apache-2.0
"""Who may come in, what the gateway answers to others, and what every answer carries."""

from __future__ import annotations

import pytest

FAIL = "Incorrect IAM authentication information: "


def refused(answer, status, code):
    body = answer.json()
    assert answer.status_code == status
    assert body["error_code"] == code
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body["error_msg"]


def test_a_call_that_is_signed_may_come_in(emulator, call_signed):
    assert call_signed(emulator).status_code == 200


def test_a_signed_call_may_carry_a_query_and_a_body(emulator, call_signed):
    emulator.put_group("tools", {"a!b.jar": "READY"})

    shown = call_signed(emulator, path="/resources/a%21b.jar", query=[("group", "tools")])
    refused_body = call_signed(emulator, "POST", body='{"kind": "jar"}')

    assert shown.status_code == 200
    assert refused_body.status_code == 400


def test_a_call_with_the_token_may_come_in(api):
    assert api("GET", "/resources").status_code == 200


def test_a_call_without_credentials_is_told_so(api):
    answer = api("GET", "/resources", headers={"X-Auth-Token": None})

    assert answer.status_code == 401
    assert answer.json() == {
        "error_code": "DLI.0013",
        "error_msg": "X-Auth-Token is not defined in request. It is mandatory. "
        "Please define and send the request.",
    }


def test_a_wrong_token_is_refused(api):
    answer = api("GET", "/resources", headers={"X-Auth-Token": "other"})

    assert refused(answer, 401, "APIGW.0301") == FAIL + "decrypt token fail"


def test_a_wrong_secret_key_is_refused(emulator, call_signed):
    answer = call_signed(emulator, secret_key="other")

    assert refused(answer, 401, "APIGW.0301") == FAIL + "verify aksk signature fail"


def test_an_unknown_access_key_is_refused_by_name(emulator, call_signed):
    answer = call_signed(emulator, access_key="NOBODY")

    assert refused(answer, 401, "APIGW.0301") == FAIL + "ak NOBODY not exist"


@pytest.mark.parametrize("minutes", [-15, 15])
def test_a_clock_may_be_wrong_by_a_quarter_of_an_hour(emulator, call_signed, clock, minutes):
    assert call_signed(emulator, signed_at=clock.now + minutes * 60).status_code == 200


@pytest.mark.parametrize("seconds", [-901, 901])
def test_an_expired_signature_is_refused_with_the_time_of_the_server(
    emulator, call_signed, clock, seconds
):
    answer = call_signed(emulator, signed_at=clock.now + seconds)

    message = refused(answer, 401, "APIGW.0301")
    assert "signature expired" in message
    assert "server time: 20231114T221320Z" in message


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_date_that_is_missing_or_no_date_is_refused(emulator, call_signed, date):
    answer = call_signed(emulator, spoil=lambda headers: headers.update({"X-Sdk-Date": date}))

    assert "x-sdk-date" in refused(answer, 401, "APIGW.0301")


def test_an_authorization_of_another_form_is_refused(api):
    answer = api("GET", "/resources", headers={"X-Auth-Token": None, "Authorization": "Basic x"})

    assert "authorization" in refused(answer, 401, "APIGW.0301")


def test_a_temporary_key_works_with_its_security_token(start, call_signed):
    emulator = start(security_token="sts").emulator

    answer = call_signed(emulator, headers={"X-Security-Token": "sts"})

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-Security-Token": "other"}])
def test_a_temporary_key_without_its_security_token_is_refused(start, call_signed, headers):
    emulator = start(security_token="sts").emulator

    answer = call_signed(emulator, headers=headers)

    assert "security token" in refused(answer, 401, "APIGW.0301")


def test_a_foreign_project_is_forbidden(api):
    answer = api("GET", "/resources", project_id="foreign")

    assert "foreign" in refused(answer, 403, "APIGW.0302")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/resources/"),
        ("GET", "/resources/a.jar/b"),
        ("DELETE", "/resources"),
        ("PUT", "/resources/a.jar"),
        ("POST", "/resources/modelfiles"),
        ("PATCH", "/resources"),
        ("OPTIONS", "/resources"),
    ],
)
def test_an_api_that_does_not_exist_is_a_404_of_the_gateway(api, method, path):
    refused(api(method, path), 404, "APIGW.0101")


@pytest.mark.parametrize("path", ["/", "/v1.0/p/resources", "/v2.0//resources", "/_emulator"])
def test_a_path_outside_of_the_api_is_a_404_of_the_gateway(api, path):
    answer = api.session.get(api.emulator.url + path, timeout=10)

    refused(answer, 404, "APIGW.0101")


def test_a_body_of_more_than_12_mb_is_refused(api):
    answer = api("POST", "/resources", b"x" * (12 * 1024 * 1024 + 1))

    refused(answer, 413, "APIGW.0201")


def test_a_body_of_12_mb_reaches_the_service(api):
    assert api("POST", "/resources", b"x" * (12 * 1024 * 1024)).status_code == 400


def test_every_answer_has_a_request_id_of_its_own(api):
    answers = [api("GET", "/resources"), api("GET", "/resources/a"), api("DELETE", "/resources/a")]

    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3


def test_an_error_of_the_service_has_no_request_id_in_its_body(api):
    assert set(api("GET", "/resources/a").json()) == {"error_code", "error_msg"}


def test_the_date_of_an_answer_is_the_emulators(api):
    assert api("GET", "/resources").headers["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
