# SPDX-License-Identifier: Apache-2.0
"""Waits for a Spark job until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_dli.api.jobs.models import BatchState, SparkBatch
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    NotFoundError,
    SparkBatchLostError,
    SparkBatchTimeoutError,
)
from airflow_provider_dli.api.protocol.wait import Wait


@dataclass(slots=True)
class JobWait(Wait):
    """Waits until a job has ended, whether it succeeded or not.

    With `auto_recovery`, `dead` ends the wait only if a second look, at least half a poll interval
    later, finds the same: it is not documented whether a job may be `dead` before it is
    `recovering`. `observe` is called with the job of each new result.
    """

    batch_id: str
    auto_recovery: bool = False
    observe: Callable[[SparkBatch], None] = lambda _: None
    batch: SparkBatch | None = None
    _dead_since: float | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The id of the job."""
        return self.batch_id

    @property
    def title(self) -> str:
        """The job, as the subject of a sentence."""
        return f"Spark job {self.batch_id}"

    def on_result(self, found: SparkBatch | None, now: float) -> SparkBatch | None:
        """Returns the job when it has ended; `found` is `None` if DLI does not know it.

        Raises `SparkBatchLostError` when the job or its state is unknown for `max_unknown_time`
        seconds, and `SparkBatchTimeoutError` at the deadline.
        """
        if found is not None:
            self.batch = found
            self.observe(found)
            if found.state is BatchState.SUCCESS:
                return found
        if found is None or found.state is not BatchState.DEAD:
            self._dead_since = None
        elif self._is_dead_for_good(now):
            return found
        self.keep_waiting(now, is_unknown=found is None or found.state is BatchState.UNKNOWN)
        return None

    def on_unchanged(self, now: float) -> SparkBatch | None:
        """Returns the job if it is still dead, and checks the limits."""
        if self._dead_since is not None and self._is_dead_for_good(now):
            return self.batch
        self.check_time(now)
        return None

    def on_error(self, error: DliError, now: float) -> None:
        """Handles a look that failed.

        A job that DLI does not know counts as one whose state is unknown: DLI may not know a job
        that was just submitted.
        """
        if not isinstance(error, NotFoundError):
            Wait.on_error(self, error, now)
            return
        if not isinstance(self.last_error, NotFoundError):
            self.trouble(error)
        self._dead_since = None
        self.keep_waiting(now, is_unknown=True, error=error)

    @property
    def is_open(self) -> bool:
        """Whether the last look failed, left the state unknown, or found the job dead at first."""
        is_unknown = self.batch is None or self.batch.state is BatchState.UNKNOWN
        return is_unknown or self.last_error is not None or self._dead_since is not None

    @property
    def _unknown(self) -> str:
        return "DLI does not know it" + (self.project and f" in {self.project}")

    def unknown(self) -> SparkBatchLostError:
        """Returns the error for a job whose state was unknown for too long."""
        if self.batch is None:
            seen = self._unknown
        elif self.batch.state is BatchState.UNKNOWN:
            seen = f"its state is {self.batch.raw_state!r}, which is not documented"
        else:
            seen = f"DLI has no record of it any more; it was {self.batch.state} before"
        return SparkBatchLostError(
            f"{self.title} is lost: {seen}, for {self.max_unknown_time:g} seconds. Somebody may "
            "have deleted it, or the records of ended jobs were cleared. Look for it in the "
            "console before you run it again.",
            self.batch_id,
        )

    def timed_out(self) -> SparkBatchTimeoutError:
        """Returns the error for a job that has not ended at the deadline."""
        unseen = "not seen" if self._unknown_since is None else self._unknown
        state = self.batch.raw_state if self.batch else unseen
        return SparkBatchTimeoutError(
            f"{self.title} had not ended by {self.end}: {state}.{self.hidden}", self.batch_id
        )

    def _is_dead_for_good(self, now: float) -> bool:
        """Whether DLI will not start a job again that this look found dead."""
        if self._dead_since is None:
            self._dead_since = now
        is_late = now - self._dead_since >= self.poll_interval / 2
        is_last = self.deadline is not None and now >= self.deadline
        return not self.auto_recovery or is_late or is_last
