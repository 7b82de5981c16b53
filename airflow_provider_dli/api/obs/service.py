# SPDX-License-Identifier: Apache-2.0
"""OBS as a service: the addresses of buckets, the source of keys, and the signature."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Credential, Token
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.access.service import Service
from airflow_provider_dli.api.access.sources import Password, TokenKeys
from airflow_provider_dli.api.obs.refusals import NO_DOTS
from airflow_provider_dli.api.obs.signatures import encoded_key, sign_obs, sign_v4
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.api.protocol.wire import Call, Request

_ANY_REGION = "us-east-1"
"""The region that other services of this kind accept if the connection has none."""


def endpoint_of(account: Account) -> str:
    """Returns the address of OBS; raises `InputError` if the connection does not define it."""
    if account.obs_origin is None:
        field = f"connection {account.conn_id!r}: obs_endpoint"
        raise InputError(field, None, "set it, or cloud and region, from which it is derived")
    return account.obs_origin


def is_obs_itself(endpoint: str) -> bool:
    """Whether an address is one of OBS; other services support only the signature of AWS."""
    return (urlsplit(endpoint).hostname or "").startswith("obs.")


def bucket_origin(endpoint: str, bucket: str) -> str:
    """Returns the address of a bucket, which is a host of its own in OBS.

    Raises `InputError` for a bucket with a dot in OBS over TLS.
    """
    if not is_obs_itself(endpoint):
        return endpoint
    scheme, _, host = endpoint.partition("://")
    if "." in bucket and scheme == "https":
        raise InputError("bucket", bucket, NO_DOTS)
    return f"{scheme}://{bucket}.{host}"


def signs_bodies(account: Account) -> bool:
    """Whether the signature covers the SHA-256 of a body; otherwise Content-MD5 is sent."""
    return not is_obs_itself(endpoint_of(account))


def _source(account: Account) -> Source:
    """Returns the source of the keys: OBS does not accept tokens."""
    if not isinstance(account.source, Password | Token):
        return account.source
    if account.iam_origin is None:
        rule = "OBS does not accept tokens; set it, or cloud and region, to get keys from IAM"
        raise InputError(f"connection {account.conn_id!r}: iam_endpoint", None, rule)
    return TokenKeys(account.iam_origin, account.source)


def _request(account: Account, call: Call[Any], _: str) -> Request:
    """Returns the request for a call, whose path is `/bucket/key` in plain text."""
    endpoint = endpoint_of(account)
    bucket, slash, key = call.path.removeprefix("/").partition("/")
    path = f"/{encoded_key(key)}" if slash else "/"
    origin = bucket_origin(endpoint, bucket)
    if origin == endpoint:
        path = f"/{bucket}{path}" if slash else f"/{bucket}"
    return Request(
        call.method,
        origin,
        path,
        call.query,
        _spelt(call.headers, is_obs_itself(endpoint)),
        call.body,
        is_bulk=call.is_bulk,
        subject=f"{bucket}/{key}".rstrip("/"),
    )


def _spelt(headers: Any, is_obs: bool) -> dict[str, str]:
    """Returns headers with the names of the service; calls use those of AWS."""
    if not is_obs:
        return dict(headers)
    return {name.replace("x-amz-", "x-obs-"): value for name, value in headers.items()}


def _authorise(account: Account, keys: Credential, request: Request, at: float) -> Request:
    if not isinstance(keys, AccessKey):  # the source of OBS issues keys only
        raise TypeError(f"OBS does not accept a {type(keys).__name__}")
    if signs_bodies(account):
        return sign_v4(request, keys, account.region or _ANY_REGION, at)
    return sign_obs(request, keys, request.subject.partition("/")[0], at)


OBS = Service(
    name="OBS",
    has_projects=False,
    source=_source,
    request=_request,
    authorise=_authorise,
    caller=lambda account: f"{account.caller}, OBS at {account.obs_origin}",
)
