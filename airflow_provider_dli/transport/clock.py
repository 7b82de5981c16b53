# SPDX-License-Identifier: Apache-2.0
"""The time of the worker. A test gives a clock of its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells Unix seconds and waits for seconds."""

    def now(self) -> float:
        """Give Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Give Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block the thread for `seconds`."""
        time.sleep(seconds)
