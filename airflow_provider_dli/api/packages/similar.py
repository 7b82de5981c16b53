# SPDX-License-Identifier: Apache-2.0
"""Suggestions for a name that does not exist."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Collection

MOST = 3
"""Suggestions at most."""

_CANDIDATES = 200
"""Names at most that are compared letter by letter: 10,000 would take a third of a second."""


def similar_names(name: str, names: Collection[str]) -> tuple[str, ...]:
    """Returns the names that are most similar to this one, regardless of case, best first."""
    wanted = name.casefold()
    if len(names) > _CANDIDATES:
        parts = [wanted[start : start + 3] for start in range(max(len(wanted) - 2, 1))]
        names = heapq.nlargest(
            _CANDIDATES, names, key=lambda other: sum(map(other.casefold().__contains__, parts))
        )
    alike: dict[str, list[str]] = {}
    for other in names:
        alike.setdefault(other.casefold(), []).append(other)
    close = difflib.get_close_matches(wanted, alike, MOST)
    return tuple(other for folded in close for other in alike[folded])[:MOST]
