# SPDX-License-Identifier: Apache-2.0
"""`python -m airflow_provider_dli.emulator`: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_dli.emulator import running
from airflow_provider_dli.emulator.__main__ import main

COMMAND = [sys.executable, "-W", "error", "-m", "airflow_provider_dli.emulator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_with_status_0(number):
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = re.search(r"http://[\d.:]+", process.stdout.readline())[0]
        state = requests.get(f"{url}/_emulator/state", timeout=10)
        refused = requests.get(f"{url}/v2.0/p/resources?group=hidden", timeout=10)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)

    assert urlsplit(url).hostname == "127.0.0.1"
    assert (state.status_code, refused.status_code) == (200, 401)
    assert process.returncode == 0
    assert errors.splitlines() == ["GET /v2.0/p/resources 401"]


@pytest.fixture
def run(capsys):
    """Runs the command in this process until it serves, then ends it with a signal."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> str:
        def interrupt() -> None:
            while not any(thread.name == "dli-emulator" for thread in threading.enumerate()):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGTERM)

        interrupter = threading.Thread(target=interrupt, daemon=True)
        interrupter.start()
        status = main(["--port", "0", *arguments])
        assert status == 0
        interrupter.join()
        return capsys.readouterr().out

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
    "flags", [["--obs-endpoint=nonsense"], ["--port=70000"], ["--latency=-1"]], ids=str
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
