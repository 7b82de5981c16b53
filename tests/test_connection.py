"""An Airflow connection becomes an account, or one sentence that names the wrong field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_dli.api.account import Account
from airflow_provider_dli.api.auth import AccessKey, Token
from airflow_provider_dli.api.endpoints import Cloud
from airflow_provider_dli.api.errors import InputError
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
    )


def test_tls_is_verified_and_every_call_bounded_by_default() -> None:
    account = read({})

    assert account.verify is True
    assert (account.connect_timeout, account.read_timeout) == (10.0, 60.0)


def test_region_and_project_of_the_hook_win() -> None:
    account = read({}, region="eu-nl", project_id="p2")

    assert account.origin == "https://dli.eu-nl.otc.t-systems.com"
    assert account.project_id == "p2"


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
        '{"auth_token": "canary"',
    ],
)
def test_a_wrong_secret_is_named_but_never_shown(extra: dict[str, Any] | str) -> None:
    with pytest.raises(InputError) as caught:
        read(extra)

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__}"


def test_no_secret_is_in_the_representation_of_an_account() -> None:
    account = read({"security_token": "canary-token"})

    assert "canary" not in repr(account) + account.caller
