# SPDX-License-Identifier: Apache-2.0
"""Tracks how far a request got and how much time it has left, for both transports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dli.api.protocol.wire import Send

LEAST_RATE = 16 * 1024
"""The minimum average rate of an object in bytes a second; its call has that much more time."""


@dataclass(slots=True)
class Progress:
    """The progress of one request. `now` is a monotonic clock in seconds.

    `is_sent` is set as soon as the first byte may have left: from then on the service may have
    carried it out.
    """

    send: Send
    total: float
    now: Callable[[], float]
    is_sent: bool = False
    moved: int = 0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def allowed(self) -> float:
        """Seconds that the request may take in total; bytes of an object that moved add to it."""
        seconds = self.total
        if self.send.request.is_bulk:
            seconds += self.moved / LEAST_RATE
        return seconds if self.send.limit is None else min(seconds, self.send.limit)

    @property
    def is_over(self) -> bool:
        """Whether the time limit was reached."""
        return self.now() - self._began >= self.allowed

    @property
    def left(self) -> float:
        """Seconds left; raises `TimeoutError` if there are none."""
        seconds = self.allowed - (self.now() - self._began)
        if seconds <= 0:
            raise TimeoutError("the time limit was reached")
        return seconds
