# SPDX-License-Identifier: Apache-2.0
"""Authenticates requests, with an AK/SK signature or a token."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import unquote

from airflow_provider_dli.api.protocol.wire import Flow, Request, encode

ALGORITHM = "SDK-HMAC-SHA256"


class Credential(Protocol):
    """Authenticates a request."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in logs or errors."""
        ...

    @property
    def is_signing(self) -> bool:
        """Whether requests are signed, so that the clock has to be right."""
        ...

    def authorise(self, request: Request, now: float) -> Request:
        """Returns the request with its credentials added; `now` is in Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A credential that is valid until Unix time `expires`, and for one project if that is set."""

    credential: Credential
    expires: float = math.inf
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """AK and SK, with a security token if they are temporary; also a `Source` of itself."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    is_signing = True

    @property
    def secrets(self) -> tuple[str, ...]:
        """Access key, secret key and security token."""
        keys = (self.access_key, self.secret_key)
        return (*keys, self.security_token) if self.security_token else keys

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Returns itself, without a request."""
        return Lease(self)
        yield  # makes this function a generator

    def authorise(self, request: Request, now: float) -> Request:
        """Signs the request, including the security token."""
        if self.security_token:
            headers = {**request.headers, "X-Security-Token": self.security_token}
            request = replace(request, headers=headers)
        return sign(request, self.access_key, self.secret_key, now)


@dataclass(frozen=True, slots=True)
class Token:
    """An IAM token for one project; also a `Source` of itself."""

    token: str = field(repr=False)
    is_signing = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self.token,)

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Returns itself, without a request."""
        return Lease(self)
        yield  # makes this function a generator

    def authorise(self, request: Request, now: float) -> Request:
        """Adds the token; nothing is signed."""
        return replace(request, headers={**request.headers, "X-Auth-Token": self.token})


def sign(request: Request, access_key: str, secret_key: str, now: float) -> Request:
    """Signs method, path, query, body and all headers of the request, at Unix time `now`.

    Adds `Host` and `X-Sdk-Date`. A signature is valid for 15 minutes, so each retry is signed
    again. Headers that a proxy or the HTTP library adds later (`User-Agent`, `Accept`) are not
    covered, so rewriting them does not break the signature.
    Source: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm-002.html
    """
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    host = request.origin.split("://", 1)[1]
    headers = {**request.headers, "Host": host, "X-Sdk-Date": date}
    canonical, signed_names = _canonical(request, headers)
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"{ALGORITHM} Access={access_key}, SignedHeaders={signed_names}, Signature={signature}"
    )
    return replace(request, headers=headers)


def _canonical(request: Request, headers: dict[str, str]) -> tuple[str, str]:
    lowered = sorted((name.lower(), value.strip()) for name, value in headers.items())
    signed_names = ";".join(name for name, _ in lowered)
    lines = [
        request.method,
        _canonical_path(request.path),
        request.query_string,
        *(f"{name}:{value}" for name, value in lowered),
        "",
        signed_names,
        hashlib.sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines), signed_names


def _canonical_path(path: str) -> str:
    # The trailing slash is part of the canonical form only, not of the request itself.
    segments = "/".join(encode(segment) for segment in unquote(path).split("/"))
    return segments if segments.endswith("/") else f"{segments}/"
