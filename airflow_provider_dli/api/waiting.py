# SPDX-License-Identifier: Apache-2.0
"""One wait for packages: when to look, and what each look means. Knows no clock and no transport.

The worker's flow and the triggerer's watch both ask this class, so that a wait ends in the same way
in both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_provider_dli.api.errors import (
    AuthenticationError,
    DliError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
    ThrottledError,
    WireError,
)
from airflow_provider_dli.api.models import PackageGroup, PackageState, state_of
from airflow_provider_dli.api.readiness import ABSENT, Readiness, Verdict, judge
from airflow_provider_dli.api.retry import TRANSIENT

FIRST_LOOK = 1.0
"""Seconds until a wait looks for the first time: small uploads are done by then."""

GROWTH = 1.5
"""Each pause is that much longer than the one before, up to the poll interval."""

MAX_UNKNOWN_TIME = 300.0
"""Seconds for which a wait goes on without knowing how its packages are."""


@dataclass(slots=True)
class Wait:
    """Waits until every one of `names`, or all that the group has, is READY.

    `group` is `None` for packages without a group. `deadline` is Unix seconds, or `None` for no
    end. `accepted` says that DLI took an upload of `names`, so that they may not stay absent.
    `observe` is given each readiness that `see` finds, `trouble` each error that is not of the
    kind before.
    """

    group: str | None
    names: Collection[str] | None
    deadline: float | None = None
    poll_interval: float = 10.0
    max_unknown_time: float = MAX_UNKNOWN_TIME
    accepted: bool = False
    observe: Callable[[Readiness], None] = lambda _: None
    trouble: Callable[[DliError], None] = lambda _: None
    jitter: Callable[[], float] = random.random
    readiness: Readiness = field(default_factory=lambda: Readiness(Verdict.PENDING, {}))
    _pause: float = 0.0
    _not_before: float = 0.0
    _odd_since: float | None = None
    _lost_since: float | None = None
    last_error: DliError | None = None

    @property
    def settled(self) -> bool:
        """Whether the pauses have grown to the poll interval."""
        return self._pause >= self.poll_interval

    def next_look(self, now: float) -> float:
        """Give the Unix time of the next look: soon at first, never in step with other waits."""
        grown = self._pause * GROWTH if self._pause else FIRST_LOOK
        self._pause = min(grown, self.poll_interval)
        look = max(now + self._pause * (0.9 + 0.2 * self.jitter()), self._not_before)
        return look if self.deadline is None else max(min(look, self.deadline), now)

    def see(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Take a look at the group, `None` where the listing lacks it; gives it when it is ready.

        Raises `PackageGroupFailedError` for a package that is FAILED, is gone after it was seen, or
        is in no known state for `max_unknown_time` seconds; `PackageGroupTimeoutError` at the
        deadline.
        """
        seen, readiness = _present(self.readiness), judge(found, self.names)
        self.readiness = readiness
        self.observe(readiness)
        if found is not None and readiness.verdict is Verdict.READY:
            return found
        gone = seen - _present(readiness)
        if readiness.verdict is Verdict.FAILED or gone:
            # Without names of its own a wait would not show what the group has no longer.
            states = {**readiness.states, **dict.fromkeys(gone, ABSENT)}
            raise failed(self.group, Readiness(Verdict.FAILED, states, readiness.group_failed))
        if not self._is_odd(readiness):
            self._odd_since = None
        elif self._odd_since is None:
            self._odd_since = now
        self.see_again(now)
        return None

    def see_again(self, now: float) -> None:
        """Take a look that shows what the last one did; time alone may end the wait."""
        self._lost_since = self.last_error = None
        if self._odd_since is not None and now - self._odd_since >= self.max_unknown_time:
            raise failed(self.group, self.readiness)
        self.expire(now)

    def miss(self, error: DliError, now: float) -> None:
        """Take an error in place of a look: one that may pass keeps the wait going for a while.

        Raises the error itself when it cannot pass, or after `max_unknown_time` seconds.
        """
        if not isinstance(error, (*TRANSIENT, WireError)):
            raise copy(error) from error  # a copy: one error may end many waits
        if type(error) is not type(self.last_error):
            self.trouble(error)
        self.last_error = error
        if isinstance(error, ThrottledError):
            self._not_before = now + (error.retry_after or 0)
        if self._lost_since is None:
            self._lost_since = now
        if now - self._lost_since >= self.max_unknown_time:
            last = copy(error)
            last.add_note(f"No look at {title(self.group)} for {self.max_unknown_time:g} seconds.")
            raise last from error
        self.expire(now)

    def expire(self, now: float) -> None:
        """Raise `PackageGroupTimeoutError` when the deadline has come."""
        if self.deadline is not None and now >= self.deadline:
            raise timed_out(self)

    def _is_odd(self, readiness: Readiness) -> bool:
        return any(
            self.accepted if state == ABSENT else state_of(state) is PackageState.UNKNOWN
            for state in readiness.states.values()
        )


