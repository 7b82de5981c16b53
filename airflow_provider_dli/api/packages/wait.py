# SPDX-License-Identifier: Apache-2.0
"""One wait for packages, and one watch for their next update: what each look means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, field, replace

from airflow_provider_dli.api.packages.models import (
    AbsentGroup,
    PackageGroup,
    PackageState,
    state_of,
)
from airflow_provider_dli.api.packages.readiness import ABSENT, Readiness, Verdict, judge
from airflow_provider_dli.api.packages.similar import similar_names
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    PackageGroupFailedError,
    PackageGroupLostError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.api.protocol.wait import Wait

_HINTS = 5
"""Packages at most whose similar names are looked for."""


@dataclass(slots=True)
class GroupWait(Wait):
    """Waits until every one of `names`, or all that the group has, is READY.

    `group` is `None` for packages without a group. `accepted` says that DLI took an upload of
    `names`, so that they may not stay absent. `observe` is given each readiness that
    `on_result` finds. `project` says where the group is looked for, in words.
    """

    group: str | None
    names: Collection[str] | None
    accepted: bool = False
    observe: Callable[[Readiness], None] = lambda _: None
    project: str = ""
    readiness: Readiness = field(default_factory=lambda: Readiness(Verdict.PENDING, {}))

    @property
    def key(self) -> str | None:
        """What a look finds it by."""
        return self.group

    @property
    def title(self) -> str:
        """What is waited for, in a sentence."""
        return title(self.group)

    def on_result(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Take a look at the group, `None` where the listing lacks it; gives it when it is ready.

        Raises `PackageGroupFailedError` for a package that is FAILED, is gone after it was seen, or
        is in no known state for `max_unknown_time` seconds; `PackageGroupTimeoutError` at the
        deadline.
        """
        seen, readiness = _present(self.readiness), judge(found, self.names)
        readiness = replace(readiness, hint=self._hint(found, readiness))
        self.readiness = readiness
        self.observe(readiness)
        if found is not None and readiness.verdict is Verdict.READY:
            return found
        gone = seen - _present(readiness)
        if readiness.verdict is Verdict.FAILED:
            raise failed(self.group, readiness)
        if gone:
            # Without names of its own a wait would not show what the group has no longer.
            states = {**readiness.states, **dict.fromkeys(gone, ABSENT)}
            raise failed(self.group, Readiness(Verdict.FAILED, states), PackageGroupLostError)
        self.keep_waiting(now, is_odd=self._is_odd(readiness))
        return None

    def on_unchanged(self, now: float) -> PackageGroup | None:
        """Take a look that shows what the last one did; time alone may end the wait."""
        self.check_time(now)
        return None

    @property
    def is_open(self) -> bool:
        """Whether the last look shows neither that the wait is over nor that all goes well."""
        return self.last_error is not None or self._is_odd(self.readiness)

    def unknown(self) -> PackageGroupFailedError:
        """Say that nobody knows for too long how the packages are."""
        return failed(self.group, self.readiness, PackageGroupLostError)

    def timed_out(self) -> PackageGroupTimeoutError:
        """Say what is not READY, and what hid it, when time is up."""
        return PackageGroupTimeoutError(
            f"{self.title} was not READY by {self.end}: {self.readiness}. DLI may still be at "
            f"work; look at the group before you upload it again.{self.hidden}"
        )

    def _is_odd(self, readiness: Readiness) -> bool:
        return any(
            self.accepted if state == ABSENT else state_of(state) is PackageState.UNKNOWN
            for state in readiness.states.values()
        )

    def _hint(self, found: PackageGroup | None, readiness: Readiness) -> str:
        """What is said of a name that may be wrong: that of an upload is not."""
        if self.accepted or self.group is None or found is None:
            return ""
        if isinstance(found, AbsentGroup):
            where = self.project and f" in {self.project}"
            return _listed(f"the group {self.group!r} does not exist yet{where}", found.similar)
        names = [package.name for package in found.packages]
        absent = [name for name, state in readiness.states.items() if state == ABSENT]
        hints = [(name, similar_names(name, names)) for name in absent[:_HINTS]]
        return "; ".join(_listed(f"the group has no {name} yet", like) for name, like in hints)


@dataclass(slots=True)
class GroupUpdates:
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

    @property
    def key(self) -> str | None:
        """What a look finds it by."""
        return self.group

    def next_look(self, now: float) -> float:
        """Look at once, and then every `poll_interval` seconds."""
        if not self._began:
            self._began = True
            return now
        self.settled = True
        return now + self.poll_interval

    def on_result(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
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

    def on_unchanged(self, now: float) -> None:
        """Take a look that shows what the last one did."""
        self._last_error = None

    def on_error(self, error: DliError, now: float) -> None:
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


def _listed(text: str, similar: Collection[str]) -> str:
    return f"{text} (similar names there: {', '.join(map(repr, similar))})" if similar else text


def failed(
    group: str | None,
    readiness: Readiness,
    kind: type[PackageGroupFailedError] = PackageGroupFailedError,
) -> PackageGroupFailedError:
    """Say which packages failed. DLI itself gives no reason anywhere."""
    return kind(
        f"{title(group)} failed: {readiness}. DLI gives no reason; check that each object exists "
        "in OBS, is readable for DLI, and that nobody deletes the group meanwhile."
    )


def title(group: str | None) -> str:
    """Name a group in a sentence."""
    return "The upload without a group" if group is None else f"Package group {group!r}"
