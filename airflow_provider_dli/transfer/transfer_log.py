# SPDX-License-Identifier: Apache-2.0
"""Shows the progress of a transfer: lines in the task log, or a bar in a terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.log import Log

SILENCE = 10.0
"""Seconds between two lines."""

NAMED = 20
"""Number of files whose keys are logged at the end."""

_CANNOT_DRAW = {"", "dumb", "unknown"}
"""Values of TERM for terminals that cannot draw a bar, or may not."""

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("B", 1))


class TransferLog:
    """Counts the bytes that are sent, from any thread, and shows them. `now` is in Unix seconds.

    It is a context manager, since a terminal has to be restored.
    """

    def __init__(
        self, log: Log, now: Callable[[], float], *, bucket: str, files: int, size: int
    ) -> None:
        self._log = log
        self._bucket = bucket
        self._keys: list[str] = []
        self._now = now
        self._files = files
        self._size = size
        self._files_done = self._sent = self._there = 0
        self._started = self._last_line = now()
        self._lock = threading.Lock()
        self._bar = _Bar(size) if _can_draw_bar() else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if error is None and self._files:
            self._log_end()

    def sent(self, size: int) -> None:
        """Counts bytes that arrived."""
        with self._lock:
            self._sent += size
            self._show()

    def found(self, size: int) -> None:
        """Counts bytes that were there from an earlier run."""
        with self._lock:
            self._there += size
            self._show()

    def file_done(self, key: str) -> None:
        """Counts one more complete file, with its key."""
        with self._lock:
            self._files_done += 1
            if len(self._keys) < NAMED:
                self._keys.append(key)

    def _show(self) -> None:
        done = self._sent + self._there
        if self._bar is not None:
            self._bar.show(done)
        elif self._now() - self._last_line >= SILENCE:
            self._last_line = self._now()
            unit, factor = _unit(self._size)
            self._log.info(
                "Sent %d of %d %s, %d of %d files%s",
                done // factor,
                self._size // factor,
                unit,
                self._files_done,
                self._files,
                self._rate(", "),
            )

    def _log_end(self) -> None:
        there = f" besides {amount(self._there)} already there" if self._there else ""
        self._log.info(
            "Sent %d file%s to obs://%s, %s%s, in %d s%s: %s",
            self._files,
            "" if self._files == 1 else "s",
            self._bucket,
            amount(self._sent),
            there,
            self._now() - self._started,
            self._rate(" (", ")"),
            self._named(),
        )

    def _named(self) -> str:
        more = self._files - len(self._keys)
        return ", ".join(sorted(self._keys)) + (f" and {more} more" if more > 0 else "")

    def _rate(self, before: str, after: str = "") -> str:
        seconds = self._now() - self._started
        return f"{before}{amount(self._sent / seconds)}/s{after}" if seconds > 0 else ""


def amount(size: float) -> str:
    """Returns a number of bytes in a suitable unit."""
    unit, factor = _unit(size)
    return f"{size / factor:.0f} {unit}"


def _unit(size: float) -> tuple[str, int]:
    # From ten on, so that whole numbers are precise enough.
    return next((unit for unit in _UNITS if size >= 10 * unit[1]), _UNITS[-1])


def _can_draw_bar() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in _CANNOT_DRAW


class _Bar:
    """A progress bar of rich, which Airflow depends on."""

    def __init__(self, size: int) -> None:
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

        columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
        self._progress: Any = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("Sending to OBS", total=size)

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def show(self, done: int) -> None:
        self._progress.update(self._task, completed=done)
