"""Split text into words."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")


def words(line: str) -> list[str]:
    """Give the words of a line, in lower case.

    >>> words("To be, or not to be: 42")
    ['to', 'be', 'or', 'not', 'to', 'be']
    """
    return [word.lower() for word in _WORD.findall(line)]
