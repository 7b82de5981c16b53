# SPDX-License-Identifier: Apache-2.0
"""Objects in OBS, as far as staging needs to know them, and what a refusal of OBS means.

The service's code decides before the HTTP status does. Answers to HEAD have no body and so no code.
Codes: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0115.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from airflow_provider_dli.api.answers import Asked, Said, by_status, excerpt, refusal
from airflow_provider_dli.api.errors import (
    AlreadyExistsError,
    AnswerError,
    AuthenticationError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    ThrottledError,
    WireError,
)
from airflow_provider_dli.api.wire import Request, Response

GONE = "NoSuchUpload"
"""The code for an upload in parts that somebody completed or aborted."""

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
}
_ENCRYPTION = re.compile(r"x-(obs|amz)-server-side-encryption")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket.

    `size` is bytes, `modified` Unix seconds, `sha256` the hex digest that staging wrote into the
    object's metadata, or `None`; a listing never tells it.
    """

    key: str
    size: int
    etag: str
    modified: float
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file on this machine and the key that it is to have; `sha256` is the digest of its bytes.

    Nothing but these bytes may come to lie under the key.
    """

    path: Path
    key: str
    size: int
    sha256: str


class ObsRequest(Request):
    """A request as the vendor's client composed and signed it: `path` has its query in it."""

    __slots__ = ()

    @property
    def asked(self) -> str:
        """What was asked, for messages: verb and path, never query values."""
        return f"{self.method} {unquote(self.path.partition('?')[0])}"


def described(key: str, headers: Mapping[str, str]) -> StoredObject:
    """Read what the headers of an answer tell of an object; their names are lower case."""
    try:
        return StoredObject(
            key,
            int(headers["content-length"]),
            etag(headers),
            parsedate_to_datetime(headers["last-modified"]).timestamp(),
            headers.get("x-obs-meta-sha256") or headers.get("x-amz-meta-sha256"),
        )
    except (KeyError, ValueError):
        raise WireError("its headers describe no object") from None


def etag(headers: Mapping[str, str]) -> str:
    """Give the ETag without its quotes; empty where there is none."""
    return headers.get("etag", "").strip('"')


def is_encrypted(headers: Mapping[str, str]) -> bool:
    """Whether the service encrypts what it stores: then an ETag need not be the MD5 of the bytes.

    https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0080.html
    """
    return any(_ENCRYPTION.match(name) for name in headers)


def listing_times(body: bytes | bytearray) -> list[float]:
    """Give the Unix times of the objects of a listing, in its order."""
    found = re.findall(rb"<LastModified>([^<]+)</LastModified>", body)
    try:
        times = [datetime.fromisoformat(text.decode()) for text in found]
    except ValueError:
        raise WireError("LastModified is no time") from None
    return [(t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp() for t in times]


def refused(asked: Asked, response: Response) -> AnswerError:
    """Give the error for an answer of OBS that is no success."""
    code = asked.shown(_text(response, "Code", "code"))
    message = asked.shown(_text(response, "Message", "message"))
    quote = "" if code else excerpt(asked, response)
    kind = _kind_of(response, code)
    remedy = _REMEDIES.get(code, _REMEDIES.get(kind))
    if code == "NoSuchBucket" and asked.caller:
        remedy = f"Used: {asked.caller}. {remedy}"
    return refusal(kind, asked, response, Said(code, message, _id(response), quote), remedy)


def is_gone(error: Exception) -> bool:
    """Whether somebody completed or aborted the upload in parts before."""
    return isinstance(error, NotFoundError) and error.code == GONE


def _kind_of(response: Response, code: str) -> type[AnswerError]:
    by_code = _BY_CODE.get(code)
    if by_code is not None:
        return by_code
    if response.status == 404 and (code or not response.body.strip()):
        return NotFoundError
    return by_status(response, _BY_STATUS)


def _id(response: Response) -> str:
    names = ("x-obs-request-id", "x-amz-request-id")
    known = (response.headers.get(name) for name in names)
    return next(filter(None, known), "") or _text(response, "RequestId", "request_id")


def _text(response: Response, element: str, member: str) -> str:
    """Give an element of the XML of an error, or a member of its JSON."""
    pattern = rf'<{element}>([^<]*)</{element}>|"{member}"\s*:\s*"([^"]*)"'
    found = re.search(pattern.encode(), bytes(response.body[:65536]))
    if found is None:
        return ""
    return " ".join(unescape((found[1] or found[2] or b"").decode("utf-8", "replace")).split())[
        :300
    ]
