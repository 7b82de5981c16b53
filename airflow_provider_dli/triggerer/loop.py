# SPDX-License-Identifier: Apache-2.0
"""How work for many waits shares the event loop: in short slices, and once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from time import perf_counter
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

SLICE = 0.005
"""Seconds of work after which other tasks of the loop run."""

WOKEN = 25
"""Waits that may end in one turn of the loop: each goes on to do something in that turn."""


class LoopSlice:
    """Limits how long a loop over many waits keeps other tasks from running."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._ends = perf_counter() + SLICE
        self._woken = 0

    def is_over(self, woke: bool = False) -> bool:
        """Whether it is time to `give_way`; `woke` counts one more wait that ended."""
        self._woken += woke
        return self._woken >= WOKEN or perf_counter() >= self._ends

    async def give_way(self) -> None:
        """Runs other tasks, and begins the next slice."""
        await asyncio.sleep(0)
        self._begin()


class SharedAnswers(Generic[K, T]):
    """Answers each question once for all who ask it at the same time.

    A question that comes after the answer is asked again.
    """

    def __init__(self) -> None:
        self._asking: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[K, list[asyncio.Future[T]]]
        ] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, answer: Callable[[], Awaitable[T]]) -> T:
        """Returns the answer, or raises a copy of its error.

        A caller that is cancelled does not cancel the answer of the others.
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
            # Before the future is set: no work may be left for this task when the last one wakes.
            if turn.is_over(True):
                await turn.give_way()
            if future.done():
                continue
            if failure is None:
                future.set_result(result)  # type: ignore[arg-type]  # there is one
            else:
                future.set_exception(copy(failure))
