# SPDX-License-Identifier: Apache-2.0
"""How the state of an uploaded package moves on with time."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.settings import seconds

UPLOADING = "UPLOADING"
READY = "READY"
FAILED = "FAILED"

# Seconds after the upload, and the state from then on. None = the package is gone. Words that DLI
# does not document are allowed: a client has to survive them.
Timeline: TypeAlias = Sequence[tuple[float, str | None]]


class Timelines:
    """Which timeline a new upload gets: by pattern of its name, else by the default."""

    def __init__(self, upload_seconds: float) -> None:
        self.upload_seconds = upload_seconds
        self._by_pattern: dict[str, Timeline] = {}

    def set(self, pattern: str, timeline: object) -> None:
        """Give later uploads of packages whose name (or `group/name`) matches this timeline."""
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"pattern must be a text such as '*.jar', not {pattern!r}")
        steps = checked(timeline)
        # A new dict, since a request may be reading the old one; and what is set again is last.
        others = {name: old for name, old in self._by_pattern.items() if name != pattern}
        self._by_pattern = {**others, pattern: steps}

    def clear(self) -> None:
        """Forget every pattern."""
        self._by_pattern = {}

    def choose(self, name: str, group: str | None, *, is_async: bool) -> Timeline:
        """The timeline of one upload; of the patterns that match the one set last counts."""
        full_name = name if group is None else f"{group}/{name}"
        for pattern, timeline in reversed(self._by_pattern.items()):
            if fnmatchcase(name, pattern) or fnmatchcase(full_name, pattern):
                # A synchronous upload answers when all is over.
                return timeline if is_async else ((0.0, timeline[-1][1]),)
        if is_async and self.upload_seconds > 0:
            return ((0.0, UPLOADING), (self.upload_seconds, READY))
        return ((0.0, READY),)

    def as_json(self) -> dict[str, Any]:
        """Every pattern with its timeline."""
        return {
            pattern: [list(step) for step in timeline]
            for pattern, timeline in self._by_pattern.items()
        }


def checked(timeline: object) -> Timeline:
    """The timeline, or ValueError saying what is wrong with it."""
    if not isinstance(timeline, list | tuple) or not timeline:
        raise ValueError('timeline must be a list such as [[0, "UPLOADING"], [2, "READY"]]')
    steps: list[tuple[float, str | None]] = []
    for step in timeline:
        if not isinstance(step, list | tuple) or len(step) != 2:
            raise ValueError(f"timeline must consist of pairs of seconds and state, not {step!r}")
        after, state = seconds("timeline", step[0]), step[1]
        if state is not None and not isinstance(state, str):
            raise ValueError(f"timeline must name states as text or null, not {state!r}")
        if steps and after <= steps[-1][0]:
            raise ValueError("timeline must rise in seconds from step to step")
        steps.append((after, state))
    if steps[0][0] != 0:
        raise ValueError("timeline must begin at second 0")
    return tuple(steps)
