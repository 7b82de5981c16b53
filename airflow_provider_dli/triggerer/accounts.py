# SPDX-License-Identifier: Apache-2.0
"""Reads connections in the triggerer, once for all triggers that need the same one at a time."""

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
"""Seconds between two attempts to read a connection after the first one failed."""

_shared: SharedAnswers[_Wanted, Account] = SharedAnswers()
_failed: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Wanted, float]] = WeakKeyDictionary()


async def account_of(conn_id: str | None, region: str | None, project_id: str | None) -> Account:
    """Returns the account of a connection; `region` and `project_id` override its own.

    A triggerer that starts has thousands of waits, and each reading is a request to the API server
    or to a secrets backend. Raises `InputError` if the connection is wrong, and `NotSentError` if
    it could not be read, which may pass.
    """
    wanted = (checks.conn_id(conn_id), region, project_id)
    return await _shared.ask(wanted, partial(_read, *wanted))


def unreadable(conn_id: str, reason: str) -> NotSentError:
    """Returns the error for a connection that could not be read.

    It does not quote the cause, for the message of a secrets backend may contain a secret. Airflow
    reports a backend that failed as a connection that is not defined.
    """
    return NotSentError(
        f"The connection {conn_id!r} could not be read ({reason}): it is not defined, or Airflow's "
        "secrets backend or API server failed. Check that the connection exists, and read the log "
        "of the triggerer."
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
    # Outside the handler, so that the backend's error is not its context.
    raise unreadable(conn_id, reason)


def _prepare(connection: Connection, region: str | None, project_id: str | None) -> Account:
    # Runs in a thread, for it checks whether files exist.
    return account_from(connection, region=region, project_id=project_id)
