# SPDX-License-Identifier: Apache-2.0
"""Threads that share tasks: the first failure, or an interrupt, ends all of them."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Self

Task = Callable[[], None]

NOTICED = 0.05
"""Seconds after which an interrupt is noticed that came just before Python started to wait."""


class Workers:
    """At most `number` tasks at a time. None is running when the block ends, however it ends.

    `stop` must end immediately whatever tasks are waiting for. Only a second interrupt, while the
    threads end after the first, may leave some of them behind; those start no task and do not delay
    the exit.
    """

    # An interrupt may come anywhere in the main thread, even inside Python's own Thread.start,
    # Semaphore and Condition. There it leaves locks taken that the threads then wait for. So the
    # main thread uses only what cannot be interrupted halfway: SimpleQueue, Lock, start_new_thread.

    def __init__(self, number: int, stop: Callable[[], None]) -> None:
        self._number = number
        self._stop = stop
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        # So that no task waits with its data in memory.
        self._free: SimpleQueue[None] = SimpleQueue()
        self._release(number)
        self._threads: list[Thread] = []
        self._wanted = 0
        self._is_over = False
        self._beginning = Lock()
        self._failing = Lock()
        self._failure: BaseException | None = None

    def submit(self, task: Task) -> None:
        """Runs a task as soon as a thread is free; raises what failed before."""
        self._wait_for_one()
        self._raise_failure()
        self._tasks.put(task)
        if self._wanted < self._number:
            self._wanted += 1
            _thread.start_new_thread(self._begin, ())

    def join(self) -> None:
        """Waits until all tasks are done; raises what failed. No more tasks can be submitted."""
        for _ in range(self._number):
            self._wait_for_one()
        self._end()
        self._raise_failure()

    def _wait_for_one(self) -> None:
        while True:
            try:
                return self._free.get(timeout=NOTICED)
            except Empty:
                pass

    def _begin(self) -> None:  # pragma: no cover  # coverage does not see such threads
        """Starts a thread, from a thread that no interrupt reaches."""
        try:
            with self._beginning:
                if not self._is_over:
                    thread = Thread(target=self._work, name="obs", daemon=True)
                    thread.start()
                    self._threads.append(thread)
        except BaseException as error:
            self._fail(error)

    def _work(self) -> None:
        while self._run_task(self._tasks.get()):
            pass

    def _run_task(self, task: Task | None) -> bool:
        """Runs a task; returns whether there was one."""
        if task is None:
            return False
        try:
            if self._failure is None:
                task()
        except BaseException as error:
            self._fail(error)
        self._release(1)
        return True

    def _release(self, number: int) -> None:
        for _ in range(number):
            self._free.put(None)

    def _fail(self, error: BaseException) -> None:
        with self._failing:
            is_first, self._failure = self._failure is None, self._failure or error
        if is_first:
            self._release(self._number)  # nobody has to wait for the other tasks
            self._stop()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        with self._beginning:
            self._is_over = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._fail(error)
        self._end()
        self._failure = None  # it refers to all frames, and they to this object
