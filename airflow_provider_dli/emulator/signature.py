# SPDX-License-Identifier: Apache-2.0
"""Verifies signatures of the type SDK-HMAC-SHA256, written from its description.

https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm-002.html and the pages
after it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

from airflow_provider_dli.emulator.messages import Call

ALGORITHM = "SDK-HMAC-SHA256"
DATE_HEADER = "x-sdk-date"

_HEADER = re.compile(
    rf"{ALGORITHM} Access=(?P<access>[^,\s]+), ?"
    r"SignedHeaders=(?P<names>[^,\s]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an `Authorization` header."""

    access_key: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> Authorization | None:
        """Returns the parts, or None if the header has another format."""
        found = _HEADER.fullmatch(header.strip())
        if found is None:
            return None
        return cls(found["access"], tuple(found["names"].split(";")), found["signature"])


def is_genuine(call: Call, authorization: Authorization, secret_key: str) -> bool:
    """Whether the call was signed with the secret key."""
    names = authorization.signed_headers
    if DATE_HEADER not in names or any(name not in call.headers for name in names):
        return False
    expected = sign(call, names, secret_key)
    return hmac.compare_digest(expected.encode(), authorization.signature.encode())


def sign(call: Call, signed_headers: tuple[str, ...], secret_key: str) -> str:
    """Returns the signature that the call must have, in hex."""
    digest = hashlib.sha256(canonical_request(call, signed_headers).encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{call.headers[DATE_HEADER].strip()}\n{digest}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def canonical_request(call: Call, signed_headers: tuple[str, ...]) -> str:
    """Returns the canonical form of the request, which both sides sign."""
    names = sorted(signed_headers)
    return "\n".join(
        [
            call.method.upper(),
            _canonical_path(call.raw_path),
            _canonical_query(call.raw_query),
            "".join(f"{name}:{call.headers[name].strip()}\n" for name in names),
            ";".join(names),
            _payload_hash(call),
        ]
    )


def _canonical_path(raw_path: str) -> str:
    path = "/".join(_encode(segment) for segment in unquote(raw_path).split("/"))
    # The trailing slash is part of the canonical form only, not of the request.
    return path if path.endswith("/") else path + "/"


def _canonical_query(raw_query: str) -> str:
    pairs = [part.partition("=") for part in raw_query.split("&") if part]
    # A plus is read as a space, as the service reads a query.
    decoded = sorted((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in decoded)


def _payload_hash(call: Call) -> str:
    # The only other value in the description, for bodies that are not JSON.
    if call.headers.get("x-sdk-content-sha256") == "UNSIGNED-PAYLOAD":
        return "UNSIGNED-PAYLOAD"
    return hashlib.sha256(call.body).hexdigest()


def _encode(text: str) -> str:
    return quote(text, safe="~")
