# SPDX-License-Identifier: Apache-2.0
"""What an answer means: the service's code decides before the status does."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate

import pytest

from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.answers import RequestContext, interpret, server_time
from airflow_provider_dli.api.protocol.errors import (
    AlreadyExistsError,
    AnswerError,
    AuthenticationError,
    BadRequestError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    RefusedInBodyError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
    WireError,
)
from airflow_provider_dli.api.protocol.wire import Call, Response

Golden = Callable[[str], bytes]

ASKED = "GET /v2.0/p1/resources"
CALLER = "connection dli_default, region eu-de, project p1"
NOW = 1_800_000_000.0
CALL = Call("GET", "/resources", lambda response: lenient.answer_object(response.body))


def error_of(status: int, body: bytes | object = b"", /, **headers: str) -> AnswerError:
    """Give the error that this answer becomes; `_` in a header's name stands for `-`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = Response(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, data
    )
    with pytest.raises(AnswerError) as error:
        interpret(CALL, RequestContext(ASKED, NOW, CALLER), response)
    return error.value


def refusal(code: str, message: str = "said the service") -> dict[str, str]:
    return {"error_code": code, "error_msg": message}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_is_what_the_parser_makes_of_it(status: int) -> None:
    answer = Response(status, {}, b'{"a": 1}')

    assert interpret(CALL, RequestContext(ASKED, NOW, CALLER), answer) == {"a": 1}


# the class of an error


@pytest.mark.parametrize("status", [400, 404, 500, 200])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DLI.0002", NotFoundError),
        ("DLI.0003", PermissionDeniedError),
        ("DLI.0006", AlreadyExistsError),
        ("DLI.0009", QuotaError),
        ("DLI.0011", PermissionDeniedError),
        ("DLI.0012", ServiceError),
        ("DLI.0013", AuthenticationError),
        ("DLI.0014", AuthenticationError),
        ("DLI.0015", AuthenticationError),
        ("DLI.0016", PermissionDeniedError),
        ("DLI.0019", ServiceError),
        ("DLI.0023", NotFoundError),
        ("DLI.0999", ServiceError),
        ("DLI.1028", QuotaError),
        ("APIGW.0101", EndpointError),
        ("APIGW.0301", AuthenticationError),
        ("APIGW.0302", PermissionDeniedError),
        ("APIGW.0303", AuthenticationError),
        ("APIGW.0308", ThrottledError),
        ("APIG.0101", EndpointError),
        ("APIG.0301", AuthenticationError),
        ("APIG.0302", PermissionDeniedError),
        ("APIG.0303", AuthenticationError),
        ("APIG.0308", ThrottledError),
    ],
)
def test_the_code_decides_whatever_the_status(
    status: int, code: str, kind: type[AnswerError]
) -> None:
    error = error_of(status, refusal(code))

    assert type(error) is kind
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("body", [b"", b'{"message": "no"}', b'{"error_code": "DLI.7777"}'])
def test_a_403_without_a_known_code_is_a_right_that_is_missing(body: bytes) -> None:
    assert type(error_of(403, body)) is PermissionDeniedError


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    "body", [b"<html/>", b"\n<!DOCTYPE html>\n<html><body>Blocked by the firewall"]
)
def test_a_page_with_403_or_404_is_of_something_before_the_service(
    status: int, body: bytes
) -> None:
    assert type(error_of(status, body)) is EndpointError


@pytest.mark.parametrize("code", ["APIGW.0101", "APIG.0101"])
@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_a_gateway_that_reaches_nobody_is_not_taken_for_another_service(
    code: str, status: int
) -> None:
    body = b'{"error_code": "%b", "error_msg": "The API does not exist"}' % code.encode()

    error = error_of(status, body)

    assert type(error) is ServiceError
    assert error.may_be_done


@pytest.mark.parametrize(
    "body", [b"", b"<html/>", b'{"message": "no"}', b'{"error_code": "DLI.7777"}']
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, EndpointError),
        (301, EndpointError),
        (302, EndpointError),
        (307, EndpointError),
        (399, EndpointError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (405, BadRequestError),
        (407, EndpointError),
        (408, ServiceError),
        (421, ServiceError),
        (425, ServiceError),
        (499, ServiceError),
        (409, BadRequestError),
        (413, BadRequestError),
        (429, ThrottledError),
        (500, ServiceError),
        (502, ServiceError),
        (503, ServiceError),
        (504, ServiceError),
    ],
)
def test_without_a_known_code_the_status_decides(
    status: int, kind: type[AnswerError], body: bytes
) -> None:
    error = error_of(status, body)

    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("body", [b"", b"\r\n", b'{"error_code": "DLI.7777"}'])
