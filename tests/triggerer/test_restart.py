"""Waits outlive their triggerer, and DLI sees nothing of its end but looks."""

from __future__ import annotations

import time

import pytest
from triggerer.stage import Component, Stage

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

TRIGGER = "airflow_provider_dli.triggers.packages.PackageGroupTrigger"
GROUPS = [f"group-{number}" for number in range(50)]
PACKAGES = ["a.jar", "b.jar"]


@pytest.fixture
def triggerer(stage: Stage, emulator: Emulator) -> Component:
    """A triggerer that waits for 50 groups."""
    put(emulator, "UPLOADING")
    deadline = time.time() + 600
    stage.defer(
        TRIGGER,
        *(
            {
                "group": group,
                "packages": PACKAGES,
                "poll_interval": 2.0,
                "deadline": deadline + number,
                "accepted": True,
            }
            for number, group in enumerate(GROUPS)
        ),
    )
    triggerer = stage.start_triggerer()
    stage.until("all waits are assigned", lambda: assigned(stage))
    stage.until("DLI is asked", lambda: emulator.requests)
    return triggerer


def put(emulator: Emulator, state: str) -> None:
    for group in GROUPS:
        emulator.put_group(group, dict.fromkeys(PACKAGES, state))


def assigned(stage: Stage) -> bool:
    """Whether the newest triggerer has all the waits."""
    newest = max(stage.jobs())
    return all(wait.triggerer_id == newest for wait in stage.waits())


def assert_all_are_ready(stage: Stage, emulator: Emulator) -> None:
    waits = stage.resumed()
    expected = {"status": "ready", "states": dict.fromkeys(PACKAGES, "READY")}
    assert len(waits) == len(GROUPS)
    assert [wait.event for wait in waits] == [expected] * len(GROUPS)
    assert {wait.next_method for wait in waits} == {"execute_complete"}
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
    assert {wait.state for wait in stage.waits()} == {"deferred"}
    put(emulator, "READY")
    assert_all_are_ready(stage, emulator)


def test_waits_move_to_another_triggerer_when_theirs_is_told_to_stop(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    before = [wait.trigger_kwargs for wait in stage.waits()]

    stage.start_triggerer()
    triggerer.terminate()
    stage.until("the new triggerer has all waits", lambda: assigned(stage))

    assert triggerer.exit_code == 0
    assert [wait.trigger_kwargs for wait in stage.waits()] == before
    assert {wait.state for wait in stage.waits()} == {"deferred"}
    put(emulator, "READY")
    assert_all_are_ready(stage, emulator)


def test_a_triggerer_that_stood_still_and_lost_its_waits_does_no_harm_when_it_wakes(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    with stage.frozen(triggerer):
        stage.start_triggerer(healthy_for=2)
        stage.until("the new triggerer has all waits", lambda: assigned(stage))
    # It ends its waits as soon as it looks at the database.
    stage.until("it has let go", lambda: len(stage.lines("trigger", "completed")) >= len(GROUPS))

    assert {wait.state for wait in stage.waits()} == {"deferred"}
    put(emulator, "READY")
    assert_all_are_ready(stage, emulator)
