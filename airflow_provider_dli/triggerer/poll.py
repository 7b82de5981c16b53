# SPDX-License-Identifier: Apache-2.0
"""One poll for all waits of an event loop on the same account.

DLI has no call for a single group, so a look at one costs the whole listing; and a page of the
listing of jobs shows a hundred of them. Each is fetched once for all waits, and a coroutine that
waits wakes up only at its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import random
from time import monotonic
from typing import Generic, Protocol, TypeVar

from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.api.protocol.wait import LAST_LOOK, Subscriber
from airflow_provider_dli.api.protocol.wire import Flow
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.triggerer.loop import LoopSlice

K = TypeVar("K", bound=Hashable)
F = TypeVar("F")
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)
F_co = TypeVar("F_co", covariant=True)

LEAST_GAP = 0.5
"""Seconds between two looks, however many waits begin at once."""

_NOTHING = object()


class Snapshot(Protocol[K_contra, F_co]):
    """What one look found. It may cover more than it was asked for, or less."""

    def covers(self, key: K_contra) -> bool:
        """Whether it shows this: what there is, that there is nothing, or an error."""
        ...

    def fingerprint(self, key: K_contra) -> Hashable:
        """Returns a value that changes when the result of `find` does; raises what `find` does."""
        ...

    def find(self, key: K_contra) -> F_co | None:
        """Returns what there is. Raises the `DliError` that concerns this key alone."""
        ...


@dataclass(slots=True, eq=False)
class Subscription(Generic[K, F]):
    """A subscriber, the future that its coroutine awaits, and the context that its log needs.

    `offset` is the subscriber's Unix time minus the poll's clock. `joined` and `heard` count looks
    of the poll: those that had begun when it came, and the last one that concerned it. While it is
    not open, a look that finds the same again is nothing that the subscriber has to know.
    """

    subscriber: Subscriber[K, F]
    caller: str
    offset: float
    joined: int
    future: asyncio.Future[F]
    context: contextvars.Context
    heard: int = 0
    fingerprint: Hashable = _NOTHING
    is_open: bool = True
    interval: float | None = None
    timer: asyncio.TimerHandle | None = None

    def fail(self, error: BaseException) -> None:
        """Ends the wait with an error."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(eq=False)
