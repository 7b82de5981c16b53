# SPDX-License-Identifier: Apache-2.0
"""Which task instance submitted a Spark job, and its state in Airflow's database."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_dli.api.jobs.names import CONF
from airflow_provider_dli.api.protocol.errors import DliError

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch

# Four parameters each, and SQLite may allow no more than 999 in a statement.
_PER_STATEMENT = 200


class TaskKey(NamedTuple):
    """What identifies a task instance in Airflow's database."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} {self.run_id}"


@dataclass(frozen=True, slots=True)
class Submitter:
    """The task instance that submitted a job, from the job's own `conf`.

    `generation` is the `max_tries` that the instance had then: a clear changes it, a retry does
    not. It is empty for a job that belongs to every generation.
    """

    key: TaskKey
    generation: str

    @classmethod
    def of(cls, batch: SparkBatch) -> Submitter | None:
        """Returns the submitter; `None` for a job that no task of this package submitted."""
        conf = (batch.request or {}).get("conf")
        fields: dict[str, Any] = conf if isinstance(conf, dict) else {}
        dag_id, task_id, run_id, map_index, generation = (
            str(fields.get(f"{CONF}{name}", "")).strip()
            for name in ("dag_id", "task_id", "run_id", "map_index", "generation")
        )
        if not (dag_id and task_id and run_id):
            return None
        try:
            return cls(TaskKey(dag_id, task_id, run_id, int(map_index or -1)), generation)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class TaskState:
    """The state of a task instance, which is `None` before it is scheduled."""

    state: str | None
    generation: str
    is_finished: bool


def read_task_states(keys: Iterable[TaskKey]) -> dict[TaskKey, TaskState]:
    """Returns the states of task instances, without those that Airflow does not have.

    Raises `DliError` if Airflow's database cannot be read.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import select, tuple_
    from sqlalchemy.exc import SQLAlchemyError

    columns = (
        TaskInstance.dag_id,
        TaskInstance.task_id,
        TaskInstance.run_id,
        TaskInstance.map_index,
    )
    query = select(*columns, TaskInstance.state, TaskInstance.max_tries)
    rest, found = iter(sorted(set(keys))), {}
    try:
        with create_session() as session:
            while some := list(itertools.islice(rest, _PER_STATEMENT)):
                for row in session.execute(query.where(tuple_(*columns).in_(some))):
                    key = TaskKey(row.dag_id, row.task_id, row.run_id, row.map_index)
                    is_finished = row.state in State.finished
                    found[key] = TaskState(row.state, str(row.max_tries), is_finished)
    except SQLAlchemyError as error:
        raise DliError(
            f"Airflow's database cannot be read ({type(error).__name__} of {_database()}), and it "
            "is needed to see which tasks still wait for their jobs. Run this where Airflow's "
            "scheduler runs, with the same AIRFLOW_HOME and configuration; `airflow db check` "
            "checks the same database."
        ) from error
    return found


def _database() -> str:
    from airflow.configuration import conf
    from sqlalchemy.engine import make_url

    url = make_url(conf.get_mandatory_value("database", "sql_alchemy_conn"))
    # Without user and query, which may contain secrets.
    return f"{url.get_backend_name()} at {url.host or ''}/{(url.database or '').lstrip('/')}"
