# SPDX-License-Identifier: Apache-2.0
"""IAM and the metadata service are asked as documented, and their answers are read unseen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from told import told

from airflow_provider_dli.api.access import iam
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.protocol.answers import RequestContext, interpret
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AuthenticationError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Call, Response

ASKED = RequestContext("GET /x", 0.0, "address https://iam.test")
TOKEN = iam.token("user", "password", "account", {"id": "p1"})
AGENCY_KEY = iam.agency_key("agency", "account", 3600)
METADATA_KEY = iam.metadata_key("session")
TOKEN_KEY = iam.token_key(3600)
KEYS = [AGENCY_KEY, METADATA_KEY, TOKEN_KEY]


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(call: Call[Any], body: Any, status: int = 201, **headers: str) -> Any:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return interpret(call, ASKED, Response(status, names, text))


def token_body(**changes: Any) -> dict[str, Any]:
    return {"token": {"expires_at": "2020-01-04T09:05:22Z", "project": {"id": "p1"}} | changes}


def key_body(**changes: Any) -> dict[str, Any]:
    fields = {"access": "canary-access", "secret": "canary-secret", "securitytoken": "canary-st"}
    return {"credential": fields | {"expires_at": "2020-01-08T02:56:19.587000Z"} | changes}


# what is asked


def test_keys_for_a_token_are_asked_for_as_documented() -> None:
    """https://support.huaweicloud.com/intl/en-us/api-iam/iam_04_0002.html."""
    asked = iam.request(TOKEN_KEY, "https://iam.test")

    assert (asked.method, asked.path) == ("POST", "/v3.0/OS-CREDENTIAL/securitytokens")
    assert json.loads(asked.body) == {
        "auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 3600}}}
    }


def test_a_password_is_sent_as_documented() -> None:
    asked = iam.request(TOKEN, "https://iam.test")

    assert (asked.method, asked.url) == (
        "POST",
        "https://iam.test/v3/auth/tokens?nocatalog=true",
    )
    assert asked.headers == {"Content-Type": "application/json"}
    user = {"name": "user", "password": "password", "domain": {"name": "account"}}
    assert json.loads(asked.body) == {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": "p1"}},
        }
    }


def test_a_password_is_sent_as_it_is() -> None:
    password = " ä包\"\\\u2028' "

    call = iam.token("user", password, "account", {"name": "eu-de"})

    sent = json.loads(call.body)["auth"]
    assert sent["identity"]["password"]["user"]["password"] == password
    assert sent["scope"] == {"project": {"name": "eu-de"}}


def test_an_agency_is_asked_for_as_documented(golden: Callable[[str], bytes]) -> None:
    call = iam.agency_key("IAMAgency", "IAMDomainA", 3600)

    assert (call.method, call.path) == ("POST", "/v3.0/OS-CREDENTIAL/securitytokens")
    assert json.loads(call.body) == json.loads(golden("doc_iam_agency_key.request"))


def test_projects_are_asked_for_by_name() -> None:
    asked = iam.request(iam.projects("eu-de"), "https://iam.test")

    assert (asked.method, asked.url) == ("GET", "https://iam.test/v3/projects?name=eu-de")
    assert asked.body == b""


def test_a_session_with_the_metadata_service_is_asked_for_as_the_vendors_sdk_does() -> None:
    asked = iam.request(iam.metadata_session(), "http://169.254.169.254", direct=True)

    assert (asked.method, asked.url) == (
        "PUT",
        "http://169.254.169.254/meta-data/latest/api/token",
    )
    assert asked.headers["X-Metadata-Token-Ttl-Seconds"] == "21600"
    assert asked.direct


@pytest.mark.parametrize(("session", "headers"), [(None, {}), ("s1", {"X-Metadata-Token": "s1"})])
def test_a_session_is_shown_to_the_metadata_service_where_there_is_one(
    session: str | None, headers: dict[str, str]
) -> None:
    asked = iam.request(iam.metadata_key(session), "http://169.254.169.254", direct=True)

    assert (asked.method, asked.path) == ("GET", "/openstack/latest/securitykey")
    assert asked.headers == {"Content-Type": "application/json", **headers}


ALL = [TOKEN, AGENCY_KEY, METADATA_KEY, iam.metadata_session(), iam.projects("eu-de")]


def test_each_of_these_calls_may_be_repeated() -> None:
    assert all(call.repeatable for call in ALL)


def test_what_answers_with_a_secret_says_so() -> None:
    assert [call.answers_secrets for call in ALL] == [True, True, True, True, False]


def test_no_call_and_no_request_shows_a_secret() -> None:
    calls = [iam.token("user", "canary", "account", {}), iam.metadata_key("canary")]

    shown = repr([*calls, *(iam.request(call, "https://iam.test") for call in calls)])

    assert "canary" not in shown


# what is answered


def test_the_documented_token_is_read(golden: Callable[[str], bytes]) -> None:
    lease = read(TOKEN, golden("doc_iam_token.response"), x_subject_token="MIIatAYJ...")

    assert lease.credential == Token("MIIatAYJ...")
    assert lease.expires == datetime(2020, 1, 4, 9, 5, 22, 701000, UTC).timestamp()
    assert lease.project_id == "aa2d97d7e62c4b7da3ffdfc11551f..."


