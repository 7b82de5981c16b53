# SPDX-License-Identifier: Apache-2.0
"""One poll for all: the waits of an event loop on one account share each listing.

DLI has no call for one group, so a look at a group costs the whole listing. Here it is fetched once
for everybody, and a wait is touched only when the bytes of its group changed: a coroutine sleeps
from its first moment to its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Protocol

from airflow_provider_dli.api.errors import DliError, ThrottledError
from airflow_provider_dli.api.flows import Client
from airflow_provider_dli.api.models import PackageGroup, PackageListing
from airflow_provider_dli.transport.asynchronous import AsyncTransport

SLICE = 0.005
"""Seconds for which waits are told of a look before others on the loop get their turn."""

LEAST_GAP = 0.5
"""Seconds between two listings, however many waits begin at once."""


class Watcher(Protocol):
    """What wants to see a group: `api.waiting.Wait` is one."""

    group: str | None
    deadline: float | None

    @property
    def settled(self) -> bool:
        """Whether it is content with a look every `poll_interval` seconds."""
        ...

    @property
    def poll_interval(self) -> float:
        """Seconds."""
        ...

    def next_look(self, now: float) -> float:
        """Give the Unix time of the look it wants next."""
        ...

    def see(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Take a look; give the group to end the watch."""
        ...

    def see_again(self, now: float) -> None:
        """Take a look that shows what the last one did."""
        ...

    def miss(self, error: DliError, now: float) -> None:
        """Take an error in place of a look."""
        ...

    def expire(self, now: float) -> None:
        """Raise when the deadline has come."""
        ...


@dataclass(slots=True, eq=False)
class _Place:
    """One watcher, the future that its coroutine awaits, and the context that its log needs."""

    watcher: Watcher
    caller: str
    future: asyncio.Future[PackageGroup]
    context: contextvars.Context
    settled: float | None = None
    looked: bool = False
    joined: int = 0
    poll: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def tell(self, step: Callable[..., PackageGroup | None], *arguments: object) -> None:
        """Let the watcher take a look; what it gives or raises ends its wait."""
        if self.future.done():
            return
        try:
            result = self.context.run(step, *arguments)
        except Exception as error:
            self.fail(error)
        else:
            if result is not None:
                self.future.set_result(result)


class _Turn:
    """A turn on the loop, handed on when it has lasted for long."""

    def __init__(self) -> None:
        self._ends = time.perf_counter() + SLICE

    async def shared(self) -> None:
        """Let others have a turn, if it is time."""
        if time.perf_counter() >= self._ends:
            await asyncio.sleep(0)
            self._ends = time.perf_counter() + SLICE


