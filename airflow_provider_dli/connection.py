# SPDX-License-Identifier: Apache-2.0
"""Reads an Airflow connection of type `dli` into an `Account`, or says what is wrong with it."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.access.endpoints import Cloud, dli_origin, iam_origin, obs_origin
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.access.sources import METADATA, Agency, Metadata, Password
from airflow_provider_dli.api.protocol.errors import InputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_C = TypeVar("_C", bound=StrEnum)
_log = logging.getLogger(__name__)

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID = re.compile(r"[A-Za-z0-9]{1,64}")


class AuthType(StrEnum):
    """How a connection proves who calls."""

    KEYS = "keys"
    PASSWORD = "password"  # noqa: S105 - it is the name of a choice
    TOKEN = "token"  # noqa: S105 - as above
    METADATA = "metadata"
    ENVIRONMENT = "environment"
    AGENCY = "agency"


def account_from(
    connection: Connection, *, region: str | None = None, project_id: str | None = None
) -> Account:
    """Read the connection; `region` and `project_id` win over what it says.

    `docs/connection.md` describes its fields. Raises `InputError` naming connection and field,
    never the value of a secret.
    """
    fields = _Fields(connection)
    cloud = fields.choice("cloud", Cloud)
    region = fields.place("region", region)
    if region is not None and not _REGION.fullmatch(region):
        raise fields.wrong("region", region, "give it as the console shows it, such as eu-de")
    known = dli_origin(cloud, region) if cloud and region else None
    origin = fields.origin("endpoint") or known
    if origin is None:
        if cloud is None:
            raise fields.missing("cloud", "use huawei or otc, or give the endpoint of DLI")
        raise fields.missing("region", "such as eu-de, or give the endpoint of DLI")
    iam = fields.origin("iam_endpoint") or (iam_origin(cloud, region) if cloud and region else None)
    project_id = _project_id(fields, project_id)
    source = _source(fields, _Where(iam, project_id, region))
    if project_id is None and not isinstance(source, Password) and (iam is None or region is None):
        rule = "the console shows it under My Credentials; with a region, and a cloud or an "
        raise fields.missing("project_id", f"{rule}iam_endpoint, it is looked up")
    return Account(
        origin=origin,
        project_id=project_id,
        source=source,
        cloud=cloud,
        region=region,
        conn_id=fields.conn_id,
        verify=_verify(fields),
        connect_timeout=fields.seconds("connect_timeout", 10.0),
        read_timeout=fields.seconds("read_timeout", 60.0),
        total_timeout=fields.seconds("total_timeout", 120.0),
        max_answer_size=fields.count("max_answer_size", 256 * 1024 * 1024),
        iam_origin=iam,
        proxy=_proxy(fields),
        obs_origin=_obs(fields) or (obs_origin(cloud, region) if cloud and region else None),
    )


@dataclass(frozen=True, slots=True)
class _Where:
    """What a credential may be for: a project of a region, as IAM at this address knows it."""

    iam: str | None
    project_id: str | None
    region: str | None


class _Fields:
    """The fields of one connection, trimmed; a value that is only blanks counts as missing."""

    def __init__(self, connection: Connection) -> None:
        self.conn_id = connection.conn_id
        self.login = connection.login
        self.password = connection.password
        self._extra: Mapping[str, Any] = {}
        self._extra = self._read(connection.extra)

    def wrong(self, field: str, value: object, rule: str) -> InputError:
        # A secret may have been put into the wrong field, beside its own.
        extra = (self._extra.get(name) for name in ("security_token", "auth_token"))
        secrets = [text.strip() for text in (self.password, *extra) if isinstance(text, str)]
        shown = "***" if any(secret and secret in str(value) for secret in secrets) else value
        return InputError(f"connection {self.conn_id!r}: {field}", shown, rule)

    def missing(self, field: str, rule: str) -> InputError:
        return self.wrong(field, None, rule)

    def text(self, field: str, override: str | None = None) -> str | None:
        value = checks.given(field, override)
        if value is None:
            value = self._extra.get(field)
        if value is not None and not isinstance(value, str):
            # A list or an object may hold a password, such as that of a proxy.
            shown = "***" if isinstance(value, list | dict) else value
            raise self.wrong(field, shown, "give text")
        return (value or "").strip() or None

    def place(self, field: str, override: str | None) -> str | None:
        """Returns the region or project; a task that was given none, or blanks, has this one's."""
        text = self.text(field, override)
        try:
            return checks.given(field, text)
        except InputError as error:
            raise error.about(f"connection {self.conn_id!r}: {field}") from None

    def secret(self, field: str, value: object) -> str | None:
        """Trim a secret; what is wrong with it is said without showing it."""
        text = value.strip() if isinstance(value, str) else value
        if text is None or text == "":
            return None
        if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text):
            raise self.wrong(field, "***", "a blank, a control character or no text at all")
        if text != value:
            _log.warning(
                "Connection %r: %s has blanks around it, which are left away.", self.conn_id, field
            )
        return text

    def required(self, field: str) -> str:
        value = self.text(field)
        if value is None:
            raise self.missing(field, f"auth_type {self.text('auth_type')} needs it")
        return value

    def secret_extra(self, field: str) -> str | None:
        return self.secret(field, self._extra.get(field))

    def given(self, field: str) -> Any:
        """Give a value of any type; `None` for one that counts as missing."""
        value = self._extra.get(field)
        return None if isinstance(value, str) and not value.strip() else value

    def seconds(self, field: str, default: float) -> float:
        value = self.given(field)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 < number < math.inf:
            raise self.wrong(field, value, "give a positive number of seconds")
        return number

    def count(self, field: str, default: int) -> int:
        value = self.given(field)
        if value is None:
            return default
        # Text comes from a URI, and a float from a form that has numbers only.
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text) or not int(text):
            raise self.wrong(field, value, "give a positive whole number")
        return int(text)

    def boolean(self, field: str, default: bool) -> bool:
        value = self.given(field)
        if value is None:
            return default
        # Text comes from a URI, where nothing else can.
        known = {"true": True, "false": False}
        found = value if isinstance(value, bool) else known.get(str(value).strip().lower())
        if found is None:
            raise self.wrong(field, value, "use true or false")
        return found

    def choice(self, field: str, choices: type[_C]) -> _C | None:
        text = self.text(field)
        if text is None:
            return None
        # Looked for, not converted: an error of the conversion would quote what may be a secret.
        found = next((one for one in choices if one == text.lower()), None)
        if found is None:
            raise self.wrong(field, text, f"use {' or '.join(choices)}")
        return found

    def origin(self, field: str) -> str | None:
        """Read the address of a service: scheme, host and port."""
        text = self.text(field)
        if text is None:
            return None
        rule = "give scheme and host, such as https://dli.eu-de.otc.t-systems.com"
        try:
            parts = urlsplit(text)
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            parts = None
        if parts is None:  # outside of the handler, whose error quotes what may be a password
            raise self.wrong(field, "***", rule)
        bare = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not bare:
            # Not shown where it may hold a password.
            raise self.wrong(field, text if "@" not in text else "***", rule)
        if parts.path not in {"", "/"}:
            raise self.wrong(field, text, f"{rule}, without a path")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        # The signature covers the host as it is sent, and that has no default port.
        default = {"http": ":80", "https": ":443"}[parts.scheme]
        return f"{parts.scheme}://{host}{'' if port == default else port}"

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


