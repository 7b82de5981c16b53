"""Fault: after the submission the state of the task cannot be written; or the worker dies before it
is; or several jobs bear the name of this one.

Expected: the retry finds the job by its name. Of several the active one counts; where more than one
is active the task fails and names them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from scenarios.jobs import states, submissions
from scenarios.modes import Mode
from task_runs import BrokenStore, StateStore, TaskRun, cleared, context, first, retried

from airflow_provider_dli.api.protocol.errors import AnswerLostError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import SparkBatchOperator

# What happens before a task waits is the same in both modes.
pytestmark = pytest.mark.parametrize("mode", ["worker"], indirect=True)


class Died(BaseException):
    """Nothing catches it; that is how it is when a worker is killed."""


class DeadlyStore(StateStore):
    """Its worker dies while it writes."""

    def set(self, key: str, value: Any) -> None:
        raise Died


def execute(
    mode: Mode, run: TaskRun, store: StateStore | None = None, **arguments: Any
) -> dict[str, Any]:
    """Execute one try of a task, in the worker, with a state store as on Airflow 3.3."""
    operator = SparkBatchOperator(
        task_id=run.task_id,
        **{"file": "obs://bucket/a.py", "queue_name": "q", "spark_version": "3.1.1"} | arguments,
    )
    operator.hook = DliHook(clock=mode.clock)
    return operator.execute(context(run, store))


def run_of(mode: Mode) -> TaskRun:
    return first(mode.spark(retries=1))


def name_of(mode: Mode, dli: Emulator, run: TaskRun) -> str:
    """Returns the name of the job of a run, without leaving a job."""
    execute(mode, run, wait_for_completion=False)
    (name,) = dli.submissions
    dli.reset()
    return name


def test_a_job_is_found_when_the_worker_died_before_its_id_was_kept(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (600, "success")])
    run, store = run_of(mode), DeadlyStore()
    with pytest.raises(Died):
        execute(mode, run, store, retries=1)

    result = execute(mode, retried(run), StateStore(), retries=1)

    assert (submissions(dli), result["state"]) == (1, "success")


@pytest.mark.parametrize("store", [StateStore, BrokenStore])
def test_a_retry_reconnects_whether_or_not_the_id_was_kept(
    mode: Mode, dli: Emulator, store: type[StateStore]
) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (600, "success")])
    dli.add_fault(Fault("reset", path="/batches/*", times=None))
    run, kept = run_of(mode), store()
    with pytest.raises(AnswerLostError):
        execute(mode, run, kept, retries=1)
    dli.clear_faults()

    result = execute(mode, retried(run), kept, retries=1)

    assert (submissions(dli), result["state"]) == (1, "success")


def test_a_state_store_that_is_out_of_order_keeps_no_task_from_its_job(
    mode: Mode, dli: Emulator, task_log: Callable[[], str]
) -> None:
    result = execute(mode, run_of(mode), BrokenStore())

    assert (submissions(dli), result["state"]) == (1, "success")
    assert "Airflow did not write the task's state (RuntimeError: no set)" in task_log()


def test_of_several_jobs_of_the_name_the_active_one_counts(mode: Mode, dli: Emulator) -> None:
    run = run_of(mode)
    name = name_of(mode, dli, run)
    for state in ("success", "dead"):
        dli.add_batch({"name": name, "file": "obs://bucket/a.py", "queue": "q"}, state)
    active = dli.add_batch({"name": name, "file": "obs://bucket/a.py", "queue": "q"}, "running")

    result = execute(mode, retried(run), wait_for_completion=False)

    assert (result["batch_id"], dli.submissions) == (active, {})


def test_several_active_jobs_fail_the_task_for_good_and_are_named(
    mode: Mode, dli: Emulator
) -> None:
    run = run_of(mode)
    name = name_of(mode, dli, run)
    two = [dli.add_batch({"name": name}, state) for state in ("running", "starting")]

    with pytest.raises(AirflowFailException, match="2 Spark jobs named") as caught:
        execute(mode, run, on_failure="leave")

    assert all(batch_id in str(caught.value) for batch_id in two)
    assert dli.submissions == {}
    assert states(dli) == ["running", "starting"]


@pytest.mark.parametrize("number", [1, 2])
def test_several_active_jobs_are_cancelled_when_the_task_fails_of_them(
    mode: Mode, dli: Emulator, number: int
) -> None:
    """Both would write to the same place, and nobody waits for them."""
    run = run_of(mode)
    run.try_number = number
    name = name_of(mode, dli, run)
    for _ in range(2):
        dli.add_batch({"name": name}, "running")

    with pytest.raises(AirflowFailException):
        execute(mode, run, retries=1)

    assert states(dli) == ["dead", "dead"]


def test_several_active_jobs_are_cancelled_by_the_clear_that_follows(
    mode: Mode, dli: Emulator
) -> None:
    run = run_of(mode)
    name = name_of(mode, dli, run)
    two = [dli.add_batch({"name": name}, "running") for _ in range(2)]
    with pytest.raises(AirflowFailException):
        execute(mode, run, retries=1, on_failure="leave")

    result = execute(mode, cleared(run, 1), retries=1)

    assert [dli.batches()[batch_id]["state"] for batch_id in two] == ["dead", "dead"]
    assert (submissions(dli), result["state"]) == (1, "success")


def test_a_foreign_job_that_only_begins_with_the_name_is_left_alone(
    mode: Mode, dli: Emulator
) -> None:
    run = run_of(mode)
    name = name_of(mode, dli, run)
    foreign = dli.add_batch({"name": f"{name}-2"}, "running")

    result = execute(mode, run)

    assert result["batch_id"] != foreign
    assert dli.batches()[foreign]["state"] == "running"


def test_what_is_kept_is_small_and_plain(mode: Mode, dli: Emulator) -> None:
    run, store = run_of(mode), StateStore()

    result = execute(mode, run, store)

    assert json.loads(json.dumps(store)) == {
        "dli_spark_batch": {"batch_id": result["batch_id"], "name": result["name"]}
    }
