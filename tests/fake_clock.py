"""A clock that nobody waits for."""

from __future__ import annotations

import time


class FakeClock:
    """Stands still until somebody sleeps; then that time has passed."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class SkippingClock(FakeClock):
    """Goes as the machine's does, and skips what somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def now(self) -> float:
        return time.time() + self.time
