# SPDX-License-Identifier: Apache-2.0
"""The signatures for OBS are the vendor's, for any request that may be made of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from obs import CompletePart, GetObjectHeader, ObsClient
from obs.auth import V4Authentication

from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.obs.signatures import sign_obs, sign_v4
from airflow_provider_dli.api.protocol.wire import Request

NOW = 1_800_000_000.0
REGION = "eu-de"
KEY = AccessKey("ACCESSKEY1", "canary-secret-key")
TEMPORARY = replace(KEY, security_token="canary-security-token")
BUCKET = "bucket-1"
BY_SIGNER = {
    "host",
    "authorization",
    "x-amz-date",
    "x-obs-date",
    "x-amz-security-token",
    "x-obs-security-token",
    "x-amz-content-sha256",
}
"""Headers that a signer adds."""


@dataclass(frozen=True)
class Made:
    """A request as the vendor's client would have sent it; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers["Authorization"]


class Witness(ObsClient):  # type: ignore[misc]  # it has no types
    """The vendor's client, which makes and signs requests, and here sends none of them."""

    def __init__(self, key: AccessKey, origin: str, *, signature: str, path_style: bool) -> None:
        parts = urlsplit(origin)
        super().__init__(
            access_key_id=key.access_key,
            secret_access_key=key.secret_key,
            security_token=key.security_token,
            server=parts.hostname,
            port=parts.port or {"http": 80, "https": 443}[parts.scheme],
            is_secure=False,  # the signature does not cover the scheme
            signature=signature,
            region=REGION,
            path_style=path_style,
            is_signature_negotiation=False,
            max_retry_count=0,
        )
        self.made: list[Made] = []

    def _add_auth_headers(self, headers: dict[str, str], *request: Any, **options: Any) -> Any:
        # Else it takes the time of this machine.
        at = datetime.fromtimestamp(NOW, UTC)
        date = (
            at.strftime("%Y%m%dT%H%M%SZ")
            if self.signature == "v4"
            else formatdate(NOW, False, True)
        )
        headers[self.ha.date_header()] = date
        return super()._add_auth_headers(headers, *request, **options)

    def _send_request(
        self,
        server: str,
        method: str,
        path: str,
        header: Mapping[str, str],
        entity: bytes | None = None,
        *_: Any,
        **__: Any,
    ) -> None:
        headers = {name: str(value) for name, value in header.items()}
        self.made.append(Made(method, path, headers, entity or b""))


