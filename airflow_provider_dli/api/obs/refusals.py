# SPDX-License-Identifier: Apache-2.0
"""Turns a refusal of OBS, or an answer that is not what it should be, into an error.

The service's code decides before the HTTP status does. Answers to HEAD have no body and so no code.
Codes: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0115.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from airflow_provider_dli.api.protocol.answers import (
    Refusal,
    RequestContext,
    excerpt,
    kind_by_status,
    refusal_error,
    unusable_error,
)
from airflow_provider_dli.api.protocol.errors import (
    AlreadyExistsError,
    AnswerError,
    AuthenticationError,
    BadRequestError,
    EndpointError,
    NotFoundError,
    ObjectChangedError,
    PermissionDeniedError,
    QuotaError,
    RefusedInBodyError,
    ServiceError,
    ThrottledError,
    WireError,
)
from airflow_provider_dli.api.protocol.wire import Response

_SEARCHED = 64 * 1024

GONE = "NoSuchUpload"
"""The code for an upload in parts that was completed or aborted before."""

OTHER_ANSWERS = "Check that the endpoint is that of OBS and that no proxy answers instead."
"""The remedy for an answer that OBS would not send."""

NO_DOTS = (
    "OBS expects the bucket as a part of the host name, and its certificate does not cover a dot "
    "there; use another bucket, or a custom obs_endpoint whose certificate does"
)

_BY_CODE: dict[str, type[AnswerError]] = {
    "AccessDenied": PermissionDeniedError,
    "AccessForbidden": PermissionDeniedError,
    "AccountProblem": PermissionDeniedError,
    "AllAccessDisabled": PermissionDeniedError,
    "ExpiredToken": AuthenticationError,
    # Also for a security token that is wrong or has expired:
    # https://support.huaweicloud.com/intl/es-us/api-obs/obs_errorcode_0009.html
    "InvalidAccessKeyId": AuthenticationError,
    "InvalidSecurityToken": AuthenticationError,
    "InvalidToken": AuthenticationError,
    "RequestTimeTooSkewed": AuthenticationError,
    "SignatureDoesNotMatch": AuthenticationError,
    "TokenRefreshRequired": AuthenticationError,
    "NoSuchBucket": NotFoundError,
    "NoSuchKey": NotFoundError,
    GONE: NotFoundError,
    "BucketAlreadyExists": AlreadyExistsError,
    "InsufficientStorageSpace": QuotaError,
    "QuotaExceeded": QuotaError,
    "PermanentRedirect": EndpointError,
    "TemporaryRedirect": EndpointError,
    "VirtualHostDomainRequired": EndpointError,
    "InvalidRange": BadRequestError,
    "NotImplemented": BadRequestError,
    "PreconditionFailed": ObjectChangedError,
    "XAmzContentSHA256Mismatch": ServiceError,
    "SlowDown": ThrottledError,
    "InternalError": ServiceError,
    "ServiceUnavailable": ServiceError,
    # The bytes were changed or truncated on the way; nothing was stored.
    "BadDigest": ServiceError,
    "IncompleteBody": ServiceError,
    "RequestTimeout": ServiceError,
}
_BY_STATUS: dict[int, type[AnswerError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    407: EndpointError,
    412: ObjectChangedError,
    429: ThrottledError,
}
_OTHER_REGION = (
    "Check cloud and region of the connection, or its obs_endpoint: a bucket is in one region, "
    "and redirects are never followed."
)
_CUT_SHORT = "The bytes were changed or truncated on the way: check the network and the proxy."
_REMEDIES: dict[type[AnswerError] | str, str] = {
    EndpointError: _OTHER_REGION,
    PermissionDeniedError: (
        "Ask the owner of the bucket for permission to list, read and write, by an IAM role or a "
        "bucket policy, and check that the connection has the right credential."
    ),
    "NoSuchBucket": (
        "Check the name of the bucket and the region of the connection: a bucket is in one region. "
        "Create it if it does not exist."
    ),
    "RequestTimeTooSkewed": "Set the clock of this machine (NTP).",
    "BadDigest": _CUT_SHORT,
    "IncompleteBody": _CUT_SHORT,
    "XAmzContentSHA256Mismatch": _CUT_SHORT,
    "VirtualHostDomainRequired": f"The name of the bucket has a dot: {NO_DOTS}.",
}


def to_error(
    context: RequestContext, response: Response, why: WireError | None = None
) -> AnswerError:
    """Returns the error for an answer that is not a success; `why` is what its parser raised."""
    if why is not None and not isinstance(why, RefusedInBodyError):
        reason = context.redact(str(why))
        return unusable_error(context, response, reason, _request_id(response), OTHER_ANSWERS)
    place = _field(response, "Endpoint", "endpoint")
    if place and "location" not in response.headers:
        response = replace(response, headers={**response.headers, "location": f"//{place}"})
    code = context.redact(_field(response, "Code", "code"))
    message = context.redact(_field(response, "Message", "message"))
    quoted = "" if code else excerpt(context, response)
    kind = _kind_of(response, code)
    remedy = _REMEDIES.get(code, _REMEDIES.get(kind))
    refusal = Refusal(code, message, _request_id(response), quoted)
    return refusal_error(kind, context, response, refusal, remedy)


def is_gone(error: Exception) -> bool:
    """Whether the upload in parts was completed or aborted before."""
    return isinstance(error, NotFoundError) and error.code == GONE


def _kind_of(response: Response, code: str) -> type[AnswerError]:
    by_code = _BY_CODE.get(code)
    if by_code is not None:
        return by_code
    if response.status == 501:  # permanent, unlike other 5xx: the API does not exist there
        return BadRequestError
    if response.status == 404 and (code or not response.body.strip()):
        return NotFoundError
    return kind_by_status(response, _BY_STATUS)


def _request_id(response: Response) -> str:
    names = ("x-obs-request-id", "x-amz-request-id")
    known = (response.headers.get(name) for name in names)
    return next(filter(None, known), "") or _field(response, "RequestId", "request_id")


def _field(response: Response, element: str, member: str) -> str:
    """Returns an element of the XML of an error, or a member of its JSON."""
    pattern = rf'<{element}>([^<]*)</{element}>|"{member}"\s*:\s*"([^"]*)"'
    found = re.search(pattern.encode(), bytes(response.body[:_SEARCHED]))
    if found is None:
        return ""
    return " ".join(unescape((found[1] or found[2] or b"").decode("utf-8", "replace")).split())[
        :300
    ]
