# SPDX-License-Identifier: Apache-2.0
"""One poll for all: the waits of an event loop on one account share each look.

DLI has no call for one group, so a look at a group costs the whole listing; and a page of the
listing of jobs shows a hundred of them. Here it is fetched once for everybody, and a wait is
touched only when what it watches changed: a coroutine sleeps from its first moment to its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from time import monotonic
from typing import Generic

from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import DliError, ThrottledError
from airflow_provider_dli.api.protocol.wait import LAST_LOOK
from airflow_provider_dli.api.protocol.wire import Flow
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.triggerer.loop import LoopSlice
from airflow_provider_dli.triggerer.subscribers import F, K, Snapshot, Subscriber, Subscription

LEAST_GAP = 0.5
"""Seconds between two looks, however many waits begin at once."""


@dataclass(eq=False)
class SharedPoll(Generic[K, F]):
    """Looks as long as somebody watches. Times are seconds of `clock`, which nobody sets.

    Each watcher is told the Unix time, which is that of its coming and goes on evenly from there.
    `look` is given what to look at. Where a look at few things costs less than one at all,
    `piecemeal` has it asked for those whose look is due; for all, when the settled ones are due.
    """

    client: Client
    transport: AsyncTransport
    look: Callable[[Collection[K]], Flow[Snapshot[K, F]]]
    piecemeal: bool = False
    clock: Callable[[], float] = monotonic
    _places: defaultdict[K, set[Subscription[K, F]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    _last: dict[K, Hashable] = field(default_factory=dict)
    _early: list[tuple[float, int, Subscription[K, F]]] = field(default_factory=list)
    _settled: Counter[float] = field(default_factory=Counter)
    _order: count[int] = field(default_factory=count)
    _round: int = 0
    _sooner: asyncio.Event = field(default_factory=asyncio.Event)
    _looked: float = -inf
    _looked_at_all: float = -inf
    _not_before: float = -inf
    _ending: set[Subscription[K, F]] = field(default_factory=set)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _stretch: float = 1.0
    _task: asyncio.Task[None] | None = None

    async def until(self, watcher: Subscriber[K, F], caller: str, now: float) -> F:
        """Watch until the watcher gives what it saw, or raises; `now` is the Unix time."""
        loop = asyncio.get_running_loop()
        place: Subscription[K, F] = Subscription(
            watcher, caller, loop.create_future(), contextvars.copy_context(), now - self.clock()
        )
        if watcher.deadline is not None:
            left = max(watcher.deadline - now, 0)
            place.timer = loop.call_later(left, self._time_is_up, place, watcher.deadline)
        try:
            self._join(place)
            return await place.future
        finally:
            if place.timer is not None:
                place.timer.cancel()
            self._leave(place)

    @property
    def is_empty(self) -> bool:
        """Whether nobody watches."""
        return not self._places

    async def close(self) -> None:
        """Stop polling."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _join(self, place: Subscription[K, F]) -> None:
        self._places[place.watcher.key].add(place)
        place.joined = self._round
        self._schedule(place, self.clock())
        self._sooner.set()
        if self._task is None or self._task.done():
            # A context of its own: what it logs belongs to no single wait.
            self._task = asyncio.get_running_loop().create_task(
                self._poll(), context=contextvars.Context()
            )
            self._task.add_done_callback(self._ended)
        place.poll = self._task

    def _time_is_up(self, place: Subscription[K, F], deadline: float) -> None:
        """Take a last look at the deadline; and should it hang, the wait ends all the same."""
        if place.future.done():
            return
        place.last = self._round + 1
        heapq.heappush(self._early, (self.clock(), next(self._order), place))
        self._ending.add(place)
        self._hurry.set()
        self._sooner.set()
        place.timer = asyncio.get_running_loop().call_later(
            LAST_LOOK, self._tell, place, place.watcher.expire, deadline
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a poll that broke: what broke it is the error of all its waits."""
        if not task.cancelled() and (error := task.exception()) is not None:
            for place in [place for places in self._places.values() for place in places]:
                if place.poll is task:
                    place.fail(error)

    def _leave(self, place: Subscription[K, F]) -> None:
        key = place.watcher.key
        self._places[key].discard(place)
        if not self._places[key]:
            del self._places[key]
            self._last.pop(key, None)
        self._unsettle(place)
        self._ending.discard(place)
        if not self._ending:
            self._hurry.clear()

    def _schedule(self, place: Subscription[K, F], now: float) -> None:
        due = place.watcher.next_look(place.time(now)) - place.ahead
        self._unsettle(place)
        if place.watcher.settled:
            if not self._settled:
                self._looked_at_all = self._looked
            place.settled = place.watcher.poll_interval
            self._settled[place.settled] += 1
        else:
            heapq.heappush(self._early, (due, next(self._order), place))

    def _unsettle(self, place: Subscription[K, F]) -> None:
        if place.settled is not None:
            self._settled[place.settled] -= 1
            self._settled += Counter()  # drops what fell to zero
            place.settled = None

    async def _poll(self) -> None:
        while True:
            await self._until_due()
            self._looked = self.clock()
            self._round += 1
            await self._look(self._asked())
            self._stretch = 0.9 + 0.2 * self.client.retry.jitter()
            await self._advance()

    def _asked(self) -> set[K]:
        """Give what to look at now; a look a little early counts, too."""
        soon = self._looked + LEAST_GAP
        if not self.piecemeal or self._all_due <= soon:
            self._looked_at_all = self._looked
            return set(self._places)
        return {
            place.watcher.key
            for due, _, place in self._early
            if due <= soon and not place.future.done()
        }

    async def _look(self, asked: set[K]) -> None:
        try:
            look = await self.transport.run(self.look(asked), self._rest)
        except DliError as error:
            if isinstance(error, ThrottledError):
                self._not_before = self.clock() + (error.retry_after or 0)
            await self._show_error(error, asked)
        else:
            await asyncio.sleep(0)  # a long listing took a while to read
            await self._show(look, asked)

    async def _rest(self, seconds: float) -> None:
        """Wait within a look, for its turn or for IAM; a last look waits for nothing."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _until_due(self) -> None:
        while True:
            self._sooner.clear()
            due = self._next_due()
            earliest = self._looked + LEAST_GAP
            if not self._ending:
                earliest = max(earliest, self._not_before)
            seconds = max(due, earliest) - self.clock()
            if seconds <= 0:
                return
            try:
                await asyncio.wait_for(self._sooner.wait(), seconds)
            except TimeoutError:
                return

    def _next_due(self) -> float:
        while self._early and self._early[0][2].future.done():
            heapq.heappop(self._early)
        early = self._early[0][0] if self._early else float("inf")
        return min(early, self._all_due)

    @property
    def _all_due(self) -> float:
        if not self._settled:
            return float("inf")
        return self._looked_at_all + min(self._settled) * self._stretch

    async def _advance(self) -> None:
        """Let those whose look was due want the next one."""
        now, turn = self.clock(), LoopSlice()
        due = []
        while self._early and self._early[0][0] <= now + LEAST_GAP:
            due.append(heapq.heappop(self._early))
            await turn.shared()
        for entry in due:
            place = entry[2]
            if place.future.done():
                continue
            if place.heard < self._round:
                heapq.heappush(self._early, entry)  # it became due while the look was under way
                continue
            try:
                self._schedule(place, now)
            except Exception as error:
                place.fail(error)
            await turn.shared(woke=place.future.done())

    async def _show(self, look: Snapshot[K, F], asked: set[K]) -> None:
        turn = LoopSlice()
        for key in list(self._places):
            for place in self._shown(key, look, key in asked):
                await turn.shared(woke=place.future.done())

    def _shown(self, key: K, look: Snapshot[K, F], was_asked: bool) -> Iterator[Subscription[K, F]]:
        """Show a look to each watcher of a thing, one step each, for it may be many."""
        is_covered = look.covers(key)
        # Who came while the look was under way waits for the next: it may be too old for him.
        places = [place for place in self._places.get(key, ()) if place.joined < self._round]
        if not places or not (is_covered or was_asked):
            return
        for place in places:
            place.heard = self._round
        if not is_covered:
            return
        try:
            fingerprint = look.fingerprint(key)
            changed = key not in self._last or fingerprint != self._last[key]
            fresh = changed or any(not place.looked for place in places)
            found = look.find(key) if fresh else None
        except DliError as error:
            self._last.pop(key, None)  # what comes next is news, also if it is as it was before
            yield from self._missed(places, error)
            return
        self._last[key] = fingerprint
        for place in places:
            if changed or not place.looked:
                place.looked = True
                self._tell(place, place.watcher.on_result, found, self._time_of(place))
            else:
                self._tell(place, place.watcher.on_unchanged, self._time_of(place))
            yield place

    def _time_of(self, place: Subscription[K, F]) -> float:
        """Return the Unix time of a look: when it began, for it shows nothing later.

        At the deadline there is one more.
        """
        return place.time(self._looked, self._round)

    def _tell(
        self, place: Subscription[K, F], step: Callable[..., F | None], *arguments: object
    ) -> None:
        place.tell(step, *arguments)
        if place.future.done():
            self._unsettle(place)  # it wants no more looks, even before its coroutine wakes

    def _missed(
        self, places: Iterable[Subscription[K, F]], error: DliError
    ) -> Iterator[Subscription[K, F]]:
        for place in places:
            place.heard = self._round
            own = error.used_by(place.caller)
            self._tell(place, place.watcher.on_error, own, self._time_of(place))
            yield place

    async def _show_error(self, error: DliError, asked: set[K]) -> None:
        turn = LoopSlice()
        places = [place for key in asked for place in self._places.get(key, ())]
        for place in self._missed(places, error):
            await turn.shared(woke=place.future.done())
