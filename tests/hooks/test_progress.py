# SPDX-License-Identifier: Apache-2.0
"""What a wait writes to the task log, with a log that records its lines."""

from __future__ import annotations

from typing import Any

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.jobs.driver_log import DriverLog
from airflow_provider_dli.api.jobs.models import BatchLog, SparkBatch
from airflow_provider_dli.api.packages.readiness import Readiness, Verdict
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    DliError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow
from airflow_provider_dli.hooks.progress import SILENCE, GroupProgress, JobProgress


class Recorder:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, event: Any, *args: Any) -> None:
        self.lines.append(("info", event % args))

    def warning(self, event: Any, *args: Any) -> None:
        self.lines.append(("warning", event % args))


class Driver:
    """The log of a job of several runs, or the error that comes in its place."""

    def __init__(self, *runs: list[str]) -> None:
        self.runs = list(runs)
        self.failure: DliError | None = None

    def perform(self, call: Call[Any]) -> Flow[Any]:
        yield from ()
        if self.failure is not None:
            raise self.failure
        query = dict(call.query)
        index, start = int(query["index"]), int(query["from"])
        lines = self.runs[index] if index < len(self.runs) else []
        return BatchLog(tuple(lines[start:]), start, len(lines))


@pytest.fixture
def log() -> Recorder:
    return Recorder()


@pytest.fixture
def progress(log: Recorder, clock: FakeClock) -> JobProgress:
    return JobProgress(log, clock.now)


def job(state: str) -> SparkBatch:
    return SparkBatch("b", raw_state=state)


def follow(progress: JobProgress, lines: DriverLog, driver: Driver, **options: Any) -> None:
    """Carry out a flow that asks a driver, and so waits for nobody."""
    assert [*progress.follow(lines, driver.perform, **options)] == []


def error(kind: type[DliError]) -> DliError:
    if kind is AnswerLostError:
        return kind("GET /log went wrong")
    return kind("GET /log went wrong", status=500)  # type: ignore[call-arg]


def test_each_change_of_a_package_is_logged_once_and_an_unknown_word_is_a_warning(
    log: Recorder, clock: FakeClock
) -> None:
    observe = GroupProgress(log, clock.now)

    observe(Readiness(Verdict.PENDING, {"a.jar": "UPLOADING"}))
    observe(Readiness(Verdict.PENDING, {"a.jar": "PAUSED"}))
    observe(Readiness(Verdict.PENDING, {"a.jar": "PAUSED"}))

    assert log.lines == [
        ("info", "Package a.jar: (new) -> UPLOADING"),
        ("warning", "Package a.jar: UPLOADING -> PAUSED"),
    ]


def test_packages_that_change_alike_share_a_line(log: Recorder, clock: FakeClock) -> None:
    observe = GroupProgress(log, clock.now)

    observe(Readiness(Verdict.PENDING, {"a.jar": "UPLOADING", "b.jar": "UPLOADING", "c": "READY"}))
    observe(Readiness(Verdict.READY, {"a.jar": "READY", "b.jar": "READY", "c": "READY"}))

    assert log.lines == [
        ("info", "Packages a.jar, b.jar: (new) -> UPLOADING"),
        ("info", "Package c: (new) -> READY"),
        ("info", "Packages a.jar, b.jar: UPLOADING -> READY"),
    ]


def test_a_long_wait_says_once_a_minute_that_it_goes_on(log: Recorder, clock: FakeClock) -> None:
    observe = GroupProgress(log, clock.now)

    for _ in range(13):
        observe(Readiness(Verdict.PENDING, {"a.jar": "READY", "b.jar": "UPLOADING"}))
        clock.sleep(10)

    assert log.lines[2:] == [
        ("info", "Waiting for 60 s: 1 of 2 packages are READY; b.jar is UPLOADING"),
        ("info", "Waiting for 120 s: 1 of 2 packages are READY; b.jar is UPLOADING"),
    ]
    assert observe.seconds == 130


def test_each_change_of_the_state_is_a_line(progress: JobProgress, log: Recorder) -> None:
    for state in ("starting", "starting", "running", "running", "success"):
        progress(job(state))

    assert log.lines == [
        ("info", "Spark job b: (new) -> starting"),
        ("info", "Spark job b: starting -> running"),
        ("info", "Spark job b: running -> success"),
    ]


@pytest.mark.parametrize(("state", "shown"), [("PAUSED", "PAUSED"), ("", "(no state)")])
def test_a_state_that_nobody_knows_is_a_warning(
    progress: JobProgress, log: Recorder, state: str, shown: str
) -> None:
    progress(job(state))

    assert log.lines == [("warning", f"Spark job b: (new) -> {shown}")]


