# SPDX-License-Identifier: Apache-2.0
"""Reads an Airflow connection of type `dli` into an `Account`.

The fields are declared in `connection_form.py`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.access.endpoints import Cloud, dli_origin, iam_origin, obs_origin
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.access.sources import Agency, Metadata, Password
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.connection_form import FIELDS, Field, Kind

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_log = logging.getLogger(__name__)


def account_from(
    connection: Connection, *, region: str | None = None, project_id: str | None = None
) -> Account:
    """Returns the account of a connection; `region` and `project_id` override the connection's.

    Raises `InputError` with connection and field, never with the value of a secret.
    """
    fields = _Fields(connection, {"region": region, "project_id": project_id})
    cloud = Cloud(fields["cloud"]) if fields["cloud"] else None
    region = fields["region"]
    known = dli_origin(cloud, region) if cloud and region else None
    origin = fields["endpoint"] or known
    if origin is None:
        if cloud is None:
            raise fields.missing("cloud", "use huawei or otc, or give the endpoint of DLI")
        raise fields.missing("region", "such as eu-de, or give the endpoint of DLI")
    iam = fields["iam_endpoint"] or (iam_origin(cloud, region) if cloud and region else None)
    project_id = fields["project_id"]
    source = _source(fields, _Scope(iam, project_id, region))
    if project_id is None and not isinstance(source, Password) and (iam is None or region is None):
        rule = (
            "the console shows it under My Credentials; with a region, and a cloud or an "
            "iam_endpoint, it is looked up"
        )
        raise fields.missing("project_id", rule)
    return Account(
        origin=origin,
        project_id=project_id,
        source=source,
        cloud=cloud,
        region=region,
        conn_id=fields.conn_id,
        verify=_verify(fields),
        connect_timeout=fields["connect_timeout"],
        read_timeout=fields["read_timeout"],
        total_timeout=fields["total_timeout"],
        max_answer_size=fields["max_answer_size"],
        iam_origin=iam,
        proxy=fields["proxy"],
        obs_origin=_obs(fields) or (obs_origin(cloud, region) if cloud and region else None),
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a credential is for: a project of a region, and the IAM that knows it."""

    iam: str | None
    project_id: str | None
    region: str | None


