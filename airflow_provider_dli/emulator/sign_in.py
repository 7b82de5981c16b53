# SPDX-License-Identifier: Apache-2.0
"""Reads the bodies of requests to IAM.

Raises `ValueError` for an invalid body, without details since IAM has none either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.emulator.messages import JsonObject

MIN_KEY_SECONDS = 15 * 60
MAX_KEY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class SignIn:
    """A request for a token: the user, and the project; without a project it is for the account."""

    user: str
    password: str
    account: str
    project_id: str | None
    project_name: str | None


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A request for a temporary key: for an agency and its account, or for a token."""

    source: str
    seconds: float
    agency: str | None = None
    account: str | None = None
    token: str | None = None


def read_sign_in(body: JsonObject) -> SignIn:
    """Reads the body of POST /v3/auth/tokens."""
    auth = _object(body, "auth")
    identity = _object(auth, "identity")
    if identity.get("methods") != ["password"]:
        raise ValueError("methods must be password")
    user = _object(_object(identity, "password"), "user")
    # A project takes precedence over a domain; a scope with neither counts as none.
    project = _object(_object(auth, "scope", {}), "project", {})
    return SignIn(
        user=_text(user, "name"),
        password=_text(user, "password"),
        account=_text(_object(user, "domain"), "name"),
        project_id=_text(project, "id") if "id" in project else None,
        project_name=_text(project, "name") if "name" in project else None,
    )


def read_key_request(body: JsonObject) -> KeyRequest:
    """Reads the body of POST /v3.0/OS-CREDENTIAL/securitytokens."""
    identity = _object(_object(body, "auth"), "identity")
    match identity.get("methods"):
        case ["assume_role"]:
            role = _object(identity, "assume_role")
            return KeyRequest(
                "agency",
                _seconds(role),
                # OTC's example has the older name.
                agency=_text(role, "agency_name" if "agency_name" in role else "xrole_name"),
                account=_text(role, "domain_id" if "domain_id" in role else "domain_name"),
            )
        case ["token"]:
            token = _object(identity, "token", {})
            return KeyRequest(
                "token", _seconds(token), token=_text(token, "id") if "id" in token else None
            )
    raise ValueError("methods must be assume_role or token")


def _seconds(place: JsonObject) -> float:
    # With a hyphen and as text in the vendor's older examples:
    # https://github.com/huaweicloud-demo/IAM-AKSK-huaweiCloud. A quarter of an hour by default.
    given = place.get("duration_seconds", place.get("duration-seconds"))
    seconds = MIN_KEY_SECONDS if given is None else int(given)
    if not MIN_KEY_SECONDS <= seconds <= MAX_KEY_SECONDS:
        raise ValueError("duration_seconds must be from 900 to 86400")
    return seconds


def _object(place: JsonObject, name: str, default: JsonObject | None = None) -> JsonObject:
    value = place.get(name, default)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object")
    return value


def _text(place: JsonObject, name: str) -> str:
    value: Any = place.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text")
    return value
