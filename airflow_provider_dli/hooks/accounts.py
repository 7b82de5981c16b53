# SPDX-License-Identifier: Apache-2.0
"""Reads connections in the triggerer: once for all who ask for the same one at the same time."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.connection import account_from

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_Wanted: TypeAlias = tuple[str, str | None, str | None]

_reading: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Wanted, asyncio.Task[Account]]] = (
    WeakKeyDictionary()
)


async def account_of(conn_id: str, region: str | None, project_id: str | None) -> Account:
    """Give the account of a connection; `region` and `project_id` win over what it says.

    A triggerer that starts has thousands of waits, and each look-up goes to the API server or to a
    secrets backend. `hooks.desks` is imported, too, off the loop. Raises what reading the
    connection raises.
    """
    loop = asyncio.get_running_loop()
    reading = _reading.setdefault(loop, {})
    wanted = (conn_id, region, project_id)
    task = reading.get(wanted)
    if task is None:
        task = reading[wanted] = loop.create_task(_read(*wanted))
        task.add_done_callback(lambda done: _done(reading, wanted, done))
    # Who is killed meanwhile leaves the others their answer.
    return await asyncio.shield(task)


async def _read(conn_id: str, region: str | None, project_id: str | None) -> Account:
    connection = await get_async_connection(conn_id)
    return await asyncio.to_thread(_prepare, connection, region, project_id)


def _prepare(connection: Connection, region: str | None, project_id: str | None) -> Account:
    # In a thread: it looks whether files exist, and what the account is for takes long to import.
    import_module("airflow_provider_dli.hooks.desks")
    return account_from(connection, region=region, project_id=project_id)


def _done(
    reading: dict[_Wanted, asyncio.Task[Account]], wanted: _Wanted, task: asyncio.Task[Account]
) -> None:
    del reading[wanted]
    if not task.cancelled():
        task.exception()  # seen, should everybody who asked be gone
