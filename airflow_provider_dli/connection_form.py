# SPDX-License-Identifier: Apache-2.0
"""The connection form, declared once, in the shapes that Airflow 3 and Airflow 2 ask for.

`connection.py` reads what is entered here. Nothing is imported at the top, since Airflow asks for
the form of every provider when it starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Field(NamedTuple):
    """One field of the extra."""

    name: str
    label: str
    help: str
    schema: dict[str, Any]


_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_SECRET: dict[str, Any] = {**_TEXT, "format": "password"}
_SECONDS: dict[str, Any] = {"type": ["number", "null"]}
_BYTES: dict[str, Any] = {"type": ["integer", "null"]}
_SWITCH: dict[str, Any] = {"type": ["boolean", "null"], "default": True}


def _choice(**labels: str) -> dict[str, Any]:
    return {**_TEXT, "enum": list(labels), "values_display": labels}


# A section is a fold of the form.
_SECTIONS: dict[str, tuple[Field, ...]] = {
    "Cloud and project": (
        Field(
            "cloud",
            "Cloud",
            "Needed unless the addresses are given.",
            _choice(huawei="Huawei Cloud", otc="Open Telekom Cloud (OTC)"),
        ),
        Field(
            "region",
            "Region",
            "Such as eu-de or eu-west-101. Needed unless the address of DLI is given, and for "
            "obs:// paths.",
            _TEXT,
        ),
        Field(
            "project_id",
            "Project id",
            "The console shows it under My Credentials. Empty: the project with the region's name.",
            _TEXT,
        ),
    ),
    "Credentials": (
        Field(
            "auth_type",
            "Sign in with",
            "Empty: a token where one is given below, else access key and secret key.",
            _choice(
                keys="Access key and secret key",
                password="IAM user and password",  # noqa: S106 - a label
                token="Token",  # noqa: S106 - a label
                metadata="Agency of the machine (ECS, CCE)",
                environment="Environment variables (HUAWEICLOUD_SDK_AK, …_SK)",
                agency="Agency of another account, with access key and secret key",
            ),
        ),
        Field(
            "account",
            "Account (domain)",
            "Name of the account. With an IAM user: the user's. With an agency of another account: "
            "the one that made it.",
            _TEXT,
        ),
        Field("agency", "Agency", "Its name. Only with an agency of another account.", _TEXT),
        Field(
            "security_token",
            "Security token",
            "Only with temporary keys, which work with it alone.",
            _SECRET,
        ),
        Field(
            "auth_token",
            "Token",
            "A ready-made token of IAM for the project. Login and password are then not used.",
            _SECRET,
        ),
    ),
    "Addresses and network": (
        Field(
            "endpoint",
            "Address of DLI",
            "Only where it does not follow from cloud and region: scheme and host, such as "
            "https://dli.example.com.",
            _TEXT,
        ),
        Field(
            "iam_endpoint",
            "Address of IAM",
            "Likewise, such as https://iam.example.com. Used to sign in with a password or an "
            "agency, and to look up the project.",
            _TEXT,
        ),
        Field(
            "obs_endpoint",
            "Address of OBS",
            "Likewise, without a bucket, such as https://obs.example.com. Used to put files there.",
            _TEXT,
        ),
        Field(
            "metadata_endpoint",
            "Address of the metadata service",
            "Only for an agency of the machine. Empty: http://169.254.169.254.",
            _TEXT,
        ),
        Field(
            "ca_bundle",
            "CA bundle",
            "Path of a file with your own certificate authority, on the machines on which Airflow "
            "runs.",
            _TEXT,
        ),
        Field(
            "verify",
            "Verify certificates",
            "Off, every certificate is trusted: never for keys that matter.",
            _SWITCH,
        ),
        Field(
            "proxy",
            "Proxy",
            "Such as http://user:password@proxy.example:3128. Empty: as HTTPS_PROXY says.",
            _SECRET,
        ),
        Field("connect_timeout", "Seconds to connect", "Empty: 10.", _SECONDS),
        Field("read_timeout", "Seconds to wait for an answer", "Empty: 60.", _SECONDS),
        Field(
            "total_timeout",
            "Seconds for a whole call",
            "Empty: 120. What sends or reads an object has more, the larger it is.",
            _SECONDS,
        ),
        Field(
            "max_answer_size",
            "Most bytes of an answer",
            "Empty: 268435456 (256 MiB), ample for a listing of 100,000 groups.",
            _BYTES,
        ),
    ),
}

FIELDS = tuple(field for fields in _SECTIONS.values() for field in fields)

# Airflow 2's own word for it, in airflow.www.views.
_UNCHANGED = "RATHER_LONG_SENSITIVE_FIELD_PLACEHOLDER"

_HIDDEN = ["host", "port", "schema"]
_LABELS = {
    "login": "Access key (AK), or IAM user",
    "password": "Secret key (SK), or password of the IAM user",
}


def declared() -> dict[str, Any]:
    """Give the form as Airflow 3.2 and newer reads it from the provider's info."""
    return {
        "ui-field-behaviour": {"hidden-fields": _HIDDEN, "relabeling": _LABELS},
        "conn-fields": {
            field.name: {
                "label": field.label,
                "description": field.help,
                "schema": {**field.schema, "section": section},
            }
            for section, fields in _SECTIONS.items()
            for field in fields
        },
    }


def behaviour() -> dict[str, Any]:
    """Give labels and hidden fields as Airflow before 3.2 asks the hook for them."""
    return {"hidden_fields": _HIDDEN, "relabeling": _LABELS, "placeholders": {}}


def widgets() -> dict[str, Any]:
    """Give the fields of the extra as Airflow before 3.2 asks the hook for them.

    All are text or passwords, also the switch: Airflow 2 forgets a false when it shows a
    connection again.
    """
    # Airflow 2 brings both, Airflow 3.0 and 3.1 stand-ins.
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField
    from wtforms.validators import Optional, any_of

    class Kept(BS3PasswordFieldWidget):  # type: ignore[misc]  # it has no types
        """Sends what Airflow 2 takes for unchanged; it would delete a secret for an empty text."""

        def __init__(self) -> None:
            super().__init__()
            self.hide_value = False

        def __call__(self, field: Any, **attributes: Any) -> Any:
            return super().__call__(field, value=_UNCHANGED if field.data else "", **attributes)

    def widget(field: Field) -> Any:
        if field.schema is _SECRET:
            return PasswordField(field.label, description=field.help, widget=Kept())
        choices = ["true", "false"] if field.schema is _SWITCH else field.schema.get("enum", [])
        words = f" One of: {', '.join(choices)}." if choices else ""
        return StringField(
            field.label,
            validators=[Optional(), any_of(choices)] if choices else [],
            description=field.help + words,
            widget=BS3TextFieldWidget(),
        )

    return {field.name: widget(field) for field in FIELDS}
