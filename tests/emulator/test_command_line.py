# SPDX-License-Identifier: Apache-2.0
"""`python -m airflow_provider_dli.emulator`: what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import requests
from eventually import at_last

from airflow_provider_dli.emulator import running
from airflow_provider_dli.emulator.__main__ import main

COMMAND = [sys.executable, "-W", "error", "-m", "airflow_provider_dli.emulator"]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_with_status_0(number):
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = re.search(r"http://[\d.:]+", process.stdout.readline())[0]
        state = requests.get(f"{url}/_emulator/state", timeout=60)
        refused = requests.get(f"{url}/v2.0/p/resources?group=hidden", timeout=60)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)

    assert urlsplit(url).hostname == "127.0.0.1"
    assert (state.status_code, refused.status_code) == (200, 401)
    assert process.returncode == 0
    assert errors.splitlines() == ["GET /v2.0/p/resources 401"]


@pytest.fixture
def run():
    """Runs the command in this process until it serves, then ends it with a signal."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str, meanwhile: Callable[[str], None] | None = None) -> str:
        # Not `capsys`: to read it in a thread loses what is printed at this moment.
        printed = io.StringIO()

        def interrupt() -> None:
            at_last(lambda: printed.getvalue().count("\n") >= 2)
            try:
                if meanwhile is not None:
                    meanwhile(printed.getvalue())
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        interrupter = threading.Thread(target=interrupt, daemon=True)
        interrupter.start()
        with contextlib.redirect_stdout(printed):
            status = main(["--port", "0", *arguments])
        assert status == 0
        interrupter.join()
        return printed.getvalue()

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def connection_in(output: str) -> dict:
    command, _, assignment = output.splitlines()[1].partition(" ")
    name, _, value = assignment.partition("=")
    assert (command, name) == ("export", "AIRFLOW_CONN_DLI_DEFAULT")
    return json.loads(shlex.split(value)[0])


def test_it_prints_a_connection_for_airflow(run):
    output = run()

    connection = connection_in(output)
    assert connection["conn_type"] == "dli"
    assert connection["login"]
    assert connection["password"]
    assert connection["extra"]["endpoint"] in output.splitlines()[0]
    assert connection["extra"]["cloud"] == "huawei"
    assert connection["extra"]["region"] == "eu-west-101"
    assert connection["extra"]["project_id"]


def test_its_flags_reach_the_emulator(run):
    flags = ["--access-key=AK", "--secret-key=it's", "--security-token=ST", "--project-id=p1"]

    connection = connection_in(run(*flags, "--project-id=p2", "--user=someone"))

    assert (connection["login"], connection["password"]) == ("AK", "it's")
    assert connection["extra"]["project_id"] == "p1"
    assert connection["extra"]["security_token"] == "ST"


def test_its_flags_of_identity_reach_the_emulator(run):
    asked = []

    def sign_in(message):
        connection = connection_in(message)
        url = connection["extra"]["endpoint"]
        user = {"name": "someone", "password": "opens", "domain": {"name": "theirs"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "eu-de"}}
        body = {"auth": {"identity": identity, "scope": scope}}
        token = requests.post(f"{url}/v3/auth/tokens", json=body, timeout=60)
        headers = {"X-Auth-Token": token.headers["X-Subject-Token"]}
        role = {"agency_name": "ours", "domain_name": "theirs"}
        body = {"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}
        keys = f"{url}/v3.0/OS-CREDENTIAL/securitytokens"
        key = requests.post(keys, json=body, headers=headers, timeout=60)
        machine = requests.get(f"{url}/openstack/latest/securitykey", timeout=60)
        listing = requests.get(f"{url}/v2.0/p1/resources", headers=headers, timeout=60)
        asked.extend([connection, token, key, machine, listing])

    run(
        *("--user=someone", "--password=opens", "--account=theirs", "--agency=ours"),
        *("--project-id=p1=eu-de", "--project-id=p2", "--forbidden-project=p1"),
        *("--metadata=v1", "--token-seconds=60", "--key-seconds=30", "--clock-offset=-3600"),
        meanwhile=sign_in,
    )

    connection, token, key, machine, listing = asked
    assert connection["extra"]["region"] == "eu-de"
    issued, ends, key_ends = (
        datetime.fromisoformat(text)
        for text in (
            token.json()["token"]["issued_at"],
            token.json()["token"]["expires_at"],
            key.json()["credential"]["expires_at"],
        )
    )
    assert (ends - issued).total_seconds() == 60
    assert 30 <= (key_ends - issued).total_seconds() < 60
    assert 3500 < (datetime.now(UTC) - issued).total_seconds() < 3700
    assert machine.status_code == 200
    assert listing.status_code == 403


def test_its_flags_of_batch_jobs_reach_the_emulator(run):
    asked = []

    def look(message):
        url = connection_in(message)["extra"]["endpoint"]
        asked.append(requests.get(f"{url}/_emulator/state", timeout=60).json()["settings"])

    run("--batch-seconds=7", "--batch-retention=60", meanwhile=look)

    assert asked[0].items() >= {"batch_seconds": 7, "batch_retention": 60}.items()


def test_spark_that_is_not_there_is_said_in_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    status = main(["--port", "0", "--spark=local", "--obs-endpoint=http://127.0.0.1:1"])

    error = capsys.readouterr().err
    assert (status, len(error.splitlines())) == (1, 1)
    # Where PySpark is installed it is Java that is missing.
    assert "airflow-provider-dli[spark]" in error or "JAVA_HOME" in error


def test_a_port_that_is_taken_is_said_in_one_sentence(capsys):
    with running() as emulator:
        port = urlsplit(emulator.url).port

        done = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=30
        )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--obs-endpoint=nonsense"],
        ["--port=70000"],
        ["--latency=-1"],
        ["--batch-seconds=-1"],
        ["--spark=local"],
        ["--forbidden-project=p"],
    ],
    ids=str,
)
def test_a_flag_that_makes_no_sense_is_said_in_one_sentence(run, capsys, flags):
    assert main(["--port", "0", *flags]) == 1

    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_extra_it_says_what_to_install(monkeypatch, capsys, missing):
    for name in list(sys.modules):
        if name.startswith(("airflow_provider_dli.emulator.", missing)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    status = main([])

    error = capsys.readouterr().err
    assert status == 2
    assert len(error.splitlines()) == 1
    assert "pip install 'airflow-provider-dli[emulator]'" in error