@dataclass(eq=False)
class Watch:
    """Polls one listing as long as somebody watches. `now` gives Unix seconds."""

    client: Client
    transport: AsyncTransport
    kind: str | None
    _places: defaultdict[str | None, set[_Place]] = field(default_factory=lambda: defaultdict(set))
    _last: dict[str | None, int | None] = field(default_factory=dict)
    _early: list[tuple[float, int, _Place]] = field(default_factory=list)
    _settled: Counter[float] = field(default_factory=Counter)
    _order: count[int] = field(default_factory=count)
    _round: int = 0
    _sooner: asyncio.Event = field(default_factory=asyncio.Event)
    _polled: float = 0.0
    _not_before: float = 0.0
    _stretch: float = 1.0
    _task: asyncio.Task[None] | None = None

    async def until(self, watcher: Watcher, caller: str) -> PackageGroup:
        """Watch until the watcher gives a group or raises."""
        loop = asyncio.get_running_loop()
        place = _Place(watcher, caller, loop.create_future(), contextvars.copy_context())
        if watcher.deadline is not None:
            left = max(watcher.deadline - self.client.now(), 0)
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

    def _join(self, place: _Place) -> None:
        self._places[place.watcher.group].add(place)
        place.joined = self._round
        self._schedule(place, self.client.now())
        self._sooner.set()
        if self._task is None or self._task.done():
            # A context of its own: what it logs belongs to no single wait.
            self._task = asyncio.get_running_loop().create_task(
                self._poll(), context=contextvars.Context()
            )
            self._task.add_done_callback(self._ended)
        place.poll = self._task

    def _time_is_up(self, place: _Place, deadline: float) -> None:
        """Take a last look at the deadline; and should the listing hang, the deadline holds."""
        heapq.heappush(self._early, (self.client.now(), next(self._order), place))
        self._sooner.set()
        place.timer = asyncio.get_running_loop().call_later(
            LEAST_GAP, self._tell, place, place.watcher.expire, deadline
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a poll that broke: what broke it is the error of all its waits."""
        if not task.cancelled() and (error := task.exception()) is not None:
            for place in self._everybody():
                if place.poll is task:
                    place.fail(error)

    def _everybody(self) -> list[_Place]:
        return [place for places in self._places.values() for place in places]

    def _leave(self, place: _Place) -> None:
        group = place.watcher.group
        self._places[group].discard(place)
        if not self._places[group]:
            del self._places[group]
            self._last.pop(group, None)
        self._unsettle(place)

    def _schedule(self, place: _Place, now: float) -> None:
        due = place.watcher.next_look(now)
        self._unsettle(place)
        if place.watcher.settled:
            place.settled = place.watcher.poll_interval
            self._settled[place.settled] += 1
        else:
            heapq.heappush(self._early, (due, next(self._order), place))

    def _unsettle(self, place: _Place) -> None:
        if place.settled is not None:
            self._settled[place.settled] -= 1
            self._settled += Counter()  # drops what fell to zero
            place.settled = None

    async def _poll(self) -> None:
        while True:
            await self._until_due()
            self._polled = self.client.now()
            self._round += 1
            await self._look()
            self._stretch = 0.9 + 0.2 * self.client.retry.jitter()
            self._advance()

    async def _look(self) -> None:
        try:
            listing = await self.transport.run(self.client.look(self.kind))
        except DliError as error:
            if isinstance(error, ThrottledError):
                self._not_before = self.client.now() + (error.retry_after or 0)
            await self._tell_all(error)
        else:
            await asyncio.sleep(0)  # a long listing took a while to read
            await self._show(listing)

    async def _until_due(self) -> None:
        while True:
            self._sooner.clear()
            due = self._next_due()
            earliest = max(self._polled + LEAST_GAP, self._not_before)
            seconds = max(due, earliest) - self.client.now()
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
        if not self._settled:
            return early
        return min(early, self._polled + min(self._settled) * self._stretch)

    def _advance(self) -> None:
        """Let those whose look was due want the next one; a look a little early counts, too."""
        now = self.client.now()
        while self._early and self._early[0][0] <= now + LEAST_GAP:
            _, _, place = heapq.heappop(self._early)
            if place.future.done():
                continue
            try:
                self._schedule(place, now)
            except Exception as error:
                place.fail(error)

    async def _show(self, listing: PackageListing) -> None:
        turn = _Turn()
        for group in list(self._places):
            for step in self._steps(group, listing):
                step()
                await turn.shared()

    def _steps(self, group: str | None, listing: PackageListing) -> list[Callable[[], None]]:
        """Give what to do for each watcher of a group: one step each, for it may be many."""
        now = self.client.now()
        # Who came while the listing was under way waits for the next: it may be too old for him.
        here = self._places.get(group, ())
        places = [place for place in here if place.joined < self._round]
        if not places:
            return []
        try:
            fingerprint = listing.fingerprint(group)
            changed = group not in self._last or fingerprint != self._last[group]
            fresh = changed or any(not place.looked for place in places)
            found = listing.find(group) if fresh else None
        except DliError as error:
            return [partial(self._tell, place, place.watcher.miss, error, now) for place in places]
        self._last[group] = fingerprint
        steps: list[Callable[[], None]] = []
        for place in places:
            if changed or not place.looked:
                place.looked = True
                steps.append(partial(self._tell, place, place.watcher.see, found, now))
            else:
                steps.append(partial(self._tell, place, place.watcher.see_again, now))
        return steps

    def _tell(
        self, place: _Place, step: Callable[..., PackageGroup | None], *arguments: object
    ) -> None:
        place.tell(step, *arguments)
        if place.future.done():
            self._unsettle(place)  # it wants no more looks, even before its coroutine wakes

    async def _tell_all(self, error: DliError) -> None:
        now = self.client.now()
        turn = _Turn()
        for place in self._everybody():
            self._tell(place, place.watcher.miss, error.used_by(place.caller), now)
            await turn.shared()
