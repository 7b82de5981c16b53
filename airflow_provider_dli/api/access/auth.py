# SPDX-License-Identifier: Apache-2.0
"""What proves the caller: AK/SK signature or a token, put on a request."""

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
    """Something that can vouch for a request."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        ...

    @property
    def is_signing(self) -> bool:
        """Whether the clock matters."""
        ...

    def authorise(self, request: Request, now: float) -> Request:
        """Give the request with what proves the caller; `now` is Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A credential for a while: until Unix time `expires`; for one project, where it says so."""

    credential: Credential
    expires: float = math.inf
    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """AK and SK, with the security token when they are temporary; a source of itself."""

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
        """Give itself."""
        return Lease(self)
        yield  # makes this a flow

    def authorise(self, request: Request, now: float) -> Request:
        """Sign the request, the security token included."""
        if self.security_token:
            headers = {**request.headers, "X-Security-Token": self.security_token}
            request = replace(request, headers=headers)
        return sign(request, self.access_key, self.secret_key, now)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of IAM for one project, as it is; a source of itself."""

    token: str = field(repr=False)
    is_signing = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self.token,)

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Give itself."""
        return Lease(self)
        yield  # makes this a flow

    def authorise(self, request: Request, now: float) -> Request:
        """Add the token; nothing is signed."""
        return replace(request, headers={**request.headers, "X-Auth-Token": self.token})


def sign(request: Request, access_key: str, secret_key: str, now: float) -> Request:
    """Sign method, path, query, body and all headers that the request has, at Unix time `now`.

    `Host` and `X-Sdk-Date` are added. A request is valid for 15 minutes and each retry is signed
    anew. Headers that a proxy or the HTTP library adds later (`User-Agent`, `Accept`) stay
    outside the signature, so that nobody breaks it by rewriting them.
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
    # The trailing slash belongs to the canonical form only, never to the request itself.
    segments = "/".join(encode(segment) for segment in unquote(path).split("/"))
    return segments if segments.endswith("/") else f"{segments}/"
