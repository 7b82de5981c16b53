# SPDX-License-Identifier: Apache-2.0
"""What follows a failed attempt: how many seconds to wait, or giving up."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dli.api.protocol.backoff import Backoff
from airflow_provider_dli.api.protocol.errors import DliError

BACKOFF = Backoff(1.0, 2.0, longest=20.0, spread=(1.0, 0.5))
"""Pauses between the attempts of a call."""

WHEN_THROTTLED = Backoff(2.0, 2.0, longest=20.0, spread=(1.0, 0.5))
"""The same after a 429 without a `Retry-After`: the gateway counts its windows in seconds."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on: at most `attempts` sends, at most `deadline` seconds with the pauses.

    A `Retry-After` of the service replaces the pause. This is the only layer that repeats calls.
    """

    attempts: int = 5
    deadline: float = 120.0
    jitter: Callable[[], float] = random.random

    def pause(
        self,
        error: DliError,
        *,
        attempt: int,
        elapsed: float,
        repeatable: bool,
        is_urgent: bool = False,
    ) -> float | None:
        """Returns the seconds to wait before the next attempt, or `None` to give up.

        `attempt` counts from 1, `elapsed` is seconds since the first attempt began. An urgent call
        does not wait for as long as the service asks.
        """
        if not (error.is_transient if repeatable else error.is_retry_safe):
            return None
        seconds = self._seconds(error, attempt, is_urgent)
        if attempt >= self.attempts or elapsed + seconds > self.deadline:
            return None
        return seconds

    def log_line(self, what: str, error: DliError, pause: float, attempt: int) -> str:
        """Returns the line for the log before the attempt that follows the `attempt`-th."""
        cause = f"{what} is throttled." if error.is_throttling else str(error)
        return f"{cause} Retrying in {pause:.0f} s, attempt {attempt + 1} of {self.attempts}."

    def _seconds(self, error: DliError, attempt: int, is_urgent: bool) -> float:
        if error.retry_after is not None and not is_urgent:
            # Never earlier than asked, and not everybody in the same instant.
            return error.retry_after + self.jitter()
        backoff = WHEN_THROTTLED if error.is_throttling else BACKOFF
        return backoff.spread_out(backoff.pause(attempt), self.jitter())


DEFAULT_RETRY = Retry()
