# SPDX-License-Identifier: Apache-2.0
"""Every line of a driver's log is given once, whatever the service tells of where lines stand."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from fake_clock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.jobs.driver_log import PAGE, PAGES, DriverLog, last_lines
from airflow_provider_dli.api.jobs.models import BatchLog
from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AnswerLostError,
    BadRequestError,
    DliError,
    EndpointError,
    NotFoundError,
    ServiceError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, sleep
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook

PLACEHOLDERS = ["stdout: ", "stderr: ", "YARN Diagnostics: "]


class Service:
    """Answers as documented, but for what a test takes away.

    `heeds` says which of `from` and `index` it takes notice of, `tells` which of `from` and `total`
    it answers.
    """

    def __init__(
        self,
        *runs: list[str],
        heeds: str = "from index",
        tells: str = "from total",
        at_most: int = 10**6,
        absent: AnswerError | None = None,
    ) -> None:
        self.runs = list(runs)
        self.heeds, self.tells = heeds, tells
        self.at_most = at_most
        self.absent = absent
        self.asked: list[dict[str, str]] = []
        self.fails_after: int | None = None
        self.failure: DliError = AnswerLostError("the answer was lost")

    def perform(self, call: Call[BatchLog]) -> Flow[BatchLog]:
        yield from ()
        query = dict(call.query)
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise self.failure
        self.asked.append(query)
        index = int(query["index"]) if "index" in self.heeds else 0
        if index >= len(self.runs) and self.absent is not None:
            raise self.absent
        lines = self.runs[index] if index < len(self.runs) else []
        size = min(int(query.get("size", 100)), self.at_most)
        start = max(0, len(lines) - 100)
        if "from" in self.heeds and "from" in query:
            start = int(query["from"])
        return BatchLog(
            tuple(lines[start : start + size]),
            start if "from" in self.tells else None,
            len(lines) if "total" in self.tells else None,
        )


def ran(flow: Generator[Any, Any, list[str]]) -> list[str]:
    with pytest.raises(StopIteration) as end:
        next(flow)
    lines: list[str] = end.value.value
    return lines


def read(log: DriverLog, service: Service) -> list[str]:
    return ran(log.read(service.perform))


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"line {number}" for number in range(first, first + count)]


def refused(kind: type[AnswerError], status: int) -> AnswerError:
    return kind("GET /batches/1/log was refused", status=status)


KINDS = [
    pytest.param({}, id="as documented"),
    pytest.param({"tells": "from"}, id="no total"),
    pytest.param({"tells": "total"}, id="no from"),
    pytest.param({"tells": ""}, id="no numbers"),
    pytest.param({"heeds": "index"}, id="always the last hundred"),
    pytest.param({"heeds": "from"}, id="index ignored"),
    pytest.param({"at_most": 7}, id="small pages"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_given_once_as_the_log_grows(kind: dict[str, Any]) -> None:
    lines: list[str] = []
    service, log = Service(lines, **kind), DriverLog("1")
    found = []

    for count in (0, 5, 0, 1, 40, 0, 30):
        lines += numbered(count, first=len(lines))
        for _ in range(3):
            found += read(log, service)

    assert found == lines


@settings(max_examples=50, deadline=None)
@given(growth=st.lists(st.integers(0, 90), max_size=5), kind=st.sampled_from(KINDS))
def test_no_line_is_given_twice_or_lost(growth: list[int], kind: Any) -> None:
    lines: list[str] = []
    service, log = Service(lines, **kind.values[0]), DriverLog("1")
    found = []

    for count in growth:
        lines += numbered(count, first=len(lines))
        while new := read(log, service):
            found += new

    assert found == lines


def test_equal_lines_are_all_given() -> None:
    lines = ["tick"]
    service, log = Service(lines), DriverLog("1")
    found = read(log, service)

    lines += ["tick"] * 3
    found += read(log, service)

    assert found == ["tick"] * 4


def test_a_log_that_does_not_grow_gives_nothing() -> None:
    service, log = Service(numbered(3)), DriverLog("1")
    read(log, service)

    assert read(log, service) == []


def test_it_asks_for_the_drivers_log_from_where_it_ended() -> None:
    service, log = Service(numbered(3)), DriverLog("1")
    read(log, service)
    read(log, service)

    first, second, _ = service.asked
    assert first == {"type": "driver", "from": "0", "size": str(PAGE), "index": "0"}
    assert second["from"] == "3"


# empty logs


def test_the_placeholders_of_an_empty_log_are_no_lines() -> None:
    assert read(DriverLog("1"), Service(PLACEHOLDERS)) == []


def test_lines_that_come_between_the_placeholders_are_given() -> None:
    lines = list(PLACEHOLDERS)
    service, log = Service(lines), DriverLog("1")
    found = read(log, service)

    for number, line in enumerate(["a", "b"], start=1):
        lines.insert(number, line)
        found += read(log, service)

    assert found == ["a", "b"]


# logs that are long


def test_one_reading_is_bounded_and_says_what_it_leaves_out() -> None:
    service, log = Service(numbered(10_000)), DriverLog("1")

    found = read(log, service)

    assert len(service.asked) == PAGES
    left_out = 10_000 - PAGES * PAGE
    assert found[PAGE] == f"… {left_out} lines left out"
    assert found[:PAGE] + found[PAGE + 1 :] == numbered(PAGE) + numbered(2 * PAGE, first=8000)


def test_of_small_pages_the_last_ones_are_read() -> None:
    service, log = Service(numbered(10_000), at_most=100), DriverLog("1")

    found = read(log, service)

    assert found[-1] == "line 9999"
    assert "… 9700 lines left out" in found


def test_lines_that_scrolled_away_are_said_to_be_left_out() -> None:
    lines = numbered(10)
    service, log = Service(lines, heeds="index"), DriverLog("1")
    read(log, service)

    lines += numbered(101, first=10)
    found = read(log, service)

    assert found == ["… 1 line left out", *numbered(100, first=11)]


def test_a_line_is_cut_at_what_a_log_can_bear() -> None:
    (line,) = read(DriverLog("1"), Service(["x" * 100_000]))

    assert len(line) < 10_000
    assert line.endswith("…")


@pytest.mark.parametrize("count", [0, 5])
def test_an_answer_that_lags_behind_gives_nothing(count: int) -> None:
    lines = numbered(9)
    service, log = Service(lines), DriverLog("1")
    read(log, service)

    del lines[count:]
    found = read(log, service)
    lines[:] = numbered(10)
    found += read(log, service)

    assert found == ["line 9"]


# drivers that are started again

AGAIN = "… the driver was restarted: run 2"


@pytest.mark.parametrize(
    "absent", [None, refused(BadRequestError, 400), refused(NotFoundError, 404)]
)
def test_the_next_run_is_gone_on_with_when_it_has_lines(absent: AnswerError | None) -> None:
    service, log = Service(["a", "b"], absent=absent), DriverLog("1")
    found = read(log, service) + read(log, service)

    service.runs.append(["c"])
    found += read(log, service) + read(log, service)
    service.runs[1].append("d")
    found += read(log, service)

    assert found == ["a", "b", AGAIN, "c", "d"]
    assert log.index == 1


def test_after_a_recovery_the_next_run_is_looked_for_at_once() -> None:
    service, log = Service(["a"]), DriverLog("1")
    read(log, service)
    service.runs[0].append("b")
    service.runs.append(["c"])

    log.recovered()

    assert read(log, service) == ["b", AGAIN, "c"]


def test_without_auto_recovery_a_next_run_is_looked_for_only_when_it_is_told() -> None:
    service, log = Service(["a"], ["b"]), DriverLog("1", auto_recovery=False)
    found = read(log, service) + read(log, service)
    assert len(service.asked) == 2

    log.recovered()

    assert found + read(log, service) == ["a", AGAIN, "b"]


def test_a_run_is_finished_before_the_next_one_is_begun() -> None:
    service, log = Service(numbered(500), ["c"], at_most=100), DriverLog("1")
    log.recovered()

    first, second = read(log, service), read(log, service)

    assert first == numbered(PAGES * 100)
    assert first + second == [*numbered(500), AGAIN, "c"]


def test_a_recovery_without_a_log_of_its_own_changes_nothing() -> None:
    service, log = Service(["a"]), DriverLog("1")
    log.recovered()
    found = read(log, service)

    service.runs[0].append("b")
    found += read(log, service)

    assert found == ["a", "b"]


def test_a_run_that_wrote_nothing_is_passed_over() -> None:
    service, log = Service([], ["c"]), DriverLog("1")

    assert read(log, service) == [AGAIN, "c"]


def test_a_run_that_begins_as_the_one_before_is_another_after_a_recovery() -> None:
    service, log = Service(["start"], ["start", "more"]), DriverLog("1")
    read(log, service)

    log.recovered()

    assert read(log, service) == [AGAIN, "start", "more"]


def test_the_same_log_under_every_index_is_given_once() -> None:
    service, log = Service(numbered(3), heeds="from"), DriverLog("1")

    assert [read(log, service) for _ in range(3)] == [numbered(3), [], []]


# errors


def test_what_a_reading_had_read_when_it_was_broken_off_is_given_by_the_next() -> None:
    """So it is in the triggerer when the job ends in the middle of a reading."""
    lines = numbered(2 * PAGE)
    service, log = Service(lines), DriverLog("1")

    def stuck(call: Call[BatchLog]) -> Flow[BatchLog]:
        if service.asked:
            yield from sleep(0)
        return (yield from service.perform(call))

    broken_off = log.read(stuck)
    next(broken_off)
    broken_off.close()

    assert read(log, service) == lines


def test_what_was_read_before_an_error_is_not_lost() -> None:
    lines = numbered(2 * PAGE)
    service, log = Service(lines), DriverLog("1")
    service.fails_after = 1
    found = read(log, service)

    service.fails_after = None
    found += read(log, service)

    assert found == lines


@pytest.mark.parametrize(
    "error",
    [AnswerLostError("lost"), refused(EndpointError, 404), refused(NotFoundError, 400)],
)
def test_an_error_with_nothing_read_is_the_callers(error: DliError) -> None:
    service, log = Service(["a"]), DriverLog("1")
    service.fails_after, service.failure = 0, error

    with pytest.raises(type(error)):
        read(log, service)


def test_no_answer_to_the_question_for_the_next_run_is_the_callers() -> None:
    service, log = Service(["a"]), DriverLog("1")
    read(log, service)
    service.fails_after = len(service.asked) + 1

    with pytest.raises(AnswerLostError):
        read(log, service)


# the last lines


@pytest.mark.parametrize("absent", [None, refused(ServiceError, 400)])
def test_the_last_lines_are_those_of_the_newest_run(absent: AnswerError | None) -> None:
    service = Service(numbered(9), numbered(300), absent=absent)

    assert ran(last_lines(service.perform, "1", 3)) == ["line 297", "line 298", "line 299"]


def test_the_last_lines_of_a_service_that_knows_one_run_only() -> None:
    service = Service(numbered(9), heeds="from")

    assert ran(last_lines(service.perform, "1")) == numbered(9)
    assert len(service.asked) == 2


def test_the_last_lines_are_looked_for_in_a_bounded_number_of_runs() -> None:
    service = Service(*([f"run {number}"] for number in range(200)))

    assert ran(last_lines(service.perform, "1")) == ["run 100"]


@pytest.mark.parametrize("kind", [{}, {"at_most": 100}, {"tells": "total"}])
def test_more_last_lines_than_are_given_unasked(kind: dict[str, Any]) -> None:
    service = Service(["a"], numbered(1000), **kind)

    assert ran(last_lines(service.perform, "1", 150)) == numbered(150, first=850)


def test_where_more_lines_are_refused_the_last_ones_do() -> None:
    service = Service(numbered(1000))
    service.fails_after, service.failure = 2, refused(ServiceError, 400)

    assert ran(last_lines(service.perform, "1")) == numbered(100, first=900)


def test_an_empty_log_has_no_last_lines() -> None:
    assert ran(last_lines(Service(PLACEHOLDERS).perform, "1")) == []
    assert ran(last_lines(Service(["a"]).perform, "1", 0)) == []


def test_no_log_at_all_is_an_error() -> None:
    service = Service(absent=refused(NotFoundError, 404))

    with pytest.raises(NotFoundError):
        ran(last_lines(service.perform, "1"))


def test_a_job_of_the_emulator_is_followed_through_a_recovery(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    first = [(2 + number / 10, f"line {number}") for number in range(150)]
    emulator.set_batch_timeline(
        "job",
        [(0, "starting"), (2, "running"), (20, "recovering"), (25, "running"), (40, "dead")],
        log=[*first, (26, "second run"), (39, "the end")],
    )
    job = SparkJob(file="obs://bucket/a.py", name="job", queue="q", spark_version="3.3.1")
    log, found = DriverLog(hook.submit_batch(job).batch.id), []

    for _ in range(9):
        found += hook.read_batch_log(log)
        clock.sleep(5.5)

    assert found == [*numbered(150), AGAIN, "second run", "the end"]
