# SPDX-License-Identifier: Apache-2.0
"""The clock of the worker, which tests replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Returns the time and waits."""

    def now(self) -> float:
        """Returns Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits for a number of seconds."""
        ...


def steady(
    unix: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Returns a clock of Unix seconds that ignores later changes of the machine's clock."""
    ahead = unix() - monotonic()
    return lambda: ahead + monotonic()


class SystemClock:
    """The clock of the machine, read once and monotonic from there.

    Setting the machine's clock does not change the length of a wait. Tests replace `unix` and
    `monotonic`.
    """

    def __init__(
        self,
        unix: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = steady(unix, monotonic)

    def now(self) -> float:
        """Returns Unix seconds."""
        return self._now()

    def sleep(self, seconds: float) -> None:
        """Blocks the thread for `seconds`."""
        time.sleep(seconds)