@dataclass(slots=True)
class Update:
    """Watches for a group that is READY with a later update time than the `last` one known.

    It begins with what it finds, unless `last` says what was known before, and it has no end: an
    error in place of a look is told to `trouble` when it is not of the kind before. `began` is
    given the time that the first look found.
    """

    group: str | None
    names: Collection[str] | None
    poll_interval: float
    trouble: Callable[[DliError], None] = lambda _: None
    began: Callable[[int], None] = lambda _: None
    last: int | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    settled: bool = False
    _began: bool = False
    _last_error: DliError | None = None

    def next_look(self, now: float) -> float:
        """Look at once, and then every `poll_interval` seconds."""
        if not self._began:
            self._began = True
            return now
        self.settled = True
        return now + self.poll_interval

    def see(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Take a look; gives the group when it is READY anew."""
        self._last_error = None
        readiness = judge(found, self.names)
        time = _update_time(found) if found and readiness.verdict is Verdict.READY else None
        if self.last is None:
            # What is READY at the first look is not new; what is not, will be.
            self.last = time or 0
            self.began(self.last)
            return None
        if found is None or time is None or time <= self.last:
            return None
        self.last, self.states = time, readiness.states
        return found

    def see_again(self, now: float) -> None:
        """Take a look that shows what the last one did."""
        self._last_error = None

    def miss(self, error: DliError, now: float) -> None:
        """Take an error in place of a look; raises what only another credential mends."""
        if type(error) is not type(self._last_error):
            self.trouble(error)
        self._last_error = error
        if isinstance(error, AuthenticationError):
            raise copy(error) from error  # a copy: one error may end many watches

    def expire(self, now: float) -> None:
        """Do nothing: there is no deadline."""


def _present(readiness: Readiness) -> set[str]:
    return {name for name, state in readiness.states.items() if state != ABSENT}


def _update_time(group: PackageGroup) -> int:
    times = [group.update_time, *(package.update_time for package in group.packages)]
    return max((time for time in times if time), default=0)


def failed(group: str | None, readiness: Readiness) -> PackageGroupFailedError:
    """Say which packages failed. DLI itself gives no reason anywhere."""
    return PackageGroupFailedError(
        f"{title(group)} failed: {readiness}. DLI gives no reason; check that each object exists "
        "in OBS, is readable for DLI, and that nobody deletes the group meanwhile."
    )


def timed_out(wait: Wait) -> PackageGroupTimeoutError:
    """Say what is not READY, and what hid it, when time is up."""
    hidden = f" The last look failed: {wait.last_error}" if wait.last_error else ""
    by = datetime.fromtimestamp(wait.deadline or 0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return PackageGroupTimeoutError(
        f"{title(wait.group)} was not READY by {by}: {wait.readiness}. DLI may still be at work; "
        f"look at the group before you upload it again.{hidden}"
    )


def title(group: str | None) -> str:
    """Name a group in a sentence."""
    return "The upload without a group" if group is None else f"Package group {group!r}"
