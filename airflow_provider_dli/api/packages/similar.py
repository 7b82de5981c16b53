# SPDX-License-Identifier: Apache-2.0
"""Which names somebody may have meant who gave one that does not exist."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Collection

MOST = 3
"""Names that are offered at most."""

_CANDIDATES = 200
"""Names that are compared letter by letter: ten thousand would take a third of a second."""


def similar_names(name: str, names: Collection[str]) -> tuple[str, ...]:
    """Returns at most three of the names that read like this one, the most similar first.

    Small and capital letters count as the same.
    """
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
