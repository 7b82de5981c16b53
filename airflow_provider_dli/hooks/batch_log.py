# SPDX-License-Identifier: Apache-2.0
"""Tells the task log what a wait for a Spark job sees: its states, and the log of its driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.jobs.models import BatchState, SparkBatch
from airflow_provider_dli.api.protocol.errors import AuthenticationError, DliError, NotFoundError
from airflow_provider_dli.api.protocol.log import Log
from airflow_provider_dli.api.protocol.retry import TRANSIENT
from airflow_provider_dli.api.protocol.wire import Call, Flow
from airflow_provider_dli.hooks.progress import SILENCE

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.driver_log import DriverLog


class JobProgress:
    """Sees every look at a job and logs what is new. `now` gives Unix seconds."""

    __slots__ = (
        "_hidden_by",
        "_is_readable",
        "_last_line",
        "_log",
        "_now",
        "_started",
        "_state",
        "_was_restarted",
    )

    def __init__(self, log: Log, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._state = ""
        self._is_readable = True
        self._hidden_by: type[DliError] | None = None
        self._was_restarted = False
        self._started = self._last_line = now()

    def __call__(self, batch: SparkBatch) -> None:
        """Log a change of the state; otherwise say rarely that the wait goes on."""
        now, state = self._now(), batch.raw_state or "(no state)"
        if state != self._state:
            log = self._log.warning if batch.state is BatchState.UNKNOWN else self._log.info
            log("Spark job %s: %s -> %s", batch.id, self._state or "(new)", state)
            self._was_restarted |= batch.state is BatchState.RECOVERING
            self._state, self._last_line = state, now
        elif now - self._last_line >= SILENCE:
            self._last_line = now
            self._log.info("Spark job %s: %s for %.0f s", batch.id, state, now - self._started)

    def trouble(self, error: DliError) -> None:
        """Log an error that may pass: the wait goes on."""
        self._log.warning("The wait goes on in spite of this: %s", error)

    @property
    def may_have_log(self) -> bool:
        """Whether the driver may have written anything, and the log may be read."""
        return self._is_readable and self._state.strip().lower() not in {"", BatchState.STARTING}

    def follow(
        self,
        lines: DriverLog,
        perform: Callable[[Call[Any]], Flow[Any]],
        take: Callable[[str], object] | None = None,
    ) -> Flow[None]:
        """Log what the driver wrote since the last time; failing at that ends no wait.

        `take` is given the lines in place of the log.
        """
        if self._was_restarted:
            self._was_restarted = False
            lines.recovered()
        try:
            new = yield from lines.read(perform)
        except (*TRANSIENT, AuthenticationError, NotFoundError) as error:
            # The next time it may give more: a driver that has just begun has written nothing, and
            # what becomes of a refused credential, the looks at the job decide.
            if self._hidden_by is not type(error):
                self._log.warning("The log of the driver cannot be read now: %s", error)
            self._hidden_by = type(error)
            return
        except DliError as error:
            self._is_readable = False
            self._log.warning("The log of the driver is not followed any more: %s", error)
            return
        self._hidden_by = None
        for line in new:
            if take is None:
                self._log.info("[driver] %s", line)
            else:
                take(line)
        if new:
            self._last_line = self._now()
