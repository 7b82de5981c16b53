# SPDX-License-Identifier: Apache-2.0
"""Tells the task log what a wait sees: each change of state, and a line now and then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from airflow_provider_dli.api.packages.models import PackageState, state_of
from airflow_provider_dli.api.packages.readiness import ABSENT, Readiness
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.api.protocol.log import Log

SILENCE = 60.0
"""Seconds without a change after which a wait says that it goes on."""


class GroupProgress:
    """Sees every look at a group and logs what is new. `now` gives Unix seconds."""

    __slots__ = ("_hint", "_last_line", "_log", "_now", "_started", "_states")

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._states: Mapping[str, str] = {}
        self._hint = ""
        self._started = self._last_line = now()

    @property
    def seconds(self) -> float:
        """How long it has been watching."""
        return self._now() - self._started

    def __call__(self, readiness: Readiness) -> None:
        """Log the packages whose state changed; otherwise say rarely that the wait goes on."""
        changes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, state in readiness.states.items():
            if state != (before := self._states.get(name, "(new)")):
                changes[before, state].append(name)
        # One line for all that change alike: a group may have a hundred packages.
        for (before, state), names in changes.items():
            known = state == ABSENT or state_of(state) is not PackageState.UNKNOWN
            log = self._log.info if known else self._log.warning
            title = "Package" if len(names) == 1 else "Packages"
            log("%s %s: %s -> %s", title, ", ".join(names), before, state)
        self._states = readiness.states
        has_news = bool(changes) or readiness.hint != self._hint
        if readiness.hint and readiness.hint != self._hint:
            self._log.info("%s.", readiness.hint[0].upper() + readiness.hint[1:])
        self._hint = readiness.hint
        if has_news:
            self._last_line = self._now()
        elif self._now() - self._last_line >= SILENCE:
            self._last_line = self._now()
            ready = sum(state == PackageState.READY for state in readiness.states.values())
            self._log.info(
                "Waiting for %.0f s: %d of %d packages are READY; %s",
                self.seconds,
                ready,
                len(readiness.states),
                readiness,
            )

    def trouble(self, error: DliError) -> None:
        """Log an error that may pass: the wait goes on."""
        self._log.warning("The wait goes on in spite of this: %s", error)
