"""What a wait tells the task log."""

from __future__ import annotations

from fake_clock import FakeClock

from airflow_provider_dli.api.packages.readiness import Readiness, Verdict
from airflow_provider_dli.hooks.progress import GroupProgress


class RecordingLog:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, *args: object) -> None:
        self.lines.append(f"info: {event % args}")

    def warning(self, event: str, *args: object) -> None:
        self.lines.append(f"warning: {event % args}")


def test_each_change_is_logged_once_and_an_unknown_word_is_a_warning(clock: FakeClock) -> None:
    log = RecordingLog()
    observe = GroupProgress(log, clock.now)

    observe(Readiness(Verdict.PENDING, {"a.jar": "UPLOADING"}))
    observe(Readiness(Verdict.PENDING, {"a.jar": "PAUSED"}))
    observe(Readiness(Verdict.PENDING, {"a.jar": "PAUSED"}))

    assert log.lines == [
        "info: Package a.jar: (new) -> UPLOADING",
        "warning: Package a.jar: UPLOADING -> PAUSED",
    ]


def test_packages_that_change_alike_share_a_line(clock: FakeClock) -> None:
    log = RecordingLog()
    observe = GroupProgress(log, clock.now)

    observe(Readiness(Verdict.PENDING, {"a.jar": "UPLOADING", "b.jar": "UPLOADING", "c": "READY"}))
    observe(Readiness(Verdict.READY, {"a.jar": "READY", "b.jar": "READY", "c": "READY"}))

    assert log.lines == [
        "info: Packages a.jar, b.jar: (new) -> UPLOADING",
        "info: Package c: (new) -> READY",
        "info: Packages a.jar, b.jar: UPLOADING -> READY",
    ]


def test_a_long_wait_says_once_a_minute_that_it_goes_on(clock: FakeClock) -> None:
    log = RecordingLog()
    observe = GroupProgress(log, clock.now)

    for _ in range(13):
        observe(Readiness(Verdict.PENDING, {"a.jar": "READY", "b.jar": "UPLOADING"}))
        clock.sleep(10)

    assert log.lines[2:] == [
        "info: Waiting for 60 s: 1 of 2 packages are READY; b.jar is UPLOADING",
        "info: Waiting for 120 s: 1 of 2 packages are READY; b.jar is UPLOADING",
    ]
    assert observe.seconds == 130
