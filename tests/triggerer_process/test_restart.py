"""Waits outlive their triggerer, and DLI sees nothing of its end but looks."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import pytest
from triggerer_process.stage import IS_AIRFLOW_2, Component, Stage

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

WAITS = 50


class Groups:
    """Waits for package groups."""

    trigger = "airflow_provider_dli.triggers.packages.PackageGroupTrigger"
    packages = ("a.jar", "b.jar")
    let_go: ClassVar[tuple[str, ...]] = ("trigger", "completed")

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.names = [f"group-{number}" for number in range(WAITS)]
        self._put("UPLOADING")

    def kwargs(self) -> list[dict[str, Any]]:
        """What the triggers wait for."""
        packages = list(self.packages)
        return [{"group": name, "packages": packages, "accepted": True} for name in self.names]

    def end(self) -> list[dict[str, Any]]:
        """End all waits, and give the events that they should have."""
        self._put("READY")
        return [{"status": "ready", "states": dict.fromkeys(self.packages, "READY")}] * WAITS

    def _put(self, state: str) -> None:
        for name in self.names:
            self.emulator.put_group(name, dict.fromkeys(self.packages, state))


class Jobs:
    """Waits for Spark jobs."""

    trigger = "airflow_provider_dli.triggers.spark.SparkBatchTrigger"
    # Airflow 3.3 tells a trigger that it ends as it would tell it that somebody ended its task.
    let_go = Groups.let_go if IS_AIRFLOW_2 else ("its task is still deferred",)

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.ids = [emulator.add_batch({"name": f"job-{i}"}, "running") for i in range(WAITS)]

    def kwargs(self) -> list[dict[str, Any]]:
        """What the triggers wait for."""
        return [{"batch_id": batch_id, "driver_log": False} for batch_id in self.ids]

    def end(self) -> list[dict[str, Any]]:
        """End all waits, and give the part of their events that matters."""
        for batch_id in self.ids:
            self.emulator.set_batch_state(batch_id, "success")
        return [{"status": "ended", "batch_id": batch_id} for batch_id in self.ids]


@pytest.fixture(params=[Groups, Jobs], ids=["groups", "jobs"])
def waits(request: pytest.FixtureRequest, emulator: Emulator) -> Groups | Jobs:
    made: Groups | Jobs = request.param(emulator)
    return made


@pytest.fixture
def triggerer(stage: Stage, emulator: Emulator, waits: Groups | Jobs) -> Component:
    """A triggerer that has begun with all waits."""
    deadline = time.time() + 600
    stage.defer(
        waits.trigger,
        *(
            {"poll_interval": 2.0, "deadline": deadline + number, **kwargs}
            for number, kwargs in enumerate(waits.kwargs())
        ),
    )
    triggerer = stage.start_triggerer()
    stage.until("all waits are assigned", lambda: assigned(stage))
    stage.until("all have started", lambda: len(stage.lines("trigger waits", "starting")) >= WAITS)
    stage.until("DLI is asked", lambda: emulator.requests)
    return triggerer


def assigned(stage: Stage) -> bool:
    """Whether the newest triggerer has all the waits."""
    newest = max(stage.jobs())
    return all(wait.triggerer_id == newest for wait in stage.waits())


def assert_all_end_well(stage: Stage, waits: Groups | Jobs) -> None:
    assert {wait.state for wait in stage.waits()} == {"deferred"}
    expected = waits.end()
    resumed = stage.resumed()
    assert len(resumed) == WAITS
    for wait, part in zip(resumed, expected, strict=True):
        assert wait.event is not None
        assert wait.event | part == wait.event
    assert {wait.next_method for wait in resumed} == {"execute_complete"}
    assert {request.method for request in waits.emulator.requests} == {"GET"}
    assert stage.errors == []


def test_waits_go_on_with_their_deadlines_after_the_triggerer_was_killed(
    stage: Stage, emulator: Emulator, triggerer: Component, waits: Groups | Jobs
) -> None:
    before = [wait.trigger_kwargs for wait in stage.waits()]

    triggerer.kill()
    emulator.clear_requests()
    stage.start_triggerer(healthy_for=2)
    stage.until("the new triggerer has all waits", lambda: assigned(stage))
    stage.until("DLI is asked again", lambda: emulator.requests)

    assert [wait.trigger_kwargs for wait in stage.waits()] == before
    assert_all_end_well(stage, waits)


def test_waits_move_to_another_triggerer_when_theirs_is_told_to_stop(
    stage: Stage, triggerer: Component, waits: Groups | Jobs
) -> None:
    before = [wait.trigger_kwargs for wait in stage.waits()]

    stage.start_triggerer()
    triggerer.terminate()
    stage.until("the new triggerer has all waits", lambda: assigned(stage))

    assert triggerer.exit_code == 0
    assert [wait.trigger_kwargs for wait in stage.waits()] == before
    assert_all_end_well(stage, waits)


def test_a_triggerer_that_stood_still_and_lost_its_waits_does_no_harm_when_it_wakes(
    stage: Stage, triggerer: Component, waits: Groups | Jobs
) -> None:
    with stage.frozen(triggerer):
        stage.start_triggerer(healthy_for=2)
        stage.until("the new triggerer has all waits", lambda: assigned(stage))
    # It ends its waits as soon as it looks at the database.
    stage.until("it has let go", lambda: len(stage.lines(*waits.let_go)) >= WAITS)

    assert_all_end_well(stage, waits)
