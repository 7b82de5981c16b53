"""Run as a script: does with task instances what a user does in Airflow's UI, line by line.

Reads `[what, DAG id, run id, ...]` as JSON, one to a line of stdin, and answers "done" to each. One
process for all, since Airflow takes seconds to be imported.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from airflow import __version__
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType

IS_2 = __version__.startswith("2.")


def run(dag_id: str, run_id: str) -> None:
    """Trigger the DAG."""
    now = datetime.now(UTC)
    arguments: dict[str, Any] = {
        "run_id": run_id,
        "run_type": DagRunType.MANUAL,
        "state": DagRunState.QUEUED,
        "data_interval": (now, now),
    }
    with create_session() as session:
        if IS_2:
            arguments |= {"execution_date": now, "external_trigger": True}
        else:
            from airflow.utils.types import DagRunTriggeredByType

            triggered_by = DagRunTriggeredByType.TEST
            arguments |= {"logical_date": now, "run_after": now, "triggered_by": triggered_by}
        _dag(dag_id, session).create_dagrun(**arguments, session=session)


def mark(dag_id: str, run_id: str, state: str) -> None:
    """Mark its tasks as failed or as a success."""
    with create_session() as session:
        dag = _dag(dag_id, session)
        for task_id in dag.task_ids:
            dag.set_task_instance_state(
                task_id=task_id, run_id=run_id, state=TaskInstanceState(state), session=session
            )


def clear(dag_id: str, run_id: str) -> None:
    """Clear its tasks."""
    with create_session() as session:
        dag = _dag(dag_id, session)
        if IS_2:
            from airflow.models.dagrun import DagRun

            (found,) = DagRun.find(dag_id=dag_id, run_id=run_id, session=session)
            date = found.execution_date
            dag.clear(start_date=date, end_date=date, session=session)
        else:
            dag.clear(run_id=run_id, session=session)


def _dag(dag_id: str, session: Any) -> Any:
    if IS_2:
        from airflow.models.dagbag import DagBag

        return DagBag(read_dags_from_db=True).get_dag(dag_id)
    from airflow.models.dagbag import DBDagBag

    return DBDagBag().get_latest_version_of_dag(dag_id, session=session)


ACTS = {"run": run, "mark": mark, "clear": clear}

if __name__ == "__main__":
    # What Airflow logs goes elsewhere: here is room for answers only.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        ACTS[what](*arguments)
        print("done", file=answers, flush=True)
