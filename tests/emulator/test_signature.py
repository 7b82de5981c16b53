# SPDX-License-Identifier: Apache-2.0
"""The signature is verified as the public description has it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dli.emulator.messages import Call
from airflow_provider_dli.emulator.signature import (
    Authorization,
    canonical_request,
    is_genuine,
    sign,
)

VECTOR = json.loads(
    (Path(__file__).parent.parent / "golden" / "signing_doc_vector.json").read_text("utf-8")
)
DATE = "20191115T033655Z"


def documented_call() -> Call:
    headers = {name.lower(): value for name, value in VECTOR["headers"].items()}
    return Call(
        VECTOR["method"],
        VECTOR["path"],
        urlencode(dict(VECTOR["query"])),
        {"host": VECTOR["host"], **headers},
        VECTOR["body"].encode(),
    )


def test_the_published_example_comes_out_exactly():
    names = tuple(VECTOR["signed_headers"].split(";"))

    canonical = canonical_request(documented_call(), names)

    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert digest == VECTOR["canonical_request_sha256"]
    assert sign(documented_call(), names, VECTOR["sk"]) == VECTOR["signature"]


def test_the_published_example_counts_as_genuine_with_its_key_only():
    authorization = Authorization.parse(
        f"SDK-HMAC-SHA256 Access={VECTOR['ak']}, SignedHeaders={VECTOR['signed_headers']}, "
        f"Signature={VECTOR['signature']}"
    )

    assert is_genuine(documented_call(), authorization, VECTOR["sk"])
    assert not is_genuine(documented_call(), authorization, VECTOR["sk"] + "x")


SEGMENTS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=4)
PAIRS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))
)


@given(segments=SEGMENTS, query=PAIRS, body=st.binary(max_size=50), method=st.sampled_from("GP"))
def test_whatever_the_vendors_signer_signs_is_genuine(segments, query, body, method):
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    signed = Signer(BasicCredentials("AK", "SK", "-")).sign(
        SdkRequest(
            method=method,
            host="dli.example.com",
            resource_path=path,
            query_params=list(query.items()),
            header_params={"X-Sdk-Date": DATE, "Content-Type": "application/json"},
            body=body,
        )
    )
    raw_path, _, raw_query = signed.uri.partition("?")
    headers = {name.lower(): value for name, value in signed.header_params.items()}

    call = Call(method, raw_path, raw_query, headers, body)

    assert is_genuine(call, Authorization.parse(headers["authorization"]), "SK")


def genuine(call: Call, names=("host", "x-sdk-date"), *, original: Call) -> bool:
    return is_genuine(call, Authorization("AK", names, sign(original, names, "SK")), "SK")


HEADERS = {"host": "dli.example.com", "x-sdk-date": DATE}
ORIGINAL = Call("POST", "/v2.0/p/resources", "kind=jar&tags=a%20b", HEADERS, b"{}")


@pytest.mark.parametrize(
    "changed",
    [
        Call("PUT", ORIGINAL.raw_path, ORIGINAL.raw_query, HEADERS, b"{}"),
        Call("POST", "/v2.0/q/resources", ORIGINAL.raw_query, HEADERS, b"{}"),
        Call("POST", ORIGINAL.raw_path, "kind=jar", HEADERS, b"{}"),
        Call("POST", ORIGINAL.raw_path, ORIGINAL.raw_query, {**HEADERS, "host": "x"}, b"{}"),
        Call("POST", ORIGINAL.raw_path, ORIGINAL.raw_query, HEADERS, b"{ }"),
        Call("POST", ORIGINAL.raw_path, ORIGINAL.raw_query, HEADERS, b""),
    ],
    ids=["method", "path", "query", "header", "body", "no body"],
)
def test_a_call_that_was_changed_on_its_way_is_not_genuine(changed):
    assert not genuine(changed, original=ORIGINAL)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2.0/p/resources/", "kind=jar&tags=a%20b"),
        ("/v2.0/p/resources", "tags=a%20b&kind=jar"),
        ("/v2.0/p/resources", "kind=jar&tags=a+b"),
        ("/v2.0/%70/resources", "kind=jar&&tags=a%20b"),
    ],
    ids=["closing slash", "order of the query", "plus for a blank", "needless encoding"],
)
def test_another_spelling_of_the_same_call_is_genuine(path, query):
    assert genuine(Call("POST", path, query, HEADERS, b"{}"), original=ORIGINAL)


def test_an_unsigned_payload_may_differ():
    headers = {**HEADERS, "x-sdk-content-sha256": "UNSIGNED-PAYLOAD"}
    names = (*HEADERS, "x-sdk-content-sha256")

    changed, original = (Call("POST", "/", "", headers, body) for body in (b"a", b"b"))

    assert genuine(changed, names, original=original)


def test_a_signature_that_leaves_the_date_out_is_not_genuine():
    assert not genuine(ORIGINAL, ("host",), original=ORIGINAL)


def test_a_signed_header_that_is_missing_makes_the_call_not_genuine():
    original = Call("GET", "/", "", {**HEADERS, "x-extra": "1"})

    assert not genuine(Call("GET", "/", "", HEADERS), ("x-extra", "x-sdk-date"), original=original)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        f"SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature={'g' * 64}",
        f"SDK-HMAC-SHA256 Access=AK, Signature={'a' * 64}",
        f"V11-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature={'a' * 64}",
    ],
)
def test_an_authorization_of_another_form_is_not_understood(header):
    assert Authorization.parse(header) is None
