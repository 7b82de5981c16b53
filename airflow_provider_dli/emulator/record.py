# SPDX-License-Identifier: Apache-2.0
"""The record of requests, without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.emulator.messages import Call

_SECRET_HEADERS = frozenset(
    {"authorization", "x-auth-token", "x-security-token", "x-metadata-token", "cookie"}
)


@dataclass(frozen=True, slots=True)
class Record:
    """A request: `status` is the HTTP status or the name of a fault ("reset", "hang", ...).

    `path` is decoded and complete, `body` parsed JSON (text if it is not JSON, None if empty),
    header names are lower case. The values of secret headers are "***", and so are the password and
    the token in a body for IAM.
    """

    method: str
    path: str
    query: Mapping[str, str]
    status: int | str
    body: Any
    headers: Mapping[str, str]
    request_id: str
    time: float

    @classmethod
    def of(cls, call: Call, status: int | str, request_id: str, time: float) -> Record:
        """Returns the record of a call."""
        headers = {
            name: "***" if name in _SECRET_HEADERS else value
            for name, value in call.headers.items()
        }
        return cls(
            call.method, call.path, call.query, status, _body(call), headers, request_id, time
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the record for the control path."""
        return {name: getattr(self, name) for name in self.__slots__}


def _body(call: Call) -> Any:
    if not call.body:
        return None
    try:
        body = json.loads(call.body)
    except ValueError:
        # A body that is not valid JSON may still contain a password.
        return call.body.decode("utf-8", "replace") if call.service == "dli" else "***"
    return body if call.service == "dli" else _masked(body)


def _masked(body: Any) -> Any:
    """Returns the body with all secret texts masked, which are known by their names."""
    if isinstance(body, list):
        return [_masked(item) for item in body]
    if not isinstance(body, dict):
        return body
    masked = {name: _masked(item) for name, item in body.items()}
    if isinstance(masked.get("password"), str):
        masked["password"] = "***"  # noqa: S105 - the opposite of a password
    if isinstance(masked.get("token"), dict) and "id" in masked["token"]:
        masked["token"]["id"] = "***"
    return masked
