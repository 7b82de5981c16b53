# SPDX-License-Identifier: Apache-2.0
"""A desk for each account of an event loop: its watches and their one connection pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from weakref import WeakKeyDictionary

from airflow_provider_dli.api.account import Account
from airflow_provider_dli.api.flows import Client
from airflow_provider_dli.api.models import PackageGroup
from airflow_provider_dli.api.pace import pace_of
from airflow_provider_dli.api.wire import sleep
from airflow_provider_dli.hooks.watch import Watch, Watcher
from airflow_provider_dli.transport.asynchronous import AsyncTransport


@dataclass(slots=True)
class _Desk:
    """What the watches of one account share."""

    account: Account
    transport: AsyncTransport
    watches: dict[str | None, Watch] = field(default_factory=dict)


_Desks: TypeAlias = dict[Account, _Desk]
_desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desks] = WeakKeyDictionary()


async def until(
    account: Account,
    watcher: Watcher,
    *,
    kind: str | None = None,
    now: Callable[[], float] = time.time,
) -> PackageGroup:
    """Watch a group of an account together with everybody else on this event loop.

    The last one to leave closes the connections. Raises what the watcher raises.
    """
    desks = _desks.setdefault(asyncio.get_running_loop(), {})
    desk = _desk_of(account, desks)
    watch = desk.watches.get(kind)
    if watch is None:
        client = Client(account, now=now, pace=pace_of(account))
        watch = desk.watches[kind] = Watch(client, desk.transport, kind)
    try:
        return await watch.until(watcher, account.caller)
    finally:
        if watch.is_empty and desk.watches.get(kind) is watch:
            del desk.watches[kind]
            if not desk.watches:
                del desks[desk.account]
            # A trigger that is killed may be cancelled again meanwhile.
            await asyncio.shield(asyncio.ensure_future(_close(desk, watch)))


async def pause(seconds: float) -> None:
    """Leave the loop to others for some seconds."""
    await AsyncTransport().run(sleep(seconds))


def _desk_of(account: Account, desks: _Desks) -> _Desk:
    # Connections that say the same share a poll under whatever name.
    nameless = replace(account, conn_id="")
    desk = desks.get(nameless)
    if desk is None:
        transport = AsyncTransport(
            **account.network,
        )
        desk = desks[nameless] = _Desk(nameless, transport)
    return desk


async def _close(desk: _Desk, watch: Watch) -> None:
    await watch.close()
    if not desk.watches:
        await desk.transport.close()
