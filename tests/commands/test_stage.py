"""Staging from a shell, against a real object store and the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import connection

from airflow_provider_dli.__main__ import main
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.obs import ObsHook


@pytest.fixture
def emulator(object_store: str) -> Iterator[Emulator]:
    with running(obs_endpoint=object_store, upload_seconds=0.1) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def folder(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with two files, with a connection to the emulator."""
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jar").write_bytes(b"PK a")
    (tmp_path / "b.jar").write_bytes(b"PK b")
    return tmp_path


@pytest.fixture
def stage(bucket: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> dict[str, Any]:
        """Run the command with `--json`, and give what it printed."""
        status = main(["stage", "a.jar", "b.jar", "--bucket", bucket, "--json", *arguments])
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed | {"status": status}

    return run


def test_json_tells_states_sizes_digests_and_what_was_sent(stage: Any) -> None:
    result = stage("--group", "g", "--prefix", "spark")

    assert (result["status"], result["uploaded"], result["bytes_sent"]) == (0, True, 8)
    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]
    assert [package["sent"] for package in result["packages"]] == [True, True]
    assert all(len(package["sha256"]) == 64 for package in result["packages"])


def test_a_second_run_skips_everything(stage: Any, emulator: Emulator) -> None:
    stage("--group", "g")
    uploads = [record for record in emulator.requests if record.method == "POST"]

    result = stage("--group", "g")

    assert (result["uploaded"], result["bytes_sent"]) == (False, 0)
    assert [record for record in emulator.requests if record.method == "POST"] == uploads


def test_a_dry_run_does_nothing(stage: Any, bucket: str, emulator: Emulator) -> None:
    result = stage("--group", "g", "--dry-run")

    assert (result["dry_run"], result["uploaded"], result["bytes_sent"]) == (True, True, 8)
    assert list(ObsHook().list_objects(bucket)) == []
    assert {record.method for record in emulator.requests} == {"GET"}


def test_without_a_group_files_go_to_obs_only(stage: Any, emulator: Emulator) -> None:
    result = stage()

    assert (result["target"], result["group"]) == ("obs", None)
    assert [package["state"] for package in result["packages"]] == [None, None]
    assert emulator.requests == []


def test_a_failure_is_told_as_json_too(stage: Any) -> None:
    result = stage("--group", "a/b")

    assert (result["status"], result["error"]) == (1, "InputError")
    assert "group is 'a/b'" in result["message"]


def test_a_missing_connection_is_told(stage: Any) -> None:
    result = stage("--conn-id", "no_such_connection")

    assert result["status"] == 1
    assert "no_such_connection" in result["message"]


def test_a_table_shows_what_was_done(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage", "*.jar", "--bucket", bucket, "--group", "g"]) == 0

    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if "a.jar" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][3:] == ["sent", "READY"]
    assert lines[-2:] == ["8 bytes sent", "Group g: uploaded"]


def test_without_a_group_the_paths_for_the_job_are_shown(
    bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stage", "a.jar", "--bucket", bucket, "--prefix", "spark"]) == 0

    assert f"\nobs://{bucket}/spark/a.jar-" in capsys.readouterr().out


def test_an_error_goes_to_the_other_output(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage", "absent.jar", "--bucket", bucket]) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "InputError: sources is" in printed.err


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("30d", timedelta(days=30)), ("12h", timedelta(hours=12))],
)
def test_ages_are_read(text: str, meaning: timedelta) -> None:
    from airflow_provider_dli.commands.stage import _age_or_count

    assert _age_or_count(text) == meaning
    assert _age_or_count("5") == 5


@pytest.mark.parametrize("age", ["0", "0d", "-1", "month", "5y", "1.5d", "45m"])
def test_what_is_neither_an_age_nor_a_count_is_a_wrong_use(age: str, bucket: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["stage", "a.jar", "--bucket", bucket, f"--delete-after={age}"])

    assert end.value.code == 2
