"""Fault: the task's `execution_timeout`, or its own `timeout`, passes while its Spark job runs.

Expected: both modes end with the same class of exception; the job is cancelled once, and the task
ends only when it has seen that the job is over, so that no retry finds one that still runs. With
`on_timeout="leave"` the job goes on, and a retry takes it over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from scenarios.jobs import NEVER, cancels, job, looks, submissions
from scenarios.modes import Mode, again, deferred, event, resume
from task_runs import context, first, retried

from airflow_provider_dli.api.protocol.errors import SparkBatchTimeoutError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.operators.spark import SparkBatchOperator

if version("apache-airflow").startswith("2."):
    from airflow.models.taskinstance import set_current_context
    from airflow.utils.timeout import timeout
else:
    from airflow.sdk.execution_time.context import set_current_context
    from airflow.sdk.execution_time.timeout import timeout

RUNNING = r"Spark job \S+ had not ended by .* UTC: running\."


def spark(mode: str = "triggerer", **arguments: Any) -> SparkBatchOperator:
    """Returns a task whose time is real."""
    return Mode(mode, None).spark(**{"poll_interval": 0.1, "timeout": None} | arguments)


def as_airflow_does(operator: SparkBatchOperator, seconds: float, act: Callable[[], Any]) -> Any:
    """Do something as long as the `execution_timeout` leaves time for it."""
    try:
        if seconds <= 0:
            raise AirflowTaskTimeout
        with timeout(seconds):
            return act()
    except AirflowTaskTimeout:
        operator.on_kill()
        raise


def test_the_tasks_own_timeout_is_the_same_error_in_both_modes(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)

    with pytest.raises(SparkBatchTimeoutError, match=RUNNING) as caught:
        mode.run(mode.spark(timeout=mode.seconds(60)))

    assert caught.value.batch_id == job(dli)["id"]


def test_the_job_is_cancelled_once_and_looked_at_until_it_has_ended(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)

    with pytest.raises(SparkBatchTimeoutError) as caught:
        mode.run(mode.spark(timeout=mode.seconds(60)))

    assert cancels(dli) == 1
    assert [record.method for record in dli.requests[-2:]] == ["DELETE", "GET"]
    assert job(dli)["state"] == "dead"
    assert not hasattr(caught.value, "__notes__")


def test_the_retry_finds_no_job_that_still_runs(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    operator = mode.spark(timeout=mode.seconds(60), retries=1)
    run = first(operator)
    with pytest.raises(SparkBatchTimeoutError):
        mode.run(operator, run=run)
    before = [batch["state"] for batch in dli.batches().values()]
    dli.clear_batch_timelines()

    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert before == ["dead"]
    assert result["state"] == "success"
    assert submissions(dli) == 2


def test_a_job_that_is_left_goes_on_and_the_retry_takes_it_over(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(120), "success")])
    operator = mode.spark(timeout=mode.seconds(60), on_timeout="leave", retries=1)
    run = first(operator)

    with pytest.raises(SparkBatchTimeoutError) as caught:
        mode.run(operator, run=run)
    result = mode.run(mode.spark(retries=1), run=retried(run))

    assert caught.value.__notes__ == [
        f"Spark job {result['batch_id']} may still be running: the task leaves it."
    ]
    assert (submissions(dli), cancels(dli)) == (1, 0)


def test_a_job_that_cannot_be_cancelled_is_said_to_run(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", NEVER)
    dli.add_fault(Fault("forbidden", method="DELETE", times=None))

    with pytest.raises(SparkBatchTimeoutError, match=RUNNING) as caught:
        mode.run(mode.spark(timeout=mode.seconds(60)))

    (note,) = caught.value.__notes__
    assert "may still be running: it could not be cancelled: DELETE" in note


@pytest.mark.parametrize("poll_interval", [10, 40])
def test_what_has_succeeded_at_the_deadline_is_no_timeout(
    mode: Mode, dli: Emulator, poll_interval: float
) -> None:
    """The last look comes at the deadline, however long the poll interval."""
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(85), "success")])

    result = mode.run(
        mode.spark(poll_interval=mode.seconds(poll_interval), timeout=mode.seconds(95))
    )

    assert result["state"] == "success"
    assert cancels(dli) == 0


def test_without_a_timeout_a_job_may_take_as_long_as_it_does(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(100), "success")])

    assert mode.run(mode.spark(timeout=None))["state"] == "success"


@pytest.mark.parametrize(("policy", "cancelled"), [("cancel", 1), ("leave", 0)])
def test_the_execution_timeout_of_a_task_in_the_worker(
    dli: Emulator, policy: Any, cancelled: int
) -> None:
    """Airflow calls `on_kill` then; that is no kill, and what is to be done then does not count."""
    dli.set_batch_timeline("*", NEVER)
    operator = spark("worker", on_timeout=policy)

    with pytest.raises(AirflowTaskTimeout):
        as_airflow_does(operator, 0.5, lambda: operator.execute(context(first(operator))))

    assert cancels(dli) == cancelled


@pytest.mark.parametrize(("policy", "cancelled"), [("cancel", 1), ("leave", 0)])
def test_the_execution_timeout_holds_while_the_task_is_deferred(
    dli: Emulator, policy: Any, cancelled: int
) -> None:
    dli.set_batch_timeline("*", NEVER)
    operator = spark(execution_timeout=timedelta(seconds=0.4), timeout=600, on_timeout=policy)
    run = first(operator)
    left = deferred(operator, run)

    with pytest.raises(AirflowTaskTimeout, match=RUNNING):
        resume(operator, left, event(again(left.trigger)), run)

    assert cancels(dli) == cancelled


@pytest.mark.parametrize(
    ("policies", "cancelled"),
    [
        ({}, 1),
        ({"on_kill": "leave"}, 1),
        ({"on_timeout": "leave"}, 0),
    ],
    ids=["both cancel", "a kill leaves", "time leaves"],
)
def test_airflow_2_that_lets_no_task_go_on_after_its_execution_timeout(
    dli: Emulator, policies: dict[str, Any], cancelled: int
) -> None:
    """There the time while it was deferred counts: `on_kill` is all that is called of the task."""
    dli.set_batch_timeline("*", NEVER)
    operator = spark(execution_timeout=timedelta(seconds=0.2), **policies)
    run = first(operator)
    deferred(operator, run)
    later = spark(execution_timeout=timedelta(seconds=0.2), **policies)

    with set_current_context(context(run)), pytest.raises(AirflowTaskTimeout):
        as_airflow_does(later, -0.1, lambda: pytest.fail("it went on"))

    assert cancels(dli) == cancelled


def test_a_log_that_is_never_given_does_not_keep_a_deferred_wait_from_its_deadline(
    dli: Emulator,
) -> None:
    dli.set_batch_timeline("*", NEVER)
    left = deferred(spark(timeout=0.6))
    dli.add_fault(Fault("hang", path="*/log", times=None))

    assert event(again(left.trigger))["error"] == "SparkBatchTimeoutError"
    assert looks(dli)
