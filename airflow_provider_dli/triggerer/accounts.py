# SPDX-License-Identifier: Apache-2.0
"""Reads connections in the triggerer: once for all who ask for the same one at the same time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.protocol.errors import InputError, NotSentError
from airflow_provider_dli.connection import account_from
from airflow_provider_dli.triggerer.loop import SharedAnswers
from airflow_provider_dli.triggerer.sharing import pause

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_Wanted: TypeAlias = tuple[str, str | None, str | None]

LEAST_PAUSE = 1.0
"""Seconds between a failed look-up of a connection and the next, however many want it."""

_shared: SharedAnswers[_Wanted, Account] = SharedAnswers()
_failed: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Wanted, float]] = WeakKeyDictionary()


async def account_of(conn_id: str | None, region: str | None, project_id: str | None) -> Account:
    """Returns the account of a connection; `region` and `project_id` override its fields.

    A triggerer that starts has thousands of waits, and each look-up goes to the API server or to a
    secrets backend. Raises `InputError` where the connection is there and wrong, and `NotSentError`
    where it could not be read, which may pass.
    """
    wanted = (checks.conn_id(conn_id), region, project_id)
    return await _shared.ask(wanted, partial(_read, *wanted))


def unreadable(conn_id: str, reason: str) -> NotSentError:
    """Returns the error for a connection that could not be read.

    Without the words of what failed: those of a secrets backend may hold a secret. Airflow itself
    tells a backend that failed as a connection that is not defined.
    """
    return NotSentError(
        f"The connection {conn_id!r} could not be read ({reason}): Airflow has none of this id, or "
        "its secrets backend or API server failed. Look for the connection, and in the log of the "
        "triggerer."
    )


async def _read(conn_id: str, region: str | None, project_id: str | None) -> Account:
    loop = asyncio.get_running_loop()
    failed = _failed.setdefault(loop, {})
    wanted = (conn_id, region, project_id)
    if wanted in failed:
        await pause(max(failed[wanted] + LEAST_PAUSE - loop.time(), 0))
    try:
        connection = await get_async_connection(conn_id)
        account = await asyncio.to_thread(_prepare, connection, region, project_id)
    except InputError:
        raise
    except Exception as error:
        failed[wanted] = loop.time()
        reason = type(error).__name__
    else:
        failed.pop(wanted, None)
        return account
    # Outside of the handler, so that it does not carry the backend's error along.
    raise unreadable(conn_id, reason)


def _prepare(connection: Connection, region: str | None, project_id: str | None) -> Account:
    # In a thread: it looks whether files exist.
    return account_from(connection, region=region, project_id=project_id)
