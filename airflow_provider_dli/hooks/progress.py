# SPDX-License-Identifier: Apache-2.0
"""What a wait writes to the task log: changes of state, errors, and the log of a job's driver."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.jobs.models import BatchState, SparkBatch
from airflow_provider_dli.api.packages.models import PackageState, state_of
from airflow_provider_dli.api.packages.readiness import ABSENT, Readiness
from airflow_provider_dli.api.protocol.errors import AuthenticationError, DliError, NotFoundError
from airflow_provider_dli.api.protocol.log import Log
from airflow_provider_dli.api.protocol.wire import Call, Flow

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.driver_log import DriverLog

SILENCE = 60.0
"""Seconds without news after which a wait logs that it is still waiting."""


class Progress:
    """When there was news last, and how an error that does not end the wait is logged.

    `now` returns Unix seconds.
    """

    __slots__ = ("_last_news", "_log", "_now", "_started")

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._started = self._last_news = now()

    @property
    def seconds(self) -> float:
        """Seconds since the wait began."""
        return self._now() - self._started

    def trouble(self, error: DliError) -> None:
        """Log an error that does not end the wait."""
        self._log.warning("The wait continues after an error: %s", error)

    def _is_silent(self) -> bool:
        return self._now() - self._last_news >= SILENCE

    def _note_news(self) -> None:
        self._last_news = self._now()


class GroupProgress(Progress):
    """Logs how a package group changes from look to look."""

    __slots__ = ("_hint", "_states")

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        super().__init__(log, now)
        self._states: Mapping[str, str] = {}
        self._hint = ""

    def __call__(self, readiness: Readiness) -> None:
        """Log the packages whose state changed, or once in a while that nothing did."""
        changes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, state in readiness.states.items():
            if state != (before := self._states.get(name, "(new)")):
                changes[before, state].append(name)
        self._states = readiness.states
        # One line for all that change alike: a group may have a hundred packages.
        for (before, state), names in changes.items():
            is_known = state == ABSENT or state_of(state) is not PackageState.UNKNOWN
            log = self._log.info if is_known else self._log.warning
            title = "Package" if len(names) == 1 else "Packages"
            log("%s %s: %s -> %s", title, ", ".join(names), before, state)
        is_new_hint = readiness.hint != self._hint
        self._hint = readiness.hint
        if is_new_hint and readiness.hint:
            self._log.info("%s.", readiness.hint[0].upper() + readiness.hint[1:])
        if changes or is_new_hint:
            self._note_news()
        elif self._is_silent():
            self._note_news()
            ready = sum(state == PackageState.READY for state in readiness.states.values())
            self._log.info(
                "Waiting for %.0f s: %d of %d packages are READY; %s",
                self.seconds,
                ready,
                len(readiness.states),
                readiness,
            )


class JobProgress(Progress):
    """Logs how a Spark job changes from look to look, and what its driver writes."""

    __slots__ = ("_is_log_refused", "_log_error", "_state", "_was_restarted")

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        super().__init__(log, now)
        self._state = ""
        self._was_restarted = False
        self._is_log_refused = False
        self._log_error: type[DliError] | None = None

    def __call__(self, batch: SparkBatch) -> None:
        """Log a change of the state, or once in a while that there was none."""
        state = batch.raw_state or "(no state)"
        if state != self._state:
            log = self._log.warning if batch.state is BatchState.UNKNOWN else self._log.info
            log("Spark job %s: %s -> %s", batch.id, self._state or "(new)", state)
            self._was_restarted |= batch.state is BatchState.RECOVERING
            self._state = state
            self._note_news()
        elif self._is_silent():
            self._note_news()
            self._log.info("Spark job %s: %s for %.0f s", batch.id, state, self.seconds)

    @property
    def may_have_log(self) -> bool:
        """Whether the driver may have written a log that this account may read."""
        has_started = self._state.strip().lower() not in {"", BatchState.STARTING}
        return has_started and not self._is_log_refused

    def follow(
        self,
        lines: DriverLog,
        perform: Callable[[Call[Any]], Flow[Any]],
        take: Callable[[str], object] | None = None,
    ) -> Flow[None]:
        """Log the new lines of the driver, or pass them to `take`. An error ends no wait."""
        if self._was_restarted:
            self._was_restarted = False
            lines.recovered()
        try:
            new = yield from lines.read(perform)
        except DliError as error:
            # A driver that has just started has no log yet, and what a refused credential means for
            # the wait is decided where the job is looked at.
            may_pass = error.is_transient or isinstance(error, AuthenticationError | NotFoundError)
            self._is_log_refused = not may_pass
            if not may_pass:
                self._log.warning("Could not read the driver log, not trying again: %s", error)
            elif self._log_error is not type(error):
                self._log.warning("Could not read the driver log, trying again later: %s", error)
            self._log_error = type(error)
            return
        self._log_error = None
        for line in new:
            if take is None:
                self._log.info("[driver] %s", line)
            else:
                take(line)
        if new:
            self._note_news()
