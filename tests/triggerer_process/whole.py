"""A whole Airflow that runs tasks: scheduler, workers, triggerer, and a user who steers it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from triggerer_process.stage import HERE, IS_AIRFLOW_2, Component, Stage

from airflow_provider_dli.emulator import Emulator

T = TypeVar("T")


class Whole:
    """A stage on which tasks are executed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.environment |= _settings()
        self.server: Component | None = None
        if not IS_AIRFLOW_2:
            port = stage.environment["AIRFLOW__API__PORT"]
            self.server = stage.start("api-server", "--port", port, "--workers", "1")
        self.scheduler = stage.start("scheduler")
        self.triggerer = stage.start_triggerer()

    @cached_property
    def _user(self) -> subprocess.Popen[str]:
        with (self.stage.home / "component-user.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, str(HERE / "steer.py")],
                env=self.stage.environment,
                cwd=self.stage.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def act(self, *words: str) -> None:
        """Do what a user does; see `steer.py`."""
        user = self._user
        assert user.stdin is not None
        assert user.stdout is not None
        user.stdin.write(json.dumps(words) + "\n")
        user.stdin.flush()
        assert user.stdout.readline() == "done\n", "see component-user.log"

    def close(self) -> None:
        """Leave the user no process; the stage has the others."""
        user = self._user
        for pipe in (user.stdin, user.stdout):
            assert pipe is not None
            pipe.close()
        user.wait()


@dataclass
class Run:
    """The run of a DAG with one task that runs a Spark job."""

    airflow: Whole
    dli: Emulator
    dag_id: str
    run_id: str

    def start(self) -> None:
        """Trigger the DAG."""
        self.airflow.act("run", self.dag_id, self.run_id)

    def mark(self, state: str) -> None:
        """Mark the task."""
        self.airflow.act("mark", self.dag_id, self.run_id, state)

    def clear(self) -> None:
        """Clear the task."""
        self.airflow.act("clear", self.dag_id, self.run_id)

    def of_task(self, column: str) -> Any:
        """Returns a column of the task instance's row."""
        rows = self.airflow.stage.rows(
            f"SELECT {column} FROM task_instance"  # noqa: S608 - of the tests
            f" WHERE dag_id = '{self.dag_id}' AND run_id = '{self.run_id}'"
        )
        return rows[0][0] if rows else None

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that the task submitted, the oldest first."""
        told = f'"spark.airflow.run_id": "{self.run_id}"'
        of_dag = f'"spark.airflow.dag_id": "{self.dag_id}"'
        return [
            job
            for job in self.dli.batches().values()
            if told in _spaced(job["req_body"]) and of_dag in _spaced(job["req_body"])
        ]

    def cancels(self, job: dict[str, Any]) -> int:
        """Count the requests to cancel a job."""
        return sum(
            record.method == "DELETE" and record.path.endswith(job["id"])
            for record in self.dli.requests
        )

    def until(self, what: str, look: Callable[[], T | None], *, seconds: float = 40) -> T:
        """Look until there is something to see."""
        return self.airflow.stage.until(f"{self.dag_id}: {what}", look, seconds=seconds)

    def until_state(self, *states: str) -> None:
        """Wait until the task is in one of these states."""
        self.until(f"one of {states}", lambda: self.of_task("state") in states)

    def lines(self, *words: str) -> list[str]:
        """Returns the lines of all logs about the task that hold these words."""
        name = f"{self.dag_id}/{self.run_id}/run/"
        return self.airflow.stage.lines(name, *words)

    def until_waiting(self, *, workers: int = 1) -> None:
        """Wait until the task waits in the triggerer, after so many workers."""
        self.until_state("deferred")
        self.until("its trigger runs", lambda: self.lines("starting"))
        self.until_heard_of(workers)

    def until_heard_of(self, workers: int) -> None:
        """Wait until the scheduler has heard of the end of so many workers.

        It takes a task that is resumed before that for one whose worker was killed.
        """
        ended = ("executor event", f"dag_id='{self.dag_id}'", f"run_id='{self.run_id}'")
        self.until(
            f"the end of {workers} workers is known",
            lambda: len(self.airflow.stage.lines(*ended)) >= workers,
        )

    def until_dead(self, job: dict[str, Any], *, seconds: float = 30) -> None:
        """Wait until a job was ended."""
        self.until(
            "the job is dead",
            lambda: self.dli.batches()[job["id"]]["state"] == "dead",
            seconds=seconds,
        )


def _spaced(text: str) -> str:
    return json.dumps(json.loads(text))


def _settings() -> dict[str, str]:
    settings = {"SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1"}
    if IS_AIRFLOW_2:
        settings |= {
            "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "4",
            "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
        }
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        settings |= {
            "API__PORT": port,
            "API__HOST": "127.0.0.1",
            # All components need the same.
            "API_AUTH__JWT_SECRET": "a test " * 10,
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
    return {
        # Airflow 2 starts tasks as `airflow`.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **{f"AIRFLOW__{name}": text for name, text in settings.items()},
    }