class _Fields:
    """The fields of one connection: `fields["region"]` reads, checks and trims one.

    A blank value counts as missing.
    """

    def __init__(self, connection: Connection, overrides: Mapping[str, str | None]) -> None:
        self.conn_id = connection.conn_id
        self.login = connection.login
        self.password = connection.password
        self._overrides = overrides
        self._extra: Mapping[str, Any] = {}
        self._extra = self._parse(connection.extra)

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a field, or its default."""
        field = FIELDS[name]
        return _READERS[field.kind](self, field)

    def wrong(self, name: str, value: object, rule: str) -> InputError:
        # A secret may have been put into the wrong field, beside its own.
        extra = (self._extra.get(secret) for secret in ("security_token", "auth_token"))
        secrets = [text.strip() for text in (self.password, *extra) if isinstance(text, str)]
        shown = "***" if any(secret and secret in str(value) for secret in secrets) else value
        return InputError(f"connection {self.conn_id!r}: {name}", shown, rule)

    def missing(self, name: str, rule: str) -> InputError:
        return self.wrong(name, None, rule)

    def required(self, name: str) -> str:
        value: str | None = self[name]
        if value is None:
            raise self.missing(name, f"auth_type {self['auth_type']} needs it")
        return value

    def has(self, name: str) -> bool:
        return self._given(FIELDS[name]) is not None

    def secret(self, name: str, value: object) -> str | None:
        """Returns a secret without blanks around it; errors do not show it."""
        text = value.strip() if isinstance(value, str) else value
        if text is None or text == "":
            return None
        if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text):
            raise self.wrong(name, "***", "a blank, a control character or no text at all")
        if text != value:
            _log.warning(
                "Connection %r: %s has blanks around it, which are ignored.", self.conn_id, name
            )
        return text

    def _given(self, field: Field) -> Any:
        value = self._extra.get(field.name)
        return None if isinstance(value, str) and not value.strip() else value

    def _text(self, field: Field) -> str | None:
        value = checks.given(field.name, self._overrides.get(field.name))
        if value is None:
            value = self._extra.get(field.name)
        if value is not None and not isinstance(value, str):
            # A list or an object may hold a password, such as that of a proxy.
            shown = "***" if isinstance(value, list | dict) else value
            raise self.wrong(field.name, shown, "give text")
        return (value or "").strip() or None

    def _name(self, field: Field) -> str | None:
        text = self._text(field)
        try:
            checks.given(field.name, text)
        except InputError as error:
            raise error.about(f"connection {self.conn_id!r}: {field.name}") from None
        if text is not None and not re.fullmatch(field.pattern, text):
            raise self.wrong(field.name, text, field.rule)
        return text

    def _secret(self, field: Field) -> str | None:
        return self.secret(field.name, self._extra.get(field.name))

    def _seconds(self, field: Field) -> float:
        value = self._given(field)
        if value is None:
            return float(field.default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 < number < math.inf:
            raise self.wrong(field.name, value, "give a positive number of seconds")
        return number

    def _count(self, field: Field) -> int:
        value = self._given(field)
        if value is None:
            return int(field.default)
        # Text comes from a URI, and a float from a form that has numbers only.
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text) or not int(text):
            raise self.wrong(field.name, value, "give a positive whole number")
        return int(text)

    def _switch(self, field: Field) -> bool:
        value = self._given(field)
        if value is None:
            return bool(field.default)
        # Text comes from a URI, where nothing else can.
        known = {"true": True, "false": False}
        found = value if isinstance(value, bool) else known.get(str(value).strip().lower())
        if found is None:
            raise self.wrong(field.name, value, "use true or false")
        return found

    def _choice(self, field: Field) -> str | None:
        text = self._text(field)
        if text is not None and text.lower() not in field.choices:
            raise self.wrong(field.name, text, f"use {' or '.join(field.choices)}")
        return text and text.lower()

    def _address(self, field: Field) -> str | None:
        """Returns the address of a service: scheme, host and port."""
        text, default = self._text(field), field.default
        if text is None:
            return str(default) if default else None
        rule = "give scheme and host, such as https://dli.eu-de.otc.t-systems.com"
        try:
            parts = urlsplit(text)
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            parts = None
        if parts is None:  # outside of the handler, whose error quotes what may be a password
            raise self.wrong(field.name, "***", rule)
        bare = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not bare:
            # Not shown if it may hold a password.
            raise self.wrong(field.name, text if "@" not in text else "***", rule)
        if parts.path not in {"", "/"}:
            raise self.wrong(field.name, text, f"{rule}, without a path")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        # The signature covers the host as it is sent, and that has no default port.
        implied = {"http": ":80", "https": ":443"}[parts.scheme]
        return f"{parts.scheme}://{host}{'' if port == implied else port}"

    def _proxy(self, field: Field) -> str | None:
        proxy = self._text(field)
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
            raise self.wrong(field.name, "***", rule)
        return proxy

    def _parse(self, extra: str | None) -> Mapping[str, Any]:
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


_READERS: Mapping[Kind, Callable[[_Fields, Field], Any]] = {
    "text": _Fields._text,
    "name": _Fields._name,
    "address": _Fields._address,
    "secret": _Fields._secret,
    "proxy": _Fields._proxy,
    "choice": _Fields._choice,
    "seconds": _Fields._seconds,
    "count": _Fields._count,
    "switch": _Fields._switch,
}


def _obs(fields: _Fields) -> str | None:
    origin: str | None = fields["obs_endpoint"]
    if origin is not None and ".obs." in origin:
        rule = "leave out the bucket, such as https://obs.eu-de.otc.t-systems.com"
        raise fields.wrong("obs_endpoint", origin, rule)
    return origin


def _verify(fields: _Fields) -> bool | str:
    path: str | None = fields["ca_bundle"]
    if not fields["verify"]:
        if path is not None:
            raise fields.wrong("verify", False, "with a ca_bundle, certificates are verified")
        return False
    if path is not None and not Path(path).exists():
        raise fields.wrong("ca_bundle", path, "there is no such file or directory")
    return True if path is None else path


def _source(fields: _Fields, scope: _Scope) -> Source:
    # Connections made before there was `auth_type` have none.
    kind = fields["auth_type"] or ("token" if fields.has("auth_token") else "keys")
    return _SOURCES[kind](fields, scope)


def _token(fields: _Fields, scope: _Scope) -> Token:
    token = fields["auth_token"]
    if token is None:
        raise fields.missing("auth_token", "give the token of a project")
    return Token(token)


def _metadata(fields: _Fields, scope: _Scope) -> Metadata:
    return Metadata(fields["metadata_endpoint"])


def _agency(fields: _Fields, scope: _Scope) -> Agency:
    agency, account = fields.required("agency"), fields.required("account")
    return Agency(_iam(fields, scope), _keys(fields, scope), agency, account)


def _password(fields: _Fields, scope: _Scope) -> Password:
    if scope.project_id is None and scope.region is None:
        raise fields.missing("project_id", "a token is for one project: give its id, or the region")
    user, password = (fields.login or "").strip(), fields.password
    if not user or not password:
        rule = "give name and password of an IAM user, as auth_type says"
        raise fields.missing("password" if user else "login", rule)
    return Password(
        _iam(fields, scope),
        user,
        password,
        fields.required("account"),
        scope.project_id,
        scope.region,
    )


def _iam(fields: _Fields, scope: _Scope) -> str:
    if scope.iam is None:
        raise fields.missing("iam_endpoint", "give it, or give cloud and region")
    return scope.iam


def _keys(fields: _Fields, scope: _Scope) -> AccessKey:
    access_key = fields.secret("login", fields.login)
    secret_key = fields.secret("password", fields.password)
    if not access_key:
        raise fields.missing("login", "give the access key (AK), or choose another auth_type")
    if not secret_key:
        raise fields.missing("password", "give the secret key (SK) that belongs to the access key")
    return AccessKey(access_key, secret_key, fields["security_token"])


def _environment(fields: _Fields, scope: _Scope) -> AccessKey:
    """Returns the key in the environment variables of the vendor's SDK."""
    values = {
        name: fields.secret(name, os.environ.get(name))
        for name in (f"HUAWEICLOUD_SDK_{part}" for part in ("AK", "SK", "SECURITY_TOKEN"))
    }
    access_key, secret_key, security_token = values.values()
    if not access_key or not secret_key:
        missing = next(name for name, value in values.items() if not value)
        raise fields.missing(missing, "auth_type is environment: set it where Airflow runs")
    return AccessKey(access_key, secret_key, security_token)


_SOURCES: Mapping[str, Callable[[_Fields, _Scope], Source]] = {
    "keys": _keys,
    "password": _password,
    "token": _token,
    "metadata": _metadata,
    "environment": _environment,
    "agency": _agency,
}
