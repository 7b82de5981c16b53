# SPDX-License-Identifier: Apache-2.0
"""Turns an answer into the value that the call's parser returns, or into an error.

The service's code decides before the HTTP status does: an internal error (DLI.0999) and most of
"not found" come as 400. Words in a message decide nothing.
Codes: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from airflow_provider_dli.api.protocol import lenient
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

T = TypeVar("T")

_BY_CODE: dict[str, type[AnswerError]] = {
    "DLI.0002": NotFoundError,
    "DLI.0003": PermissionDeniedError,
    "DLI.0006": AlreadyExistsError,
    "DLI.0009": QuotaError,
    "DLI.0011": PermissionDeniedError,
    "DLI.0012": ServiceError,
    "DLI.0013": AuthenticationError,
    "DLI.0014": AuthenticationError,
    "DLI.0015": AuthenticationError,
    "DLI.0016": PermissionDeniedError,
    "DLI.0019": ServiceError,
    "DLI.0023": NotFoundError,
    "DLI.0999": ServiceError,
    "DLI.1028": QuotaError,
    # The gateway in front of DLI; its prefix is APIGW on the shared and APIG on the newer ones.
    # https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-errorcode.html
    "APIGW.0101": EndpointError,
    "APIGW.0301": AuthenticationError,
    "APIGW.0302": PermissionDeniedError,
    "APIGW.0303": AuthenticationError,
    "APIGW.0307": AuthenticationError,
    "APIGW.0308": ThrottledError,
}
_BY_STATUS: dict[int, type[AnswerError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    407: EndpointError,
    429: ThrottledError,
}
TEMPORARY_STATUSES = frozenset({408, 421, 425, 499, 502, 503, 504})
"""Statuses with which a gateway says that it did not reach the service, or not in time."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds; a longer `Retry-After` counts as this."""

# The Unix times of 2020 and 2100.
_EARLIEST, _LATEST = 1_577_836_800.0, 4_102_444_800.0
_LONGEST_MESSAGE = 300
_LONGEST_ID = 128
_SEARCHED = 64 * 1024
_SHORTEST_SECRET = 5
_CODE_KEYS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What error messages say about a request.

    `request` is its verb and path, `caller` names connection, region and project, `now` is Unix
    seconds. `secrets` are never shown, not even where the service repeats them.
    """

    request: str
    now: float
    caller: str = ""
    secrets: Sequence[str] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """Returns a text without the secrets."""
        # The longest first: one may be a part of another. Airflow's masker, too, ignores shorter
        # ones, which would only damage other words.
        secrets = {secret for secret in self.secrets if len(secret) >= _SHORTEST_SECRET}
        # Also as JSON escapes them, for a service that repeats the body it was sent.
        secrets |= {msgspec.json.encode(secret).decode()[1:-1] for secret in secrets}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def interpret(call: Call[T], context: RequestContext, response: Response) -> T:
    """Returns what the call's parser makes of a success; raises `AnswerError` for all else."""
    if not 200 <= response.status < 300:
        if call.to_error is not None:
            raise call.to_error(context, response, None)
        raise _refusal_error(context, response, excerpt(context, response))
    try:
        return call.parse(response)
    except WireError as error:
        if call.to_error is not None:
            raise call.to_error(context, response, error) from error
        quoted = "" if call.answers_secrets else excerpt(context, response)
        if isinstance(error, RefusedInBodyError):
            raise _refusal_error(context, response, quoted) from error
        why = f'{error}: "{quoted}"' if quoted else str(error)
        raise unusable_error(context, response, why, _request_id(response, {})) from error


def server_time(response: Response) -> float | None:
    """Returns the Unix time of the server's clock, from the `Date` header if that is plausible."""
    return plausible_time(_http_date(response.headers.get("date", "")))


def plausible_time(time: float | None) -> float | None:
    """Returns the Unix time that a service sent, or `None` for one that cannot be today's.

    If calls were signed with such a time, all later ones would be refused.
    """
    return time if time is not None and _EARLIEST < time < _LATEST else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service says about a refusal, without secrets; each field may be empty.

    `excerpt` is the beginning of the body.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""
    excerpt: str = ""


