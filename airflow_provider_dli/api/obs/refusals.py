# SPDX-License-Identifier: Apache-2.0
"""What a refusal of OBS means, and a success that is none.

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
"""The code for an upload in parts that somebody completed or aborted."""

OTHER_ANSWERS = "Check that the endpoint is that of OBS and that no proxy answers in its place."
"""What to do where a success is none."""

NO_DOTS = (
    "OBS takes a bucket only before its host's name, and has no certificate for a dot there; use "
    "another bucket, or an obs_endpoint of your own whose certificate fits"
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
    # The bytes were changed or cut off on their way; nothing was stored.
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
    "Check cloud and region of the connection, or its obs_endpoint: a bucket lives in one region, "
    "and redirects are never followed."
)
_CUT_SHORT = "The bytes were changed or cut off on their way: check the network and the proxy."
_REMEDIES: dict[type[AnswerError] | str, str] = {
    EndpointError: _OTHER_REGION,
    PermissionDeniedError: (
        "Ask the owner of the bucket for the right to list, read and write there, by a role of IAM "
        "or a policy of the bucket, and check that the credential is the one you mean."
    ),
    "NoSuchBucket": (
        "Check the bucket's name, and the region of the connection: a bucket lives in one region. "
        "Create it if there is none."
    ),
    "RequestTimeTooSkewed": "Set the clock of this machine (NTP).",
    "BadDigest": _CUT_SHORT,
    "IncompleteBody": _CUT_SHORT,
    "XAmzContentSHA256Mismatch": _CUT_SHORT,
    "VirtualHostDomainRequired": f"Of a bucket with a dot in its name: {NO_DOTS}.",
}


def to_error(
    context: RequestContext, response: Response, why: WireError | None = None
) -> AnswerError:
    """Returns the error for an answer that is not a success; `why` is what its parser raised."""
    if why is not None and not isinstance(why, RefusedInBodyError):
        reason = context.redact(str(why))
        return unusable_error(context, response, reason, _id(response), OTHER_ANSWERS)
    place = _text(response, "Endpoint", "endpoint")
    if place and "location" not in response.headers:
        response = replace(response, headers={**response.headers, "location": f"//{place}"})
    code = context.redact(_text(response, "Code", "code"))
    message = context.redact(_text(response, "Message", "message"))
    quoted = "" if code else excerpt(context, response)
    kind = _kind_of(response, code)
    remedy = _REMEDIES.get(code, _REMEDIES.get(kind))
    if code == "NoSuchBucket" and context.caller:
        remedy = f"Used: {context.caller}. {remedy}"
    refusal = Refusal(code, message, _id(response), quoted)
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


def _id(response: Response) -> str:
    names = ("x-obs-request-id", "x-amz-request-id")
    known = (response.headers.get(name) for name in names)
    return next(filter(None, known), "") or _text(response, "RequestId", "request_id")


def _text(response: Response, element: str, member: str) -> str:
    """Returns an element of the XML of an error, or a member of its JSON."""
    pattern = rf'<{element}>([^<]*)</{element}>|"{member}"\s*:\s*"([^"]*)"'
    found = re.search(pattern.encode(), bytes(response.body[:_SEARCHED]))
    if found is None:
        return ""
    return " ".join(unescape((found[1] or found[2] or b"").decode("utf-8", "replace")).split())[
        :300
    ]
