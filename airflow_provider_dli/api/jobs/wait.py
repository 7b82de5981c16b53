# SPDX-License-Identifier: Apache-2.0
"""One wait for a Spark job: what each look means."""

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
    """Waits until a job has ended, well or not.

    With `auto_recovery` a job is dead only when a second look says so, half a poll interval after
    the first at least: whether `dead` may be seen before `recovering` is not documented. `observe`
    is given each job that `on_result` finds. `project` says where it is looked for, in words.
    """

    batch_id: str
    auto_recovery: bool = False
    observe: Callable[[SparkBatch], None] = lambda _: None
    project: str = ""
    batch: SparkBatch | None = None
    _dead_since: float | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What a look finds it by."""
        return self.batch_id

    @property
    def title(self) -> str:
        """What is waited for, in a sentence."""
        return f"Spark job {self.batch_id}"

    def on_result(self, found: SparkBatch | None, now: float) -> SparkBatch | None:
        """Take a look at the job, `None` where nobody knows it; gives it when it has ended.

        Raises `SparkBatchLostError` when it is unknown, or in a state that nobody knows, for
        `max_unknown_time` seconds; `SparkBatchTimeoutError` at the deadline.
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
        self.keep_waiting(now, is_odd=found is None or found.state is BatchState.UNKNOWN)
        return None

    def on_unchanged(self, now: float) -> SparkBatch | None:
        """Take a look that shows what the last one did; gives the job that is still dead."""
        if self._dead_since is not None and self._is_dead_for_good(now):
            return self.batch
        self.check_time(now)
        return None

    def on_error(self, error: DliError, now: float) -> None:
        """Take an error in place of a look.

        A job that was just submitted may be unknown for a while, and so may any be for whom the
        service looks in the wrong place.
        """
        if not isinstance(error, NotFoundError):
            Wait.on_error(self, error, now)
            return
        if not isinstance(self.last_error, NotFoundError):
            self.trouble(error)
        self._dead_since = None
        self.keep_waiting(now, is_odd=True, error=error)

    @property
    def is_open(self) -> bool:
        """Whether the last look shows neither that the wait is over nor that all goes well."""
        is_odd = self.batch is None or self.batch.state is BatchState.UNKNOWN
        return is_odd or self.last_error is not None or self._dead_since is not None

    @property
    def _unknown(self) -> str:
        return "DLI does not know it" + (self.project and f" in {self.project}")

    def unknown(self) -> SparkBatchLostError:
        """Say that nobody knows for too long what the job does."""
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
        """Say how the job was when time was up."""
        unseen = "not seen" if self._odd_since is None else self._unknown
        state = self.batch.raw_state if self.batch else unseen
        return SparkBatchTimeoutError(
            f"{self.title} had not ended by {self.end}: {state}.{self.hidden}", self.batch_id
        )

    def _is_dead_for_good(self, now: float) -> bool:
        """Whether a job that is dead at this look will not be started again."""
        if self._dead_since is None:
            self._dead_since = now
        is_late = now - self._dead_since >= self.poll_interval / 2
        is_last = self.deadline is not None and now >= self.deadline
        return not self.auto_recovery or is_late or is_last
