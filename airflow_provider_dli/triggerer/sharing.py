# SPDX-License-Identifier: Apache-2.0
"""What the triggers of an event loop share on one account: polls, connections, and credential."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.identity import Identity, identity_of
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.snapshot import JobReader
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import PackageGroup, PackageListing
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.pace import pace_of
from airflow_provider_dli.api.protocol.wait import Subscriber
from airflow_provider_dli.api.protocol.wire import Flow, sleep
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggerer.poll import F, K, SharedPoll

T = TypeVar("T")
_Clock: TypeAlias = Callable[[], float]

TURN_GAP = 0.5
"""Seconds between two flows of `run_serially` on one account."""


@dataclass(slots=True, eq=False)
class SharedAccount:
    """One account of an event loop. It is closed when its last user leaves."""

    account: Account
    transport: AsyncTransport
    # Held, so that the credential is fetched once for all users.
    identity: Identity
    users: int = 0
    polls: dict[Hashable, SharedPoll[Any, Any]] = field(default_factory=dict)
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_turn: float = 0.0

    @classmethod
    def enter(cls, account: Account) -> SharedAccount:
        """Returns what is shared on an account. Each user has to `leave` it."""
        accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
        # Connections that differ in their id alone share an account.
        nameless = replace(account, conn_id="")
        shared = accounts.get(nameless)
        if shared is None:
            transport = AsyncTransport(**account.network)
            shared = accounts[nameless] = cls(nameless, transport, identity_of(account.source))
        shared.users += 1
        return shared

    async def leave(self) -> None:
        """Closes what nobody uses any more."""
        self.users -= 1
        idle = [self.polls.pop(name) for name, poll in [*self.polls.items()] if poll.is_empty]
        if not self.users:
            del _accounts[asyncio.get_running_loop()][self.account]
        if idle or not self.users:
            # Shielded: a trigger that is killed may be cancelled again meanwhile.
            await asyncio.shield(asyncio.ensure_future(self._close(idle, not self.users)))

    async def _close(self, polls: list[SharedPoll[Any, Any]], is_last: bool) -> None:
        for poll in polls:
            await poll.close()
        if is_last:
            await self.transport.close()


_Accounts: TypeAlias = dict[Account, SharedAccount]
_accounts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Accounts] = WeakKeyDictionary()


def watch_group(
    account: Account,
    subscriber: Subscriber[str | None, PackageGroup],
    *,
    kind: str | None = None,
    now: _Clock = time.time,
    clock: _Clock = time.monotonic,
) -> Coroutine[Any, Any, PackageGroup]:
    """Waits for a package group, and shares each listing with all waits of this event loop.

    `now` gives the Unix time at which the wait begins; from then on `clock` counts. Raises what the
    subscriber raises.
    """
    return _watch(account, subscriber, now, clock, _poll_groups, kind)


def watch_job(
    account: Account,
    subscriber: Subscriber[str, SparkBatch],
    *,
    now: _Clock = time.time,
    clock: _Clock = time.monotonic,
) -> Coroutine[Any, Any, SparkBatch]:
    """Waits for a Spark job, and shares each look with all waits of this event loop.

    `now` and `clock` are those of `watch_group`. Raises what the subscriber raises.
    """
    return _watch(account, subscriber, now, clock, _poll_jobs)


async def run(
    account: Account,
    ask: Callable[[Client], Flow[T]],
    *,
    now: _Clock = time.time,
    clock: _Clock = time.monotonic,
) -> T:
    """Runs a flow on the connections of the account's polls, and returns its result.

    `now` and `clock` are those of `watch_group`. Raises what the flow raises.
    """
    shared = SharedAccount.enter(account)
    try:
        return await shared.transport.run(ask(_client(account, now, clock)))
    finally:
        await shared.leave()


async def run_serially(
    account: Account,
    ask: Callable[[Client], Flow[T]],
    *,
    now: _Clock = time.time,
    clock: _Clock = time.monotonic,
) -> T:
    """Runs a flow that can wait, such as reading a log: one at a time on this account.

    First come, first served, with `TURN_GAP` seconds between two, so that a thousand of them leave
    the polls room for their looks. Returns and raises what `run` does.
    """
    loop = asyncio.get_running_loop()
    shared = SharedAccount.enter(account)
    try:
        async with shared.turns:
            await pause(max(shared.next_turn - loop.time(), 0))
            try:
                return await shared.transport.run(ask(_client(account, now, clock)))
            finally:
                shared.next_turn = loop.time() + TURN_GAP
    finally:
        await shared.leave()


@asynccontextmanager
async def keep_open(account: Account) -> AsyncIterator[None]:
    """Keeps the connections and the credential of an account from one use to the next."""
    shared = SharedAccount.enter(account)
    try:
        yield
    finally:
        await shared.leave()


async def pause(seconds: float) -> None:
    """Waits for some seconds."""
    await AsyncTransport().run(sleep(seconds))


async def _watch(
    account: Account,
    subscriber: Subscriber[K, F],
    now: _Clock,
    clock: _Clock,
    begin: Callable[..., SharedPoll[K, F]],
    *details: Hashable,
) -> F:
    shared = SharedAccount.enter(account)
    try:
        poll: SharedPoll[K, F] | None = shared.polls.get((begin, *details))
        if poll is None:
            poll = begin(_client(account, now, clock), shared.transport, clock, *details)
            shared.polls[begin, *details] = poll
        return await poll.until(subscriber, account.caller, now())
    finally:
        await shared.leave()


def _poll_groups(
    client: Client, transport: AsyncTransport, clock: _Clock, kind: str | None
) -> SharedPoll[str | None, PackageGroup]:
    def look(_: Collection[str | None]) -> Flow[PackageListing]:
        return client.once(calls.listing(kind))

    return SharedPoll(transport, look, clock=clock)


def _poll_jobs(
    client: Client, transport: AsyncTransport, clock: _Clock
) -> SharedPoll[str, SparkBatch]:
    look = partial(JobReader().read, client)
    return SharedPoll(transport, look, piecemeal=True, clock=clock)


def _client(account: Account, now: _Clock, clock: _Clock) -> Client:
    # Pace and identity are the same for all clients of an account.
    return Client(account, now=steady(now, clock), pace=pace_of(account))