def refusal_error(
    kind: type[AnswerError],
    context: RequestContext,
    response: Response,
    refusal: Refusal,
    remedy: str | None = None,
) -> AnswerError:
    """Returns the error for an answer that is not a success; `remedy` as for `AnswerError`."""
    text = f"{context.request} was answered with HTTP {response.status}"
    if refusal.code and refusal.code != str(response.status):  # IAM repeats the status
        text += f" {refusal.code}"
    if 300 <= response.status < 400:
        text += f", a redirect to {_host(response.headers.get('location', ''))}"
    elif refusal.message or refusal.excerpt:
        text += f': "{refusal.message or refusal.excerpt}"'
    return kind(
        text,
        status=response.status,
        code=refusal.code,
        message=refusal.message,
        request_id=refusal.request_id,
        retry_after=_retry_after(response, context.now),
        caller=context.caller,
        remedy=remedy,
    )


def unusable_error(
    context: RequestContext,
    response: Response,
    why: str,
    request_id: str,
    remedy: str | None = None,
) -> UnusableAnswerError:
    """Returns the error for a success whose body cannot be used; `why` continues the sentence."""
    return UnusableAnswerError(
        f"{context.request} was answered with HTTP {response.status}, but {why}",
        status=response.status,
        request_id=request_id,
        caller=context.caller,
        remedy=remedy,
    )


def excerpt(context: RequestContext, response: Response) -> str:
    """Returns the beginning of a body, in one line and without secrets."""
    # Secrets first: the rest of one that is cut would not be recognised.
    text = context.redact(response.body[:_SEARCHED].decode("utf-8", "replace"))
    line = " ".join(text[:_LONGEST_MESSAGE].split())
    return f"{line}…" if len(text) > _LONGEST_MESSAGE else line


def _refusal_error(context: RequestContext, response: Response, quoted: str) -> AnswerError:
    fields = _json_object(response.body)
    code, message = _code_and_message(context, fields)
    refusal = Refusal(code, message, _request_id(response, fields), quoted)
    return refusal_error(_kind_of(response, code), context, response, refusal)


def _kind_of(response: Response, code: str) -> type[AnswerError]:
    by_code = _BY_CODE.get(code.replace("APIG.", "APIGW."))
    # A gateway that cannot reach the service may answer with the code of an unknown API.
    is_temporary = response.status in TEMPORARY_STATUSES
    if by_code is not None and not (by_code is EndpointError and is_temporary):
        return by_code
    # DLI's own 404 has a code or no body at all; an HTML page or another JSON is not DLI's.
    if response.status == 404 and (code or not response.body.strip()):
        return NotFoundError
    return kind_by_status(response, _BY_STATUS)


def kind_by_status(response: Response, known: Mapping[int, type[AnswerError]]) -> type[AnswerError]:
    """Returns the class for a refusal whose code is not known; `known` maps some statuses."""
    status = response.status
    if 300 <= status < 400:
        return EndpointError
    if status >= 500 or status in TEMPORARY_STATUSES:
        return ServiceError
    if status in known and not (status == 403 and _is_page(response)):
        return known[status]
    # The remaining 403 and 404 are pages of a proxy or gateway before the service.
    return EndpointError if status in {403, 404} else BadRequestError


def _is_page(response: Response) -> bool:
    """Whether the answer is an HTML page, which no service sends but a proxy before it does."""
    beginning = bytes(response.body[:64]).lstrip().lower()
    is_html = beginning.startswith((b"<!doctype html", b"<html"))
    return is_html or "html" in response.headers.get("content-type", "").lower()


def _code_and_message(context: RequestContext, fields: Mapping[str, Any]) -> tuple[str, str]:
    for code_key, message_key in _CODE_KEYS:
        if fields.get(code_key):
            code = context.redact(str(fields[code_key]))[:_LONGEST_ID]
            return code, context.redact(str(fields.get(message_key) or ""))[:_LONGEST_MESSAGE]
    for nested in ("error", "error_json_opt"):
        if isinstance(fields.get(nested), dict):
            return _code_and_message(context, fields[nested])
    return "", context.redact(str(fields.get("message") or ""))[:_LONGEST_MESSAGE]


def _request_id(response: Response, fields: Mapping[str, Any]) -> str:
    found = response.headers.get("x-request-id") or fields.get("request_id") or ""
    return str(found)[:_LONGEST_ID]


def _json_object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        return lenient.json_object(body)
    except WireError:
        return {}


def _retry_after(response: Response, now: float) -> float | None:
    """Returns the seconds of `Retry-After`, at most `LONGEST_RETRY_AFTER`.

    They may have fractions. An HTTP date is by the server's own clock.
    """
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        then = _http_date(text)
        if then is None:
            return None
        seconds = then - (server_time(response) or now)
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def _http_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _host(location: str) -> str:
    """Returns the host alone: a redirect may have a token in its path, query or user part."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2] or "another path"
    except ValueError:
        return "an address that cannot be read"
