# SPDX-License-Identifier: Apache-2.0
"""Waits for packages: until they are ready, or until they are updated."""

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
"""Packages at most for which similar names are searched."""


@dataclass(slots=True)
class GroupWait(Wait):
    """Waits until all of `names`, or all packages of the group, are READY.

    `group` is `None` for packages without a group. `accepted` means that DLI accepted an upload of
    `names`, so they must not stay absent. `observe` is called with each new readiness.
    """

    group: str | None
    names: Collection[str] | None
    accepted: bool = False
    observe: Callable[[Readiness], None] = lambda _: None
    readiness: Readiness = field(default_factory=lambda: Readiness(Verdict.PENDING, {}))

    @property
    def key(self) -> str | None:
        """The name of the group."""
        return self.group

    @property
    def title(self) -> str:
        """The group, as the subject of a sentence."""
        return title(self.group)

    def on_result(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Returns the group when it is ready; `found` is `None` if the listing lacks it.

        Raises `PackageGroupFailedError` for a package that is FAILED, that is gone after it was
        seen, or whose state is unknown for `max_unknown_time` seconds, and
        `PackageGroupTimeoutError` at the deadline.
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
            # A wait without `names` would not show packages that the group no longer has.
            states = {**readiness.states, **dict.fromkeys(gone, ABSENT)}
            raise failed(self.group, Readiness(Verdict.FAILED, states), PackageGroupLostError)
        self.keep_waiting(now, is_unknown=self._is_unknown(readiness))
        return None

    def on_unchanged(self, now: float) -> PackageGroup | None:
        """Checks the limits: time alone may end the wait."""
        self.check_time(now)
        return None

    @property
    def is_open(self) -> bool:
        """Whether the last look failed or left a state unknown."""
        return self.last_error is not None or self._is_unknown(self.readiness)

    def unknown(self) -> PackageGroupFailedError:
        """Returns the error for packages whose state was unknown for too long."""
        return failed(self.group, self.readiness, PackageGroupLostError)

    def timed_out(self) -> PackageGroupTimeoutError:
        """Returns the error for packages that are not READY at the deadline."""
        return PackageGroupTimeoutError(
            f"{self.title} was not READY by {self.end}: {self.readiness}. DLI may still be "
            f"processing it; check the group before you upload it again.{self.hidden}"
        )

    def _is_unknown(self, readiness: Readiness) -> bool:
        return any(
            self.accepted if state == ABSENT else state_of(state) is PackageState.UNKNOWN
            for state in readiness.states.values()
        )

    def _hint(self, found: PackageGroup | None, readiness: Readiness) -> str:
        """Returns a hint at a name that may be wrong. That of an accepted upload is not."""
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
    """Waits until a group is READY with a later update time than `last`.

    Without `last`, the first look finds what is known already, and `began` is called with its
    update time. The wait has no end. `trouble` is called with an error when it differs in kind from
    the one before.
    """

    group: str | None
    names: Collection[str] | None
    poll_interval: float
    trouble: Callable[[DliError], None] = lambda _: None
    began: Callable[[int], None] = lambda _: None
    last: int | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    looked: bool = False
    project: str = ""
    settled: bool = False
    last_error: DliError | None = None

    @property
    def key(self) -> str | None:
        """The name of the group."""
        return self.group

    @property
    def is_open(self) -> bool:
        """Whether the last look failed."""
        return self.last_error is not None

    def next_look(self, now: float) -> float:
        """Returns the time of the next look: at once, and then every `poll_interval` seconds."""
        self.settled, self.looked = self.looked, True
        return now + self.poll_interval if self.settled else now

    def on_result(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        """Returns the group when it was updated and is READY."""
        self.last_error = None
        readiness = judge(found, self.names)
        time = _update_time(found) if found and readiness.verdict is Verdict.READY else None
        if self.last is None:
            # A group that is READY at the first look is not new; one that is not READY will be.
            self.last = time or 0
            self.began(self.last)
            return None
        if found is None or time is None or time <= self.last:
            return None
        self.last, self.states = time, readiness.states
        return found

    def on_unchanged(self, now: float) -> None:
        """Forgets the last error."""
        self.last_error = None

    def on_error(self, error: DliError, now: float) -> None:
        """Goes on after every error but a refused credential, which is raised."""
        if type(error) is not type(self.last_error):
            self.trouble(error)
        self.last_error = error
        if isinstance(error, AuthenticationError):
            raise copy(error) from error  # a copy: one error may end many waits

    def expire(self, now: float) -> None:
        """Does nothing: there is no deadline."""


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
    """Returns the error for packages that failed. DLI gives no reason anywhere."""
    return kind(
        f"{title(group)} failed: {readiness}. DLI gives no reason; check that each object exists "
        "in OBS, that DLI may read it, and that nobody deletes the group meanwhile."
    )


def title(group: str | None) -> str:
    """Returns a name for a group, as the subject of a sentence."""
    return "The upload without a group" if group is None else f"Package group {group!r}"