def test_a_job_that_goes_on_for_long_is_told_rarely(
    progress: JobProgress, log: Recorder, clock: FakeClock
) -> None:
    progress(job("running"))
    for _ in range(10):
        clock.sleep(SILENCE / 5)
        progress(job("running"))

    assert log.lines[1:] == [
        ("info", f"Spark job b: running for {SILENCE:.0f} s"),
        ("info", f"Spark job b: running for {2 * SILENCE:.0f} s"),
    ]


def test_a_driver_that_writes_is_a_sign_of_life_as_well(
    progress: JobProgress, log: Recorder, clock: FakeClock
) -> None:
    progress(job("running"))
    clock.sleep(SILENCE - 1)
    follow(progress, DriverLog("b"), Driver(["a line"]))
    clock.sleep(2)
    progress(job("running"))

    assert [text for _, text in log.lines] == ["Spark job b: (new) -> running", "[driver] a line"]


def test_trouble_is_a_warning(progress: JobProgress, log: Recorder) -> None:
    progress.trouble(error(ServiceError))

    ((kind, text),) = log.lines
    assert kind == "warning"
    assert text.startswith("The wait continues after an error: GET /log went wrong.")


@pytest.mark.parametrize(
    ("state", "may_have"),
    [
        (None, False),
        ("starting", False),
        (" Starting", False),
        ("running", True),
        ("recovering", True),
        ("dead", True),
        ("success", True),
        ("PAUSED", True),
    ],
)
def test_a_job_that_has_not_started_has_no_log(
    progress: JobProgress, state: str | None, may_have: bool
) -> None:
    if state is not None:
        progress(job(state))

    assert progress.may_have_log is may_have


def test_lines_of_the_driver_are_marked_and_told_once(progress: JobProgress, log: Recorder) -> None:
    lines, driver = DriverLog("b"), Driver(["first 100%", "%s second"])

    follow(progress, lines, driver)
    driver.runs[0].append("third")
    follow(progress, lines, driver)

    assert log.lines == [
        ("info", "[driver] first 100%"),
        ("info", "[driver] %s second"),
        ("info", "[driver] third"),
    ]


def test_lines_may_be_given_to_somebody_else(progress: JobProgress, log: Recorder) -> None:
    taken: list[str] = []

    follow(progress, DriverLog("b"), Driver(["a", "b"]), take=taken.append)

    assert taken == ["a", "b"]
    assert log.lines == []


def test_after_a_recovery_the_log_of_the_next_run_is_gone_on_with(
    progress: JobProgress, log: Recorder
) -> None:
    lines, driver = DriverLog("b"), Driver(["it begins", "it fails"])
    follow(progress, lines, driver)
    for state in ("dead", "recovering", "running"):
        progress(job(state))
    # The driver begins as it did before, as drivers do.
    driver.runs.append(["it begins", "it fails", "it goes on"])

    follow(progress, lines, driver)
    follow(progress, lines, driver)

    assert [text for _, text in log.lines if text.startswith("[driver]")] == [
        "[driver] it begins",
        "[driver] it fails",
        "[driver] … the driver was restarted: run 2",
        "[driver] it begins",
        "[driver] it fails",
        "[driver] it goes on",
    ]


@pytest.mark.parametrize(
    "kind", [ServiceError, AnswerLostError, AuthenticationError, NotFoundError]
)
def test_a_log_that_cannot_be_read_for_a_while_is_one_warning_and_nothing_is_lost(
    progress: JobProgress, log: Recorder, kind: type[DliError]
) -> None:
    progress(job("running"))
    lines, driver = DriverLog("b"), Driver(["a line"])
    driver.failure = error(kind)
    for _ in range(3):
        follow(progress, lines, driver)
    driver.failure = None

    assert progress.may_have_log
    follow(progress, lines, driver)

    assert [kind for kind, _ in log.lines] == ["info", "warning", "info"]
    assert log.lines[1][1].startswith("Could not read the driver log, trying again later: GET /log")
    assert log.lines[2][1] == "[driver] a line"


def test_each_change_of_trouble_with_the_log_is_a_warning(
    progress: JobProgress, log: Recorder
) -> None:
    lines, driver = DriverLog("b"), Driver(["a line"])
    for failure in (ServiceError, AnswerLostError, None, AnswerLostError):
        driver.failure = failure and error(failure)
        follow(progress, lines, driver)

    assert [kind for kind, _ in log.lines] == ["warning", "warning", "info", "warning"]


@pytest.mark.parametrize("kind", [EndpointError, PermissionDeniedError])
def test_a_log_that_is_refused_is_one_warning_and_not_asked_for_again(
    progress: JobProgress, log: Recorder, kind: type[DliError]
) -> None:
    progress(job("running"))
    driver = Driver(["a line"])
    driver.failure = error(kind)

    follow(progress, DriverLog("b"), driver)

    assert not progress.may_have_log
    assert log.lines[1][1].startswith("Could not read the driver log, not trying again: GET /log")
