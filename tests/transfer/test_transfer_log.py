# SPDX-License-Identifier: Apache-2.0
"""What a transfer tells the task log, and a terminal."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.transfer.transfer_log import TransferLog, amount


class RecordingLog:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, *args: object) -> None:
        self.lines.append(event % args)

    def warning(self, event: str, *args: object) -> None:
        raise AssertionError(event % args)


def test_a_line_comes_every_ten_seconds_and_one_at_the_end(clock: FakeClock) -> None:
    log = RecordingLog()

    with TransferLog(log, clock.now, bucket="b", files=12, size=500_000_000) as progress:
        for number in range(20):
            clock.sleep(1)
            progress.sent(24_000_000)
            if number % 5 == 0:
                progress.file_done(f"{number}.jar")
        progress.found(20_000_000)

    assert log.lines == [
        "Sent 240 of 500 MB, 2 of 12 files, 24 MB/s",
        "Sent 480 of 500 MB, 4 of 12 files, 24 MB/s",
        "Sent 12 files to obs://b, 480 MB besides 20 MB already there, in 20 s (24 MB/s): "
        "0.jar, 10.jar, 15.jar, 5.jar and 8 more",
    ]


def test_a_transfer_that_takes_no_time_has_no_rate(clock: FakeClock) -> None:
    log = RecordingLog()

    with TransferLog(log, clock.now, bucket="b", files=1, size=7) as progress:
        progress.sent(7)
        progress.file_done("jars/a.jar")

    assert log.lines == ["Sent 1 file to obs://b, 7 B, in 0 s: jars/a.jar"]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (9_999, "9999 B"), (10_000, "10 kB"), (24e6, "24 MB"), (3e9, "3000 MB")],
)
def test_a_number_of_bytes_has_a_unit_that_suits_it(size: float, words: str) -> None:
    assert amount(size) == words


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def half_sent(clock: FakeClock, terminal: Terminal) -> list[str]:
    """Send the half of a transfer in a minute; returns the lines of the log."""
    log = RecordingLog()
    with (
        contextlib.redirect_stderr(terminal),
        TransferLog(log, clock.now, bucket="b", files=2, size=50_000_000) as progress,
    ):
        clock.sleep(60)
        progress.sent(25_000_000)
        progress.file_done("a.jar")
    return log.lines


def test_in_a_terminal_there_is_a_bar_instead_of_lines(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()

    lines = half_sent(clock, terminal)

    assert "Sending to OBS" in terminal.getvalue()
    assert "50%" in terminal.getvalue()
    assert lines == ["Sent 2 files to obs://b, 25 MB, in 60 s (417 kB/s): a.jar and 1 more"]


@pytest.mark.parametrize("term", ["dumb", "unknown", "", None])
def test_in_a_terminal_that_can_draw_nothing_there_are_lines(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    terminal = Terminal()

    lines = half_sent(clock, terminal)

    assert terminal.getvalue() == ""
    assert lines[0] == "Sent 25 of 50 MB, 0 of 2 files, 417 kB/s"


def test_a_bar_has_no_colours_where_nobody_wants_them(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()

    half_sent(clock, terminal)

    assert "50%" in terminal.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.getvalue())