class SharedPoll(Generic[K, F]):
    """Looks as long as there are subscriptions.

    A subscription that is not settled has an early look at the time that it wants (`_early`). The
    settled ones share one look per interval, the shortest that any of them has. `look` gets the
    keys to look at: all of them, or, if `piecemeal`, where a look at few costs less, for an early
    look those alone that are due.

    `clock` gives seconds that go on evenly. A subscriber gets Unix times: that of its beginning,
    and from then on what `clock` counts, so that setting the machine's clock changes no wait.
    """

    transport: AsyncTransport
    look: Callable[[Collection[K]], Flow[Snapshot[K, F]]]
    piecemeal: bool = False
    clock: Callable[[], float] = monotonic
    jitter: Callable[[], float] = random
    _subscriptions: dict[K, list[Subscription[K, F]]] = field(default_factory=dict)
    _early: list[tuple[float, int, Subscription[K, F]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _intervals: Counter[float] = field(default_factory=Counter)
    _round: int = 0
    _looked: float = -inf
    _looked_at_all: float = -inf
    _not_before: float = -inf
    _stretch: float = 1.0
    _rescheduled: asyncio.Event = field(default_factory=asyncio.Event)
    _overdue: set[Subscription[K, F]] = field(default_factory=set)
    _is_overdue: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def until(self, subscriber: Subscriber[K, F], caller: str, now: float) -> F:
        """Returns what ends the subscriber's wait, or raises what it raises; `now` is Unix time."""
        subscription: Subscription[K, F] = Subscription(
            subscriber,
            caller,
            now - self.clock(),
            self._round,
            asyncio.get_running_loop().create_future(),
            contextvars.copy_context(),
        )
        try:
            self._subscribe(subscription, now)
            return await subscription.future
        finally:
            self._unsubscribe(subscription)

    @property
    def is_empty(self) -> bool:
        """Whether there are no subscriptions."""
        return not self._subscriptions

    async def close(self) -> None:
        """Stops polling."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    # Who waits for what

    def _subscribe(self, subscription: Subscription[K, F], now: float) -> None:
        subscriber, loop = subscription.subscriber, asyncio.get_running_loop()
        self._subscriptions.setdefault(subscriber.key, []).append(subscription)
        self._schedule(subscription, self.clock())
        if subscriber.deadline is not None:
            left = max(subscriber.deadline - now, 0)
            subscription.timer = loop.call_later(left, self._at_deadline, subscription)
        if self._task is None:
            # In a context of its own: what it logs belongs to no single wait.
            self._task = loop.create_task(self._poll(), context=contextvars.Context())

    def _unsubscribe(self, subscription: Subscription[K, F]) -> None:
        if subscription.timer is not None:
            subscription.timer.cancel()
        self._unsettle(subscription)
        key = subscription.subscriber.key
        self._subscriptions[key].remove(subscription)
        if not self._subscriptions[key]:
            del self._subscriptions[key]
        self._overdue.discard(subscription)
        if not self._overdue:
            self._is_overdue.clear()

    def _at_deadline(self, subscription: Subscription[K, F]) -> None:
        """Asks for a last look; if that hangs, the wait ends all the same."""
        deadline, now = subscription.subscriber.deadline, self.clock()
        if deadline is None or subscription.future.done():
            return
        # A look that begins from now on is the last one, however the two clocks are rounded.
        subscription.offset = max(subscription.offset, deadline - now)
        subscription.is_open = True
        self._overdue.add(subscription)
        self._is_overdue.set()
        self._look_at(subscription, now)
        subscription.timer = asyncio.get_running_loop().call_later(
            LAST_LOOK, self._notify, subscription, subscription.subscriber.expire, deadline
        )

    # When to look

    def _schedule(self, subscription: Subscription[K, F], now: float) -> None:
        subscriber = subscription.subscriber
        due = subscriber.next_look(now + subscription.offset) - subscription.offset
        self._unsettle(subscription)
        if not subscriber.settled:
            self._look_at(subscription, due)
            return
        if not self._intervals:
            self._looked_at_all = self._looked
        subscription.interval = subscriber.poll_interval
        self._intervals[subscription.interval] += 1
        self._rescheduled.set()

    def _look_at(self, subscription: Subscription[K, F], due: float) -> None:
        heapq.heappush(self._early, (due, next(self._order), subscription))
        self._rescheduled.set()

    def _unsettle(self, subscription: Subscription[K, F]) -> None:
        interval, subscription.interval = subscription.interval, None
        if interval is not None:
            self._intervals[interval] -= 1
            if not self._intervals[interval]:
                del self._intervals[interval]

    @property
    def _all_due(self) -> float:
        """When the settled subscriptions want their next look."""
        if not self._intervals:
            return inf
        return self._looked_at_all + min(self._intervals) * self._stretch

    @property
    def _next_due(self) -> float:
        while self._early and self._early[0][2].future.done():
            heapq.heappop(self._early)
        return min(self._early[0][0] if self._early else inf, self._all_due)

    async def _until_due(self) -> None:
        while True:
            self._rescheduled.clear()
            earliest = self._looked + LEAST_GAP
            if not self._overdue:
                earliest = max(earliest, self._not_before)
            seconds = max(self._next_due, earliest) - self.clock()
            if seconds <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rescheduled.wait(), seconds)

    # Looking

    async def _poll(self) -> None:
        try:
            while True:
                await self._until_due()
                await self._look()
                await self._reschedule()
        except Exception as error:
            # Nobody may wait for a poll that broke; who comes from now on begins a new one.
            self._task = None
            for subscriptions in self._subscriptions.values():
                for subscription in subscriptions:
                    subscription.fail(error)

    async def _look(self) -> None:
        self._looked = self.clock()
        self._round += 1
        keys = self._keys_due()
        try:
            snapshot = await self.transport.run(self.look(keys), self._pause)
        except DliError as error:
            if error.is_throttling:
                self._not_before = self.clock() + (error.retry_after or 0)
            turn = LoopSlice()
            for key in keys:
                await self._share_error(error, self._heard(key), turn)
        else:
            await asyncio.sleep(0)  # it took a while to read a long listing
            await self._share(snapshot, keys)

    def _keys_due(self) -> set[K]:
        """Returns what to look at now; what is due within `LEAST_GAP` is looked at already."""
        soon = self._looked + LEAST_GAP
        if not self.piecemeal or self._all_due <= soon:
            self._looked_at_all = self._looked
            self._stretch = 0.9 + 0.2 * self.jitter()
            return set(self._subscriptions)
        return {
            subscription.subscriber.key
            for due, _, subscription in self._early
            if due <= soon and not subscription.future.done()
        }

    async def _pause(self, seconds: float) -> None:
        """Waits within a look, for its turn or for IAM. A last look waits for neither."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_overdue.wait(), seconds)

    async def _reschedule(self) -> None:
        """Schedules the next look of those whose early look this was."""
        now, turn, due = self.clock(), LoopSlice(), []
        while self._early and self._early[0][0] <= now + LEAST_GAP:
            due.append(heapq.heappop(self._early))
            if turn.is_over():
                await turn.give_way()
        for entry in due:
            subscription = entry[2]
            if subscription.future.done():
                continue
            if subscription.heard < self._round:
                heapq.heappush(self._early, entry)  # it became due during the look
                continue
            try:
                self._schedule(subscription, now)
            except Exception as error:
                subscription.fail(error)
            if turn.is_over(subscription.future.done()):
                await turn.give_way()

    # What was found

    async def _share(self, snapshot: Snapshot[K, F], asked: set[K]) -> None:
        turn = LoopSlice()
        for key in list(self._subscriptions):
            if snapshot.covers(key):
                await self._share_one(key, snapshot, turn)
            elif key in asked:
                self._heard(key)  # it has its turn in a later look

    async def _share_one(self, key: K, snapshot: Snapshot[K, F], turn: LoopSlice) -> None:
        subscriptions = self._heard(key)
        try:
            fingerprint = snapshot.fingerprint(key)
            is_news = [one for one in subscriptions if one.fingerprint != fingerprint]
            found = snapshot.find(key) if is_news else None
        except DliError as error:
            for subscription in subscriptions:
                # What comes next is news, even if it is the same as before the error.
                subscription.fingerprint = _NOTHING
            await self._share_error(error, subscriptions, turn)
            return
        for subscription in subscriptions:
            subscriber, time = subscription.subscriber, self._looked + subscription.offset
            if subscription.fingerprint != fingerprint:
                subscription.fingerprint = fingerprint
                self._notify(subscription, subscriber.on_result, found, time)
            elif subscription.is_open:
                self._notify(subscription, subscriber.on_unchanged, time)
            if turn.is_over(subscription.future.done()):
                await turn.give_way()

    async def _share_error(
        self, error: DliError, subscriptions: list[Subscription[K, F]], turn: LoopSlice
    ) -> None:
        for subscription in subscriptions:
            own, time = error.used_by(subscription.caller), self._looked + subscription.offset
            self._notify(subscription, subscription.subscriber.on_error, own, time)
            if turn.is_over(subscription.future.done()):
                await turn.give_way()

    def _heard(self, key: K) -> list[Subscription[K, F]]:
        """Returns whom a look concerns. Who joined during it waits for the next: it may be old."""
        subscriptions = []
        for subscription in self._subscriptions.get(key, ()):
            if subscription.joined < self._round:
                subscription.heard = self._round
                subscriptions.append(subscription)
        return subscriptions

    def _notify(
        self, subscription: Subscription[K, F], step: Callable[..., F | None], *arguments: object
    ) -> None:
        """Calls a method of the subscriber; what it returns or raises ends the wait."""
        if subscription.future.done():
            return
        try:
            result = subscription.context.run(step, *arguments)
        except Exception as error:
            subscription.fail(error)
        else:
            if result is not None:
                subscription.future.set_result(result)
        if subscription.future.done():
            self._unsettle(subscription)  # it wants no more looks, even before its coroutine wakes
        else:
            subscription.is_open = subscription.subscriber.is_open or subscription in self._overdue