def test_a_404_of_dli_has_a_code_or_no_body(body: bytes) -> None:
    assert type(error_of(404, body)) is NotFoundError


@pytest.mark.parametrize(
    "body", [b"<html>Not Found</html>", b"{}", b'{"message": "no route"}', b"[]"]
)
def test_a_404_with_any_other_body_is_not_dlis(body: bytes) -> None:
    assert type(error_of(404, body)) is EndpointError


@pytest.mark.parametrize("status", [100, 199])
def test_a_status_below_200_is_no_success(status: int) -> None:
    assert type(error_of(status)) is BadRequestError


@pytest.mark.parametrize(
    ("name", "status", "kind", "code"),
    [
        ("doc_error_format.error", 400, BadRequestError, "DLI.0001"),
        ("doc_error_no_token.error", 401, AuthenticationError, "DLI.0013"),
        ("doc_error_queue_missing_2021.error", 400, BadRequestError, "DLI.0008"),
        ("doc_error_queue_missing_otc.error", 400, NotFoundError, "DLI.0002"),
        ("doc_error_update_resource_denied.error", 400, PermissionDeniedError, "DLI.0003"),
        ("doc_update_owner_no_user.error", 404, NotFoundError, "DLI.0002"),
        ("gw_429_throttled.error", 429, ThrottledError, "APIG.0308"),
    ],
)
def test_a_documented_error_says_all_that_was_printed(
    golden: Golden, name: str, status: int, kind: type[AnswerError], code: str
) -> None:
    printed = json.loads(golden(name))

    error = error_of(status, golden(name))

    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert str(error).startswith(
        f'{ASKED} was answered with HTTP {status} {code}: "{printed["error_msg"]}"'
    )
    assert error.request_id == printed.get("request_id", "")


# refusals and rubbish under a success


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (refusal("DLI.0999"), ServiceError),
        (refusal("DLI.0003"), PermissionDeniedError),
        (refusal("DLI.7777"), BadRequestError),
        ({"is_success": False, "message": "said the service"}, BadRequestError),
        ({"is_success": "false", "message": "said the service"}, BadRequestError),
    ],
)
def test_a_refusal_under_a_success_is_that_refusal(
    body: dict[str, object], kind: type[AnswerError]
) -> None:
    error = error_of(200, body)

    assert type(error) is kind
    assert isinstance(error.__cause__, RefusedInBodyError)
    assert f"{ASKED} was answered with HTTP 200" in str(error)
    assert "said the service" in str(error)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "but the body is empty"),
        (b"<html>busy</html>", 'but the body is HTML: "<html>busy</html>"'),
        (b"[1]", 'but the body is a JSON list, not an object: "[1]"'),
        (b'{"a": ', 'but the body is no JSON, or cut off: "{"a":"'),
        (b"\xff\xfe", 'but the body is no JSON, or cut off: "\ufffd\ufffd"'),
    ],
)
def test_rubbish_under_a_success_is_an_error_that_shows_it(body: bytes, text: str) -> None:
    error = error_of(200, body, x_request_id="r1")

    assert type(error) is UnusableAnswerError
    assert isinstance(error.__cause__, WireError)
    assert str(error).startswith(f"{ASKED} was answered with HTTP 200, but ")
    assert text in str(error)
    assert (error.status, error.code, error.request_id) == (200, "", "r1")


def test_a_long_rubbish_is_cut() -> None:
    text = str(error_of(200, b"<" + b"x" * 100_000))

    assert f'"<{"x" * 299}…"' in text
    assert len(text) < 1000


# the text


def test_the_text_has_request_code_and_message() -> None:
    text = str(error_of(400, refusal("DLI.0001", "kind is wrong")))

    assert text == f'{ASKED} was answered with HTTP 400 DLI.0001: "kind is wrong".'


def test_without_a_message_the_text_shows_the_body() -> None:
    text = str(error_of(400, b"no\n  idea"))

    assert text == f'{ASKED} was answered with HTTP 400: "no idea".'


def test_without_a_body_the_text_is_short() -> None:
    assert str(error_of(400)) == f"{ASKED} was answered with HTTP 400."


@pytest.mark.parametrize("body", [b"x" * 100_000, refusal("DLI.0001", "x" * 100_000)])
def test_a_long_body_is_cut(body: bytes | dict[str, str]) -> None:
    text = str(error_of(400, body))

    assert "x" * 300 in text
    assert "x" * 301 not in text


def test_a_body_of_300_bytes_is_shown_whole() -> None:
    assert str(error_of(400, b"x" * 300)).endswith(f'"{"x" * 300}".')


@pytest.mark.parametrize("body", [refusal("x" * 100_000), {"request_id": "x" * 100_000}])
def test_a_long_code_or_request_id_is_cut(body: dict[str, str]) -> None:
    assert len(str(error_of(400, body))) < 2000


