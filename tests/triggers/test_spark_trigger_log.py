# SPDX-License-Identifier: Apache-2.0
"""The trigger for Spark jobs writes the driver's log into the task's."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import connection
from scenarios.jobs import asked
from scenarios.modes import event, once

from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

DRIVER = re.compile(r"\[driver\] (.*)$", re.MULTILINE)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _connected(connect: Callable[..., None]) -> None:
    connect()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Read what was logged so far."""
    caplog.set_level("INFO")
    return lambda: caplog.text


def lines(text: str) -> list[str]:
    """Returns the driver's lines in a log."""
    return DRIVER.findall(text)


def trigger(batch_id: str, **fields: Any) -> SparkBatchTrigger:
    return SparkBatchTrigger(batch_id=batch_id, **{"poll_interval": 0.1} | fields)


def submit(emulator: Emulator, timeline: Any, log: Any = (), **request: Any) -> str:
    """Submit a job that plays a timeline, as somebody else would, and return its id."""
    request = {"file": "obs://b/a.py", "queue": "q", "name": "job", **request}
    emulator.set_batch_timeline("job", timeline, log)
    call = urllib.request.Request(  # noqa: S310 - it is http, of this machine
        f"{emulator.url}/v2.0/{emulator.project_id}/batches",
        json.dumps(request).encode(),
        {"X-Auth-Token": emulator.auth_token, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(call) as answer:  # noqa: S310
        return str(json.load(answer)["id"])


def test_a_job_is_followed_while_it_runs_and_to_its_end(
    emulator: Emulator, told: Callable[[], str]
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.write_batch_log(batch_id, ["it begins"])

    def end() -> None:
        emulator.write_batch_log(batch_id, ["it ends"])
        emulator.set_batch_state(batch_id, "success")

    event(trigger(batch_id), once(lambda: "it begins" in told(), end))

    text = told()
    assert lines(text) == ["it begins", "it ends"]
    assert text.index("it begins") < text.index(f"{batch_id}: running -> success")


def test_what_a_short_job_wrote_is_told_at_its_end(
    emulator: Emulator, told: Callable[[], str]
) -> None:
    batch_id = emulator.add_batch({}, "success")
    emulator.write_batch_log(batch_id, ["a", "b"])

    event(trigger(batch_id, poll_interval=60))

    assert lines(told()) == ["a", "b"]


def test_without_the_drivers_log_nobody_asks_for_it(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "success")

    event(trigger(batch_id, driver_log=False))

    assert asked(emulator, "GET", "/log") == []


def test_a_job_that_starts_is_not_asked_for_its_log(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "starting")

    event(trigger(batch_id, deadline=time.time() + 0.7))

    assert asked(emulator, "GET", "/log") == []


def test_a_job_that_is_started_again_is_followed_through_its_runs_without_repeats(
    emulator: Emulator, told: Callable[[], str]
) -> None:
    states = [(0, "running"), (0.7, "dead"), (1.0, "recovering"), (1.3, "running"), (2, "success")]
    log = [(0.1, "it begins"), (0.7, "it fails"), (1.3, "it begins"), (1.9, "it ends")]
    batch_id = submit(emulator, states, log, auto_recovery=True, max_retry_times=3)

    only = event(trigger(batch_id, auto_recovery=True, poll_interval=1.0))

    assert only["batch"]["raw_state"] == "success"
    assert lines(told()) == [
        "it begins",
        "it fails",
        "… the driver was restarted: run 2",
        "it begins",
        "it ends",
    ]


@pytest.mark.parametrize(
    ("action", "words", "asked_for"),
    [
        ("forbidden", "Could not read the driver log, not trying again", 1),
        ("unavailable", "Could not read the driver log, trying again later", None),
        ("not-found", "Could not read the driver log, trying again later", None),
    ],
)
def test_a_log_that_cannot_be_had_is_one_warning_and_the_wait_goes_on(
    emulator: Emulator,
    told: Callable[[], str],
    action: str,
    words: str,
    asked_for: int | None,
) -> None:
    emulator.add_fault(Fault(action, path="/batches/*/log", times=None))
    batch_id = submit(emulator, [(0, "running"), (2.2, "success")])

    only = event(trigger(batch_id))

    assert only["status"] == "ended"
    assert told().count(words) == 1
    reads = len(asked(emulator, "GET", "/log"))
    assert reads == asked_for or (asked_for is None and reads > 2)


def test_lines_that_were_read_when_the_job_ended_are_not_lost(
    emulator: Emulator, told: Callable[[], str]
) -> None:
    """A reading of several pages is broken off at the end, and the last one begins behind it."""
    batch_id = emulator.add_batch({}, "running")
    emulator.write_batch_log(batch_id, [f"line {number}" for number in range(1500)])
    # The second page is given to nobody, until the job has ended.
    emulator.add_fault(Fault("hang", path="/batches/*/log", skip=1))

    event(
        trigger(batch_id),
        once(
            lambda: len(asked(emulator, "GET", "/log")) >= 1 and len(asked(emulator, "GET")) >= 2,
            lambda: emulator.set_batch_state(batch_id, "success"),
        ),
    )

    assert lines(told()) == [f"line {number}" for number in range(1500)]


def test_the_lines_of_a_job_are_told_once_also_when_the_keys_change(
    emulator: Emulator, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.write_batch_log(batch_id, ["before"])

    def change() -> None:
        emulator.rotate_keys("NEWACCESSKEY", "new-secret-key")
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        emulator.write_batch_log(batch_id, ["after"])
        emulator.set_batch_state(batch_id, "success")

    event(trigger(batch_id), once(lambda: "before" in told(), change))

    assert lines(told()) == ["before", "after"]


class Impatient(SparkBatchTrigger):
    """A trigger that does not wait long for the end of the log."""

    last_read = 0.3


def test_an_end_of_the_log_that_does_not_come_keeps_nobody_waiting_and_is_said(
    emulator: Emulator, told: Callable[[], str]
) -> None:
    batch_id = emulator.add_batch({}, "success")
    emulator.add_fault(Fault("hang", path="/batches/*/log", times=None))

    only = event(Impatient(batch_id=batch_id, poll_interval=0.1))

    assert only["status"] == "ended"
    assert "Could not read the end of the driver log in time" in told()
