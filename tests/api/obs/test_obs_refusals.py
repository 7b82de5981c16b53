# SPDX-License-Identifier: Apache-2.0
"""What answers of OBS mean, and what their headers tell of an object."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.obs.models import StoredObject, described, is_encrypted
from airflow_provider_dli.api.obs.refusals import is_gone, to_error
from airflow_provider_dli.api.protocol.answers import RequestContext
from airflow_provider_dli.api.protocol.errors import (
    AlreadyExistsError,
    AnswerError,
    AuthenticationError,
    BadRequestError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    ThrottledError,
    WireError,
)
from airflow_provider_dli.api.protocol.wire import Response

ASKED = RequestContext("PUT bucket/key", 0.0, "connection c, region eu-de", ("canary-secret",))


def answer(status: int, code: str = "", message: str = "words") -> Response:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    return Response(status, {}, body.encode())


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", PermissionDeniedError),
        (403, "AccountProblem", PermissionDeniedError),
        (403, "InvalidAccessKeyId", AuthenticationError),
        (403, "SignatureDoesNotMatch", AuthenticationError),
        (403, "RequestTimeTooSkewed", AuthenticationError),
        (400, "ExpiredToken", AuthenticationError),
        (400, "InvalidToken", AuthenticationError),
        (404, "NoSuchBucket", NotFoundError),
        (404, "NoSuchKey", NotFoundError),
        (404, "NoSuchUpload", NotFoundError),
        (409, "BucketAlreadyExists", AlreadyExistsError),
        (403, "InsufficientStorageSpace", QuotaError),
        (403, "QuotaExceeded", QuotaError),
        (503, "SlowDown", ThrottledError),
        (503, "ServiceUnavailable", ServiceError),
        (500, "InternalError", ServiceError),
        (400, "BadDigest", ServiceError),
        (400, "IncompleteBody", ServiceError),
        (301, "PermanentRedirect", EndpointError),
        (403, "VirtualHostDomainRequired", EndpointError),
        (400, "SomethingNew", BadRequestError),
        (404, "SomethingNew", NotFoundError),
        (401, "", AuthenticationError),
        (403, "", PermissionDeniedError),
        (404, "", NotFoundError),
        (407, "", EndpointError),
        (429, "", ThrottledError),
        (302, "", EndpointError),
        (503, "", ServiceError),
        (400, "", BadRequestError),
    ],
)
def test_the_code_decides_before_the_status(
    status: int, code: str, kind: type[AnswerError]
) -> None:
    error = to_error(ASKED, answer(status, code))

    assert type(error) is kind
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("code", ["BadDigest", "IncompleteBody", "SlowDown", "ServiceUnavailable"])
def test_what_passes_by_itself_may_be_tried_again(code: str) -> None:
    assert to_error(ASKED, answer(400, code)).is_transient


def test_a_refusal_says_what_was_asked_what_came_back_and_what_to_do() -> None:
    body = (
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access &amp;\n Denied'
        b"</Message><RequestId>inner</RequestId></Error>"
    )

    error = to_error(ASKED, Response(403, {"x-obs-request-id": "r1"}, body))

    assert str(error) == (
        'PUT bucket/key was answered with HTTP 403 AccessDenied: "Access & Denied" (request id r1).'
        " Used: connection c, region eu-de. Ask the owner of the bucket for permission to list,"
        " read and write, by an IAM role or a bucket policy, and check that the connection has the"
        " right credential."
    )


def test_an_error_in_json_is_read_as_well() -> None:
    body = b'{"code": "NoSuchBucket", "message": "no such", "request_id": "r1"}'

    error = to_error(ASKED, Response(404, {}, body))

    assert (error.code, error.message, error.request_id) == ("NoSuchBucket", "no such", "r1")


def test_an_absent_bucket_may_be_one_of_another_region() -> None:
    text = str(to_error(ASKED, answer(404, "NoSuchBucket")))

    assert "Used: connection c, region eu-de. Check the name of the bucket and the" in text
    assert text.count("Used:") == 1


def test_an_absent_bucket_of_nobody_is_told_as_well() -> None:
    text = str(to_error(RequestContext("GET bucket", 0.0), answer(404, "NoSuchBucket")))

    assert "Used" not in text


def test_the_page_of_something_else_is_quoted() -> None:
    error = to_error(ASKED, Response(404, {}, b"<html>sign in\n here</html>"))

    assert isinstance(error, EndpointError)
    assert '"<html>sign in here</html>"' in str(error)


@pytest.mark.parametrize(
    "body", [b"<Code>canary-secret</Code>", b"canary-secret", b'"canary-secret"']
)
def test_a_secret_that_is_repeated_is_not_told(body: bytes) -> None:
    message = b"<Message>canary-secret</Message>"

    assert "canary" not in str(to_error(ASKED, Response(403, {}, body + message)))


def test_a_throttled_answer_says_when_to_come_again() -> None:
    error = to_error(ASKED, Response(503, {"retry-after": "7"}, answer(503, "SlowDown").body))

    assert error.retry_after == 7


def test_an_upload_that_is_gone_is_told_from_what_else_is_absent() -> None:
    assert is_gone(to_error(ASKED, answer(404, "NoSuchUpload")))
    assert not is_gone(to_error(ASKED, answer(404, "NoSuchBucket")))
    assert not is_gone(ValueError())


@pytest.mark.parametrize("prefix", ["x-obs", "x-amz"])
def test_headers_describe_an_object(prefix: str) -> None:
    headers = {
        "content-length": "5",
        "etag": '"e1"',
        "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT",
        f"{prefix}-meta-sha256": "s1",
    }

    assert described("k", headers) == StoredObject("k", 5, "e1", 1_795_219_200.0, "s1")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-length": "5"},
        {"content-length": "5", "last-modified": "yesterday"},
        {"content-length": "five", "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT"},
    ],
)
def test_headers_that_describe_no_object_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(WireError, match="do not describe an object"):
        described("k", headers)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("x-obs-server-side-encryption", True),
        ("x-amz-server-side-encryption", True),
        ("x-obs-server-side-encryption-customer-algorithm", True),
        ("x-obs-storage-class", False),
    ],
)
def test_encryption_shows_in_a_header(name: str, is_it: bool) -> None:
    assert is_encrypted({name: "kms"}) is is_it