@pytest.mark.parametrize(
    "body",
    [
        {"error_code": "C", "error_msg": "m"},
        {"errorCode": "C", "errorMsg": "m"},
        {"code": "C", "message": "m"},
        {"error": {"code": "C", "message": "m", "title": "t"}},
        {"error": {"error_code": "C", "error_msg": "m"}},
        {"error_json_opt": {"error_code": "C", "error_msg": "m"}},
        {"error": "text", "error_json_opt": {"error_code": "C", "error_msg": "m"}},
        {"error_code": "", "error": {"code": "C", "message": "m"}},
    ],
)
def test_code_and_message_are_found_in_every_known_shape(body: dict[str, object]) -> None:
    error = error_of(400, body)

    assert error.code == "C"
    assert 'HTTP 400 C: "m"' in str(error)


def test_a_code_that_is_a_number_is_text() -> None:
    assert error_of(401, {"error": {"code": 401, "message": "m"}}).code == "401"


def test_a_code_under_dli_10001_is_kept() -> None:
    error = error_of(400, {"error_json_opt": refusal("DLI.10001", "inner")})

    assert (type(error), error.code) == (BadRequestError, "DLI.10001")


def test_a_null_message_shows_the_body() -> None:
    assert 'DLI.0001: "{"error_code"' in str(
        error_of(400, {"error_code": "DLI.0001", "error_msg": None})
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (403, b""),
        (400, refusal("DLI.0013")),
        (400, refusal("DLI.0003")),
        (404, b"<html/>"),
        (404, b""),
        (400, refusal("DLI.0002")),
    ],
)
def test_an_error_about_the_caller_names_connection_region_and_project(
    status: int, body: bytes | dict[str, str]
) -> None:
    assert f"Used: {CALLER}." in str(error_of(status, body))


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_any_other_error_does_not_name_the_caller(status: int) -> None:
    assert "dli_default" not in str(error_of(status))


# the request id


def test_the_request_id_of_the_header_is_told() -> None:
    error = error_of(400, {**refusal("DLI.0001"), "request_id": "body"}, x_request_id="header")

    assert error.request_id == "header"
    assert "(request id header)" in str(error)


def test_the_request_id_of_the_body_is_told_where_the_header_has_none() -> None:
    error = error_of(400, {**refusal("DLI.0001"), "request_id": "body"})

    assert error.request_id == "body"
    assert "(request id body)" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html/>", {"request_id": None}])
def test_without_a_request_id_the_text_has_none(body: bytes | dict[str, None]) -> None:
    error = error_of(400, body)

    assert error.request_id == ""
    assert "request id" not in str(error)


# redirects


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example.com/path/secret", "login.example.com"),
        ("https://login.example.com:8443/path", "login.example.com:8443"),
        ("https://login.example.com?token=secret", "login.example.com"),
        ("https://login.example.com#token=secret", "login.example.com"),
        ("https://user:secret@login.example.com/", "login.example.com"),
        ("HTTP://login.example.com/", "login.example.com"),
        ("//login.example.com/secret", "login.example.com"),
        ("/login?token=secret", "another path"),
        ("/login?state=secret&next=https://secret.example.com/", "another path"),
        ("secret?token=secret", "another path"),
        ("", "another path"),
        ("https://[secret", "an address that cannot be read"),
    ],
)
def test_a_redirect_says_where_to_by_host_only(location: str, shown: str) -> None:
    text = str(error_of(302, b"<html>moved</html>", location=location))

    assert f"{ASKED} was answered with HTTP 302, a redirect to {shown}." in text
    assert "secret" not in text
    assert "moved" not in text


@pytest.mark.parametrize("status", [300, 399])
def test_every_status_from_300_to_399_is_told_as_a_redirect(status: int) -> None:
    assert "a redirect to host.example.com" in str(
        error_of(status, location="https://host.example.com/")
    )


@pytest.mark.parametrize("status", [200, 400])
def test_no_other_status_is_told_as_a_redirect(status: int) -> None:
    assert "a redirect" not in str(error_of(status, location="https://host.example.com/"))


def test_a_redirect_without_location_is_an_endpoint_error() -> None:
    error = error_of(307)

    assert type(error) is EndpointError
    assert "a redirect to another path" in str(error)


