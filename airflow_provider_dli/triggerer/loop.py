# SPDX-License-Identifier: Apache-2.0
"""Work that many waits of an event loop want at the same time: done once, told in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

SLICE = 0.005
"""Seconds after which whoever works through many waits lets others on the loop have their turn."""

WOKEN = 25
"""Coroutines that are woken in one turn of the loop: each goes on to do something in that turn."""


class LoopSlice:
    """A turn on the loop, handed on when it has lasted for long or has woken many."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._ends = time.perf_counter() + SLICE
        self._woken = 0

    async def shared(self, *, woke: bool = False) -> None:
        """Hand the loop to others, if it is time; `woke` says that one more was woken."""
        self._woken += woke
        if self._woken >= WOKEN or time.perf_counter() >= self._ends:
            await asyncio.sleep(0)
            self._begin()


class SharedAnswers(Generic[K, T]):
    """Answers to questions that many ask at once; each question is answered once for all of them.

    Who asks later, when there is an answer already, has it asked anew.
    """

    def __init__(self) -> None:
        self._asking: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[K, list[asyncio.Future[T]]]
        ] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, answer: Callable[[], Awaitable[T]]) -> T:
        """Return the answer, or raise a copy of the error that came instead.

        Who is cancelled meanwhile leaves the others their answer.
        """
        loop = asyncio.get_running_loop()
        asking = self._asking.setdefault(loop, {})
        future: asyncio.Future[T] = loop.create_future()
        if key in asking:
            asking[key].append(future)
        else:
            asking[key] = [future]
            task = loop.create_task(self._answer(asking, key, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _answer(
        self,
        asking: dict[K, list[asyncio.Future[T]]],
        key: K,
        answer: Callable[[], Awaitable[T]],
    ) -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = await answer()
        except Exception as error:
            failure = error
        finally:
            waiting = asking.pop(key)
        turn = LoopSlice()
        for future in waiting:
            # Before the next one: nothing may be left to do when the last one wakes.
            await turn.shared(woke=True)
            if future.done():
                continue
            if failure is None:
                future.set_result(result)  # type: ignore[arg-type]  # there is one
            else:
                future.set_exception(copy(failure))
