# SPDX-License-Identifier: Apache-2.0
"""Threads that share a job: the first failure, or an interrupt, ends all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

Task = Callable[[], None]


class Workers:
    """At most `number` tasks at a time. None is left when the block ends, however it ends.

    `stop` has to end at once what tasks are waiting for.
    """

    def __init__(self, number: int, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._names = f"obs-{id(self)}"
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=self._names)
        # No task waits with its data in memory.
        self._free = threading.Semaphore(number)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def submit(self, task: Task) -> None:
        """Let a thread carry out a task, as soon as one is free; raises what failed before."""
        self._free.acquire()
        self._raise_failure()
        self._pool.submit(self._carry_out, task)

    def join(self) -> None:
        """Wait until all tasks are done; raises what failed. None can be submitted any more."""
        self._pool.shutdown(wait=True)
        self._raise_failure()

    def _carry_out(self, task: Task) -> None:
        try:
            if self._failure is None:
                task()
        except BaseException as error:
            self._fail(error)
        finally:
            self._free.release()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            is_first, self._failure = self._failure is None, self._failure or error
        if is_first:
            self._stop()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

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
        self._pool.shutdown(wait=True, cancel_futures=True)
        # An interrupt may have come while the pool began one, of which it then does not know.
        for thread in threading.enumerate():
            if thread.name.startswith(self._names):
                thread.join()