# Retry-After


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.25", 0.25),
        ("-3", 0.0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("1e999", None),
        ("Wed, 99 Foo 2026 00:00:00 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_nothing(text: str, seconds: float | None) -> None:
    assert error_of(429, retry_after=text).retry_after == seconds


def test_without_retry_after_there_is_none() -> None:
    assert error_of(503).retry_after is None


def test_retry_after_may_be_a_date_on_the_clock_of_the_service() -> None:
    there = NOW - 5000

    error = error_of(
        503,
        retry_after=formatdate(there + 30, usegmt=True),
        date=formatdate(there, usegmt=True),
    )

    assert error.retry_after == 30.0


@pytest.mark.parametrize("headers", [{}, {"date": "some day"}])
def test_retry_after_may_be_a_date_on_our_clock_where_the_service_tells_no_time(
    headers: dict[str, str],
) -> None:
    error = error_of(503, retry_after=formatdate(NOW + 30, usegmt=True), **headers)

    assert error.retry_after == 30.0


def test_a_retry_after_in_the_past_is_now() -> None:
    assert error_of(503, retry_after=formatdate(NOW - 30, usegmt=True)).retry_after == 0.0


# the time of the service


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", NOW),
        ("Fri, 15 Jan 2027 08:00:00", NOW),
        ("Fri, 15 Jan 2027 08:00:00 -0000", NOW),
        ("Fri, 15 Jan 2027 09:00:00 +0100", NOW),
        ("some day", None),
        ("Fri, 15 Jan 2027 99999999999999999999:00:00 GMT", None),
    ],
)
def test_the_time_of_the_service_is_its_date(date: str, seconds: float | None) -> None:
    assert server_time(Response(200, {"date": date}, b"")) == seconds


def test_a_service_that_tells_no_date_has_no_time() -> None:
    assert server_time(Response(200, {}, b"")) is None


# secrets

LONG = "canary-" + 3000 * "z"


def refused_with(body: bytes | object, *secrets: str, status: int = 401) -> AnswerError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(AnswerError) as error:
        interpret(CALL, RequestContext(ASKED, NOW, CALLER, secrets), Response(status, {}, data))
    return error.value


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize(
    "body",
    [
        refusal("APIGW.0301", "ak canary not exist"),
        refusal("canary"),
        {"error": {"code": 401, "message": "canary"}},
        {"error_json_opt": refusal("DLI.10001", "canary")},
        {"message": "canary"},
        b"canary",
        b"<html>canary</html>",
    ],
)
def test_a_secret_that_the_service_repeats_is_not_shown(
    status: int, body: bytes | dict[str, str]
) -> None:
    error = refused_with(body, "canary", status=status)

    assert "canary" not in str(error) + repr(error.as_dict())
    assert "***" in str(error)


@pytest.mark.parametrize(
    "body", [refusal("C", "canary"), {"message": "canary", "is_success": False}, b"<p>canary"]
)
def test_nor_is_one_in_a_success_that_is_none(body: bytes | dict[str, str]) -> None:
    assert "canary" not in str(refused_with(body, "canary", status=200))


@pytest.mark.parametrize("before", [0, 250, 290, 299, 1000])
def test_nothing_is_left_of_a_long_secret_where_a_text_is_cut(before: int) -> None:
    text = before * "x" + LONG
    for body in (refusal("APIGW.0301", text), refusal(text), text.encode()):
        error = refused_with(body, LONG)

        assert not any(part in str(error) + error.message + error.code for part in ("can", "z"))


@pytest.mark.parametrize("secrets", [("canary", "canary-2"), ("canary-2", "canary")])
def test_nothing_is_left_of_a_secret_that_begins_as_another_does(secrets: tuple[str, ...]) -> None:
    assert '"ak *** and ***"' in str(refused_with(b"ak canary-2 and canary", *secrets))


def test_an_empty_secret_hides_nothing() -> None:
    assert '"no ak"' in str(refused_with(b"no ak", ""))


def test_who_asked_does_not_show_the_secrets() -> None:
    assert "canary" not in repr(RequestContext(ASKED, NOW, CALLER, ("canary",)))


def test_an_answer_does_not_show_what_it_holds() -> None:
    assert "canary" not in repr(Response(201, {"x-subject-token": "canary"}, b"canary"))


SECRET_CALL = Call("GET", "/key", CALL.parse, answers_secrets=True)


@pytest.mark.parametrize(
    "body", [b"canary", b"<html>canary", b'{"is_success": false, "s": "canary"}']
)
def test_a_success_that_may_hold_a_secret_is_never_quoted(body: bytes) -> None:
    with pytest.raises(AnswerError) as error:
        interpret(SECRET_CALL, RequestContext(ASKED, NOW, CALLER), Response(200, {}, body))

    assert "canary" not in str(error.value) + repr(error.value.as_dict())


def test_what_such_a_call_is_refused_with_is_quoted() -> None:
    with pytest.raises(AuthenticationError, match="no agency"):
        interpret(SECRET_CALL, RequestContext(ASKED, NOW, CALLER), Response(401, {}, b"no agency"))
