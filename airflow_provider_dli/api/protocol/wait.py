# SPDX-License-Identifier: Apache-2.0
"""When a wait looks next, and for how long it goes on. Knows no clock and no transport.

The worker's flow and the triggerer's watch both ask this class, so that a wait ends in the same way
in both.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_provider_dli.api.protocol.backoff import Backoff
from airflow_provider_dli.api.protocol.errors import DliError

EARLY_LOOKS = Backoff(1.0, 1.5, spread=(0.9, 1.1))
"""Pauses of a wait until they reach the poll interval: small uploads are done after the first."""

MAX_UNKNOWN_TIME = 300.0
"""Seconds for which a wait goes on without knowing how it is with what it waits for."""

LAST_LOOK = 2.0
"""Seconds that the last look of a wait, which begins at its deadline, may take."""


@dataclass(slots=True, kw_only=True)
class Wait:
    """What every wait has: when to look, and when to give up.

    `deadline` is Unix seconds, or `None` for no end; the others are seconds. `trouble` is given
    each error that is not of the kind before. `looked` says that there was a good look before: an
    error that would fail the first look at once is then waited out.
    """

    deadline: float | None = None
    poll_interval: float = 10.0
    max_unknown_time: float = MAX_UNKNOWN_TIME
    trouble: Callable[[DliError], None] = lambda _: None
    looked: bool = False
    jitter: Callable[[], float] = random.random
    last_error: DliError | None = None
    _looks: int = field(default=0, repr=False)
    _pause: float = field(default=0.0, repr=False)
    _not_before: float = field(default=0.0, repr=False)
    _odd_since: float | None = field(default=None, repr=False)
    _lost_since: float | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """What is waited for, in a sentence."""
        raise NotImplementedError

    @property
    def settled(self) -> bool:
        """Whether the pauses have grown to the poll interval."""
        return self._pause >= self.poll_interval

    def next_look(self, now: float) -> float:
        """Give the Unix time of the next look: soon at first, never in step with other waits."""
        self._looks += 1
        self._pause = min(EARLY_LOOKS.pause(self._looks), self.poll_interval)
        look = max(now + EARLY_LOOKS.spread_out(self._pause, self.jitter()), self._not_before)
        return look if self.deadline is None else max(min(look, self.deadline), now)

    def keep_waiting(self, now: float, *, is_odd: bool, error: DliError | None = None) -> None:
        """Take a look that ends nothing; `is_odd` says that it makes nobody wiser.

        `error` is what came in place of it.
        """
        if not is_odd:
            self._odd_since = None
        elif self._odd_since is None:
            self._odd_since = now
        self.check_time(now, error)

    def check_time(self, now: float, error: DliError | None = None) -> None:
        """Go on after a look, unless time alone ends the wait."""
        self._lost_since, self.last_error, self.looked = None, error, True
        if self._odd_since is not None and now - self._odd_since >= self.max_unknown_time:
            raise self.unknown()
        self.expire(now)

    def on_error(self, error: DliError, now: float) -> None:
        """Take an error in place of a look: one that may pass keeps the wait going for a while.

        Raises the error itself when it cannot pass, or after `max_unknown_time` seconds.
        """
        if not self._may_pass(error):
            raise copy(error) from error  # a copy: one error may end many waits
        if type(error) is not type(self.last_error):
            self.trouble(error)
        self.last_error = error
        self._not_before = now + (error.retry_after or 0)
        if self._lost_since is None:
            self._lost_since = now
        if now - self._lost_since >= self.max_unknown_time:
            last = copy(error)
            last.add_note(f"No look at {self.title} for {self.max_unknown_time:g} seconds.")
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
        """Raise when the deadline has come."""
        if self.deadline is not None and now >= self.deadline:
            raise self.timed_out()

    def unknown(self) -> DliError:
        """Say that nobody knows for too long how it is."""
        raise NotImplementedError

    def timed_out(self) -> DliError:
        """Say how it was when time was up."""
        raise NotImplementedError

    @property
    def end(self) -> str:
        """The deadline in words."""
        return datetime.fromtimestamp(self.deadline or 0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def hidden(self) -> str:
        """What hid the last look, as a sentence."""
        return f" The last look failed: {self.last_error}" if self.last_error else ""
