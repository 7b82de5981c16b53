# SPDX-License-Identifier: Apache-2.0
"""The endpoints for credentials and projects: IAM, and the metadata service of a machine.

Each function returns a `Call` with a complete path. Answers contain secrets, so their parsers quote
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from airflow_provider_dli.api.access.auth import AccessKey, Lease, Token
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import WireError
from airflow_provider_dli.api.protocol.wire import Call, Request, Response

SESSION_SECONDS = 21_600
"""The lifetime requested for a session with the metadata service."""


def request(call: Call[Any], origin: str, *, direct: bool = False) -> Request:
    """Returns the request for one of these calls; `direct` bypasses every proxy."""
    return Request(
        method=call.method,
        origin=origin,
        path=call.path,
        query=call.query,
        headers={"Content-Type": "application/json", **call.headers},
        body=call.body,
        direct=direct,
    )


def token(user: str, password: str, account: str, project: Mapping[str, str]) -> Call[Lease]:
    """Issues a token for a password; `project` has the `id` or the `name`, that of the region.

    POST /v3/auth/tokens, https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html
    """
    identity = {
        "methods": ["password"],
        "password": {"user": {"name": user, "password": password, "domain": {"name": account}}},
    }
    body = {"auth": {"identity": identity, "scope": {"project": project}}}
    return Call(
        "POST",
        "/v3/auth/tokens",
        _token,
        # Leaves out the list of all services.
        query=(("nocatalog", "true"),),
        body=msgspec.json.encode(body),
        repeatable=True,
        answers_secrets=True,
    )


def agency_key(agency: str, account: str, seconds: int) -> Call[Lease]:
    """Issues temporary keys for an agency that `account` created for the caller's account.

    POST /v3.0/OS-CREDENTIAL/securitytokens,
    https://support.huaweicloud.com/intl/en-us/api-iam/iam_04_0101.html
    """
    role = {"agency_name": agency, "domain_name": account, "duration_seconds": seconds}
    body = {"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}
    return Call(
        "POST",
        "/v3.0/OS-CREDENTIAL/securitytokens",
        _key,
        body=msgspec.json.encode(body),
        repeatable=True,
        answers_secrets=True,
    )


def token_key(seconds: int) -> Call[Lease]:
    """Issues temporary keys for the token of the request, valid for 900 to 86,400 seconds.

    They have the permissions of the token. POST /v3.0/OS-CREDENTIAL/securitytokens,
    https://support.huaweicloud.com/intl/en-us/api-iam/iam_04_0002.html
    """
    identity = {"methods": ["token"], "token": {"duration_seconds": seconds}}
    return Call(
        "POST",
        "/v3.0/OS-CREDENTIAL/securitytokens",
        _key,
        body=msgspec.json.encode({"auth": {"identity": identity}}),
        repeatable=True,
        answers_secrets=True,
    )


def projects(name: str) -> Call[tuple[str, ...]]:
    """Returns the ids of the caller's projects with a name; a region's main project has its name.

    GET /v3/projects, https://support.huaweicloud.com/intl/en-us/api-iam/iam_06_0001.html
    """
    return Call("GET", "/v3/projects", _projects, query=(("name", name),), repeatable=True)


def all_projects() -> Call[dict[str, str]]:
    """Returns the names of all projects of the caller, by their ids.

    GET /v3/projects, https://support.huaweicloud.com/intl/en-us/api-iam/iam_06_0001.html
    """
    return Call("GET", "/v3/projects", _names_of_projects, repeatable=True)


def metadata_session() -> Call[str]:
    """Starts a session with the metadata service. Older services have none: they answer 404 or 405.

    PUT /meta-data/latest/api/token. Source: the vendor's SDK, `auth/internal.py`.
    """
    return Call(
        "PUT",
        "/meta-data/latest/api/token",
        _session,
        repeatable=True,
        headers={"X-Metadata-Token-Ttl-Seconds": str(SESSION_SECONDS)},
        answers_secrets=True,
    )


def metadata_key(session: str | None) -> Call[Lease]:
    """Issues temporary keys for the agency bound to this machine.

    GET /openstack/latest/securitykey,
    https://support.huaweicloud.com/intl/en-us/usermanual-ecs/ecs_03_0166.html
    """
    headers = {} if session is None else {"X-Metadata-Token": session}
    return Call(
        "GET",
        "/openstack/latest/securitykey",
        _key,
        repeatable=True,
        headers=headers,
        answers_secrets=True,
    )


def _token(response: Response) -> Lease:
    value = response.headers.get("x-subject-token")
    described = lenient.answer_object(response.body).get("token")
    if not value or not isinstance(described, dict):
        raise WireError("it has no X-Subject-Token or describes no token")
    project = described.get("project")
    project_id = project.get("id") if isinstance(project, dict) else None
    return Lease(Token(value), _time(described.get("expires_at")), lenient.text(project_id))


def _key(response: Response) -> Lease:
    credential = lenient.answer_object(response.body).get("credential")
    fields: dict[str, Any] = credential if isinstance(credential, dict) else {}
    access, secret, session = (
        lenient.text(fields.get(name)) for name in ("access", "secret", "securitytoken")
    )
    if not access or not secret or not session:
        raise WireError("it has no credential of access, secret and securitytoken")
    return Lease(AccessKey(access, secret, session), _time(fields.get("expires_at")))


def _projects(response: Response) -> tuple[str, ...]:
    listed = lenient.answer_object(response.body).get("projects")
    if not isinstance(listed, list):
        raise WireError("it has no projects")
    ids = (lenient.text(entry.get("id")) for entry in listed if isinstance(entry, dict))
    return tuple(id_ for id_ in ids if id_)


def _names_of_projects(response: Response) -> dict[str, str]:
    listed = lenient.objects("projects", lenient.answer_object(response.body).get("projects"))
    return {str(entry["id"]): str(entry.get("name")) for entry in listed if entry.get("id")}


def _session(response: Response) -> str:
    try:
        session = bytes(response.body).decode("ascii").strip()
    except UnicodeDecodeError:
        session = ""
    if not session.isprintable() or not session:
        raise WireError("it is not a token")
    return session


def _time(text: object) -> float:
    """Returns a time of IAM in Unix seconds."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise WireError("expires_at is not a time") from None
    # Without a time zone it is UTC, not the time of this machine.
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
