# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C on a trigger that runs inline, as in `airflow dags test`, told from its other ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ctrl_c(trigger: Any) -> Iterator[Callable[[], bool]]:
    """Yield what returns whether Ctrl-C was pressed since.

    `asyncio.run` makes a cancellation of Ctrl-C, so a trigger cannot tell it from others. In a
    triggerer it never was: that gives each trigger an id and handles the signal itself.
    """
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if trigger.trigger_id is not None or not in_main or not callable(before):
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, before)
