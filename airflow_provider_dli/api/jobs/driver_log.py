# SPDX-License-Identifier: Apache-2.0
"""Reads the log of a job's driver: what is new since the last time, or the end of it.

https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html, deprecated since 2023. With
auto recovery each run of the driver has a log of its own, numbered from 0 by `index`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchLog
from airflow_provider_dli.api.protocol.errors import AnswerError, DliError
from airflow_provider_dli.api.protocol.wire import Call, Flow

PAGE = 1000
"""Lines of an answer. No limit is documented."""

PAGES = 3
"""How many answers one reading of a log takes at most."""

KEPT = 200
"""How many lines are remembered."""

_LONGEST = 8192
_COMPARED = 50
_RUNS = 101  # the first, and max_retry_times of at most 100
# What a log holds that has none, as the documented answers show.
_PLACEHOLDERS = {"stdout:", "stderr:", "YARN Diagnostics:"}

Perform = Callable[[Call[BatchLog]], Flow[BatchLog]]


class DriverLog:
    """Follows the log of one job: each reading gives the lines that are new.

    Lines are told apart by their numbers; where the service does not tell those, by comparing with
    the lines before. It begins at line `start` of the run `index`. Without `auto_recovery` the next
    run is looked for only after `recovered`, which saves a request each time that nothing is new.
    """

    __slots__ = (
        "_auto_recovery",
        "_head",
        "_is_told",
        "_kept",
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
        self._is_told = False
        self._unread: list[str] = []
        self._begin(start)

    def _begin(self, start: int = 0) -> None:
        self._next = start
        self._head: list[str] = []
        self._kept: deque[str] = deque(maxlen=KEPT)

    def recovered(self) -> None:
        """Learn that the driver was started again: the log of its next run is looked for."""
        self._is_told = True

    def tail(self, n: int = 20) -> list[str]:
        """Give the last lines that were read of the newest run, at most `KEPT`."""
        return list(self._kept)[-n:] if n > 0 else []

    def read(self, perform: Perform) -> Flow[list[str]]:
        """Give the lines that are new, of at most `PAGES` answers; none when there is nothing new.

        Lines that are too many are left out, and a line says so. Where the present run has nothing
        new, or after `recovered`, the next run is gone on with as soon as it has lines. Raises
        `DliError` only when there is no line to give; the next reading goes on where this ended.
        """
        # Kept by the log itself: a reading that is broken off must not lose what it has read.
        lines = self._unread
        try:
            is_whole = yield from self._follow(perform, lines)
            if is_whole and (self._is_told or (self._auto_recovery and not lines)):
                yield from self._go_on(perform, lines)
        except DliError:
            if not lines:
                raise
        self._unread = []
        return lines

    def _follow(self, perform: Perform, lines: list[str]) -> Flow[bool]:
        """Read what is new of the present run; gives whether that is all."""
        for left in reversed(range(PAGES)):
            page = yield from perform(self._call(self.index, self._next))
            known = self._next
            if _is_shorter(page, self._next):
                if not (yield from self._is_begun_again(perform)):
                    return True
                lines.append("… the log is shorter than before: it was begun again")
                continue
            lines += self._take(page)
            if self._next == known or not self._has_more(page):
                return True
            lines += self._skipped(page, left)
        return False

    def _go_on(self, perform: Perform, lines: list[str]) -> Flow[None]:
        """Go on with the next run, when it has lines and is not the same log once more."""
        try:
            page = yield from perform(self._call(self.index + 1, 0))
        except AnswerError:
            # How the service refuses a run that there is not, is not documented; and what is wrong
            # with the whole log, reading the present run tells.
            return
        found = _shown(page.lines)
        is_known = self._begins_alike(found) or self._overlap(page.lines) > 0
        if not found or (is_known and not self._is_another(page)):
            return
        self.index += 1
        self._is_told = False
        self._begin()
        lines.append(f"… the driver was started again: run {self.index + 1}")
        lines += self._take(page)

    def _call(self, index: int, start: int) -> Call[BatchLog]:
        return calls.log(self.batch_id, start=start, size=PAGE, index=index)

    def _take(self, page: BatchLog) -> list[str]:
        """Give the lines of a page that are new, and remember that they were given."""
        gap: list[str] = []
        start = _first(page)
        if start is None:
            fresh = page.lines[self._overlap(page.lines) :]
            start = self._next
        else:
            fresh = page.lines[max(0, self._next - start) :]
            start = max(self._next, start)
            if start > self._next:
                gap = [_left_out(start - self._next)]
        # What stands below the last line may move down as the log grows.
        fresh = fresh[: _end(fresh)]
        if not fresh:
            return []
        self._next = start + len(fresh)
        shown = _shown(fresh)
        self._head += shown[: _COMPARED - len(self._head)]
        self._kept += shown
        return gap + shown

    def _overlap(self, lines: tuple[str, ...]) -> int:
        """Count the lines at the beginning that were given at the end of what was read before."""
        last, found = list(self._kept), _shown(lines)
        places = [place for place, line in enumerate(lines) if _is_shown(line)]
        for length in range(min(len(last), len(found)), 0, -1):
            if last[-length:] == found[:length]:
                return places[length - 1] + 1
        return 0

    def _has_more(self, page: BatchLog) -> bool:
        return len(page.lines) >= PAGE if page.total is None else self._next < page.total

    def _skipped(self, page: BatchLog, left: int) -> list[str]:
        """Leave out what `left` more answers cannot hold; gives the line that says so."""
        if not left or page.total is None or page.total - self._next <= left * PAGE:
            return []
        # The service may give fewer lines at once than it is asked for.
        start = page.total - left * len(page.lines)
        note = _left_out(start - self._next)
        self._next = start
        return [note]

    def _is_begun_again(self, perform: Perform) -> Flow[bool]:
        """Find out whether a log that is shorter is another one, and begin to read that."""
        page = yield from perform(self._call(self.index, 0))
        found = _shown(page.lines)
        if not found or self._begins_alike(found):
            return False  # an answer that lags behind
        self._begin()
        return True

    def _begins_alike(self, lines: list[str]) -> bool:
        """Whether lines begin as the present run does: the service may ignore the index."""
        length = min(len(lines), len(self._head))
        return length > 0 and lines[:length] == self._head[:length]

    def _is_another(self, page: BatchLog) -> bool:
        """Whether a page is of the next run although it looks known: there is one, with more."""
        return self._is_told and max(page.total or 0, len(page.lines)) > self._next


def last_lines(perform: Perform, batch_id: str, n: int = KEPT) -> Flow[list[str]]:
    """Give the last lines of the newest run, at most `KEPT`, for who did not follow the log.

    Raises `DliError` when not even the first run has a log.
    """
    newest, index = (yield from perform(calls.log(batch_id, index=0))), 0
    for following in range(1, _RUNS):
        try:
            # Without a beginning it gives the last 100 lines.
            page = yield from perform(calls.log(batch_id, index=following))
        except AnswerError:
            break  # how the service refuses a run that there is not, is not documented
        if not _shown(page.lines) or page.lines == newest.lines:
            break
        newest, index = page, following
    lines = _shown(newest.lines)
    if newest.total is not None and min(n, newest.total) > len(newest.lines):
        start = max(0, newest.total - n)
        log = DriverLog(batch_id, auto_recovery=False, index=index, start=start)
        with suppress(AnswerError):  # what there is, is better than nothing
            yield from log.read(perform)
        lines = max(lines, log.tail(KEPT), key=len)
    return lines[-n:] if n > 0 else []


def _first(page: BatchLog) -> int | None:
    """Give the number of the first line, unless more lines follow it than there are."""
    if page.start is None or page.total is None or page.start + len(page.lines) <= page.total:
        return page.start
    return None


def _is_shorter(page: BatchLog, known: int) -> bool:
    return page.total is not None and page.total < known


def _shown(lines: Iterable[str]) -> list[str]:
    """Give the lines without the placeholders, each cut at a length that a log can bear."""
    return [_cut(line) for line in lines if _is_shown(line)]


def _is_shown(line: str) -> bool:
    return line.strip() not in _PLACEHOLDERS


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _end(lines: tuple[str, ...]) -> int:
    """Give the place behind the last line that is no placeholder."""
    end = len(lines)
    while end and not _is_shown(lines[end - 1]):
        end -= 1
    return end


def _left_out(count: int) -> str:
    return f"… {count} {'line' if count == 1 else 'lines'} left out"
