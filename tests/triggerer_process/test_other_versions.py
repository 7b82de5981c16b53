"""Rows in the table of triggers that another version of this package wrote."""

from __future__ import annotations

import pytest
from triggerer_process.stage import Stage

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

TRIGGER = "airflow_provider_dli.triggers.packages.PackageGroupTrigger"


def test_rows_with_unknown_and_missing_fields_load_wait_and_finish(
    stage: Stage, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    newer = {"group": "g", "poll_interval": 1.0, "added_later": {"nested": [1]}, "other": None}
    older = {"group": "g", "packages": ["a.jar"]}
    stage.defer(TRIGGER, newer, older)
    triggerer = stage.start_triggerer()
    stage.until("DLI is asked", lambda: emulator.requests)
    waiting = {wait.state for wait in stage.waits()}

    emulator.put_group("g", {"a.jar": "READY"})
    waits = stage.resumed()

    assert waiting == {"deferred"}
    assert [wait.event for wait in waits] == [{"status": "ready", "states": {"a.jar": "READY"}}] * 2
    assert triggerer.exit_code is None
    assert stage.errors == []


def test_a_row_that_makes_no_sense_fails_its_own_task_and_no_other(
    stage: Stage, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    senseless = [
        {},
        {"group": 7},
        {"group": "g", "packages": "a.jar"},
        {"group": "g", "packages": {"a.jar": 1}, "deadline": "tomorrow"},
        {"group": "g", "poll_interval": None},
        {"group": "g", "max_unknown_time": "soon"},
        {"group": "g", "dli_conn_id": 7},
    ]
    stage.defer(TRIGGER, *senseless, {"group": "g"})

    triggerer = stage.start_triggerer()
    *broken, good = stage.resumed()

    assert good.event == {"status": "ready", "states": {"a.jar": "READY"}}
    outcomes = [(wait.event or {}).get("status", wait.next_method) for wait in broken]
    accepted = [row for row, outcome in zip(senseless, outcomes, strict=True) if outcome == "ready"]
    assert accepted == []
    assert triggerer.exit_code is None
