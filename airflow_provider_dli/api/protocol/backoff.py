# SPDX-License-Identifier: Apache-2.0
"""How pauses grow between attempts, between looks, and between looks after a cancel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: `first`, then each `growth` times the one before, up to `longest`.

    `spread` are the two factors between which a random share moves a pause, so that many tasks do
    not come back at the same moment.
    """

    first: float
    growth: float
    longest: float = math.inf
    spread: tuple[float, float] = (1.0, 1.0)

    def pause(self, number: int) -> float:
        """Returns the `number`-th pause, counted from 1, before it is spread."""
        # The exponent is bounded: a float overflows where a wait goes on for days.
        return min(self.first * self.growth ** min(number - 1, 60), self.longest)

    def pauses(self) -> Iterator[float]:
        """Yields the pauses in turn, without an end."""
        return map(self.pause, count(1))

    def spread_out(self, pause: float, share: float) -> float:
        """Returns a pause moved at random; `share` is between 0 and 1."""
        start, end = self.spread
        return pause * (start + (end - start) * share)
