# SPDX-License-Identifier: Apache-2.0
"""The log of a job's driver: the lines that are new since the last reading, or the last lines.

https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html, deprecated since 2023. With
auto recovery each run of the driver has a log of its own, numbered from 0 by `index`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchLog
from airflow_provider_dli.api.protocol.errors import AnswerError, DliError
from airflow_provider_dli.api.protocol.wire import Call, Flow

PAGE = 1000
"""Lines to ask for in one request. No limit is documented."""

PAGES = 3
"""Requests that one reading of a run sends at most."""

LAST_LINES = 200
"""Lines that are enough to explain why a job failed."""

_LONGEST_LINE = 8192
_COMPARED = 50
_RUNS = 101  # the first, and max_retry_times of at most 100
# The lines of an empty log in the documented answers.
_PLACEHOLDERS = {"stdout:", "stderr:", "YARN Diagnostics:"}

Perform = Callable[[Call[BatchLog]], Flow[BatchLog]]


class DriverLog:
    """Follows the log of one job: each reading returns the lines that are new.

    Reading starts at line `start` of the run `index`. Without `auto_recovery` the next run is
    looked for only after `recovered`, which saves a request each time that there is nothing new.
    """

    __slots__ = (
        "_auto_recovery",
        "_first_lines",
        "_is_recovered",
        "_next",
        "_unread",
        "batch_id",
        "index",
    )

    def __init__(
        self, batch_id: str, *, auto_recovery: bool = True, index: int = 0, start: int = 0
    ) -> None:
        self.batch_id = batch_id
        self.index = index
        self._auto_recovery = auto_recovery
        self._is_recovered = False
        self._next = start
        self._first_lines: list[str] = []
        self._unread: list[str] = []

    def recovered(self) -> None:
        """Note that the driver was restarted, so that the log of the next run is looked for."""
        self._is_recovered = True

    def read(self, perform: Perform) -> Flow[list[str]]:
        """Returns the new lines, or an empty list.

        A reading is bounded: where there are too many lines, some are left out and a line says how
        many. It goes on to the next run once the present one has nothing new, or after `recovered`.
        Raises `DliError` only when there is no line to return.
        """
        # Kept on the object: the triggerer breaks a reading off when the job ends.
        lines = self._unread
        try:
            is_whole = yield from self._read_run(perform, lines)
            if is_whole and (self._is_recovered or (self._auto_recovery and not lines)):
                yield from self._read_next_run(perform, lines)
        except DliError:
            if not lines:
                raise
        self._unread = []
        return lines

    def _read_run(self, perform: Perform, lines: list[str]) -> Flow[bool]:
        """Add what is new in the present run; returns whether that is all of it."""
        for pages_left in reversed(range(PAGES)):
            page = yield from perform(self._call(self.index, self._next))
            known = self._next
            lines += self._take(page)
            if page.total is None or not known < self._next < page.total:
                return True
            if pages_left and page.total - self._next > pages_left * PAGE:
                # The service may return fewer lines than it was asked for.
                start = page.total - pages_left * len(page.lines)
                lines.append(_left_out(start - self._next))
                self._next = start
        return False

    def _read_next_run(self, perform: Perform, lines: list[str]) -> Flow[None]:
        try:
            page = yield from perform(self._call(self.index + 1, 0))
        except AnswerError:
            # How the service refuses a run that does not exist is not documented. An error that
            # concerns the whole log also comes up when the present run is read.
            return
        first = _printable(page.lines)
        compared = min(len(first), len(self._first_lines))
        # Nor is it documented that the index of a run that does not exist is refused: the service
        # may return the same log once more.
        is_same = compared > 0 and first[:compared] == self._first_lines[:compared]
        if not first or (is_same and not self._is_recovered):
            return
        self.index += 1
        self._is_recovered = False
        self._next, self._first_lines = 0, []
        lines.append(f"… the driver was restarted: run {self.index + 1}")
        lines += self._take(page)

    def _call(self, index: int, start: int) -> Call[BatchLog]:
        return calls.log(self.batch_id, start=start, size=PAGE, index=index)

    def _take(self, page: BatchLog) -> list[str]:
        """Returns the lines of a page that are new, and remembers that they were read."""
        first = self._next if page.start is None else page.start
        new = page.lines[max(0, self._next - first) :]
        # Placeholders at the end move down as the log grows, so they do not count as read.
        while new and not _is_shown(new[-1]):
            new = new[:-1]
        if not new:
            return []
        skipped = max(first - self._next, 0)
        self._next += skipped + len(new)
        printable = _printable(new)
        self._first_lines += printable[: _COMPARED - len(self._first_lines)]
        return [_left_out(skipped), *printable] if skipped else printable


def last_lines(perform: Perform, batch_id: str, count: int = LAST_LINES) -> Flow[list[str]]:
    """Returns the last lines of the newest run, for a log that was not followed.

    Raises `DliError` when not even the first run has a log.
    """
    newest, index = (yield from perform(calls.log(batch_id, index=0))), 0
    for following in range(1, _RUNS):
        try:
            # Without a start the service returns the last 100 lines.
            page = yield from perform(calls.log(batch_id, index=following))
        except AnswerError:
            break  # how the service refuses a run that does not exist is not documented
        if not _printable(page.lines) or page.lines == newest.lines:
            break
        newest, index = page, following
    lines = _printable(newest.lines)
    if newest.total is not None and min(count, newest.total) > len(newest.lines):
        start = max(0, newest.total - count)
        log = DriverLog(batch_id, auto_recovery=False, index=index, start=start)
        with suppress(AnswerError):  # the last 100 lines are better than nothing
            lines = max(lines, (yield from log.read(perform)), key=len)
    return lines[-count:] if count > 0 else []


def _printable(lines: Iterable[str]) -> list[str]:
    """Returns the lines without placeholders, each cut to a length that a task log can take."""
    shown = filter(_is_shown, lines)
    return [f"{line[:_LONGEST_LINE]}…" if len(line) > _LONGEST_LINE else line for line in shown]


def _is_shown(line: str) -> bool:
    return line.strip() not in _PLACEHOLDERS


def _left_out(count: int) -> str:
    return f"… {count} {'line' if count == 1 else 'lines'} left out"
