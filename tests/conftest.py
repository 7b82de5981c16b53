"""What all tests share: a clock that nobody waits for, an emulator, and a connection to it."""

from __future__ import annotations

import atexit
import gc
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# Before Airflow is imported anywhere: nothing of the caller's Airflow counts, and nothing is left
# in the home, where Airflow has its database and Huawei's SDK notes an id.
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
HOME = tempfile.mkdtemp(prefix="dli-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["HOME"] = os.environ["AIRFLOW_HOME"] = HOME
# Operators may be executed directly.
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
if version("apache-airflow").startswith("2."):
    # It warns of this when it is imported, and in tests it would not use SQLite otherwise.
    os.environ["AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY"] = "True"
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"
    MASKERS = ["airflow.utils.log.secrets_masker"]
else:
    MASKERS = ["airflow.sdk._shared.secrets_masker.secrets_masker"]
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parent.parent / "example_dags")
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"

from fake_clock import FakeClock

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Take three processes for each core: tests wait for servers and deadlines most of their time.

    On two cores all of them need four minutes of processor time together.
    """
    return 3 * (os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """Keep Airflow and the tests out of garbage collections, which took 0.2 s each otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _masker_of_its_own() -> Iterator[None]:
    """Airflow's masker compiles all it knows anew with each secret: many tests would crawl."""
    yield
    for name in MASKERS:
        if name in sys.modules:
            masker = sys.modules[name]._secrets_masker()
            masker.patterns, masker.replacer = set(), None


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Take SIGINT, which a shell lets what it starts in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def emulator(clock: FakeClock) -> Iterator[Emulator]:
    with running(clock=clock.now) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Returns the address of a real S3 server that nobody here wrote, in place of OBS."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(object_store: str) -> str:
    """Returns the name of a new bucket in the object store."""
    name = f"bucket-{uuid.uuid4()}"
    other_client(object_store).create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's database, made once in each process of a run."""
    from airflow.utils.db import initdb

    initdb()


def other_client(object_store: str) -> Any:
    """Return a client of the object store that nobody here wrote."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=object_store,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )


def connection(emulator: Emulator, **changes: Any) -> str:
    """Returns the connection to an emulator as JSON; `changes` replace fields of the extra."""
    fields = emulator.airflow_connection
    return json.dumps(fields | {"extra": fields["extra"] | {"read_timeout": 5} | changes})


@pytest.fixture
def connect(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection `dli_default` to the emulator, with changes."""

    def set_connection(**changes: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator, **changes))

    return set_connection


@pytest.fixture
def hook(connect: Callable[..., None], clock: FakeClock) -> Iterator[DliHook]:
    connect()
    with DliHook(clock=clock) as hook:
        yield hook


@pytest.fixture
def task_log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Read what was logged so far: Airflow 3 writes to stdout, Airflow 2 through its own logger."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("airflow.task")
    logger.addHandler(handler)
    yield lambda: stream.getvalue() + capsys.readouterr().out
    logger.removeHandler(handler)


@pytest.fixture
def logged(task_log: Callable[[], str], caplog: pytest.LogCaptureFixture) -> Callable[[str], str]:
    """Returns the log that holds some words: Airflow 2 shows its task log in two places."""
    return lambda words: caplog.text if words in caplog.text else task_log()
