# SPDX-License-Identifier: Apache-2.0
"""Reads an Airflow connection of type `dli` into an `Account`, or says what is wrong with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dli.api.account import Account
from airflow_provider_dli.api.auth import AccessKey, Credential, Token
from airflow_provider_dli.api.endpoints import Cloud, dli_origin
from airflow_provider_dli.api.errors import InputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID = re.compile(r"[A-Za-z0-9]{1,64}")


def account_from(
    connection: Connection, *, region: str | None = None, project_id: str | None = None
) -> Account:
    """Read the connection; `region` and `project_id` win over what it says.

    Login is the access key, password the secret key; the extra holds `cloud` (huawei or otc),
    `region`, `project_id`, `endpoint`, `security_token`, `auth_token`, `ca_bundle`,
    `connect_timeout` and `read_timeout` (seconds). Raises `InputError` naming connection and
    field, never the value of a secret.
    """
    fields = _Fields(connection)
    cloud = fields.cloud()
    region = fields.text("region", region)
    if region is not None and not _REGION.fullmatch(region):
        raise fields.wrong("region", region, "give it as the console shows it, such as eu-de")
    return Account(
        origin=_origin(fields, cloud, region),
        project_id=_project_id(fields, project_id),
        credential=_credential(fields),
        cloud=cloud,
        region=region,
        conn_id=fields.conn_id,
        verify=_ca_bundle(fields),
        connect_timeout=fields.seconds("connect_timeout", 10.0),
        read_timeout=fields.seconds("read_timeout", 60.0),
    )


class _Fields:
    """The fields of one connection, trimmed; a value that is only blanks counts as missing."""

    def __init__(self, connection: Connection) -> None:
        self.conn_id = connection.conn_id
        self.login = connection.login
        self.password = connection.password
        self._extra = self._read(connection.extra)

    def wrong(self, field: str, value: object, rule: str) -> InputError:
        return InputError(f"connection {self.conn_id!r}: {field}", value, rule)

    def missing(self, field: str, rule: str) -> InputError:
        return self.wrong(field, None, rule)

    def text(self, field: str, override: str | None = None) -> str | None:
        value = self._extra.get(field) if override is None else override
        if value is not None and not isinstance(value, str):
            raise self.wrong(field, value, "give text")
        return (value or "").strip() or None

    def secret(self, field: str, value: object) -> str | None:
        """Trim a secret; what is wrong with it is said without showing it."""
        text = value.strip() if isinstance(value, str) else value
        if text is None or text == "":
            return None
        if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text):
            raise self.wrong(field, "***", "a blank, a control character or no text at all")
        return text

    def secret_extra(self, field: str) -> str | None:
        return self.secret(field, self._extra.get(field))

    def seconds(self, field: str, default: float) -> float:
        value = self._extra.get(field)
        if value is None or value == "":
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number < math.inf:
            raise self.wrong(field, value, "give a positive number of seconds")
        return number

    def cloud(self) -> Cloud | None:
        text = self.text("cloud")
        if text is None:
            return None
        try:
            return Cloud(text.lower())
        except ValueError:
            raise self.wrong("cloud", text, "use huawei or otc") from None

    def _read(self, extra: str | None) -> Mapping[str, Any]:
        if not extra:
            return {}
        try:
            fields = json.loads(extra)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            # Not shown: it may hold a token.
            raise self.wrong("extra", "***", "give a JSON object")
        return fields


def _origin(fields: _Fields, cloud: Cloud | None, region: str | None) -> str:
    endpoint = fields.text("endpoint")
    if endpoint is None:
        if cloud is None:
            raise fields.missing("cloud", "use huawei or otc, or give the endpoint of DLI")
        if region is None:
            raise fields.missing("region", "such as eu-de, or give the endpoint of DLI")
        return dli_origin(cloud, region)
    rule = "give scheme and host, such as https://dli.eu-de.otc.t-systems.com"
    try:
        parts = urlsplit(endpoint)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise fields.wrong("endpoint", "***", rule) from None
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not bare:
        # Not shown where it may hold a password.
        raise fields.wrong("endpoint", endpoint if "@" not in endpoint else "***", rule)
    if parts.path not in {"", "/"}:
        raise fields.wrong("endpoint", endpoint, f"{rule}, without a path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # The signature covers the host as it is sent, and that has no default port.
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{host}{'' if port == default else port}"


def _project_id(fields: _Fields, override: str | None) -> str:
    project_id = fields.text("project_id", override)
    if project_id is None:
        raise fields.missing("project_id", "the console shows it under My Credentials")
    if not _PROJECT_ID.fullmatch(project_id):
        raise fields.wrong("project_id", project_id, "use at most 64 letters and digits")
    return project_id


def _credential(fields: _Fields) -> Credential:
    token = fields.secret_extra("auth_token")
    if token:
        return Token(token)
    access_key = fields.secret("login", fields.login)
    secret_key = fields.secret("password", fields.password)
    if not access_key:
        raise fields.missing("login", "give the access key (AK), or auth_token in the extra")
    if not secret_key:
        raise fields.missing("password", "give the secret key (SK) that belongs to the access key")
    return AccessKey(access_key, secret_key, fields.secret_extra("security_token"))


def _ca_bundle(fields: _Fields) -> bool | str:
    path = fields.text("ca_bundle")
    if path is None:
        return True
    if not Path(path).exists():
        raise fields.wrong("ca_bundle", path, "there is no such file or directory")
    return path
