"""An Airflow connection becomes an account, or one sentence that names the wrong field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from airflow.providers.common.compat.sdk import BaseHook, Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.access.sources import Agency, Metadata, Password
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.connection import account_from

# Airflow 2.11 warns of such an extra, Airflow 3 keeps silent.
pytestmark = pytest.mark.filterwarnings("ignore:Encountered")

COMPLETE = {"cloud": "otc", "region": "eu-de", "project_id": "p1"}


def read(
    extra: dict[str, Any] | str | None = None,
    login: str | None = "AK",
    password: str | None = "canary-secret",  # noqa: S107  # opens nothing
    **overrides: Any,
) -> Account:
    text = json.dumps(COMPLETE | extra) if isinstance(extra, dict) else extra
    connection = Connection(
        conn_id="my_dli", conn_type="dli", login=login, password=password, extra=text
    )
    return account_from(connection, **overrides)


def test_all_fields_of_the_connection_reach_the_account(tmp_path: Path) -> None:
    account = read(
        {
            "security_token": "st",
            "ca_bundle": str(tmp_path),
            "connect_timeout": 3,
            "read_timeout": "7.5",
        }
    )

    assert account == Account(
        origin="https://dli.eu-de.otc.t-systems.com",
        project_id="p1",
        source=AccessKey("AK", "canary-secret", "st"),
        cloud=Cloud.OTC,
        region="eu-de",
        conn_id="my_dli",
        verify=str(tmp_path),
        connect_timeout=3.0,
        read_timeout=7.5,
        iam_origin="https://iam.eu-de.otc.t-systems.com",
        obs_origin="https://obs.eu-de.otc.t-systems.com",
    )


def test_tls_is_verified_and_every_call_bounded_by_default() -> None:
    account = read({})

    assert account.verify is True
    assert (account.connect_timeout, account.read_timeout) == (10.0, 60.0)


def test_region_and_project_of_the_hook_win() -> None:
    account = read({}, region="eu-nl", project_id="p2")

    assert account.origin == "https://dli.eu-nl.otc.t-systems.com"
    assert account.project_id == "p2"


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n"])
@pytest.mark.parametrize("field", ["region", "project_id"])
def test_blanks_in_place_of_region_or_project_leave_the_connections(
    field: str, nothing: str | None
) -> None:
    """Such as a template gives that rendered nothing."""
    assert read({}, **{field: nothing}) == read({})


@pytest.mark.parametrize("word", ["None", "none", "null", " NULL "])
@pytest.mark.parametrize("field", ["region", "project_id"])
def test_a_template_that_rendered_nothing_is_named(field: str, word: str) -> None:
    with pytest.raises(InputError, match=f"^{field} is '{word}': a template rendered nothing; "):
        read({}, **{field: word})
    # Of the connection it is trimmed as ever.
    words = f"^connection 'my_dli': {field} is '{word.strip()}': a template rendered nothing"
    with pytest.raises(InputError, match=words):
        read({field: word})


def test_a_token_needs_no_key_pair() -> None:
    assert read({"auth_token": "t0"}, login=None, password=None).source == Token("t0")


def test_an_endpoint_needs_neither_cloud_nor_region() -> None:
    extra = json.dumps({"project_id": "p1", "endpoint": "https://dli.example.com/"})

    account = read(extra)

    assert (account.origin, account.cloud, account.region) == (
        "https://dli.example.com",
        None,
        None,
    )
    assert "endpoint https://dli.example.com" in account.caller


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://DLI.Example.com:443", "https://dli.example.com"),
        ("http://127.0.0.1:9099", "http://127.0.0.1:9099"),
        ("http://[::1]:9099/", "http://[::1]:9099"),
        (" https://dli.example.com:8443 ", "https://dli.example.com:8443"),
    ],
)
def test_an_endpoint_becomes_the_host_that_is_sent_and_signed(endpoint: str, origin: str) -> None:
    assert read({"endpoint": endpoint}).origin == origin


def test_blanks_around_values_are_trimmed() -> None:
    account = read({"region": " eu-de\n", "cloud": " OTC "}, login=" AK ", password="sk\n")

    assert account.region == "eu-de"
    assert account.source == AccessKey("AK", "sk")


@pytest.mark.parametrize(
    ("extra", "login", "password", "field"),
    [
        (None, "AK", "SK", "cloud is missing"),
        ({"cloud": None}, "AK", "SK", "cloud is missing"),
        ({"region": ""}, "AK", "SK", "region is missing"),
        (
            {"project_id": " ", "cloud": None, "endpoint": "https://dli.example.com"},
            "AK",
            "SK",
            "project_id is missing",
        ),
        ({}, None, "SK", "login is missing"),
        ({}, "AK", "", "password is missing"),
        ({}, " ", "SK", "login is missing"),
    ],
)
def test_a_missing_field_is_named(
    extra: dict[str, Any] | None, login: str | None, password: str | None, field: str
) -> None:
    with pytest.raises(InputError, match=f"connection 'my_dli': {field}"):
        read(extra, login, password)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"cloud": "aws"}, "cloud is 'aws': use huawei or otc"),
        ({"cloud": 1}, "cloud is 1: give text"),
        ({"region": "eu de"}, "region is 'eu de'"),
        ({"region": "evil.example.com/"}, "region is 'evil"),
        ({"project_id": "a/b"}, "project_id is 'a/b'"),
        ({"auth_type": "saml"}, "auth_type is 'saml': use keys or password or token or metadata"),
        ({"iam_endpoint": "iam.example.com"}, "iam_endpoint is 'iam.example.com': give scheme"),
        ({"iam_endpoint": "https://iam.example.com/v3"}, "iam_endpoint is .*without a path"),
        ({"obs_endpoint": "obs.example.com"}, "obs_endpoint is 'obs.example.com': give scheme"),
        ({"obs_endpoint": "https://obs.example.com/b"}, "obs_endpoint is .*without a path"),
        (
            {"obs_endpoint": "https://bucket.obs.eu-de.otc.t-systems.com"},
            "obs_endpoint is .*: leave out the bucket",
        ),
        (
            {"auth_type": "metadata", "metadata_endpoint": "169.254.169.254"},
            "metadata_endpoint is '169.254.169.254': give scheme",
        ),
        ({"verify": "0"}, "verify is '0': use true or false"),
        ({"verify": 0}, "verify is 0: use true or false"),
        ({"verify": 1}, "verify is 1: use true or false"),
        ({"verify": "yes"}, "verify is 'yes': use true or false"),
        ({"verify": "off"}, "verify is 'off': use true or false"),
        ({"verify": ["true"]}, r"verify is \['true'\]: use true or false"),
        ({"verify": False, "ca_bundle": "/etc"}, "verify is False: with a ca_bundle, certificates"),
        ({"connect_timeout": 10**400}, "connect_timeout is 1000.*give a positive number"),
        ({"endpoint": "dli.example.com"}, "endpoint is 'dli.example.com': give scheme and host"),
        ({"endpoint": "ftp://dli.example.com"}, "endpoint is 'ftp"),
        ({"endpoint": "https://dli.example.com/v2.0"}, "endpoint is .*without a path"),
        ({"endpoint": "https://dli.example.com?x=1"}, "endpoint is "),
        ({"endpoint": "https://dli.example.com:port"}, "endpoint is "),
        ({"ca_bundle": "/nowhere/ca.pem"}, "ca_bundle is '/nowhere/ca.pem': there is no such"),
        ({"connect_timeout": 0}, "connect_timeout is 0: give a positive number"),
        ({"read_timeout": "soon"}, "read_timeout is 'soon'"),
        ({"read_timeout": True}, "read_timeout is True"),
        ({"read_timeout": "inf"}, "read_timeout is 'inf'"),
        ({"read_timeout": [1]}, r"read_timeout is \[1\]"),
        ("not json", "extra is .*give a JSON object"),
        ("[1]", "extra is .*give a JSON object"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_rule(
    extra: dict[str, Any] | str, message: str
) -> None:
    with pytest.raises(InputError, match=f"connection 'my_dli': {message}"):
        read(extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"auth_token": "canary token"},
        {"security_token": "canary\ttoken"},
        {"auth_token": {"canary": 1}},
        {"endpoint": "https://user:canary@dli.example.com"},
        {"endpoint": "https://user:canary@dli.example.com:port"},
        {"endpoint": {"url": "https://user:canary@dli.example.com"}},
        {"iam_endpoint": "https://user:canary@iam.example.com"},
        {"auth_type": "metadata", "metadata_endpoint": "http://user:canary@169.254.169.254"},
        {"proxy": "user:canary@proxy.example"},
        {"proxy": "http://user:canary@proxy.example"},
        {"proxy": "socks5://user:canary@proxy.example:1080"},
        {"proxy": "http://user:canary@proxy.example:port"},
        {"proxy": "http://user:canary@proxy.example:99999"},
        {"proxy": "http://user:canary@:3128"},
        {"proxy": "http://user:canary@proxy example:3128"},
        {"proxy": "http://user:canary @proxy.example:3128"},
        {"proxy": "http://[user:canary@proxy.example:3128"},
        {"proxy": {"https": "http://user:canary@proxy.example:3128"}},
        {"proxy": ["http://user:canary@proxy.example:3128"]},
        '{"auth_token": "canary"',
    ],
)
def test_a_wrong_secret_is_named_but_never_shown(extra: dict[str, Any] | str) -> None:
    with pytest.raises(InputError) as caught:
        read(extra)

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__}"


@pytest.mark.parametrize("field", ["proxy", "auth_token", "security_token", "endpoint", "extra"])
def test_a_wrong_secret_is_said_with_connection_and_field(field: str) -> None:
    extra: dict[str, Any] | str = '"canary"' if field == "extra" else {field: ["canary"]}

    with pytest.raises(InputError, match=f"connection 'my_dli': {field} is '\\*\\*\\*': "):
        read(extra)


def test_no_secret_is_in_the_representation_of_an_account() -> None:
    account = read({"security_token": "canary-token"})

    assert "canary" not in repr(account) + account.caller


# who calls

IAM = "https://iam.eu-de.otc.t-systems.com"
KEYS = AccessKey("AK", "canary-secret")
SDK = {"HUAWEICLOUD_SDK_AK": "AK1", "HUAWEICLOUD_SDK_SK": "canary-1"}


@pytest.fixture(autouse=True)
def _no_variables_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("AK", "SK", "SECURITY_TOKEN"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{part}", raising=False)


@pytest.mark.parametrize(
    ("extra", "source"),
    [
        ({}, KEYS),
        ({"auth_type": "keys"}, KEYS),
        ({"auth_type": " Keys "}, KEYS),
        ({"auth_type": None, "auth_token": " "}, KEYS),
        ({"auth_type": "keys", "security_token": "st"}, AccessKey("AK", "canary-secret", "st")),
        ({"auth_type": "keys", "auth_token": "t"}, KEYS),
        ({"auth_token": "t"}, Token("t")),
        ({"auth_type": "token", "auth_token": "t"}, Token("t")),
        ({"auth_type": "metadata"}, Metadata("http://169.254.169.254")),
        (
            {"auth_type": "metadata", "metadata_endpoint": "http://127.0.0.1:1/"},
            Metadata("http://127.0.0.1:1"),
        ),
        (
            {"auth_type": "password", "account": "OTC-1"},
            Password(IAM, "AK", "canary-secret", "OTC-1", "p1", "eu-de"),
        ),
        (
            {"auth_type": "password", "account": " OTC-1 ", "project_id": None},
            Password(IAM, "AK", "canary-secret", "OTC-1", None, "eu-de"),
        ),
        (
            {"auth_type": "agency", "account": "OTC-2", "agency": "dli"},
            Agency(IAM, KEYS, "dli", "OTC-2"),
        ),
        (
            {"auth_type": "agency", "account": "a", "agency": "b", "iam_endpoint": "http://iam:1"},
            Agency("http://iam:1", KEYS, "b", "a"),
        ),
    ],
)
def test_auth_type_says_who_calls(extra: dict[str, Any], source: object) -> None:
    assert read(extra).source == source


@pytest.mark.parametrize("token", [None, "", "canary-2"])
def test_the_variables_of_the_vendors_sdk_may_hold_the_keys(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    for name, value in {**SDK, "HUAWEICLOUD_SDK_SECURITY_TOKEN": token}.items():
        if value is not None:
            monkeypatch.setenv(name, value)

    account = read({"auth_type": "environment"}, login=None, password=None)

    assert account.source == AccessKey("AK1", "canary-1", token or None)


@pytest.mark.parametrize("auth_type", ["metadata", "token", "environment"])
def test_some_need_neither_login_nor_password(
    monkeypatch: pytest.MonkeyPatch, auth_type: str
) -> None:
    for name, value in SDK.items():
        monkeypatch.setenv(name, value)

    assert read({"auth_type": auth_type, "auth_token": "t"}, login=None, password=None).source


PASSWORD = {"auth_type": "password", "account": "a"}
AGENCY = {"auth_type": "agency", "account": "a", "agency": "b"}
BARE = {"cloud": None, "region": None, "endpoint": "https://dli.example.com"}


@pytest.mark.parametrize(
    ("extra", "login", "password", "message"),
    [
        ({"auth_type": "keys"}, None, "SK", "login is missing: give the access key"),
        ({"auth_type": "keys"}, "AK", None, "password is missing: give the secret key"),
        ({"auth_type": "token"}, "AK", "SK", "auth_token is missing: give the token"),
        ({"auth_type": "token", "auth_token": " "}, "AK", "SK", "auth_token is missing"),
        (PASSWORD, None, "pw", "login is missing: give name and password of an IAM user"),
        (PASSWORD, " ", "pw", "login is missing"),
        (PASSWORD, "user", None, "password is missing: give name and password"),
        (PASSWORD, "user", "", "password is missing"),
        (PASSWORD | {"account": None}, "user", "pw", "account is missing: auth_type password"),
        (PASSWORD | {"account": " "}, "user", "pw", "account is missing"),
        (
            PASSWORD | BARE,
            "user",
            "pw",
            "iam_endpoint is missing: give it, or give cloud and region",
        ),
        (
            PASSWORD | BARE | {"project_id": None, "iam_endpoint": "https://iam.example.com"},
            "user",
            "pw",
            "project_id is missing: a token is for one project: give its id, or the region",
        ),
        (AGENCY | {"agency": None}, "AK", "SK", "agency is missing: auth_type agency needs it"),
        (AGENCY | {"account": ""}, "AK", "SK", "account is missing: auth_type agency needs it"),
        (AGENCY, None, "SK", "login is missing: give the access key"),
        (AGENCY, "AK", None, "password is missing: give the secret key"),
        (AGENCY | BARE, "AK", "SK", "iam_endpoint is missing"),
        ({"auth_type": "environment"}, "AK", "SK", "HUAWEICLOUD_SDK_AK is missing: auth_type is"),
        (BARE | {"project_id": None}, "AK", "SK", "project_id is missing: the console shows it"),
        ({"cloud": None, "project_id": None}, "AK", "SK", "cloud is missing"),
        (
            {"cloud": None, "endpoint": "https://dli.example.com", "project_id": None},
            "AK",
            "SK",
            "project_id is missing: .*with a region, and a cloud or an iam_endpoint",
        ),
    ],
)
def test_what_an_auth_type_lacks_is_named(
    extra: dict[str, Any], login: str | None, password: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=f"connection 'my_dli': {message}"):
        read(extra, login, password)


@pytest.mark.parametrize("missing", SDK)
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in SDK.items():
        if name != missing:
            monkeypatch.setenv(name, value)

    with pytest.raises(InputError, match=f"'my_dli': {missing} is missing: .*set it where Airflow"):
        read({"auth_type": "environment"})


@pytest.mark.parametrize(
    "fields",
    [
        {"login": "canary key"},
        {"password": "canary\nkey"},
        {"password": "canary-ä"},
        {"extra": {"auth_type": "agency", "account": "a", "agency": "b"}, "password": "canary key"},
        {"extra": {"security_token": 17}},
        {"extra": {"auth_token": False}},
    ],
)
def test_a_key_that_cannot_be_one_is_refused_unseen(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"is '\*\*\*': a blank, a control character") as caught:
        read(**{"extra": {}} | fields)

    assert "canary" not in str(caught.value)


def test_a_variable_that_cannot_be_a_key_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "canary key")

    with pytest.raises(InputError, match=r"HUAWEICLOUD_SDK_AK is '\*\*\*'"):
        read({"auth_type": "environment"})


@pytest.mark.parametrize(
    ("fields", "field", "secrets"),
    [
        ({"login": " canary"}, "login", ("canary", "canary-secret")),
        ({"password": "canary\n"}, "password", ("AK", "canary")),
        ({"extra": {"auth_token": "canary "}}, "auth_token", ("canary",)),
        (
            {"extra": {"security_token": "\tcanary"}},
            "security_token",
            ("AK", "canary-secret", "canary"),
        ),
    ],
)
def test_blanks_around_a_key_are_left_away_with_one_warning(
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
    field: str,
    secrets: tuple[str, ...],
) -> None:
    account = read(**{"extra": {}} | fields)

    assert account.source.secrets == secrets
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == f"Connection 'my_dli': {field} has blanks around it, which are ignored."


def test_blanks_around_a_variable_are_left_away_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in SDK.items():
        monkeypatch.setenv(name, f"{value} ")

    account = read({"auth_type": "environment"})

    assert account.source == AccessKey("AK1", "canary-1")
    assert "HUAWEICLOUD_SDK_SK has blanks around it" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("password", [" pass word ", 'ä包 \\ "', " "])
def test_a_password_is_left_as_it_is(password: str, caplog: pytest.LogCaptureFixture) -> None:
    source = read(PASSWORD, " user ", password).source

    assert source == Password(IAM, "user", password, "a", "p1", "eu-de")
    assert caplog.records == []


@pytest.mark.parametrize(
    "extra",
    [PASSWORD, AGENCY, {"auth_token": "canary"}, {"proxy": "http://u:canary@proxy:3128"}],
)
def test_no_account_shows_a_secret(extra: dict[str, Any]) -> None:
    account = read(extra)

    assert "canary" not in repr(account) + account.caller


def test_region_and_project_of_the_hook_win_for_a_password_too() -> None:
    account = read(PASSWORD, region="eu-nl", project_id="p2")

    assert account.source == Password(
        "https://iam.eu-nl.otc.t-systems.com", "AK", "canary-secret", "a", "p2", "eu-nl"
    )


# where to


@pytest.mark.parametrize(
    ("extra", "origin", "iam"),
    [
        (
            {"cloud": "huawei", "region": "cn-north-4"},
            "https://dli.cn-north-4.myhuaweicloud.com",
            "https://iam.myhuaweicloud.com",
        ),
        (
            {"cloud": "huawei", "region": "eu-west-101"},
            "https://dli.eu-west-101.myhuaweicloud.eu",
            "https://iam.myhuaweicloud.eu",
        ),
        (
            {"cloud": "huawei", "region": "xx-new-7"},
            "https://dli.xx-new-7.myhuaweicloud.com",
            "https://iam.myhuaweicloud.com",
        ),
        (
            {"cloud": "otc", "region": "xx-new7"},
            "https://dli.xx-new7.otc.t-systems.com",
            "https://iam.xx-new7.otc.t-systems.com",
        ),
        (
            {"iam_endpoint": "https://IAM.example.com:443/"},
            "https://dli.eu-de.otc.t-systems.com",
            "https://iam.example.com",
        ),
        ({"endpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1", IAM),
        (BARE, "https://dli.example.com", None),
        ({**BARE, "cloud": "huawei"}, "https://dli.example.com", None),
    ],
)
def test_the_addresses_follow_from_cloud_and_region_unless_they_are_given(
    extra: dict[str, Any], origin: str, iam: str | None
) -> None:
    account = read(extra)

    assert (account.origin, account.iam_origin) == (origin, iam)


@pytest.mark.parametrize(
    ("extra", "obs"),
    [
        ({}, "https://obs.eu-de.otc.t-systems.com"),
        ({"obs_endpoint": "https://OBS.example.com:443/"}, "https://obs.example.com"),
        ({**BARE, "obs_endpoint": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000"),
        (BARE, None),
        ({**BARE, "cloud": "otc"}, None),
    ],
)
def test_the_address_of_obs_follows_or_is_given(extra: dict[str, Any], obs: str | None) -> None:
    assert read(extra).obs_origin == obs


@pytest.mark.parametrize(
    "extra",
    [
        {"project_id": None},
        {"project_id": " "},
        {
            "project_id": None,
            "cloud": None,
            "endpoint": "https://dli.example.com",
            "iam_endpoint": "https://iam.example.com",
        },
    ],
)
def test_without_a_project_it_is_left_to_be_looked_up(extra: dict[str, Any]) -> None:
    account = read(extra)

    assert account.project_id is None
    assert account.iam_origin
    assert "the region's project" in account.caller


# how


@pytest.mark.parametrize(
    ("value", "verify"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("false", False),
        ("True", True),
        ("False", False),
        (" FALSE ", False),
        (None, True),
        ("", True),
        (" ", True),
    ],
)
def test_verify_is_true_or_false(value: object, verify: bool) -> None:
    assert read({"verify": value}).verify is verify


def test_a_ca_bundle_goes_with_verification(tmp_path: Path) -> None:
    extra = {"verify": "true", "ca_bundle": str(tmp_path)}

    assert read(extra).verify == str(tmp_path)


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_timeout_that_is_empty_is_the_usual_one(value: object) -> None:
    account = read({"connect_timeout": value, "read_timeout": value})

    assert (account.connect_timeout, account.read_timeout) == (10.0, 60.0)


@pytest.mark.parametrize(
    "proxy",
    ["http://proxy:3128", "https://u:p%40ss@proxy.example:443", "http://[::1]:3128"],
)
def test_a_proxy_is_taken_as_it_is(proxy: str) -> None:
    assert read({"proxy": f" {proxy} "}).proxy == proxy


# what Airflow makes of it

FORM = [
    "auth_type",
    "cloud",
    "region",
    "project_id",
    "endpoint",
    "iam_endpoint",
    "obs_endpoint",
    "metadata_endpoint",
    "account",
    "agency",
    "auth_token",
    "security_token",
    "ca_bundle",
    "verify",
    "proxy",
    "connect_timeout",
    "read_timeout",
]


@pytest.mark.parametrize("empty", [None, "", " "])
def test_what_is_left_empty_in_the_form_is_missing(empty: str | None) -> None:
    assert read(dict.fromkeys(FORM, empty) | COMPLETE) == read({})


def from_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> Account:
    monkeypatch.setenv("AIRFLOW_CONN_MY_DLI", text)
    return account_from(BaseHook.get_connection("my_dli"))


EXTRA = {"cloud": "otc", "region": "eu-de", "verify": "false", "read_timeout": "7.5"}


@pytest.mark.parametrize(
    "text",
    [
        f"dli://AK:S%2FK%3D@/?{urlencode(EXTRA)}",
        f"dli://AK:S%2FK%3D@/?{urlencode({'__extra__': json.dumps(EXTRA)})}",
        json.dumps({"conn_type": "dli", "login": "AK", "password": "S/K=", "extra": EXTRA}),
        json.dumps(
            {"conn_type": "dli", "login": "AK", "password": "S/K=", "extra": json.dumps(EXTRA)}
        ),
        json.dumps(
            {
                "conn_type": "dli",
                "login": "AK",
                "password": "S/K=",
                "extra": EXTRA | {"verify": False, "read_timeout": 7.5, "project_id": None},
            }
        ),
    ],
    ids=["query", "__extra__", "JSON", "JSON in JSON", "typed JSON"],
)
def test_every_way_to_write_a_connection_says_the_same(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert from_environment(monkeypatch, text) == Account(
        origin="https://dli.eu-de.otc.t-systems.com",
        project_id=None,
        source=AccessKey("AK", "S/K="),
        cloud=Cloud.OTC,
        region="eu-de",
        conn_id="my_dli",
        verify=False,
        read_timeout=7.5,
        iam_origin=IAM,
        obs_origin="https://obs.eu-de.otc.t-systems.com",
    )


@pytest.mark.parametrize("extra", ["{", "[]", "1", '"text"', "null", "verify=false"])
def test_an_extra_that_is_no_object_is_named(extra: str) -> None:
    with pytest.raises(InputError, match=r"'my_dli': extra is .*give a JSON object"):
        read(extra)


@pytest.mark.parametrize("extra", [None, ""])
def test_without_an_extra_its_first_field_is_missing(extra: str | None) -> None:
    with pytest.raises(InputError, match="connection 'my_dli': cloud is missing"):
        read(extra)


texts = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)


@settings(database=None, deadline=None)
@given(
    # Also on top of fields that are right, so that not the first one ends it always.
    extra=st.builds(
        dict.__or__,
        st.sampled_from([{}, COMPLETE, COMPLETE | PASSWORD, COMPLETE | AGENCY]),
        st.dictionaries(st.sampled_from(FORM), texts | st.lists(texts, max_size=2), max_size=3),
    ),
    login=st.none() | st.text(max_size=5),
    password=st.none() | st.text(max_size=5),
)
def test_whatever_a_connection_says_gives_an_account_or_one_sentence(
    extra: dict[str, Any], login: str | None, password: str | None
) -> None:
    said = ""
    try:
        account = read(json.dumps(extra), login, password)
    except InputError as error:
        said = str(error)

    assert said.startswith("connection 'my_dli': ") or all(account.source.secrets)
