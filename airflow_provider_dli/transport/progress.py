# SPDX-License-Identifier: Apache-2.0
"""How far a request got, and how long it may take yet: one notion for both transports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dli.api.protocol.wire import Send

LEAST_RATE = 16 * 1024
"""Bytes a second, on the average, that an object has to move at least; a call that carries one has
so much more time than others."""


@dataclass(slots=True)
class Progress:
    """One request on its way. `now` is a monotonic clock in seconds.

    `is_sent` says that the first byte may have left: from then on the service may have carried it
    out. Until then nobody has seen it.
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
        """Seconds that it may take in all, so far: more, the more bytes of an object moved."""
        seconds = self.total
        if self.send.request.is_bulk:
            seconds += self.moved / LEAST_RATE
        return seconds if self.send.limit is None else min(seconds, self.send.limit)

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return self.now() - self._began >= self.allowed

    @property
    def left(self) -> float:
        """Seconds that are left; raises `TimeoutError` when there are none."""
        seconds = self.allowed - (self.now() - self._began)
        if seconds <= 0:
            raise TimeoutError("its time is up")
        return seconds
