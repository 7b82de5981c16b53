"""A package group that is READY anew becomes an event of an asset, and the event a DAG run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import connection
from triggerer_process.stage import HERE, IS_AIRFLOW_2, Component, Stage, staged

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
    pytest.mark.skipif(IS_AIRFLOW_2, reason="Airflow 2 has no asset watchers"),
]

EXAMPLE = HERE.parent.parent / "example_dags" / "start_when_ready.py"


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that knows a DAG with a watcher, and the example."""
    home = tmp_path_factory.mktemp("watching") / "first"
    with staged(home, "") as stage:
        stage.read_dags(HERE / "dags" / "watcher.py", EXAMPLE)
    return home / "airflow.db"


@pytest.fixture
def stage(tmp_path: Path, watching: Path, emulator: Emulator) -> Iterator[Stage]:
    with staged(tmp_path / "airflow", connection(emulator), watching) as stage:
        yield stage


@pytest.fixture
def triggerer(stage: Stage, emulator: Emulator) -> Component:
    """A triggerer that watches a group which was READY before."""
    emulator.put_group("g", {"a.jar": "READY"})
    triggerer = stage.start_triggerer()
    looked(stage, emulator)
    return triggerer


def looked(stage: Stage, emulator: Emulator, times: int = 3) -> None:
    """Wait until the trigger has certainly looked since now."""
    emulator.clear_requests()
    stage.until("the trigger looks", lambda: len(emulator.requests) >= times)


def events(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(extra) for (extra,) in stage.rows("SELECT extra FROM asset_event")]


def is_remembered(stage: Stage, emulator: Emulator) -> bool:
    kept = [json.loads(value) for (value,) in stage.rows("SELECT value FROM asset_state_store")]
    return emulator.groups()["g"]["update_time"] in kept


def test_an_asset_event_comes_when_the_group_is_ready_anew_and_none_before(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    at_first = events(stage)
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    looked(stage, emulator)
    while_it_uploads = events(stage)
    emulator.put_group("g", {"a.jar": "READY"})
    stage.until("an asset event", lambda: events(stage))
    looked(stage, emulator)

    assert at_first == while_it_uploads == []
    payload = {
        "group": "g",
        "update_time": emulator.groups()["g"]["update_time"],
        "states": {"a.jar": "READY"},
    }
    assert events(stage) == [{"from_trigger": True, "payload": payload}]
    assert triggerer.exit_code is None
    assert stage.errors == []


def test_an_update_while_no_triggerer_runs_is_noticed_by_the_next_one_and_only_once(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    triggerer.kill()
    emulator.put_group("g", {"a.jar": "READY"})
    next_one = stage.start_triggerer(healthy_for=2)
    stage.until("an asset event", lambda: events(stage), seconds=15)
    # It is remembered some seconds later: who ends before gives it twice rather than never.
    stage.until("the update is remembered", lambda: is_remembered(stage, emulator), seconds=30)

    next_one.kill()
    stage.start_triggerer(healthy_for=2)
    looked(stage, emulator)

    assert len(events(stage)) == 1


def test_the_scheduler_starts_the_dag_of_the_example_for_the_event(
    stage: Stage, emulator: Emulator, triggerer: Component
) -> None:
    stage.start("scheduler")
    emulator.put_group("word-count-python", {"a.py": "READY"}, kind="pyFile")

    query = "SELECT dag_id, run_type FROM dag_run"
    runs = stage.until("a DAG run", lambda: stage.rows(query))

    assert runs == [("start_when_ready", "asset_triggered")]
