# SPDX-License-Identifier: Apache-2.0
"""Locks for what a forked process inherits."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """A lock among the threads of one process; a forked child finds it free.

    `fork` copies only the thread that called it. An ordinary lock that another thread held at that
    moment stays locked in the child for ever.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def __enter__(self) -> None:
        pid = os.getpid()
        lock = self._locks.get(pid)
        # Only one of several threads that come first puts its lock in.
        (lock or self._locks.setdefault(pid, threading.Lock())).acquire()

    def __exit__(self, *_: object) -> None:
        self._locks[os.getpid()].release()
