# SPDX-License-Identifier: Apache-2.0
"""Who watches what: the shapes that a watch works with, and one watcher's place at it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from airflow_provider_dli.api.protocol.errors import DliError

K = TypeVar("K", bound=Hashable)
F = TypeVar("F")
K_co = TypeVar("K_co", bound=Hashable, covariant=True)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)
F_co = TypeVar("F_co", covariant=True)


class Subscriber(Protocol[K_co, F]):
    """What wants to see one thing: a package group by its name, a job by its id."""

    deadline: float | None

    @property
    def key(self) -> K_co:
        """What it wants to see."""
        ...

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

    def on_result(self, found: F | None, now: float) -> F | None:
        """Take a look; give what was found to end the watch."""
        ...

    def on_unchanged(self, now: float) -> F | None:
        """Take a look that shows what the last one did; give that to end the watch."""
        ...

    def on_error(self, error: DliError, now: float) -> None:
        """Take an error in place of a look."""
        ...

    def expire(self, now: float) -> None:
        """Raise when the deadline has come."""
        ...


class Snapshot(Protocol[K_contra, F_co]):
    """What was seen at one time; it may tell of more than it was asked for, or of less."""

    def covers(self, key: K_contra) -> bool:
        """Whether it tells of this: of what is there, that nothing is, or what went wrong."""
        ...

    def fingerprint(self, key: K_contra) -> Hashable:
        """Give what changes when that which `find` gives does. Raises what `find` raises."""
        ...

    def find(self, key: K_contra) -> F_co | None:
        """Give what is there. Raises the `DliError` that came in place of this alone."""
        ...


@dataclass(slots=True, eq=False)
class Subscription(Generic[K, F]):
    """One watcher, the future that its coroutine awaits, and the context that its log needs.

    `ahead` is what its Unix time is more than the watch's own, as it was when it came. `joined`,
    `heard` and `last` are rounds of the watch: in which it came, in which it was last told, and
    which is its last, since its deadline has come.
    """

    watcher: Subscriber[K, F]
    caller: str
    future: asyncio.Future[F]
    context: contextvars.Context
    ahead: float
    settled: float | None = None
    looked: bool = False
    joined: int = 0
    heard: int = 0
    last: int | None = None
    poll: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    def time(self, now: float, current: int | None = None) -> float:
        """Return the Unix time of a moment of the watch, by the clock of the wait.

        In its last round, which `current` may be, it is the deadline at least.
        """
        unix = now + self.ahead
        if current is None or self.last is None or current < self.last:
            return unix
        return max(unix, self.watcher.deadline or unix)

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def tell(self, step: Callable[..., F | None], *arguments: object) -> None:
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
