# SPDX-License-Identifier: Apache-2.0
"""A lock for state that a forked process inherits."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """A lock between the threads of one process, which is free in a forked child.

    `fork` copies only the thread that called it, so an ordinary lock that another thread holds at
    that moment would stay locked in the child for ever.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def __enter__(self) -> None:
        pid = os.getpid()
        lock = self._locks.get(pid)
        # setdefault is atomic: threads that come first at the same time share one lock.
        (lock or self._locks.setdefault(pid, threading.Lock())).acquire()

    def __exit__(self, *_: object) -> None:
        self._locks[os.getpid()].release()
