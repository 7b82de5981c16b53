# SPDX-License-Identifier: Apache-2.0
"""The two signatures that OBS accepts: its own, and that of AWS S3 for other services."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import quote

from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.protocol.wire import Request, encode

UNSIGNED = "UNSIGNED-PAYLOAD"
BODY_HASH = "x-amz-content-sha256"
"""The header with the hex SHA-256 of the body, which the signature of AWS covers."""

_SUB_RESOURCES = frozenset({"delete", "partNumber", "uploadId", "uploads"})
"""Those in use here; the signature of OBS covers no other part of a query."""


def sign_obs(request: Request, key: AccessKey, bucket: str, now: float) -> Request:
    """Signs a request as OBS does, with HMAC-SHA1; `now` is in Unix seconds.

    Source: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0010.html
    """
    headers = {**request.headers, "x-obs-date": formatdate(now, usegmt=True)}
    if key.security_token:
        headers["x-obs-security-token"] = key.security_token
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    own = sorted(name for name in lowered if name.startswith("x-obs-"))
    lines = [
        request.method,
        lowered.get("content-md5", ""),
        lowered.get("content-type", ""),
        "",  # x-obs-date replaces Date
        *(f"{name}:{lowered[name]}" for name in own),
        _resource(request, bucket),
    ]
    digest = hmac.digest(key.secret_key.encode(), "\n".join(lines).encode(), "sha1")
    headers["Authorization"] = f"OBS {key.access_key}:{base64.b64encode(digest).decode()}"
    return replace(request, headers=headers)


def _resource(request: Request, bucket: str) -> str:
    """Returns the bucket, the encoded key, and the sub-resources of the query."""
    host = request.origin.partition("://")[2]
    path = f"/{bucket}{request.path}" if host.startswith(f"{bucket}.") else request.path
    named = [
        name if value is None else f"{name}={value}"
        for name, value in sorted(request.query, key=lambda pair: pair[0])
        if name in _SUB_RESOURCES
    ]
    return f"{path}?{'&'.join(named)}" if named else path


def sign_v4(request: Request, key: AccessKey, region: str, now: float) -> Request:
    """Signs a request with all its headers as AWS does for S3; `now` is in Unix seconds.

    The body is not signed if the request has no hash of it (`BODY_HASH`).
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {BODY_HASH: UNSIGNED, **request.headers}
    headers |= {"host": request.origin.partition("://")[2], "x-amz-date": time}
    if key.security_token:
        headers["x-amz-security-token"] = key.security_token
    lowered = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in lowered)
    canonical = [
        request.method,
        request.path,
        _canonical_query(request),
        *(f"{name}:{value}" for name, value in lowered),
        "",
        names,
        headers[BODY_HASH],
    ]
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}"
    signing_key = _signing_key(key.secret_key, time[:8], region)
    signature = hmac.digest(signing_key, to_sign.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key}/{scope},SignedHeaders={names},"
        f"Signature={signature}"
    )
    return replace(request, headers=headers)


def _canonical_query(request: Request) -> str:
    pairs = sorted((encode(name), encode(value or "")) for name, value in request.query)
    return "&".join(f"{name}={value}" for name, value in pairs)


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for text in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, text.encode(), "sha256")
    return key


def encoded_key(key: str) -> str:
    """Returns a key percent-encoded for a path."""
    return quote(key, safe="/~")
