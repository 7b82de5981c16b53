# SPDX-License-Identifier: Apache-2.0
"""What follows a failed try: how many seconds to wait, or giving up."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AnswerLostError,
    AnswerTooLargeError,
    ConnectionSetupError,
    DliError,
    EndpointError,
    NotSentError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
)

HARMLESS_AFTER = (NotSentError, ThrottledError)
"""Failures after which any call may be sent again: the service has not acted on it."""

TRANSIENT = (*HARMLESS_AFTER, AnswerLostError, ServiceError, UnusableAnswerError)
"""Failures that may pass by themselves."""

OF_THE_WAY = (EndpointError, ConnectionSetupError, AnswerTooLargeError)
"""Failures of what lies between here and the service: at first they tell of a wrong setup, and once
the service was reached, of something that may pass."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on: at most `attempts` sends, at most `deadline` seconds with the pauses.

    Pauses double from `first_pause` up to `longest_pause` seconds, each shortened by up to a half
    at random so that many tasks do not come back at once. A `Retry-After` of the service replaces
    the pause. This is the only layer that repeats anything.
    """

    attempts: int = 5
    deadline: float = 120.0
    first_pause: float = 1.0
    longest_pause: float = 20.0
    # Throttled by the gateway without a Retry-After: its shortest windows are counted in seconds.
    throttled_pause: float = 2.0
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
        """Return the seconds to wait before the next try, or `None` to give up.

        `attempt` counts from 1, `elapsed` is seconds since the first try began. An urgent call
        does not wait for as long as the service asks.
        """
        if not isinstance(error, TRANSIENT if repeatable else HARMLESS_AFTER):
            return None
        seconds = self._seconds(error, attempt, is_urgent)
        if attempt >= self.attempts or elapsed + seconds > self.deadline:
            return None
        return seconds

    def announced(self, what: str, error: DliError, pause: float, attempt: int) -> str:
        """Return the line for the log before the try that follows the `attempt`th."""
        again = f"gain in {pause:.0f} s, try {attempt + 1} of {self.attempts}"
        if isinstance(error, ThrottledError):
            return f"{what} is throttled, a{again}"
        return f"{error} A{again}"

    def _seconds(self, error: DliError, attempt: int, is_urgent: bool) -> float:
        if isinstance(error, AnswerError) and error.retry_after is not None and not is_urgent:
            # Never earlier than asked, and not everybody in the same instant.
            return error.retry_after + self.jitter()
        first = self.throttled_pause if isinstance(error, ThrottledError) else self.first_pause
        pause = min(first * 2.0 ** min(attempt - 1, 60), self.longest_pause)
        return pause * (1 - self.jitter() / 2)


DEFAULT_RETRY = Retry()
