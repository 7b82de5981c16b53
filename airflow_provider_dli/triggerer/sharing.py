# SPDX-License-Identifier: Apache-2.0
"""A desk for each account of an event loop: its watches and their one connection pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.identity import Identity, identity_of
from airflow_provider_dli.api.jobs.looks import BatchLook, BatchLooks
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import PackageGroup, PackageListing
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.pace import pace_of
from airflow_provider_dli.api.protocol.wire import Flow, sleep
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggerer.poll import SharedPoll
from airflow_provider_dli.triggerer.subscribers import F, K, Subscriber

T = TypeVar("T")

TURN_GAP = 0.5
"""Seconds between two of the calls that an account is asked in turn."""


@dataclass(slots=True)
class SharedAccount:
    """What those who deal with one account share."""

    account: Account
    transport: AsyncTransport
    # Held here, so that what was fetched lasts as long as the desk.
    identity: Identity
    users: int = 0
    watches: dict[Hashable, SharedPoll[Any, Any]] = field(default_factory=dict)
    in_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_turn: float = 0.0


_Accounts: TypeAlias = dict[Account, SharedAccount]
_accounts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Accounts] = WeakKeyDictionary()


async def watch_group(
    account: Account,
    watcher: Subscriber[str | None, PackageGroup],
    *,
    kind: str | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> PackageGroup:
    """Watch a group of an account together with everybody else on this event loop.

    `now` gives the Unix time as of which the wait begins; from there it goes by `clock`. The last
    one to leave closes the connections. Raises what the watcher raises.
    """

    def watch(client: Client, transport: AsyncTransport) -> SharedPoll[str | None, PackageGroup]:
        def look(_: Collection[str | None]) -> Flow[PackageListing]:
            return client.once(calls.listing(kind))

        return SharedPoll(client, transport, look, clock=clock)

    return await _until(account, watcher, ("groups", kind), watch, now, clock)


async def watch_job(
    account: Account,
    watcher: Subscriber[str, SparkBatch],
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> SparkBatch:
    """Watch a Spark job of an account together with everybody else on this event loop.

    `now` and `clock` are those of `watch_group`. The last one to leave closes the
    connections. Raises what the watcher raises.
    """

    def watch(client: Client, transport: AsyncTransport) -> SharedPoll[str, SparkBatch]:
        looks = BatchLooks()

        def look(ids: Collection[str]) -> Flow[BatchLook]:
            return looks.look(client.once, ids)

        return SharedPoll(client, transport, look, piecemeal=True, clock=clock)

    return await _until(account, watcher, "jobs", watch, now, clock)


async def run(
    account: Account,
    ask: Callable[[Client], Flow[T]],
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Run a flow on the connections that the watches of the account use.

    It begins at the Unix time that `now` gives, and goes by `clock` from there. Gives what the
    flow gives and raises what it raises.
    """
    desk = _enter(account)
    try:
        return await _run(desk, account, ask, steady(now, clock))
    finally:
        await _leave(desk)


async def run_serially(
    account: Account,
    ask: Callable[[Client], Flow[T]],
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Run a flow that can wait, such as reading a log: one at a time on this account.

    Whoever comes first is served first, and `TURN_GAP` seconds lie between two, so that a
    thousand of them leave the watches their looks. Gives what the flow gives and raises what it
    raises.
    """
    loop = asyncio.get_running_loop()
    desk = _enter(account)
    try:
        async with desk.in_turn:
            await pause(max(desk.next_turn - loop.time(), 0))
            try:
                return await _run(desk, account, ask, steady(now, clock))
            finally:
                desk.next_turn = loop.time() + TURN_GAP
    finally:
        await _leave(desk)


@asynccontextmanager
async def keep_open(account: Account) -> AsyncIterator[None]:
    """Keep connections and credential of an account from one use to the next."""
    desk = _enter(account)
    try:
        yield
    finally:
        await _leave(desk)


async def pause(seconds: float) -> None:
    """Leave the loop to others for some seconds."""
    await AsyncTransport().run(sleep(seconds))


async def _until(
    account: Account,
    watcher: Subscriber[K, F],
    what: Hashable,
    begin: Callable[[Client, AsyncTransport], SharedPoll[K, F]],
    now: Callable[[], float],
    clock: Callable[[], float],
) -> F:
    desk = _enter(account)
    try:
        watch: SharedPoll[K, F] | None = desk.watches.get(what)
        if watch is None:
            watch = desk.watches[what] = begin(_client(account, steady(now, clock)), desk.transport)
        return await watch.until(watcher, account.caller, now())
    finally:
        await _leave(desk)


async def _run(
    desk: SharedAccount,
    account: Account,
    ask: Callable[[Client], Flow[T]],
    now: Callable[[], float],
) -> T:
    return await desk.transport.run(ask(_client(account, now)))


def _client(account: Account, now: Callable[[], float]) -> Client:
    # Pace and identity are the same for all clients of an account.
    return Client(account, now=now, pace=pace_of(account))


def _enter(account: Account) -> SharedAccount:
    desks = _accounts.setdefault(asyncio.get_running_loop(), {})
    # Connections that say the same share a desk under whatever name.
    nameless = replace(account, conn_id="")
    desk = desks.get(nameless)
    if desk is None:
        transport = AsyncTransport(**account.network)
        desk = desks[nameless] = SharedAccount(nameless, transport, identity_of(account.source))
    desk.users += 1
    return desk


async def _leave(desk: SharedAccount) -> None:
    """Close what nobody needs any more."""
    desk.users -= 1
    idle = [desk.watches.pop(what) for what, one in [*desk.watches.items()] if one.is_empty]
    is_last = not desk.users
    if is_last:
        del _accounts[asyncio.get_running_loop()][desk.account]
    if idle or is_last:
        # A trigger that is killed may be cancelled again meanwhile.
        await asyncio.shield(asyncio.ensure_future(_close(desk, idle, is_last)))


async def _close(desk: SharedAccount, idle: list[SharedPoll[Any, Any]], is_last: bool) -> None:
    for watch in idle:
        await watch.close()
    if is_last:
        await desk.transport.close()