def test_the_documented_refusal_of_a_password_is_understood(golden: Callable[[str], bytes]) -> None:
    with pytest.raises(AuthenticationError, match="The username or password is wrong") as caught:
        read(TOKEN, golden("doc_iam_wrong_password.error"), 401)

    assert (caught.value.code, caught.value.status) == ("401", 401)


@pytest.mark.parametrize("call", KEYS, ids=["agency", "metadata", "keys of a token"])
def test_the_documented_key_is_read(call: Call[Any], golden: Callable[[str], bytes]) -> None:
    lease = read(call, golden("doc_iam_agency_key.response"))

    assert lease.credential == AccessKey(
        "E6DX0TF2ZREQ4Z...", "w9ePum0qdfac39ErLD0UdjofYkqort6Iw....", "gQpjbi1ub3J0aC0..."
    )
    assert lease.expires == datetime(2020, 1, 8, 2, 56, 19, 587000, UTC).timestamp()
    assert lease.project_id is None


def test_the_documented_projects_are_read(golden: Callable[[str], bytes]) -> None:
    ids = read(iam.projects("region_name"), golden("doc_iam_projects.response"), 200)

    assert ids == ("e86737682ab64b2490c48f08bcc41914",)


@pytest.mark.parametrize("project", [None, {}, {"id": None}, "p1"])
def test_a_token_need_not_name_a_project(project: Any) -> None:
    lease = read(TOKEN, token_body(project=project), x_subject_token="t")

    assert lease.project_id is None


@pytest.mark.usefixtures("_far_from_utc")
@pytest.mark.parametrize(
    "text",
    [
        "2020-01-04T09:05:22.000000Z",
        "2020-01-04T09:05:22Z",
        "2020-01-04T09:05:22+00:00",
        "2020-01-04T17:05:22+08:00",
        "2020-01-04T09:05:22.000000",
        "2020-01-04 09:05:22",
    ],
)
def test_an_end_without_a_time_zone_is_utc(text: str) -> None:
    lease = read(TOKEN, token_body(expires_at=text), x_subject_token="t")

    assert lease.expires == datetime(2020, 1, 4, 9, 5, 22, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", [None, "", "soon", 17, [], "2020-13-04T09:05:22Z"])
@pytest.mark.parametrize(
    "call", [TOKEN, *KEYS], ids=["token", "agency", "metadata", "keys of a token"]
)
def test_an_end_that_is_no_time_is_an_unusable_answer(call: Call[Any], text: Any) -> None:
    body = token_body(expires_at=text) | key_body(expires_at=text)

    with pytest.raises(UnusableAnswerError, match="expires_at is not a time"):
        read(call, body, x_subject_token="t")


def test_projects_without_an_id_do_not_count() -> None:
    body = {"projects": [{"id": "p1"}, {"id": None}, {}, None, "p2", {"id": ""}]}

    assert read(iam.projects("eu-de"), body, 200) == ("p1",)


@pytest.mark.parametrize("body", [{}, {"projects": None}, {"projects": {}}])
def test_an_answer_without_projects_is_unusable(body: Any) -> None:
    with pytest.raises(UnusableAnswerError, match="it has no projects"):
        read(iam.projects("eu-de"), body, 200)


def test_a_session_is_plain_text() -> None:
    assert read(iam.metadata_session(), b"c2Vzc2lvbg==\n", 200) == "c2Vzc2lvbg=="


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"\xff", "ä".encode(), b"a\x00b", b"<html>\n</html>"]
)
def test_a_session_that_is_no_header_value_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableAnswerError, match="it is not a token"):
        read(iam.metadata_session(), body, 200)


# what nobody may see


CANARY = "canary-" + 400 * "z"
BROKEN: list[tuple[Call[Any], Any]] = [
    (TOKEN, {"token": CANARY}),
    (TOKEN, {"token": None, "id": CANARY}),
    (TOKEN, token_body(expires_at="never", id=CANARY)),
    (TOKEN, f'{{"token": {{"id": "{CANARY}"'.encode()),
    (TOKEN, f"<html>{CANARY}</html>".encode()),
    (TOKEN, [CANARY]),
    (TOKEN, b'{"token": "canary \xff"}'),
    *((call, key_body(securitytoken=None)) for call in KEYS),
    *((call, key_body(secret="")) for call in KEYS),
    *((call, key_body(access=[])) for call in KEYS),
    *((call, key_body(expires_at=None)) for call in KEYS),
    *((call, {"credentials": key_body()}) for call in KEYS),
    *((call, {"credential": [CANARY]}) for call in KEYS),
    *((call, {"credential": None, "secret": CANARY}) for call in KEYS),
    *((call, key_body() | {"error_code": "IAM.1", "error_msg": "no"}) for call in KEYS),
    *((call, key_body() | {"is_success": False}) for call in KEYS),
    (iam.metadata_session(), f"{CANARY}\x00".encode()),
    (iam.metadata_session(), b"canary \xff"),
]


@pytest.mark.parametrize(("call", "body"), BROKEN)
def test_an_answer_that_may_hold_a_secret_is_never_quoted(call: Call[Any], body: Any) -> None:
    headers = {"x_subject_token": CANARY}

    with pytest.raises(AnswerError) as caught:
        read(call, body, **headers)

    shown = told(caught.value) + repr(caught.value.as_dict())
    assert "canary" not in shown
    assert "zzz" not in shown


def test_a_token_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(UnusableAnswerError, match="it has no X-Subject-Token"):
        read(TOKEN, token_body())
