# SPDX-License-Identifier: Apache-2.0
"""The time of the worker. A test gives a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells Unix seconds and waits for seconds."""

    def now(self) -> float:
        """Give Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


def steady(
    unix: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Return a clock of Unix seconds that goes on evenly from now, whoever sets the machine's."""
    ahead = unix() - monotonic()
    return lambda: ahead + monotonic()


class SystemClock:
    """The machine's own clock: Unix seconds as it was made, and evenly on from there.

    Somebody who sets the machine's clock meanwhile makes no wait longer or shorter. `unix` and
    `monotonic` may be a test's.
    """

    def __init__(
        self,
        unix: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = steady(unix, monotonic)

    def now(self) -> float:
        """Return Unix seconds."""
        return self._now()

    def sleep(self, seconds: float) -> None:
        """Block the thread for `seconds`."""
        time.sleep(seconds)
