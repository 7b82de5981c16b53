"""Connections that fetch what they ask with, and how often they did."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dli.emulator import Emulator

FETCHED = ["password", "metadata", "agency"]
# The lines that they share take real time in the triggerer, so one of them has to do there.
MOSTLY_WORKER = pytest.mark.parametrize(
    ("mode", "auth_type"),
    [*(("worker", auth_type) for auth_type in FETCHED), ("triggerer", "password")],
    indirect=["mode"],
)
ISSUING = {
    "password": "/v3/auth/tokens",
    "metadata": "/openstack/latest/securitykey",
    "agency": "/v3.0/OS-CREDENTIAL/securitytokens",
}


def fields(emulator: Emulator, auth_type: str) -> dict[str, Any]:
    """Returns the fields of a connection that fetches what it asks with."""
    known = emulator.settings
    addresses = {"iam_endpoint": emulator.url, "metadata_endpoint": emulator.url}
    extra = emulator.airflow_connection["extra"] | {"auth_type": auth_type, "read_timeout": 5}
    extra |= addresses | {"account": known.account, "agency": known.agencies[0]}
    login = {"login": emulator.access_key, "password": emulator.secret_key}
    if auth_type == "password":
        login = {"login": known.users[0], "password": known.password}
    return {"conn_type": "dli", **login, "extra": extra}


def fetches(emulator: Emulator, auth_type: str) -> list[float]:
    """Returns the times at which a credential was issued so far."""
    return [r.time for r in emulator.requests if r.path == ISSUING[auth_type]]
