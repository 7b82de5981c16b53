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


def test_a_temporary_key_without_its_security_token_is_unknown(start, call_signed):
    emulator = start(security_token="sts").emulator

    answer = call_signed(emulator)

    reason = f"ak {emulator.access_key} not exist"
    assert refused(answer, 401, "APIGW.0301") == FAIL + reason


def test_a_temporary_key_with_another_security_token_is_refused(start, call_signed):
    emulator = start(security_token="sts").emulator

    answer = call_signed(emulator, headers={"X-Security-Token": "other"})

    assert refused(answer, 401, "APIGW.0301") == FAIL + "decrypt token fail"


def test_a_permanent_key_may_come_with_a_security_token(emulator, call_signed):
    assert call_signed(emulator, headers={"X-Security-Token": "other"}).status_code == 200


def test_after_five_wrong_signatures_a_key_is_locked_for_five_minutes(emulator, call_signed, clock):
    for _ in range(5):
        wrong = call_signed(emulator, secret_key="other")
    clock.now += 299
    locked = call_signed(emulator)
    clock.now += 1

    assert refused(wrong, 401, "APIGW.0301") == FAIL + "verify aksk signature fail"
    reason = "AK access failed to reach the limit,forbidden."
    assert refused(locked, 401, "APIGW.0301") == FAIL + reason
    assert call_signed(emulator).status_code == 200


def test_a_right_signature_among_wrong_ones_keeps_the_key_open(emulator, call_signed):
    for secret_key in ["other"] * 4 + [None] + ["other"] * 4:
        call_signed(emulator, secret_key=secret_key)

    assert call_signed(emulator).status_code == 200


def test_expired_signatures_lock_no_key(emulator, call_signed):
    for _ in range(6):
        call_signed(emulator, signed_at=0)

    assert call_signed(emulator).status_code == 200


def test_a_reset_opens_the_lock(emulator, call_signed):
    for _ in range(6):
        call_signed(emulator, secret_key="other")
    emulator.reset()

    assert call_signed(emulator).status_code == 200


def test_keys_can_be_rotated(emulator, call_signed):
    old = emulator.access_key
    emulator.rotate_keys("NEWKEY", "new/secret+key=")

    refusal = call_signed(emulator, access_key=old)

    assert call_signed(emulator).status_code == 200
    assert refused(refusal, 401, "APIGW.0301") == FAIL + f"ak {old} not exist"


def test_a_rotated_key_takes_the_place_of_a_temporary_one(start, call_signed):
    emulator = start(security_token="sts").emulator

    emulator.rotate_keys("NEWKEY", "new")

    assert emulator.security_token is None
    assert call_signed(emulator).status_code == 200


def test_a_forbidden_project_is_refused_whatever_the_caller_has(start, call_signed):
    api = start(project_ids=["p", "q"], forbidden_projects=["p"])

    signed, with_token = call_signed(api.emulator), api("GET", "/resources")

    reason = "The IAM user is not authorized to access the API."
    assert refused(signed, 403, "APIGW.0302") == reason
    assert refused(with_token, 403, "APIGW.0302") == reason
    assert api("GET", "/resources", project_id="q").status_code == 200


def test_a_project_of_another_region_is_forbidden_here(start):
    api = start(project_ids=["p", "q"], project_names={"q": "eu-de"})

    assert "q" in refused(api("GET", "/resources", project_id="q"), 403, "APIGW.0302")


def test_a_shifted_clock_shifts_the_date_and_what_counts_as_expired(start, call_signed, clock):
    emulator = start(clock_offset=1200).emulator

    as_we_think, as_it_thinks = (
        call_signed(emulator, signed_at=clock.now + ahead) for ahead in (0, 1200)
    )

    assert "server time: 20231114T223320Z" in refused(as_we_think, 401, "APIGW.0301")
    assert as_we_think.headers["Date"] == "Tue, 14 Nov 2023 22:33:20 GMT"
    assert as_it_thinks.status_code == 200


def test_a_clock_may_be_behind(start, api):
    slow = start(clock_offset=-60)

    assert slow("GET", "/resources").headers["Date"] == "Tue, 14 Nov 2023 22:12:20 GMT"


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
    answer = api.session.get(api.emulator.url + path, timeout=60)

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