def _project_id(fields: _Fields, override: str | None) -> str | None:
    project_id = fields.place("project_id", override)
    if project_id is not None and not _PROJECT_ID.fullmatch(project_id):
        raise fields.wrong("project_id", project_id, "use at most 64 letters and digits")
    return project_id


def _obs(fields: _Fields) -> str | None:
    origin = fields.origin("obs_endpoint")
    if origin is not None and ".obs." in origin:
        rule = "leave out the bucket, such as https://obs.eu-de.otc.t-systems.com"
        raise fields.wrong("obs_endpoint", origin, rule)
    return origin


def _source(fields: _Fields, where: _Where) -> Source:
    kind = fields.choice("auth_type", AuthType)
    if kind is None:
        # As before there was a choice: a token where one is given, else keys.
        kind = AuthType.KEYS if fields.given("auth_token") is None else AuthType.TOKEN
    return _SOURCES[kind](fields, where)


def _token(fields: _Fields, where: _Where) -> Token:
    token = fields.secret_extra("auth_token")
    if token is None:
        raise fields.missing("auth_token", "give the token of a project")
    return Token(token)


def _metadata(fields: _Fields, where: _Where) -> Metadata:
    return Metadata(fields.origin("metadata_endpoint") or METADATA)


def _agency(fields: _Fields, where: _Where) -> Agency:
    agency, account = (fields.required(name) for name in ("agency", "account"))
    return Agency(_iam(fields, where), _keys(fields, where), agency, account)


