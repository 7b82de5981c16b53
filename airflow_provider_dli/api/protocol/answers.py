# SPDX-License-Identifier: Apache-2.0
"""What an answer means: the value that a call's own parser makes of it, or an error.

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
OF_THE_MOMENT = frozenset({408, 421, 425, 499, 502, 503, 504})
"""Statuses with which something on the way says that it did not get through, or not in time."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds: nobody waits longer for a service that says when to come again."""

# Of 2020 and of 2100.
_EARLIEST, _LATEST = 1_577_836_800.0, 4_102_444_800.0
_EXCERPT = 300
_IDENTIFIER = 128
_LOOKED_AT = 64 * 1024
_SHORTEST_SECRET = 5
_CODE_KEYS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Who asked what, for messages.

    `what` is verb and path, `caller` names connection, region and project, `now` is Unix seconds.
    `secrets` are words that no message may show, even where the service says them.
    """

    what: str
    now: float
    caller: str = ""
    secrets: Sequence[str] = field(default=(), repr=False)

    def shown(self, text: str) -> str:
        """Give a text without the secrets."""
        # The longest first: one may be a part of another. Shorter ones than Airflow's masker takes
        # would only spoil the words.
        secrets = {secret for secret in self.secrets if len(secret) >= _SHORTEST_SECRET}
        # As they were sent, where a body is repeated: a password may hold what JSON escapes.
        secrets |= {msgspec.json.encode(secret).decode()[1:-1] for secret in secrets}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def interpret(call: Call[T], asked: RequestContext, response: Response) -> T:
    """Give what the call's parser makes of a success; raise `AnswerError` for all else."""
    if not 200 <= response.status < 300:
        if call.refused is not None:
            raise call.refused(asked, response, None)
        raise _refusal(asked, response, excerpt(asked, response))
    try:
        return call.parse(response)
    except WireError as error:
        if call.refused is not None:
            raise call.refused(asked, response, error) from error
        quote = "" if call.answers_secrets else excerpt(asked, response)
        if isinstance(error, RefusedInBodyError):
            raise _refusal(asked, response, quote) from error
        raise _unusable(asked, response, str(error), quote) from error


def server_time(response: Response) -> float | None:
    """Return the Unix time of the server's own clock, if the answer tells one to be believed."""
    return believed(_http_date(response.headers.get("date", "")))


def believed(time: float | None) -> float | None:
    """Return the Unix time that a service tells, and `None` for one that cannot be today's.

    Signed with that, every later call would be refused, or could not be made at all.
    """
    return time if time is not None and _EARLIEST < time < _LATEST else None


def _refusal(asked: RequestContext, response: Response, quote: str) -> AnswerError:
    fields = _json_object(response.body)
    code, message = _code_and_message(asked, fields)
    said = Refusal(code, message, _request_id(response, fields), quote)
    return refusal(_kind_of(response, code), asked, response, said)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service says about a refusal, without secrets; `quote` is what its body begins with.

    Each may be empty.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""
    quote: str = ""


def refusal(
    kind: type[AnswerError],
    asked: RequestContext,
    response: Response,
    said: Refusal,
    remedy: str | None = None,
) -> AnswerError:
    """Give the error of an answer that is no success; `remedy` as for `AnswerError`."""
    code, message = said.code, said.message
    what = f"{asked.what} was answered with HTTP {response.status}"
    if code and code != str(response.status):  # IAM repeats it
        what += f" {code}"
    if 300 <= response.status < 400:
        what += f", a redirect to {_host(response.headers.get('location', ''))}"
    elif message or said.quote:
        what += f': "{message or said.quote}"'
    return kind(
        what,
        status=response.status,
        code=code,
        message=message,
        request_id=said.request_id,
        retry_after=_retry_after(response, asked.now),
        caller=asked.caller,
        remedy=remedy,
    )


def _unusable(
    asked: RequestContext, response: Response, why: str, quote: str
) -> UnusableAnswerError:
    shown = f': "{quote}"' if quote else ""
    return UnusableAnswerError(
        f"{asked.what} was answered with HTTP {response.status}, but {why}{shown}",
        status=response.status,
        request_id=_request_id(response, {}),
        caller=asked.caller,
    )


def excerpt(asked: RequestContext, response: Response) -> str:
    """Give what a body begins with, in one line and without secrets."""
    # Secrets first: what is left of one that is cut off would not be known as such.
    text = asked.shown(response.body[:_LOOKED_AT].decode("utf-8", "replace"))
    shown = " ".join(text[:_EXCERPT].split())
    return f"{shown}…" if len(text) > _EXCERPT else shown


def _kind_of(response: Response, code: str) -> type[AnswerError]:
    by_code = _BY_CODE.get(code.replace("APIG.", "APIGW."))
    # A gateway that reaches nobody for the moment may call that an API it does not know.
    if by_code is not None and not (by_code is EndpointError and response.status in OF_THE_MOMENT):
        return by_code
    # DLI's own 404 carries a code or nothing at all; a page or a foreign JSON is not DLI's.
    if response.status == 404 and (code or not response.body.strip()):
        return NotFoundError
    return by_status(response, _BY_STATUS)


def by_status(response: Response, known: Mapping[int, type[AnswerError]]) -> type[AnswerError]:
    """Return the class of a refusal whose code says nothing; `known` are those of some statuses."""
    status = response.status
    if 300 <= status < 400:
        return EndpointError
    if status >= 500 or status in OF_THE_MOMENT:
        return ServiceError
    if status in known and not (status == 403 and is_page(response)):
        return known[status]
    # What is left of 403 and 404 is the page of something before the service.
    return EndpointError if status in {403, 404} else BadRequestError


def is_page(response: Response) -> bool:
    """Whether the answer is a page for people: no service, but something before it."""
    beginning = bytes(response.body[:64]).lstrip().lower()
    is_html = beginning.startswith((b"<!doctype html", b"<html"))
    return is_html or "html" in response.headers.get("content-type", "").lower()


def _code_and_message(asked: RequestContext, fields: Mapping[str, Any]) -> tuple[str, str]:
    for code_key, message_key in _CODE_KEYS:
        if fields.get(code_key):
            code = asked.shown(str(fields[code_key]))[:_IDENTIFIER]
            return code, asked.shown(str(fields.get(message_key) or ""))[:_EXCERPT]
    for nested in ("error", "error_json_opt"):
        if isinstance(fields.get(nested), dict):
            return _code_and_message(asked, fields[nested])
    return "", asked.shown(str(fields.get("message") or ""))[:_EXCERPT]


def _request_id(response: Response, fields: Mapping[str, Any]) -> str:
    found = response.headers.get("x-request-id") or fields.get("request_id") or ""
    return str(found)[:_IDENTIFIER]


def _json_object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        return lenient.json_object(body)
    except WireError:
        return {}


def _retry_after(response: Response, now: float) -> float | None:
    """Read `Retry-After`: seconds, also fractions, or an HTTP date on the server's own clock.

    At most `LONGEST_RETRY_AFTER`.
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
    """Give the host alone: a redirect may carry a token in its path, query or user part."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2] or "another path"
    except ValueError:
        return "an address that cannot be read"
