"""The form and the reader of connections have the same fields, on every Airflow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection, redact

from airflow_provider_dli import connection
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.connection import account_from
from airflow_provider_dli.connection_form import FIELDS, behaviour, declared, widgets
from airflow_provider_dli.hooks.dli import DliHook

NAMES = list(FIELDS)
SECRETS = [field.name for field in FIELDS.values() if field.schema.get("format") == "password"]

WHERE = {"cloud": "otc", "region": "eu-de", "project_id": "p1"}
# What a connection needs besides, for each way to sign in.
NEEDED: dict[str, dict[str, Any]] = {
    "keys": {},
    "password": {"account": "OTC0001"},
    "token": {"auth_token": "t0"},
    "metadata": {},
    "environment": {},
    "agency": {"account": "OTC0001", "agency": "staging"},
}
KINDS = list(NEEDED)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AK", "SK"):
        monkeypatch.setenv(f"HUAWEICLOUD_SDK_{name}", name)


def read(extra: dict[str, Any]) -> Account:
    return account_from(
        Connection(conn_id="c", conn_type="dli", login="AK", password="SK", extra=json.dumps(extra))
    )


def complete(kind: str) -> dict[str, Any]:
    return WHERE | NEEDED[kind] | {"auth_type": kind}


def test_every_declared_field_is_one_that_the_reader_asks_for() -> None:
    source = Path(connection.__file__).read_text()

    assert set(re.findall(r'fields(?:\.required\(|\[)"(\w+)"', source)) == set(NAMES)


def test_every_way_to_sign_in_can_be_chosen() -> None:
    assert list(FIELDS["auth_type"].choices) == KINDS
    assert set(FIELDS["cloud"].choices) == set(Cloud)


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_field_is_read(name: str) -> None:
    """One that is read is refused when it holds what no field may hold."""
    refused = []
    for kind in KINDS:
        try:
            read(complete(kind) | {name: ["wrong"]})
        except InputError as error:
            refused.append(str(error))

    assert any(f": {name} is " in text for text in refused)


def test_every_declared_field_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "connection.md").read_text()

    assert [name for name in NAMES if f"`{name}`" not in page] == []


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_the_form_leaves_empty_is_as_good_as_none(kind: str, empty: Any) -> None:
    needed = complete(kind)

    assert read(dict.fromkeys(NAMES, empty) | needed) == read(needed)


def test_without_a_choice_of_how_to_sign_in_empty_fields_mean_keys() -> None:
    assert read(dict.fromkeys(NAMES) | WHERE) == read(WHERE)


def test_the_choices_are_those_that_are_read() -> None:
    choices = {
        field.name: field.schema["enum"] for field in FIELDS.values() if "enum" in field.schema
    }

    for name, values in choices.items():
        with pytest.raises(InputError) as caught:
            read(WHERE | {name: "nonsense"})
        assert re.findall(r"\w+", str(caught.value).split(": use ")[1])[::2] == values
    assert set(choices) == {"cloud", "auth_type"}


def test_certificates_are_verified_unless_the_switch_is_turned_off() -> None:
    switch = declared()["conn-fields"]["verify"]["schema"]

    assert switch["type"] == ["boolean", "null"]
    assert switch["default"] is True


def test_airflow_masks_the_secret_fields_by_their_names() -> None:
    extra = dict.fromkeys(NAMES, "canary-value")

    masked = [name for name, value in redact(extra).items() if value == "***"]

    assert masked == SECRETS == ["security_token", "auth_token", "proxy"]


def test_the_hook_gives_the_labels_of_the_declared_form() -> None:
    form = declared()["ui-field-behaviour"]

    assert DliHook.get_ui_field_behaviour() == behaviour()
    assert behaviour()["relabeling"] == form["relabeling"]
    assert behaviour()["hidden_fields"] == form["hidden-fields"] == ["host", "port", "schema"]


@pytest.mark.filterwarnings("ignore")  # of Airflow 2 itself
class TestAirflow2:
    """Its form is made of WTForms, which Airflow 3 does not bring."""

    @pytest.fixture
    def form(self) -> Any:
        wtforms = pytest.importorskip("wtforms", reason="only Airflow 2 has it")
        return type("Form", (wtforms.Form,), DliHook.get_connection_form_widgets())

    def test_it_has_every_declared_field(self, form: Any) -> None:
        assert [field.name for field in form()] == NAMES == list(widgets())

    def test_secrets_are_passwords(self, form: Any) -> None:
        assert [field.name for field in form() if field.type == "PasswordField"] == SECRETS

    def test_a_stored_secret_is_not_shown_and_not_deleted_when_saved_again(self, form: Any) -> None:
        from airflow.www.views import SENSITIVE_FIELD_PLACEHOLDER

        opened = form(data={"security_token": "canary-value"})

        assert f'value="{SENSITIVE_FIELD_PLACEHOLDER}"' in opened.security_token()
        assert "canary" not in opened.security_token()
        assert 'value=""' in opened.auth_token()

    @pytest.mark.parametrize(
        ("field", "value", "is_valid"),
        [
            ("cloud", "otc", True),
            ("cloud", "", True),
            ("cloud", "aws", False),
            ("auth_type", "agency", True),
            ("auth_type", "sso", False),
            ("verify", "false", True),
            ("verify", "no", False),
            ("read_timeout", "7.5", True),
        ],
    )
    def test_a_wrong_choice_is_refused(
        self, form: Any, field: str, value: str, is_valid: bool
    ) -> None:
        from werkzeug.datastructures import MultiDict

        assert form(MultiDict({field: value})).validate() is is_valid
