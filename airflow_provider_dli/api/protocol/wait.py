# SPDX-License-Identifier: Apache-2.0
"""When a wait looks next, and when it gives up. Knows no clock and no transport.

The worker (`Client.wait_for`, a poking sensor) and the triggerer (`SharedPoll`) drive the same
objects, so that a wait ends in the same way in both.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from airflow_provider_dli.api.protocol.backoff import Backoff
from airflow_provider_dli.api.protocol.errors import DliError

F = TypeVar("F")
K_co = TypeVar("K_co", bound=Hashable, covariant=True)

EARLY_LOOKS = Backoff(1.0, 1.5, spread=(0.9, 1.1))
"""Pauses of a wait until they reach the poll interval: small uploads are done after the first."""

MAX_UNKNOWN_TIME = 300.0
"""Seconds for which a wait goes on without knowing the state of what it waits for."""

LAST_LOOK = 2.0
"""Seconds that the last look of a wait, which begins at its deadline, may take."""


class Subscriber(Protocol[K_co, F]):
    """Waits for one thing: a package group by its name, or a job by its id.

    The one who drives it asks `next_look` when to look, and calls one of the `on_...` methods after
    each look. Times are Unix seconds; `now` is the time at which the look began. What a method
    returns ends the wait, and so does what it raises.
    """

    deadline: float | None
    looked: bool
    project: str

    @property
    def key(self) -> K_co:
        """The name or id of what it waits for."""
        ...

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks, once the wait is settled."""
        ...

    @property
    def settled(self) -> bool:
        """Whether it wants a look every `poll_interval` seconds from now on."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the last look failed or left something open: more looks may end the wait."""
        ...

    def next_look(self, now: float) -> float:
        """Returns the time of the next look."""
        ...

    def on_result(self, found: F | None, now: float) -> F | None:
        """Handles a look that found something new, or that there is nothing (`None`)."""
        ...

    def on_unchanged(self, now: float) -> F | None:
        """Handles a look that found the same as the last one, if `is_open`, or at the deadline."""
        ...

    def on_error(self, error: DliError, now: float) -> None:
        """Handles a look that failed."""
        ...

    def expire(self, now: float) -> None:
        """Raises an error when the deadline has passed."""
        ...


@dataclass(slots=True, kw_only=True)
class Wait(ABC):
    """The schedule and the limits of a wait.

    `deadline` is Unix seconds, or `None` for no end; the others are seconds. `trouble` is called
    with an error when it differs in kind from the one before. `looked` means that a look succeeded
    before: errors of the network path that would fail the first look are then waited out.
    `project` names the project in error messages.
    """

    deadline: float | None = None
    poll_interval: float = 10.0
    max_unknown_time: float = MAX_UNKNOWN_TIME
    trouble: Callable[[DliError], None] = lambda _: None
    looked: bool = False
    project: str = ""
    jitter: Callable[[], float] = random.random
    last_error: DliError | None = None
    _looks: int = field(default=0, repr=False)
    _pause: float = field(default=0.0, repr=False)
    _not_before: float = field(default=0.0, repr=False)
    _unknown_since: float | None = field(default=None, repr=False)
    _failing_since: float | None = field(default=None, repr=False)

    @property
    @abstractmethod
    def title(self) -> str:
        """What is waited for, as the subject of a sentence."""

    @abstractmethod
    def timed_out(self) -> DliError:
        """Returns the error for a deadline that passed, with the last known state."""

    def unknown(self) -> DliError:
        """Returns the error for a state that was unknown for `max_unknown_time` seconds."""
        return self.timed_out()

    @property
    def settled(self) -> bool:
        """Whether the pauses have reached the poll interval."""
        return self._pause >= self.poll_interval

    def next_look(self, now: float) -> float:
        """Returns the Unix time of the next look: soon at first, and out of step with others."""
        self._looks += 1
        self._pause = min(EARLY_LOOKS.pause(self._looks), self.poll_interval)
        look = max(now + EARLY_LOOKS.spread_out(self._pause, self.jitter()), self._not_before)
        return look if self.deadline is None else max(min(look, self.deadline), now)

    def keep_waiting(self, now: float, *, is_unknown: bool, error: DliError | None = None) -> None:
        """Records a look that does not end the wait, and checks the limits.

        `is_unknown` means that the look did not show a known state; `error` is what it failed with.
        """
        if not is_unknown:
            self._unknown_since = None
        elif self._unknown_since is None:
            self._unknown_since = now
        self.check_time(now, error)

    def check_time(self, now: float, error: DliError | None = None) -> None:
        """Raises an error when the state was unknown for too long, or at the deadline."""
        self._failing_since, self.last_error, self.looked = None, error, True
        if self._unknown_since is not None and now - self._unknown_since >= self.max_unknown_time:
            raise self.unknown()
        self.expire(now)

    def on_error(self, error: DliError, now: float) -> None:
        """Handles a look that failed.

        Raises the error when it is permanent, or when looks have failed for `max_unknown_time`
        seconds.
        """
        if not self._may_pass(error):
            raise copy(error) from error  # a copy: one error may end many waits
        if type(error) is not type(self.last_error):
            self.trouble(error)
        self.last_error = error
        self._not_before = now + (error.retry_after or 0)
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self.max_unknown_time:
            last = copy(error)
            last.add_note(
                f"No look at {self.title} succeeded for {self.max_unknown_time:g} seconds."
            )
            raise last from error
        self.expire(now)

    def _may_pass(self, error: DliError) -> bool:
        """Whether a later look may succeed without a change by the caller."""
        # A network error that is not transient means a wrong setup, unless it worked before.
        return (
            error.is_transient
            or error.fault == "service"
            or (self.looked and error.fault == "network")
        )

    def expire(self, now: float) -> None:
        """Raises the error of `timed_out` when the deadline has passed."""
        if self.deadline is not None and now >= self.deadline:
            raise self.timed_out()

    @property
    def end(self) -> str:
        """The deadline in words."""
        return datetime.fromtimestamp(self.deadline or 0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def hidden(self) -> str:
        """The error of the last look as a sentence, empty when the look succeeded."""
        return f" The last look failed: {self.last_error}" if self.last_error else ""
