"""A clock that nobody waits for."""

from __future__ import annotations


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
