# SPDX-License-Identifier: Apache-2.0
"""What one service wants of an account that calls it: an address, keys, a signature."""

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
    """One of the services that an account calls, as data.

    `source` tells where the credential for it comes from, `request` makes a request of a call,
    given the project's id where it `has_projects`, `authorise` signs it at a Unix time, and
    `caller` says who asked, for messages. `name` is for the log.
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
