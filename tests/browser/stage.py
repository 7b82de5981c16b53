"""An Airflow that runs DAGs, with its UI on a port of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest

HERE = Path(__file__).parent
_PAUSE = 0.2
_END_OF_LOG = 6000

_T = TypeVar("_T")


class Airflow:
    """API server, scheduler and DAG processor. Make it with `started`."""

    def __init__(self, home: Path) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.home = home
        self._headers: dict[str, str] = {}
        self._environment = _environment(home, port)
        self._components: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `airflow` with these arguments."""
        with (self.home / f"{arguments[0]}.log").open("wb") as output:
            component = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that its children can be reached when it is gone.
                start_new_session=True,
            )
        self._components.append(component)
        return component

    def until(self, what: str, look: Callable[[], _T | None], *, seconds: float) -> _T:
        """Look until there is something to see."""
        end = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > end:
                pytest.fail(f"Not after {seconds} seconds: {what}.\n{self._ends_of_logs}")
            time.sleep(_PAUSE)
        return seen

    def ask(self, path: str) -> Any:
        """Ask the API; None while there is no answer."""
        request = Request(f"{self.url}{path}", headers=self._headers)  # noqa: S310 - our own address
        try:
            with urlopen(request, timeout=5) as answer:  # noqa: S310 - our own address
                return json.load(answer)
        except OSError:
            return None

    def sign_in(self) -> None:
        """Wait until the API is there, which takes everybody for an administrator."""
        token = self.until("the API answers", lambda: self.ask("/auth/token"), seconds=60)
        self._headers = {"Authorization": f"Bearer {token['access_token']}"}

    def stored(self, conn_id: str) -> dict[str, Any]:
        """Returns a connection as it is in the database, with its secrets."""
        fields = ("conn_type", "login", "password", "extra")
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db", timeout=20)) as database:
            query = f"SELECT {', '.join(fields)} FROM connection WHERE conn_id = ?"  # noqa: S608 - ours
            [row] = database.execute(query, (conn_id,))
        connection = dict(zip(fields, row, strict=True))
        return connection | {"extra": json.loads(connection["extra"])}

    def close(self) -> None:
        """Leave no process behind."""
        for component in self._components:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(component.pid, signal.SIGKILL)
            component.wait()

    @property
    def _ends_of_logs(self) -> str:
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-_END_OF_LOG:]}" for log in logs)


@contextlib.contextmanager
def started(home: Path) -> Iterator[Airflow]:
    """An Airflow in a new folder, ready to run the DAGs beside this file."""
    home.mkdir(parents=True)
    airflow = Airflow(home)
    try:
        airflow.start("db", "migrate").wait(60)
        airflow.start("api-server")
        airflow.start("dag-processor")
        airflow.start("scheduler", "--skip-serve-logs")
        airflow.sign_in()
        airflow.until("the DAG is known", lambda: airflow.ask("/api/v2/dags/by_hand"), seconds=60)
        yield airflow
    finally:
        airflow.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _environment(home: Path, port: int) -> dict[str, str]:
    caller = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(HERE / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        # Without a key the database holds secrets as they are, and a test can read them.
        "CORE__FERNET_KEY": "",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "1",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__TEST_CONNECTION": "Enabled",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }
    return {
        **caller,
        **{f"AIRFLOW__{name}": text for name, text in settings.items()},
        "AIRFLOW_HOME": str(home),
        "HOME": str(home),
        "PYTHONWARNINGS": "ignore",
    }
