# SPDX-License-Identifier: Apache-2.0
"""The signature is the vendor's, for any request, and no secret shows in a repr."""

from __future__ import annotations

import hashlib
import json
import math
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.access import auth
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Lease, Token, sign
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.packages.calls import listing, show
from airflow_provider_dli.api.protocol.wire import Call, Request, encode
from airflow_provider_dli.emulator.messages import Call as Received
from airflow_provider_dli.emulator.signature import Authorization, is_genuine

NOW = 1_800_000_000.0


def signed(account: Account, call: Call[Any]) -> Request:
    credential = account.source
    assert isinstance(credential, AccessKey | Token)
    return credential.authorise(account.request(call, "p1"), NOW)


def request(**changes: Any) -> Request:
    return Request(
        **{
            "method": "GET",
            "origin": "https://dli.eu-de.otc.t-systems.com",
            "path": "/v2.0/p1/resources",
            "headers": {"Content-Type": "application/json"},
            **changes,
        }
    )


def signed_by_vendor(signed: Request, access_key: str, secret_key: str) -> str:
    """Give what the vendor's own signer writes for the headers that we signed and sent."""
    headers = {name: text for name, text in signed.headers.items() if name != "Authorization"}
    theirs = SdkRequest(
        method=signed.method,
        schema="https",
        host=signed.origin.removeprefix("https://"),
        resource_path=signed.path,
        query_params=list(signed.query),
        header_params=headers,
        body=signed.body,
    )
    Signer(BasicCredentials(access_key, secret_key)).sign(theirs)
    return str(theirs.header_params["Authorization"])


@pytest.fixture
def vector(golden: Callable[[str], bytes]) -> dict[str, Any]:
    """The example that the vendor's page on signing works through."""
    return dict(json.loads(golden("signing_doc_vector")))


def of_vector(vector: dict[str, Any]) -> tuple[Request, float]:
    date = vector["headers"].pop("X-Sdk-Date")
    at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    asked = Request(
        vector["method"],
        f"https://{vector['host']}",
        vector["path"],
        tuple((name, value) for name, value in vector["query"]),
        vector["headers"],
        vector["body"].encode(),
    )
    return asked, at.timestamp()


def test_the_documented_signature_is_computed(vector: dict[str, Any]) -> None:
    asked, now = of_vector(vector)

    signed = sign(asked, vector["ak"], vector["sk"], now)

    assert signed.headers["Authorization"] == (
        f"SDK-HMAC-SHA256 Access={vector['ak']}, SignedHeaders={vector['signed_headers']}, "
        f"Signature={vector['signature']}"
    )


def test_the_documented_canonical_request_is_hashed(vector: dict[str, Any]) -> None:
    asked, now = of_vector(vector)
    headers = dict(sign(asked, vector["ak"], vector["sk"], now).headers)
    del headers["Authorization"]

    canonical, names = auth._canonical(asked, headers)

    assert names == vector["signed_headers"]
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    assert hashed == vector["canonical_request_sha256"]


odd = "".join(map(chr, range(32, 127))) + "äéßñ包組字あ한😀\u00a0\u0301\u200b\u2028"
unusual = st.text(odd, max_size=12)
paths = st.lists(
    unusual.map(encode) | st.text(string.ascii_letters + "%+!~*'()@:&=,;.-_ 20", max_size=8),
    min_size=1,
    max_size=4,
).map(lambda segments: "/" + "/".join(segments))
header_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: (
        name.lower()
        not in {"host", "x-sdk-date", "authorization", "content-type", "x-sdk-content-sha256"}
    )
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.lists(
    st.tuples(header_names, header_values), max_size=4, unique_by=lambda header: header[0].lower()
).map(lambda pairs: {"Content-Type": "application/json", **dict(pairs)})
keys = st.text(string.ascii_letters + string.digits + "/+=", min_size=1, max_size=40)
# Few names, so that some are repeated.
queries = st.lists(
    st.tuples(unusual | st.sampled_from(["tags", "name"]), unusual | st.just("")), max_size=4
).map(tuple)
bodies = st.binary(max_size=64) | st.text(odd).map(str.encode)


