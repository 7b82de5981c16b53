# SPDX-License-Identifier: Apache-2.0
"""How a service is called on an account: its address, its credential, its signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import Credential
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.protocol.wire import Call, Request


@dataclass(frozen=True, slots=True)
class Service:
    """One of the services that an account can call.

    `source` returns the source of its credential; `request` turns a call into a request, with the
    project's id if the service `has_projects`; `authorise` signs it with a Unix time; `caller`
    names the caller in messages. `name` is for the log.
    """

    name: str
    has_projects: bool
    source: Callable[[Account], Source]
    request: Callable[[Account, Call[Any], str], Request]
    authorise: Callable[[Account, Credential, Request, float], Request]
    caller: Callable[[Account], str]


DLI = Service(
    name="the service",
    has_projects=True,
    source=lambda account: account.source,
    request=Account.request,
    authorise=lambda _, credential, request, at: credential.authorise(request, at),
    caller=lambda account: account.caller,
)
