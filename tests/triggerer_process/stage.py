"""An Airflow of its own, with a database, DAG files and real triggerers, for the time of a test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pytest

HERE = Path(__file__).parent
IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")

HEALTHY_FOR = 30
"""Seconds without a heartbeat after which a triggerer takes another one for dead; the default."""

_PAUSE = 0.1
_END_OF_LOG = 6000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wait:
    """One task instance, with its trigger as long as it is deferred; numbered as deferred."""

    number: int
    state: str
    next_method: str | None
    event: Any
    trigger_kwargs: dict[str, Any] | None
    triggerer_id: int | None


class Component:
    """One `airflow triggerer`, `scheduler` or `api-server`, with its children."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        if arguments[0] != "api-server":  # which has no such server
            arguments = (*arguments, "--skip-serve-logs")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that its children can be reached when it is gone.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Signal all of it, as the end of a container or of its machine does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> None:
        """Ask the main process to stop, as a service manager does, and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            pytest.fail(f"It does not stop.\n{self.log[-_END_OF_LOG:]}")


class Stage:
    """One Airflow. Make it with `staged`."""

    def __init__(self, home: Path, connection: str) -> None:
        self.home = home
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        self.components: list[Component] = []
        self.environment = _environment(home, connection)

    def read_dags(self, *files: Path) -> None:
        """Have these DAG files, in a database that is migrated."""
        for file in files:
            shutil.copy(file, self.dags)
        self._fill([])

    def defer(self, class_path: str, *kwargs: dict[str, Any]) -> None:
        """Defer more task instances, one to each of these triggers."""
        self._fill([(class_path, each) for each in kwargs])

    def start_triggerer(self, *, healthy_for: float = HEALTHY_FOR) -> Component:
        """Start one more triggerer, and wait until Airflow knows it.

        It takes over from another one that is silent for `healthy_for` seconds.
        """
        jobs = self.jobs()
        name = "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD"
        triggerer = self.start("triggerer", "--capacity", "1000", **{name: str(healthy_for)})
        self.until("the triggerer is known", lambda: self.jobs() - jobs, seconds=40)
        return triggerer

    def start(self, *arguments: str, **environment: str) -> Component:
        """Start `airflow` with these arguments, and this more in its environment."""
        log = self.home / f"component-{len(self.components)}.log"
        component = Component(self.environment | environment, log, *arguments)
        self.components.append(component)
        return component

    def jobs(self) -> set[int]:
        """Returns the ids of all triggerers so far."""
        return {row[0] for row in self.rows("SELECT id FROM job WHERE job_type = 'TriggererJob'")}

    def waits(self) -> list[Wait]:
        """Returns everything that was deferred, in order."""
        rows = self.rows(
            "SELECT i.state, i.next_method, i.next_kwargs, t.kwargs, t.triggerer_id"
            ' FROM task_instance i LEFT JOIN "trigger" t ON t.id = i.trigger_id'
            " WHERE i.dag_id = 'waits' ORDER BY i.run_id, i.map_index"
        )
        return [
            Wait(
                number,
                state,
                method,
                (_decoded(next_kwargs) or {}).get("event"),
                _decoded(kwargs),
                triggerer,
            )
            for number, (state, method, next_kwargs, kwargs, triggerer) in enumerate(rows)
        ]

    def resumed(self, numbers: Iterable[int] | None = None, *, seconds: float = 40) -> list[Wait]:
        """Wait until these instances, or all, are no longer deferred."""
        chosen = None if numbers is None else set(numbers)

        def look() -> list[Wait] | None:
            waits = [wait for wait in self.waits() if chosen is None or wait.number in chosen]
            return None if any(wait.state == "deferred" for wait in waits) else waits

        return self.until("the task instances resume", look, seconds=seconds)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with contextlib.closing(self._database(timeout=20)) as database:
            return database.execute(query).fetchall()

    def write(self, statement: str) -> None:
        """Change the database."""
        with contextlib.closing(self._database(timeout=20)) as database:
            database.execute(statement)

    @contextlib.contextmanager
    def frozen(self, component: Component) -> Iterator[None]:
        """Suspend a component while it does not hold the database."""
        component.signal(signal.SIGSTOP)
        while self._is_locked():
            component.signal(signal.SIGCONT)
            time.sleep(_PAUSE)
            component.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            component.signal(signal.SIGCONT)

    def until(self, what: str, look: Callable[[], _T | None], *, seconds: float = 30) -> _T:
        """Look until there is something to see."""
        end = time.monotonic() + seconds
        while not (seen := look()):
            if self.components and self.components[-1].exit_code is not None:
                self._fail(f"{self.components[-1].exit_code} was the end before: {what}.")
            if time.monotonic() > end:
                self._fail(f"After {seconds} seconds still not: {what}.")
            time.sleep(_PAUSE)
        return seen

    @property
    def all_logs(self) -> str:
        """What the triggerers logged, for themselves and for the task instances."""
        logs = [*self.home.glob("component-*.log"), *self.home.glob("logs/**/*.log")]
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def lines(self, *words: str) -> list[str]:
        """Returns the lines of all logs that hold all of these words."""
        lines = self.all_logs.splitlines()
        return [line for line in lines if all(word in line for word in words)]

    @property
    def errors(self) -> list[str]:
        """The lines of all logs that tell of an error."""
        signs = ("Traceback", "ERROR", "[error", '"level":"error"', "CRITICAL", "critical")
        return [line for sign in signs for line in self.lines(sign)]

    @property
    def standstills(self) -> list[str]:
        """The lines in which Airflow's watchdog says that the event loop stood still."""
        return self.lines("async thread was blocked")

    def close(self) -> None:
        """Leave no process behind."""
        for component in self.components:
            component.kill()

    def _database(self, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(self.home / "airflow.db", timeout=timeout, isolation_level=None)

    def _is_locked(self) -> bool:
        with contextlib.closing(self._database(timeout=0)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return True
            database.execute("ROLLBACK")
            return False

    def _fill(self, waits: list[tuple[str, dict[str, Any]]]) -> None:
        done = subprocess.run(
            [sys.executable, str(HERE / "fill.py")],
            env=self.environment,
            cwd=self.home,
            input=json.dumps(waits),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            self._fail(f"The database was not filled.\n{done.stdout}{done.stderr}")

    def _fail(self, message: str) -> None:
        ends = [f"{message}\n"]
        for number, component in enumerate(self.components):
            ends.append(f"--- component {number}\n{component.log[-_END_OF_LOG:]}")
        pytest.fail("\n".join(ends))


@contextlib.contextmanager
def staged(home: Path, connection: str, template: Path | None = None) -> Iterator[Stage]:
    """An Airflow in a new folder; `template` is the database to begin with."""
    stage = Stage(home, connection)
    if template is not None:
        shutil.copy(template, home / "airflow.db")
    try:
        yield stage
    finally:
        stage.close()


def _environment(home: Path, connection: str) -> dict[str, str]:
    caller = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # Without a key the database holds the kwargs as they are, and a test can read them.
        "CORE__FERNET_KEY": "",
        "CORE__LOAD_EXAMPLES": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    }
    if IS_AIRFLOW_2:
        settings["METRICS__TIMER_UNIT_CONSISTENCY"] = "True"
        settings["CORE__EXECUTOR"] = "SequentialExecutor"
    return {
        **caller,
        **{f"AIRFLOW__{name}": text for name, text in settings.items()},
        "AIRFLOW_CONN_DLI_DEFAULT": connection,
        "AIRFLOW_HOME": str(home),
        "HOME": str(home),
        "PYTHONPATH": str(HERE),
        "PYTHONWARNINGS": "ignore",
    }


def _decoded(text: str | None) -> Any:
    """Read what Airflow 2 or 3 stored."""
    return None if text is None else _plain(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    for content in ("__var", "__data__"):
        if content in value:
            return _plain(value[content])
    return {name: _plain(each) for name, each in value.items()}
