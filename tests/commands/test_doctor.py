"""The doctor as a command, as a sub-command of `airflow`, and behind the button of the UI."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import connection

from airflow_provider_dli.__main__ import main
from airflow_provider_dli.api.doctor.findings import Result
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook

AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
CHECKS = ["connection", "address", "TLS", "clock", "credential", "project", "permission"]


@pytest.fixture(autouse=True)
def as_the_command_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is as before after the test."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_good_connection_is_well_line_by_line(
    connect: Callable[..., None], capsys: pytest.CaptureFixture[str], emulator: Emulator
) -> None:
    connect()

    assert main(["doctor"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == CHECKS
    assert [line.split()[1] for line in lines if not line.startswith(" ")] == ["ok"] * 7
    assert all(line[:12].strip() in {*CHECKS, ""} for line in lines)


def test_a_failed_check_has_its_remedy_below(
    connect: Callable[..., None], capsys: pytest.CaptureFixture[str], emulator: Emulator
) -> None:
    connect()
    emulator.rotate_keys(emulator.access_key, "another")

    assert main(["doctor"]) == 1

    out = capsys.readouterr().out
    assert "\ncredential  FAILED   The secret key does not belong to the access key.\n" in out
    assert "\n                     → Check the secret key" in out
    assert "\nproject     skipped  Not checked, because credential failed.\n" in out


def test_the_arguments_win_over_the_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], emulator: Emulator
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(emulator, iam_endpoint=emulator.url))

    status = main(
        ["doctor", "--conn-id", "other", "--region", "eu-de", "--project-id", "9", "--json"]
    )

    report = json.loads(capsys.readouterr().out)
    assert status == 1
    assert report["connection"] == "other"
    assert report["checks"][5]["cause"] == "other-project"
    assert {record.path for record in emulator.requests} == {"/v2.0/9/resources", "/v3/projects"}


@pytest.mark.parametrize(
    "arguments", [[], ["nurse"], ["doctor", "--pulse"], ["doctor", "extra"], ["doctor", "--conn"]]
)
def test_a_wrong_use_is_told_from_a_failed_check(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)

    assert end.value.code == 2


def test_a_missing_connection_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--conn-id", "no_such_connection", "--json"]) == 1

    first, *others = json.loads(capsys.readouterr().out)["checks"]
    assert first["cause"] == "connection-missing"
    assert "'no_such_connection'" in first["detail"]
    assert {check["result"] for check in others} == {"skipped"}


def test_a_wrong_field_is_a_finding_in_our_own_words(
    connect: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    connect(region="EU DE")

    assert main(["doctor", "--json"]) == 1

    first = json.loads(capsys.readouterr().out)["checks"][0]
    assert first["cause"] == "connection-wrong"
    assert "connection 'dli_default': region is 'EU DE'" in first["detail"]


def test_an_unreadable_connection_is_a_finding_that_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", "{canary")

    works, said = DliHook().test_connection()

    assert not works
    assert said.startswith("The check of connection failed.")
    assert "canary" not in said


def test_what_a_secrets_backend_raises_is_a_finding_that_quotes_nothing() -> None:
    class Broken(DliHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            raise RuntimeError("canary")

    works, said = Broken().test_connection()

    assert not works
    assert "Airflow cannot read the connection. It raised RuntimeError." in said


def test_the_button_says_what_was_reached(connect: Callable[..., None], emulator: Emulator) -> None:
    connect()

    works, said = DliHook().test_connection()

    assert works
    assert f"{emulator.url} answers." in said
    assert emulator.access_key not in said


def test_the_button_says_the_first_thing_to_do(
    connect: Callable[..., None], emulator: Emulator
) -> None:
    connect(auth_token="canary-token")

    works, said = DliHook().test_connection()

    assert not works
    assert said.startswith("The check of credential failed. The service cannot read the token.")
    assert said.endswith("valid only in the cloud whose IAM issued it.")
    assert "canary" not in said


def test_the_hook_gives_the_whole_report(connect: Callable[..., None], emulator: Emulator) -> None:
    connect()

    with DliHook() as hook:
        report = hook.diagnose()

    assert [finding.check for finding in report.findings] == CHECKS
    assert {finding.result for finding in report.findings} == {Result.OK}


@pytest.mark.parametrize(("password", "status"), [("canary-secret", 0), ("canary-wrong", 1)])
def test_a_process_prints_json_and_no_secret_even_at_debug(
    tmp_path: Path, password: str, status: int
) -> None:
    with running(access_key="CANARYKEY", secret_key="canary-secret") as emulator:
        done = in_a_process(
            "-m",
            "airflow_provider_dli",
            "doctor",
            "--json",
            AIRFLOW_CONN_DLI_DEFAULT=json.dumps(
                {**emulator.airflow_connection, "password": password}
            ),
            AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
            AIRFLOW_HOME=str(tmp_path),
        )

    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["is_well"] is (status == 0)
    assert "canary" not in (done.stdout + done.stderr).lower()


# The module is imported already.
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_what_is_printed_after_the_report_is_no_part_of_it() -> None:
    given = sys.argv[:]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            sys.argv[1:] = ["doctor", "--conn-id", "no_such_connection", "--json"]
            with pytest.raises(SystemExit) as end:
                runpy.run_module("airflow_provider_dli", run_name="__main__")
        finally:
            sys.argv[:] = given
        print("Airflow says good bye")

    assert end.value.code == 1
    assert json.loads(out.getvalue())["is_well"] is False


def test_airflow_offers_the_doctor() -> None:
    program = str(Path(sys.executable).with_name("airflow"))

    done = in_a_process(program, "dli", "doctor", "--help")

    assert (done.returncode == 0) is (AIRFLOW >= (3, 2))
    assert ("--project-id" in done.stdout) is (AIRFLOW >= (3, 2))


def test_airflow_runs_the_doctor(
    connect: Callable[..., None], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    if AIRFLOW < (3, 2):
        pytest.skip("commands of providers are new in Airflow 3.2")
    from airflow.cli.cli_parser import get_parser

    connect()
    options = get_parser().parse_args(["dli", "doctor", "--json"])

    with pytest.raises(SystemExit) as end:
        options.func(options)

    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["is_well"] is True
