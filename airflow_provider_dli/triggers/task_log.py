# SPDX-License-Identifier: Apache-2.0
"""The task log of triggers, written in a thread.

On Airflow 3.3 each line goes through a socket to the supervisor: with hundreds of waits, writing on
the event loop would hold it up.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

LINES_AT_ONCE, PAUSE = 5, 0.001
"""Lines that the thread writes at once, and the seconds for which it then leaves the loop alone."""

_log = logging.getLogger(__name__)
_never = threading.Event()


class TaskLog:
    """Logs in a thread, in the order of the calls and each line in the context of its task."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dli-log")
        # Not one job of the executor for each line: thousands at once would each wake the thread.
        self._lines: deque[Callable[[], object]] = deque()
        self._is_writing = False
        self._lock = threading.Lock()

    def info(self, event: Any, *args: Any) -> None:
        """Log a line."""
        self._add(_log.info, event, args)

    def warning(self, event: Any, *args: Any) -> None:
        """Log a warning."""
        self._add(_log.warning, event, args)

    async def written(self) -> None:
        """Wait until the lines so far are written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, int)

    def _add(self, write: Callable[..., object], event: Any, args: tuple[Any, ...]) -> None:
        with self._lock:
            self._lines.append(partial(contextvars.copy_context().run, write, event, *args))
            if not self._is_writing:
                self._is_writing = True
                self._thread.submit(self._write)

    def _next_line(self) -> Callable[[], object] | None:
        with self._lock:
            # Under the lock: a line that is added now must not wait for the one after it.
            self._is_writing = bool(self._lines)
            return self._lines.popleft() if self._lines else None

    def _write(self) -> None:
        for number in count(1):
            line = self._next_line()
            if line is None:
                return
            try:
                line()
            except Exception:
                _log.debug("Could not write a line of the log.", exc_info=True)
            if number % LINES_AT_ONCE == 0:
                # Two thousand lines at a time kept the interpreter from the loop for 0.1 s.
                _never.wait(PAUSE)


task_log = TaskLog()