def _password(fields: _Fields, where: _Where) -> Password:
    if where.project_id is None and where.region is None:
        raise fields.missing("project_id", "a token is for one project: give its id, or the region")
    user, password = (fields.login or "").strip(), fields.password
    if not user or not password:
        rule = "give name and password of an IAM user, as auth_type says"
        raise fields.missing("password" if user else "login", rule)
    return Password(
        _iam(fields, where),
        user,
        password,
        fields.required("account"),
        where.project_id,
        where.region,
    )


def _iam(fields: _Fields, where: _Where) -> str:
    if where.iam is None:
        raise fields.missing("iam_endpoint", "give it, or cloud and region, of which it follows")
    return where.iam


def _keys(fields: _Fields, where: _Where) -> AccessKey:
    access_key = fields.secret("login", fields.login)
    secret_key = fields.secret("password", fields.password)
    if not access_key:
        raise fields.missing("login", "give the access key (AK), or choose another auth_type")
    if not secret_key:
        raise fields.missing("password", "give the secret key (SK) that belongs to the access key")
    return AccessKey(access_key, secret_key, fields.secret_extra("security_token"))


def _environment(fields: _Fields, where: _Where) -> AccessKey:
    """Read the variables of the vendor's SDK."""
    values = {
        name: fields.secret(name, os.environ.get(name))
        for name in (f"HUAWEICLOUD_SDK_{part}" for part in ("AK", "SK", "SECURITY_TOKEN"))
    }
    access_key, secret_key, security_token = values.values()
    if not access_key or not secret_key:
        missing = next(name for name, value in values.items() if not value)
        raise fields.missing(missing, "auth_type is environment: set it where Airflow runs")
    return AccessKey(access_key, secret_key, security_token)


_SOURCES: dict[AuthType, Callable[[_Fields, _Where], Source]] = {
    AuthType.KEYS: _keys,
    AuthType.PASSWORD: _password,
    AuthType.TOKEN: _token,
    AuthType.METADATA: _metadata,
    AuthType.ENVIRONMENT: _environment,
    AuthType.AGENCY: _agency,
}


def _verify(fields: _Fields) -> bool | str:
    path = fields.text("ca_bundle")
    if not fields.boolean("verify", True):
        if path is not None:
            raise fields.wrong("verify", False, "with a ca_bundle, certificates are verified")
        return False
    if path is not None and not Path(path).exists():
        raise fields.wrong("ca_bundle", path, "there is no such file or directory")
    return True if path is None else path


def _proxy(fields: _Fields) -> str | None:
    proxy = fields.text("proxy")
    if proxy is None:
        return None
    rule = "give scheme, host and port, such as http://user:password@proxy.example:3128"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port is not None
        usable = usable and not re.search(r"\s", proxy)
    except ValueError:
        usable = False
    if not usable:
        raise fields.wrong("proxy", "***", rule)
    return proxy
