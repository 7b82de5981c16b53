"""Fault: the job ends `dead`: its driver threw an exception, ran out of memory, lacked a class, was
refused by OBS; or it never got resources.

Expected: the task fails at the next look, in both modes with the same text: id, state, cause and
remedy, the last lines of the driver's log. Where a retry would fail in the same way there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from scenarios.jobs import cancels, job, looks, submissions
from scenarios.modes import Mode
from task_runs import first, retried

from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError
from airflow_provider_dli.emulator import Emulator, Fault

WARNING = "The log of Spark job"

CAUSES: dict[str, tuple[list[str], str, bool]] = {
    "out-of-memory": (
        ['Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'],
        "The driver ran out of memory: .*Raise driver_memory",
        False,
    ),
    "missing-class": (
        ["Error: Failed to load class org.example.Main."],
        "A class is missing: .*Check class_name",
        True,
    ),
    "obs-denied": (
        ["com.obs.services.exception.ObsException: Response Code[403] AccessDenied"],
        r"OBS denies access to the job \(403\): .*Grant the job's agency",
        True,
    ),
    "an exception": (
        ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'word'"],
        "The application raised an exception: KeyError: 'word'",
        False,
    ),
    "no log": ([], "It failed, or it was cancelled or ended outside Airflow", False),
}


def dead(mode: Mode, dli: Emulator, lines: list[str], after: float = 30) -> None:
    """Make a job run for some seconds, write its last lines, and die."""
    end = mode.seconds(after)
    dli.set_batch_timeline("*", [(0, "running"), (end, "dead")], [(end, line) for line in lines])


def failure(mode: Mode, **arguments: Any) -> BaseException:
    with pytest.raises((SparkBatchFailedError, AirflowFailException)) as caught:
        mode.run(mode.spark(**arguments))
    return caught.value


@pytest.mark.parametrize("name", CAUSES)
def test_a_dead_job_fails_the_task_and_says_why(mode: Mode, dli: Emulator, name: str) -> None:
    lines, words, is_permanent = CAUSES[name]
    dead(mode, dli, lines)

    with pytest.raises(
        AirflowFailException if is_permanent else SparkBatchFailedError, match=f"(?s){words}"
    ) as caught:
        mode.run(mode.spark())

    text = str(caught.value)
    assert text.startswith(f"Spark job {job(dli)['id']} is dead. ")
    assert text.splitlines()[-len(lines) :] == lines or not lines


def test_the_text_is_the_same_wherever_the_task_waited(mode: Mode, dli: Emulator) -> None:
    lines, _, _ = CAUSES["missing-class"]
    dead(mode, dli, ["a first line", *lines, "a last line"])

    text = str(failure(mode)).replace(job(dli)["id"], "ID")

    assert text.splitlines() == [
        f"Spark job ID is dead. A class is missing: {lines[0]}",
        "Check class_name, and add the JAR that has the class to jars. Classes of DLI's data "
        "sources need their module in modules.",
        "The last lines of its driver's log:",
        "a first line",
        *lines,
        "a last line",
    ]


def test_it_is_noticed_at_the_next_look(mode: Mode, dli: Emulator) -> None:
    dead(mode, dli, [], after=30)

    started = mode.now()
    failure(mode)

    assert mode.clock is None or mode.now() - started < 45


def test_a_job_that_is_dead_already_fails_the_task_without_a_wait(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", [(0, "dead")])

    with pytest.raises(SparkBatchFailedError):
        mode.spark().execute({})


def test_nothing_is_cancelled_and_nothing_is_submitted_again(mode: Mode, dli: Emulator) -> None:
    dead(mode, dli, [])

    failure(mode)

    assert (submissions(dli), cancels(dli)) == (1, 0)


@pytest.mark.parametrize("mode", ["worker"], indirect=True)  # three hours are long
def test_a_job_that_gets_no_resources_is_dead_after_three_hours(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "starting")])

    text = str(failure(mode, timeout=None))

    assert "or it waited 3 hours for resources" in text


def test_a_log_that_cannot_be_read_hides_nothing_of_the_failure(
    mode: Mode,
    dli: Emulator,
    logged: Callable[[str], str],
) -> None:
    dead(mode, dli, ["never shown"])
    dli.add_fault(Fault("not-found", path="/batches/*/log", times=None))

    text = str(failure(mode))

    assert "Its driver's log is empty or could not be read." in text
    said = logged(WARNING)
    assert said.count("cannot be read: GET") == 1


def test_an_error_of_a_job_carries_its_cause_for_retry_policies(mode: Mode, dli: Emulator) -> None:
    dead(mode, dli, CAUSES["out-of-memory"][0])

    error = failure(mode)

    assert isinstance(error, SparkBatchFailedError)
    assert (error.cause, error.is_permanent) == ("driver-out-of-memory", False)
    assert error.batch_id == job(dli)["id"]


def test_a_failure_without_a_retry_names_its_kind_too(mode: Mode, dli: Emulator) -> None:
    dead(mode, dli, CAUSES["missing-class"][0])

    cause = failure(mode).__cause__

    assert isinstance(cause, SparkBatchFailedError)
    assert (cause.cause, cause.is_permanent) == ("missing-class", True)


def test_the_retry_of_a_dead_job_is_another_job(mode: Mode, dli: Emulator) -> None:
    dead(mode, dli, [])
    operator = mode.spark(retries=1)
    run = first(operator)
    with pytest.raises(SparkBatchFailedError):
        mode.run(operator, run=run)
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert result["state"] == "success"
    assert submissions(dli) == 2


@pytest.mark.parametrize(
    ("auto_recovery", "at_once"), [(None, True), ("False", True), ("True", False)]
)
def test_only_a_job_that_dli_starts_again_may_be_dead_for_a_while(
    mode: Mode, dli: Emulator, auto_recovery: Any, at_once: bool
) -> None:
    dli.set_batch_timeline("*", [(0, "starting"), (0.001, "dead")])

    failure(mode, auto_recovery=auto_recovery, driver_log=False)

    assert (len(looks(dli)) == 1) is at_once
