"""Waits for Spark jobs outlive their triggerer, and its end cancels none of the jobs."""

from __future__ import annotations

import time

import pytest
from triggerer.stage import IS_AIRFLOW_2, Component, Stage

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

TRIGGER = "airflow_provider_dli.triggers.spark.SparkBatchTrigger"
JOBS = 50


@pytest.fixture
def triggerer(stage: Stage, emulator: Emulator) -> Component:
    """A triggerer that waits for 50 jobs."""
    deadline = time.time() + 600
    stage.defer(
        TRIGGER,
        *(
            {
                "batch_id": emulator.add_batch({"name": f"job-{number}"}, "running"),
                "poll_interval": 2.0,
                "deadline": deadline + number,
                "driver_log": False,
            }
            for number in range(JOBS)
        ),
    )
    triggerer = stage.start_triggerer()
    stage.until("all waits are assigned", lambda: assigned(stage))
    stage.until("all have started", lambda: len(stage.lines("trigger waits", "starting")) >= JOBS)
    stage.until("DLI is asked", lambda: emulator.requests)
    return triggerer


def assigned(stage: Stage) -> bool:
    """Whether the newest triggerer has all the waits."""
    newest = max(stage.jobs())
    return all(wait.triggerer_id == newest for wait in stage.waits())


def assert_all_end_well(stage: Stage, emulator: Emulator) -> None:
    for batch_id in emulator.batches():
        emulator.set_batch_state(batch_id, "success")
    waits = stage.resumed()
    assert [wait.event["status"] for wait in waits] == ["ended"] * JOBS
    assert {wait.event["batch"]["state"] for wait in waits} == {"success"}
    assert {request.method for request in emulator.requests} == {"GET"}
    assert stage.errors == []


def test_waits_go_on_with_their_deadlines_after_the_triggerer_was_killed(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    before = [wait.trigger_kwargs for wait in stage.waits()]

    triggerer.kill()
    emulator.clear_requests()
    stage.start_triggerer(healthy_for=2)
    stage.until("the new triggerer has all waits", lambda: assigned(stage))
    stage.until("DLI is asked again", lambda: emulator.requests)

    assert [wait.trigger_kwargs for wait in stage.waits()] == before
    assert_all_end_well(stage, emulator)


def test_a_triggerer_that_is_told_to_stop_cancels_no_job(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    before = [wait.trigger_kwargs for wait in stage.waits()]

    stage.start_triggerer()
    triggerer.terminate()
    stage.until("the new triggerer has all waits", lambda: assigned(stage))

    assert [wait.trigger_kwargs for wait in stage.waits()] == before
    assert_all_end_well(stage, emulator)


def test_a_triggerer_that_stood_still_and_lost_its_waits_cancels_no_job_when_it_wakes(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    """Airflow 3.3 tells its triggers then that somebody ended their tasks."""
    with stage.frozen(triggerer):
        stage.start_triggerer(healthy_for=2)
        stage.until("the new triggerer has all waits", lambda: assigned(stage))
    # It ends its waits as soon as it looks at the database, and asks what became of the tasks.
    sign = ("trigger", "completed") if IS_AIRFLOW_2 else ("is not cancelled: its task is",)
    stage.until("it has let go", lambda: len(stage.lines(*sign)) >= JOBS)

    assert {wait.state for wait in stage.waits()} == {"deferred"}
    assert_all_end_well(stage, emulator)
