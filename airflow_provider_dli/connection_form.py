# SPDX-License-Identifier: Apache-2.0
"""The fields of a connection, each declared once, and the forms that Airflow 2 and 3 show.

`connection.py` reads the fields by this table. It imports nothing heavy, since Airflow asks every
provider for its form at startup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "name", "address", "secret", "proxy", "choice", "seconds", "count", "switch"]


class Field(NamedTuple):
    """One field of the extra.

    :param kind: how the form shows the field, and how `connection.py` reads and checks it. A
        `name` may be overridden by a hook or a task.
    :param help: one or two sentences, in the form and in the documentation
    :param choices: the values of a choice and their labels
    :param default: the value of an empty field; in the form, the help ends with it
    :param pattern: a regular expression for the value of a name
    :param rule: what the value of a name may be, in words
    """

    name: str
    label: str
    kind: Kind
    help: str
    choices: Mapping[str, str] = {}
    default: Any = None
    pattern: str = ""
    rule: str = ""

    @property
    def is_secret(self) -> bool:
        """Whether Airflow has to hide the value; the address of a proxy may hold a password."""
        return self.kind in {"secret", "proxy"}

    @property
    def description(self) -> str:
        """The help, with the default."""
        is_stated = self.default is not None and self.kind != "switch"
        return f"{self.help} Empty: {self.default}." if is_stated else self.help

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the field in the form of Airflow 3."""
        if self.is_secret:
            return {**_TEXT, "format": "password"}
        if self.kind == "choice":
            return {**_TEXT, "enum": list(self.choices), "values_display": dict(self.choices)}
        if self.kind == "switch":
            return {"type": ["boolean", "null"], "default": self.default}
        numbers = {"seconds": "number", "count": "integer"}
        return {"type": [numbers[self.kind], "null"]} if self.kind in numbers else _TEXT


_TEXT: dict[str, Any] = {"type": ["string", "null"]}

SECTIONS: Mapping[str, tuple[Field, ...]] = {
    "Cloud and project": (
        Field(
            "cloud",
            "Cloud",
            "choice",
            "Required unless the addresses are given. Also decides the rules for tags.",
            {"huawei": "Huawei Cloud", "otc": "Open Telekom Cloud (OTC)"},
        ),
        Field(
            "region",
            "Region",
            "name",
            "Such as eu-de or eu-west-101. Required unless the address of DLI is given, and for "
            "obs:// paths.",
            pattern=r"[a-z0-9]+(-[a-z0-9]+)*",
            rule="give it as the console shows it, such as eu-de",
        ),
        Field(
            "project_id",
            "Project id",
            "name",
            "The console shows it under My Credentials. Empty: the project with the region's name, "
            "which is never a sub-project.",
            pattern="[A-Za-z0-9]{1,64}",
            rule="use at most 64 letters and digits",
        ),
    ),
    "Credentials": (
        Field(
            "auth_type",
            "Sign in with",
            "choice",
            "Empty: a token if one is given below, else access key and secret key.",
            {
                "keys": "Access key and secret key",
                "password": "IAM user and password",
                "token": "Token",
                "metadata": "Agency of the machine (ECS, CCE)",
                "environment": "Environment variables (HUAWEICLOUD_SDK_AK, …_SK)",
                "agency": "Agency of another account, with access key and secret key",
            },
        ),
        Field(
            "account",
            "Account (domain)",
            "text",
            "Name of the account. With an IAM user: the account of the user. With an agency of "
            "another account: the account that created it.",
        ),
        Field("agency", "Agency", "text", "Its name. Only with an agency of another account."),
        Field(
            "security_token",
            "Security token",
            "secret",
            "Required with temporary keys, and only with these.",
        ),
        Field(
            "auth_token",
            "Token",
            "secret",
            "A token of IAM for the project. Login and password are then not used.",
        ),
    ),
    "Addresses and network": (
        Field(
            "endpoint",
            "Address of DLI",
            "address",
            "Scheme and host, such as https://dli.example.com. Empty: derived from cloud and "
            "region.",
        ),
        Field(
            "iam_endpoint",
            "Address of IAM",
            "address",
            "Such as https://iam.example.com. Used to sign in with a password or an agency, and to "
            "look up the project. Empty: derived from cloud and region.",
        ),
        Field(
            "obs_endpoint",
            "Address of OBS",
            "address",
            "Without a bucket, such as https://obs.example.com. If the host does not begin with "
            "obs., the bucket goes into the path. Empty: derived from cloud and region.",
        ),
        Field(
            "metadata_endpoint",
            "Address of the metadata service",
            "address",
            "Only for an agency of the machine. Never asked through a proxy.",
            default="http://169.254.169.254",
        ),
        Field(
            "ca_bundle",
            "CA bundle",
            "text",
            "Path of a file with your own certificate authority, on the machines that run "
            "Airflow. Overrides REQUESTS_CA_BUNDLE.",
        ),
        Field(
            "verify",
            "Verify certificates",
            "switch",
            "If off, every certificate is trusted: never for keys that matter.",
            default=True,
        ),
        Field(
            "proxy",
            "Proxy",
            "proxy",
            "Such as http://user:password@proxy.example:3128. Overrides HTTPS_PROXY and NO_PROXY.",
        ),
        Field(
            "connect_timeout",
            "Connect timeout",
            "seconds",
            "Seconds to wait for a connection.",
            default=10,
        ),
        Field(
            "read_timeout",
            "Read timeout",
            "seconds",
            "Seconds to wait between two bytes of an answer.",
            default=60,
        ),
        Field(
            "total_timeout",
            "Total timeout",
            "seconds",
            "Seconds for a whole call. Sending or reading an object has a second more for each "
            "16 KiB.",
            default=120,
        ),
        Field(
            "max_answer_size",
            "Maximum size of an answer",
            "count",
            "Bytes, unpacked; a larger answer raises AnswerTooLargeError. The default, 256 MiB, is "
            "ample for a listing of 100,000 groups. Objects have no limit.",
            default=268435456,
        ),
    ),
}