@dataclass(frozen=True)
class Asked:
    """What is asked, before anybody encodes it; a sub-resource without a value has `None`."""

    method: str
    key: str
    query: Mapping[str, str | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


STYLES = {
    "OBS": ("obs", "https://obs.example.com", False),
    "OBS at a port": ("obs", "http://obs.example.com:8080", False),
    "V4 in the host": ("v4", "https://obs.example.com", False),
    "V4 in the path": ("v4", "https://store.example.com", True),
    "V4 at a port": ("v4", "http://127.0.0.1:9000", True),
}
"""Signature, address, and whether the bucket is in the path: there the vendor's client never uses
OBS's own signature."""


def vendors(asked: Asked, key: AccessKey, style: str) -> Made:
    """Let the vendor's client make the request."""
    client = witness(key, style)
    client._make_request_internal(
        asked.method, BUCKET, asked.key, dict(asked.query), dict(asked.headers), asked.body or None
    )
    return client.made[0]


def witness(key: AccessKey, style: str) -> Witness:
    signature, origin, path_style = STYLES[style]
    return Witness(key, origin, signature=signature, path_style=path_style)


def ours(asked: Asked, headers: Mapping[str, str], key: AccessKey, style: str) -> Request:
    """Sign the same, with the headers that are sent as well and no signer adds."""
    _, origin, path_style = STYLES[style]
    path = f"/{quote(asked.key, safe='/~')}" if asked.key else ""
    if path_style:
        path = f"/{BUCKET}{path}"
    else:
        scheme, _, host = origin.partition("://")
        origin = f"{scheme}://{BUCKET}.{host}"
    query = tuple(asked.query.items())
    request = Request(asked.method, origin, path or "/", query, headers, asked.body)
    return signed_in(style, request, key)


def signed_in(style: str, request: Request, key: AccessKey) -> Request:
    if STYLES[style][0] == "v4":
        return sign_v4(request, key, REGION, NOW)
    return sign_obs(request, key, BUCKET, NOW)


def others(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers that no signer adds."""
    return {name: text for name, text in headers.items() if name.lower() not in BY_SIGNER}


def low(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# generated

# Of what no key can have, surrogates are text for Python alone.
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
odd_keys = st.one_of(keys, st.text(" +%?~/#&=;:,@!$'()*[]üa1漢👍", min_size=1, max_size=20))
names = st.from_regex(r"x-(amz|obs)-meta-[a-z0-9-]{1,12}", fullmatch=True)
words = st.lists(
    st.text("abcXYZ019-_.~:/?=+,;@ü漢%", min_size=1, max_size=9), min_size=1, max_size=3
)
values = words.map(" ".join)
sub_resources = st.one_of(
    st.just({}),
    st.just({"uploads": None}),
    st.just({"delete": None}),
    st.fixed_dictionaries({"uploadId": odd_keys}),
    st.fixed_dictionaries({"uploadId": odd_keys, "partNumber": st.integers(1, 10_000).map(str)}),
    st.dictionaries(
        st.sampled_from(["prefix", "marker", "delimiter", "max-keys", "encoding-type"]), odd_keys
    ),
    st.fixed_dictionaries({"uploads": st.none(), "prefix": odd_keys, "key-marker": odd_keys}),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/xml", "text/plain; charset=utf-8"]),
        "Content-MD5": st.just("1B2M2Y8AsgTpgAmY7PhCfg=="),
        "Range": st.just("bytes=100-199"),
        "If-Match": st.just('"c3cd26e07e"'),
    },
)
requests = st.builds(
    lambda method, key, query, told, meta, body: Asked(method, key, query, told | meta, body),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.one_of(st.just(""), odd_keys),
    sub_resources,
    headers,
    st.dictionaries(names, values, max_size=3),
    st.sampled_from([b"", b"some bytes"]),
)


@pytest.mark.parametrize("style", STYLES)
@given(asked=requests, key=st.sampled_from([KEY, TEMPORARY]))
@example(asked=Asked("GET", ""), key=KEY)
@example(asked=Asked("GET", "/a//b/./c"), key=KEY)
@example(asked=Asked("PUT", "a b+c/ü&%41~x?y", {"partNumber": "1", "uploadId": "u/+="}), key=KEY)
@example(
    asked=Asked("POST", "a", {"uploads": None}, {"x-obs-meta-sha256": "0" * 64}), key=TEMPORARY
)
def test_the_signature_is_the_vendor_s(asked: Asked, key: AccessKey, style: str) -> None:
    theirs = vendors(asked, key, style)

    signed = ours(asked, others(theirs.headers), key, style)

    assert signed.headers["Authorization"] == theirs.authorization


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=50)
@given(asked=requests, key=st.sampled_from([KEY, TEMPORARY]))
def test_a_signed_request_says_what_the_vendor_s_says(
    asked: Asked, key: AccessKey, style: str
) -> None:
    theirs = vendors(asked, key, style)

    signed = ours(asked, others(theirs.headers), key, style)

    # The host is in the address, from which whoever sends takes it.
    assert low(signed.headers) | {"host": ""} == low(theirs.headers) | {"host": ""}
    assert signed.origin.partition("://")[2] == theirs.headers["Host"]
    path, _, query = theirs.target.partition("?")
    assert signed.path == path
    assert sorted(query_of(signed.query_string)) == sorted(query_of(query))


def query_of(text: str) -> list[tuple[str, str, bool]]:
    """Give names, values and whether there is a sign between them."""
    parts = [part for part in text.split("&") if part]
    return [(*parse_qsl(part, keep_blank_values=True)[0], "=" in part) for part in parts]


@pytest.mark.parametrize("style", [style for style in STYLES if style.startswith("V4")])
@settings(max_examples=50)
@given(asked=requests, key=st.sampled_from([KEY, TEMPORARY]))
def test_the_signature_is_the_vendor_s_also_over_the_hash_of_a_body(
    asked: Asked, key: AccessKey, style: str
) -> None:
    """The vendor's client never signs a body: its signer is given the hash that we say."""
    told = {**others(vendors(asked, key, style).headers), "x-amz-content-sha256": digest(asked)}

    signed = ours(asked, told, key, style)

    at = datetime.fromtimestamp(NOW, UTC)
    signer = V4Authentication(
        key.access_key,
        key.secret_key,
        REGION,
        at.strftime("%Y%m%d"),
        at.strftime("%Y%m%dT%H%M%SZ"),
        STYLES[style][2],
        witness(key, style).ha,
    )
    signer.CONTENT_SHA256 = digest(asked)
    sent = {name: text for name, text in signed.headers.items() if name != "Authorization"}
    theirs = signer.doAuth(asked.method, BUCKET, asked.key, dict(asked.query), sent)
    assert low(signed.headers)["x-amz-content-sha256"] == digest(asked)
    assert signed.headers["Authorization"] == theirs["Authorization"]


def digest(asked: Asked) -> str:
    return hashlib.sha256(asked.body).hexdigest()


# what the client itself asks

CALLS: dict[str, Callable[[Any], object]] = {
    "put": lambda client: client.putContent(
        BUCKET, "a b/ü.jar", content=b"x", metadata={"sha256": "0" * 64}
    ),
    "get": lambda client: client.getObject(BUCKET, "a+b%41~", headers=GetObjectHeader(range="5-9")),
    "head": lambda client: client.getObjectMetadata(BUCKET, "a?b#c"),
    "head bucket": lambda client: client.headBucket(BUCKET),
    "list": lambda client: client.listObjects(
        BUCKET, prefix="a b/ü&", marker="a b/ü&+", max_keys=1000, delimiter="/"
    ),
    "delete many": lambda client: client.deleteObjects(
        BUCKET, {"quiet": True, "objects": [{"key": "a&b"}, {"key": "ü"}]}
    ),
    "copy": lambda client: client.copyObject("bucket-2", "a b/ü+%41", BUCKET, "to here"),
    "begin": lambda client: client.initiateMultipartUpload(BUCKET, "ü", metadata={"sha256": "1"}),
    "part": lambda client: client.uploadPart(BUCKET, "ü", 7, "id-1.x_y~", content=b"part"),
    "list uploads": lambda client: client.listMultipartUploads(BUCKET, {"prefix": "a b"}),
    "list parts": lambda client: client.listParts(
        BUCKET, "ü", "id-1", maxParts=1000, partNumberMarker=5
    ),
    "complete": lambda client: client.completeMultipartUpload(
        BUCKET, "ü", "id-1", {"parts": [CompletePart(1, '"e"')]}
    ),
    "abort": lambda client: client.abortMultipartUpload(BUCKET, "ü", "id-1"),
}


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["keys", "temporary keys"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("call", CALLS)
def test_what_the_vendor_s_client_asks_has_our_signature(
    call: str, style: str, key: AccessKey
) -> None:
    client = witness(key, style)
    # There is no answer, of which it complains, each method in its own words.
    with suppress(Exception):
        CALLS[call](client)
    (theirs,) = client.made
    path, _, query = theirs.target.partition("?")
    request = Request(
        theirs.method,
        f"https://{theirs.headers['Host']}",
        path,
        tuple((name, value if is_told else None) for name, value, is_told in query_of(query)),
        others(theirs.headers),
        theirs.body,
    )

    signed = signed_in(style, request, key)

    assert signed.headers["Authorization"] == theirs.authorization


# what the pages of the services say


def test_the_signature_is_that_of_the_example_of_aws() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    key = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    empty = hashlib.sha256(b"").hexdigest()
    request = Request(
        "GET",
        "https://examplebucket.s3.amazonaws.com",
        "/test.txt",
        headers={"Range": "bytes=0-9", "x-amz-content-sha256": empty},
    )
    at = datetime(2013, 5, 24, tzinfo=UTC).timestamp()

    signed = sign_v4(request, key, "us-east-1", at)

    assert re.sub(r",\s+", ",", signed.headers["Authorization"]) == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize("style", STYLES)
def test_nothing_of_what_was_given_is_changed(style: str) -> None:
    headers: dict[str, str] = {"Content-Type": "text/plain"}
    request = Request("PUT", STYLES[style][1], "/k", headers=headers, body=b"x")

    signed = signed_in(style, request, TEMPORARY)

    assert headers == {"Content-Type": "text/plain"}
    assert "canary-secret-key" not in str(signed.headers)
    assert (signed.method, signed.path, signed.body) == ("PUT", "/k", b"x")
    assert "canary" not in repr(signed)
