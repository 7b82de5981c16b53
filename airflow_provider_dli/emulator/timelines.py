# SPDX-License-Identifier: Apache-2.0
"""The states of an uploaded package over time."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.settings import seconds

UPLOADING = "UPLOADING"
READY = "READY"
FAILED = "FAILED"

# Seconds after the upload, and the state from then on. None = the package is gone. Undocumented
# states are allowed: a client has to cope with them.
Timeline: TypeAlias = Sequence[tuple[float, str | None]]


class Timelines:
    """Selects the timeline of an upload: by a pattern of its name, else the default."""

    def __init__(self, upload_seconds: float) -> None:
        self.upload_seconds = upload_seconds
        self._by_pattern: dict[str, Timeline] = {}

    def set(self, pattern: str, timeline: object) -> None:
        """Sets the timeline for later uploads of packages whose name or `group/name` matches."""
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"pattern must be a text such as '*.jar', not {pattern!r}")
        steps = checked(timeline)
        # A new dict, since a request may read the old one. A pattern that is set again is last.
        others = {name: old for name, old in self._by_pattern.items() if name != pattern}
        self._by_pattern = {**others, pattern: steps}

    def clear(self) -> None:
        """Removes all patterns."""
        self._by_pattern = {}

    def choose(self, name: str, group: str | None, *, is_async: bool) -> Timeline:
        """Returns the timeline of an upload; of matching patterns the last one set counts."""
        full_name = name if group is None else f"{group}/{name}"
        for pattern, timeline in reversed(self._by_pattern.items()):
            if fnmatchcase(name, pattern) or fnmatchcase(full_name, pattern):
                # A synchronous upload answers at the end of the timeline.
                return timeline if is_async else ((0.0, timeline[-1][1]),)
        if is_async and self.upload_seconds > 0:
            return ((0.0, UPLOADING), (self.upload_seconds, READY))
        return ((0.0, READY),)

    def as_json(self) -> dict[str, Any]:
        """Returns every pattern with its timeline."""
        return {
            pattern: [list(step) for step in timeline]
            for pattern, timeline in self._by_pattern.items()
        }


def checked(timeline: object) -> Timeline:
    """Returns a valid timeline; raises ValueError with the reason otherwise."""
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
