"""Fault: a limit of the time passes while a task is deferred, whether it waits for packages or for
its Spark job.

Expected: the nearer limit ends the wait, with the exception of the worker. The deadline is a
moment, so it stays where it was when a trigger is made anew, and no silence of DLI moves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from eventually import HANG
from scenarios.modes import Mode, again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    PackageGroupTimeoutError,
    SparkBatchTimeoutError,
)
from airflow_provider_dli.emulator import Emulator, Fault


@dataclass(frozen=True)
class Waiting:
    """What is waited for: the operator that does, and what it raises when time is up."""

    operator: Callable[..., BaseOperator]
    error: type[DliError]

    def task(self, **arguments: Any) -> BaseOperator:
        """Returns a task that defers, and whose time is real."""
        return self.operator(Mode("triggerer", None), **{"poll_interval": 0.1} | arguments)


@pytest.fixture(
    params=[
        Waiting(Mode.upload, PackageGroupTimeoutError),
        Waiting(Mode.spark, SparkBatchTimeoutError),
    ],
    ids=["packages", "job"],
)
def waiting(request: pytest.FixtureRequest, dli: Emulator) -> Waiting:
    dli.set_timeline("*", [(0, "UPLOADING")])
    dli.set_batch_timeline("*", [(0, "running")])
    chosen: Waiting = request.param
    return chosen


def test_the_nearer_of_the_two_limits_counts(waiting: Waiting) -> None:
    operator = waiting.task(execution_timeout=timedelta(hours=1), timeout=0.4)
    left = deferred(operator)

    with pytest.raises(waiting.error):
        resume(operator, left, event(again(left.trigger)))


def test_a_deadline_survives_that_the_trigger_is_made_anew(waiting: Waiting) -> None:
    left = deferred(waiting.task(timeout=0.5))

    second = again(again(left.trigger))

    assert second.deadline == left.trigger.deadline
    assert event(second)["error"] == waiting.error.__name__


def test_a_deadline_that_passed_while_no_triggerer_ran_ends_the_wait_at_once(
    waiting: Waiting,
) -> None:
    left = deferred(waiting.task(timeout=2 * HANG, poll_interval=HANG))
    late = again(left.trigger)
    late.deadline -= 3 * HANG

    assert event(late)["error"] == waiting.error.__name__


def test_the_scheduler_is_given_a_limit_a_little_behind_the_deadline(waiting: Waiting) -> None:
    left = deferred(waiting.task(timeout=600))

    assert left.timeout is not None
    assert left.timeout.total_seconds() == pytest.approx(720)


def test_a_server_that_never_answers_does_not_keep_a_deferred_wait_from_its_deadline(
    waiting: Waiting, dli: Emulator, connect: Callable[..., None]
) -> None:
    left = deferred(waiting.task(timeout=0.3))
    connect(read_timeout=2 * HANG)
    dli.add_fault(Fault("hang", method="GET", times=None))

    assert event(again(left.trigger))["error"] == waiting.error.__name__


@pytest.mark.parametrize(
    ("limits", "is_whole"),
    [({"timeout": 100.0}, True), ({"execution_timeout": timedelta(seconds=100)}, False)],
    ids=["timeout", "execution_timeout"],
)
def test_what_comes_before_the_wait_counts_for_the_limit_of_the_task_alone(
    waiting: Waiting, dli: Emulator, limits: dict[str, Any], is_whole: bool
) -> None:
    dli.add_fault(Fault("hang", method="POST", seconds=0.5))
    began = time.time()

    left = deferred(waiting.task(**{"timeout": 1000.0} | limits), None)

    (post,) = [record for record in dli.requests if record.method == "POST"]
    answered = post.time + 0.5
    assert left.trigger.deadline >= (answered if is_whole else began) + 100
    assert is_whole or left.trigger.deadline < answered + 100
