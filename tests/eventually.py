"""Waits for what a thread, another process or a coroutine does, where there is no event for it.

Nothing else in the tests sleeps (see test_structure.py). No test asserts how long it took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

HANG = 30.0
"""Seconds after which what a test waits for counts as hanging."""

_PAUSE = 0.005


async def eventually(happened: Callable[[], object]) -> None:
    """Wait on the event loop until something has happened."""
    async with asyncio.timeout(HANG):
        while not happened():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_PAUSE)


def at_last(happened: Callable[[], T]) -> T:
    """Block until something has happened; returns what `happened` returned then."""
    ends = time.monotonic() + HANG
    while not (found := happened()):
        if time.monotonic() > ends:
            raise TimeoutError("it has not happened")
        time.sleep(_PAUSE)
    return found
