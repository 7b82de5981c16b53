# SPDX-License-Identifier: Apache-2.0
"""The parts of IAM that a client of DLI needs: tokens, temporary keys and ids of projects.

Source of its errors: the examples at the end of the pages on tokens in the folder cn.zh-cn of
https://github.com/huaweicloudDocs/iam.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from airflow_provider_dli.emulator.credentials import Credentials, Key, Token, timestamp
from airflow_provider_dli.emulator.gateway import Gateway, check_size, unknown_api
from airflow_provider_dli.emulator.messages import Answer, Call, JsonObject, RefusedError
from airflow_provider_dli.emulator.settings import Settings
from airflow_provider_dli.emulator.sign_in import (
    KeyRequest,
    SignIn,
    read_key_request,
    read_sign_in,
)

_Asked = TypeVar("_Asked")


class Iam:
    """Answers the calls below /v3 and /v3.0."""

    def __init__(
        self, url: str, settings: Settings, credentials: Credentials, gateway: Gateway
    ) -> None:
        self._url = url
        self._settings = settings
        self._credentials = credentials
        self._gateway = gateway

    def answer(self, call: Call) -> Answer:
        """Returns the answer to a call; raises RefusedError for errors of the gateway."""
        operation = self._operation(call)
        check_size(call)
        # IAM's support asks for the trace id.
        trace = {"X-IAM-Trace-Id": secrets.token_hex(16)}
        try:
            answer = operation(call)
        except _DeniedError as denied:
            error = {
                "code": denied.status,
                "message": denied.message,
                "title": HTTPStatus(denied.status).phrase,
            }
            answer = Answer(denied.status, {"error": error})
        return Answer(answer.status, answer.body, {**answer.headers, **trace})

    def _operation(self, call: Call) -> Callable[[Call], Answer]:
        match call.method, call.segments:
            case "POST", ("v3", "auth", "tokens"):
                return self._token
            case "GET", ("v3", "projects"):
                return self._projects
            case "POST", ("v3.0", "OS-CREDENTIAL", "securitytokens"):
                return self._key
        raise unknown_api()

    def _token(self, call: Call) -> Answer:
        """POST /v3/auth/tokens: a token for a password.

        https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html
        """
        asked = _understood(call, read_sign_in)
        known = self._settings
        right = (known.account, known.password)
        if asked.user not in known.users or (asked.account, asked.password) != right:
            raise _DeniedError(401, "The username or password is wrong.")
        project_id = self._project_of(asked)
        token = self._credentials.issue_token(asked.user, project_id)
        catalog = [] if call.query.get("nocatalog") else self._catalog()
        return Answer(
            201, {"token": self._token_json(token, catalog)}, {"X-Subject-Token": token.value}
        )

    def _project_of(self, asked: SignIn) -> str | None:
        known = self._settings
        if asked.project_id is not None:
            if asked.project_id in known.project_ids:
                return asked.project_id
        elif asked.project_name is not None:
            for project_id in known.project_ids:
                if known.project_name(project_id) == asked.project_name:
                    return project_id
        else:
            return None
        # Undocumented; text and status are those of OpenStack, which IAM is based on:
        # https://github.com/ironcamel/Net-OpenStack-Compute/issues/8
        raise _DeniedError(
            401, f"Could not find project, {asked.project_id or asked.project_name}."
        )

    def _token_json(self, token: Token, catalog: list[JsonObject]) -> JsonObject:
        domain = self._domain()
        scope: JsonObject = {"domain": domain}
        if token.project_id is not None:
            name = self._settings.project_name(token.project_id)
            scope = {"project": {"domain": domain, "id": token.project_id, "name": name}}
        return {
            "expires_at": timestamp(token.expires_at),
            "methods": ["password"],
            "catalog": catalog,
            "roles": [{"id": "0", "name": "te_admin"}],
            **scope,
            "issued_at": timestamp(token.issued_at),
            "user": {
                "domain": domain,
                "id": uuid.uuid5(uuid.NAMESPACE_OID, token.user).hex,
                "name": token.user,
                "password_expires_at": "",
            },
        }

    def _catalog(self) -> list[JsonObject]:
        endpoint = {
            "id": "33e1cbdd86d34e89a63cf8ad16a5f49f",
            "interface": "public",
            "region": "*",
            "region_id": "*",
            "url": f"{self._url}/v3.0",
        }
        service = {"id": "100a6a3477f1495286579b819d399e36", "name": "iam", "type": "iam"}
        return [{"endpoints": [endpoint], **service}]

    def _projects(self, call: Call) -> Answer:
        """GET /v3/projects: all of them, or those of one name; other filters are ignored.

        https://support.huaweicloud.com/intl/en-us/api-iam/iam_06_0001.html
        """
        self._authenticate(call)
        name = call.query.get("name")
        query = f"?{call.raw_query}" if call.raw_query else ""
        return Answer(
            200,
            {
                "projects": [
                    self._project_json(project_id)
                    for project_id in self._settings.project_ids
                    if name is None or name == self._settings.project_name(project_id)
                ],
                "links": self._links(f"/v3/projects{query}"),
            },
        )

    def _project_json(self, project_id: str) -> JsonObject:
        return {
            "domain_id": self._settings.account_id,
            "is_domain": False,
            "parent_id": self._settings.account_id,
            "name": self._settings.project_name(project_id),
            "description": "",
            "links": self._links(f"/v3/projects/{project_id}"),
            "id": project_id,
            "enabled": True,
        }

    def _key(self, call: Call) -> Answer:
        """POST /v3.0/OS-CREDENTIAL/securitytokens: a key for an agency or for a token.

        https://support.huaweicloud.com/intl/en-us/api-iam/iam_04_0101.html and
        https://docs.otc.t-systems.com/identity-access-management/api-ref/apis/access_key_management/obtaining_a_temporary_ak_sk.html

        Scope and policy are ignored: these keys have all permissions of the account.
        """
        asked = _understood(call, read_key_request)
        # The header takes precedence over the token of the body.
        self._authenticate(call, asked.token)
        if asked.agency is not None:
            self._check_agency(asked)
        key = self._credentials.issue_key(asked.source, asked.seconds)
        return Answer(201, {"credential": credential(key)})

    def _check_agency(self, asked: KeyRequest) -> None:
        known = self._settings
        accounts = (known.account, known.account_id)
        if asked.agency not in known.agencies or asked.account not in accounts:
            # The pages of this call document no 404 and no error text; this text is the one for a
            # token of an agency that the caller may not use.
            raise _DeniedError(403, "You have no right to do this action")

    def _authenticate(self, call: Call, token: str | None = None) -> None:
        value = call.headers.get("x-auth-token", token)
        if value is None and "authorization" in call.headers:
            self._gateway.check_signature(call)
            return
        try:
            self._gateway.known_token(value or "")
        except RefusedError:
            # IAM has one text for every invalid token:
            # https://github.com/opentelekomcloud/terraform-provider-opentelekomcloud/issues/2089
            raise _DeniedError(401, "The X-Auth-Token is invalid!") from None

    def _domain(self) -> JsonObject:
        return {"id": self._settings.account_id, "name": self._settings.account}

    def _links(self, path: str) -> JsonObject:
        return {"next": None, "previous": None, "self": f"{self._url}{path}"}


def credential(key: Key) -> JsonObject:
    """Returns a temporary key as IAM and the metadata service print it."""
    return {
        "access": key.access_key,
        "secret": key.secret_key,
        "securitytoken": key.security_token,
        "expires_at": timestamp(key.expires_at),
    }


class _DeniedError(Exception):
    """IAM refuses a call, with an error in its own format."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _understood(call: Call, read: Callable[[JsonObject], _Asked]) -> _Asked:
    try:
        return read(json.loads(call.body))
    # The latter two: a member has an unexpected type.
    except (ValueError, TypeError, AttributeError):
        raise _DeniedError(400, "The request body is invalid") from None