FIELDS: Mapping[str, Field] = {
    field.name: field for fields in SECTIONS.values() for field in fields
}

# What Airflow 2 takes for an unchanged secret, in airflow.www.views.
_UNCHANGED = "RATHER_LONG_SENSITIVE_FIELD_PLACEHOLDER"

_HIDDEN = ["host", "port", "schema"]
_LABELS = {
    "login": "Access key (AK), or IAM user",
    "password": "Secret key (SK), or password of the IAM user",
}


def declared() -> dict[str, Any]:
    """Returns the form as Airflow 3.2 and later read it from the provider's info."""
    return {
        "ui-field-behaviour": {"hidden-fields": _HIDDEN, "relabeling": _LABELS},
        "conn-fields": {
            field.name: {
                "label": field.label,
                "description": field.description,
                "schema": {**field.schema, "section": section},
            }
            for section, fields in SECTIONS.items()
            for field in fields
        },
    }


def behaviour() -> dict[str, Any]:
    """Returns labels and hidden fields, for the hook on Airflow before 3.2."""
    return {"hidden_fields": _HIDDEN, "relabeling": _LABELS, "placeholders": {}}


def widgets() -> dict[str, Any]:
    """Returns the fields of the extra, for the hook on Airflow before 3.2.

    The switch is text, too: Airflow 2 loses a false when it shows a connection again.
    """
    # Airflow 2 depends on both, Airflow 3.0 and 3.1 have replacements of their own.
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField
    from wtforms.validators import Optional, any_of

    class Kept(BS3PasswordFieldWidget):  # type: ignore[misc]  # it has no types
        """Keeps a secret that the user does not enter again; Airflow 2 would delete it."""

        def __init__(self) -> None:
            super().__init__()
            self.hide_value = False

        def __call__(self, field: Any, **attributes: Any) -> Any:
            return super().__call__(field, value=_UNCHANGED if field.data else "", **attributes)

    def widget(field: Field) -> Any:
        if field.is_secret:
            return PasswordField(field.label, description=field.description, widget=Kept())
        choices = ["true", "false"] if field.kind == "switch" else list(field.choices)
        words = f" One of: {', '.join(choices)}." if choices else ""
        return StringField(
            field.label,
            validators=[Optional(), any_of(choices)] if choices else [],
            description=field.description + words,
            widget=BS3TextFieldWidget(),
        )

    return {name: widget(field) for name, field in FIELDS.items()}