@settings(database=None, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=paths,
    query=queries,
    headers=headers,
    body=bodies,
    access_key=keys,
    secret_key=keys,
    now=st.integers(0, 4_000_000_000),
)
def test_any_request_is_signed_as_the_vendor_signs_it(
    method: str,
    path: str,
    query: tuple[tuple[str, str], ...],
    headers: dict[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
    now: int,
) -> None:
    asked = request(method=method, path=path, query=query, headers=headers, body=body)

    signed = sign(asked, access_key, secret_key, now)

    assert signed.headers["Authorization"] == signed_by_vendor(signed, access_key, secret_key)


@settings(database=None, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=paths,
    query=queries,
    headers=headers,
    body=bodies,
    secret_key=keys,
    security_token=st.none() | keys,
)
def test_any_request_that_we_sign_is_genuine_for_the_emulator(
    method: str,
    path: str,
    query: tuple[tuple[str, str], ...],
    headers: dict[str, str],
    body: bytes,
    secret_key: str,
    security_token: str | None,
) -> None:
    asked = request(method=method, path=path, query=query, headers=headers, body=body)

    sent = AccessKey("AK", secret_key, security_token).authorise(asked, NOW)

    names = {name.lower(): value for name, value in sent.headers.items()}
    received = Received(sent.method, sent.path, sent.query_string, names, sent.body)
    authorization = Authorization.parse(names["authorization"])
    assert authorization is not None
    assert authorization.access_key == "AK"
    assert is_genuine(received, authorization, secret_key)
    assert not is_genuine(received, authorization, secret_key + "x")


ODD = ["", " ", "%", "%20", "+", "a+b c", "/", "~", "包/組 %2F", "😀", "a=b&c", "ä\u0301", "*'()!"]


@pytest.mark.parametrize("text", ODD)
def test_an_odd_text_in_path_query_header_and_body_is_signed_as_the_vendor_signs_it(
    text: str,
) -> None:
    query = (("tags", text), ("tags", "x"), ("tags", ""), (text, text), (text, ""))
    visible = text.encode("ascii", "ignore").decode()
    asked = request(
        method="POST",
        path=f"/v2.0/p1/{encode(text)}/{encode(text)}",
        query=query,
        headers={"Content-Type": "application/json", "X-Odd": visible, "x-Empty": ""},
        body=text.encode(),
    )

    signed = sign(asked, "AK", "SK", NOW)

    assert signed.headers["Authorization"] == signed_by_vendor(signed, "AK", "SK")


def test_signing_changes_nothing_but_the_headers() -> None:
    asked = request(method="POST", query=(("a", "b"),), body=b"{}")

    signed = sign(asked, "AK", "SK", NOW)

    assert (signed.method, signed.url, signed.body) == (asked.method, asked.url, asked.body)
    assert signed.headers.keys() - asked.headers.keys() == {"Host", "X-Sdk-Date", "Authorization"}


def test_the_date_of_the_signature_is_utc() -> None:
    assert sign(request(), "AK", "SK", NOW).headers["X-Sdk-Date"] == "20270115T080000Z"


def test_the_port_belongs_to_the_signed_host() -> None:
    signed = sign(request(origin="http://127.0.0.1:8080"), "AK", "SK", NOW)

    assert signed.headers["Host"] == "127.0.0.1:8080"


def test_a_path_with_a_slash_at_its_end_gets_no_second_one() -> None:
    one = sign(request(path="/a/"), "AK", "SK", NOW)
    other = sign(request(path="/a"), "AK", "SK", NOW)

    assert one.headers["Authorization"] == other.headers["Authorization"]
    assert (one.path, other.path) == ("/a/", "/a")


def test_an_access_key_signs() -> None:
    signed = AccessKey("AK", "SK").authorise(request(), NOW)

    assert signed == sign(request(), "AK", "SK", NOW)
    assert "X-Security-Token" not in signed.headers


def test_a_security_token_is_sent_and_signed() -> None:
    signed = AccessKey("AK", "SK", "temporary").authorise(request(), NOW)

    assert signed.headers["X-Security-Token"] == "temporary"
    assert "x-security-token" in signed.headers["Authorization"]
    assert signed.headers["Authorization"] == signed_by_vendor(signed, "AK", "SK")


def test_an_empty_security_token_is_none() -> None:
    assert "X-Security-Token" not in AccessKey("AK", "SK", "").authorise(request(), NOW).headers


def test_a_token_is_sent_and_nothing_is_signed() -> None:
    sent = Token("ready-made").authorise(request(), NOW)

    assert sent.headers == {"Content-Type": "application/json", "X-Auth-Token": "ready-made"}


@pytest.mark.parametrize(
    ("credential", "secrets"),
    [
        (AccessKey("AK", "SK"), ("AK", "SK")),
        (AccessKey("AK", "SK", "temporary"), ("AK", "SK", "temporary")),
        (Token("ready-made"), ("ready-made",)),
    ],
)
def test_a_credential_tells_what_no_log_may_show(
    credential: AccessKey | Token, secrets: tuple[str, ...]
) -> None:
    assert credential.secrets == secrets


@pytest.mark.parametrize(
    "credential", [AccessKey("AK", "hidden-1", "hidden-2"), Token("hidden-3")], ids=["key", "token"]
)
def test_no_repr_shows_a_secret(credential: AccessKey | Token) -> None:
    account = Account("https://host", "p1", credential)
    sent = signed(account, listing())

    shown = repr([credential, account, sent])

    assert "hidden" not in shown
    assert not any(
        sent.headers[name] in shown for name in sent.headers if name.startswith("X-Auth")
    )
    assert sent.headers.get("Authorization", "Signature=") not in shown


@pytest.mark.parametrize("source", [AccessKey("AK", "SK", "st"), Token("t")], ids=["key", "token"])
def test_keys_and_tokens_are_sources_of_themselves(source: AccessKey | Token) -> None:
    with pytest.raises(StopIteration) as end:
        next(source.fetch(lambda: NOW))

    assert end.value.value == Lease(source, math.inf, None)


def test_a_lease_does_not_show_its_credential() -> None:
    assert "hidden" not in repr(Lease(Token("hidden")))


# the account


def test_an_account_does_not_show_its_credential() -> None:
    assert "AK" not in repr(Account("https://host", "p1", AccessKey("AK", "SK")))


def test_by_default_certificates_are_verified_and_waiting_is_limited() -> None:
    account = Account("https://host", "p1", Token("t"))

    assert account.verify is True
    assert (account.connect_timeout, account.read_timeout) == (10.0, 60.0)


def test_a_request_of_an_account_is_addressed_to_its_project() -> None:
    account = Account("https://host", "p1", Token("t"))

    sent = signed(account, show("a b.jar", "tools"))

    assert sent.url == "https://host/v2.0/p1/resources/a%20b.jar?group=tools"
    assert (sent.method, sent.body) == ("GET", b"")
    assert sent.headers == {
        "Content-Type": "application/json",
        "X-Project-Id": "p1",
        "X-Auth-Token": "t",
    }


def test_the_project_is_signed() -> None:
    sent = signed(Account("https://host", "p1", AccessKey("AK", "SK")), listing())

    assert (
        "SignedHeaders=content-type;host;x-project-id;x-sdk-date," in sent.headers["Authorization"]
    )


@pytest.mark.parametrize(
    ("region", "where"), [("eu-de", "region eu-de"), (None, "endpoint https://host")]
)
def test_the_caller_is_connection_place_and_project(region: str | None, where: str) -> None:
    account = Account("https://host", "p1", Token("t"), Cloud.OTC, region, "dli_default")

    assert account.caller == f"connection dli_default, {where}, project p1"


def test_a_project_that_has_to_be_looked_up_is_said_to_be_the_regions() -> None:
    account = Account("https://host", None, Token("t"), Cloud.OTC, "eu-de", "dli_default")

    assert account.caller == "connection dli_default, region eu-de, the region's project"


def test_an_account_does_not_show_its_proxy() -> None:
    account = Account("https://host", "p1", Token("t"), proxy="http://u:hidden@proxy:3128")

    assert "hidden" not in repr(account) + account.caller
