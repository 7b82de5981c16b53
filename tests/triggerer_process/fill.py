"""Run as a script: migrate the database of an Airflow, read its DAG files, defer task instances.

Reads `[[class path, kwargs], ...]` from stdin, one for each task instance to be deferred, and gives
each its own row in the table of triggers, as a worker would. Airflow offers no command for this.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from airflow import __version__
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType

DAG_ID, TASK_ID = "waits", "wait"
IS_2 = __version__.startswith("2.")


def migrate() -> None:
    from airflow.utils.db import initdb

    initdb()


def read_dags() -> None:
    """Do what `airflow dags reserialize` does, without its start."""
    if IS_2:
        from airflow.models.dagbag import DagBag

        bag = DagBag(include_examples=False)
        bag.sync_to_db()
        assert not bag.import_errors, bag.import_errors
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    with create_session() as session:
        manager.sync_bundles_to_db(session=session)
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        # The watcher of an asset counts from the second reading on, when its DAG is known.
        for _ in range(2):
            bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
            assert not bag.import_errors, bag.import_errors
            with create_session() as session:
                sync_bag_to_db(bag, bundle.name, bundle_version=None, session=session)


def defer(waits: list[tuple[str, dict[str, Any]]]) -> None:
    with create_session() as session:
        # The names of the runs sort in the order in which they were made.
        runs = session.query(DagRun).filter(DagRun.dag_id == DAG_ID).count()
        first = _first_instance(session, f"manual__{runs:03}")
        for number, (class_path, kwargs) in enumerate(waits):
            instance = first if number == 0 else _another(first, number)
            instance.map_index = number
            trigger = Trigger(class_path, kwargs)
            session.add(trigger)
            session.flush()
            instance.state = TaskInstanceState.DEFERRED
            instance.trigger_id = trigger.id
            instance.next_method = "execute_complete"
            instance.next_kwargs = {}
            instance.try_number = 1
            instance.start_date = datetime.now(UTC)
            session.add(instance)
            if "batch_id" in kwargs:
                _push(instance, kwargs["batch_id"], session)


def _first_instance(session: Any, run_id: str) -> TaskInstance:
    now = datetime.now(UTC)
    arguments: dict[str, Any] = {
        "run_id": run_id,
        "run_type": DagRunType.MANUAL,
        "state": DagRunState.RUNNING,
        "start_date": now,
        "session": session,
    }
    if IS_2:
        from airflow.models.dagbag import DagBag

        dag = DagBag(read_dags_from_db=True).get_dag(DAG_ID)
        arguments |= {"execution_date": now, "data_interval": (now, now)}
    else:
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.types import DagRunTriggeredByType

        dag = DBDagBag().get_latest_version_of_dag(DAG_ID, session=session)
        arguments |= {
            "logical_date": now,
            "data_interval": (now, now),
            "run_after": now,
            "triggered_by": DagRunTriggeredByType.TEST,
        }
    (instance,) = dag.create_dagrun(**arguments).get_task_instances(session=session)
    instance.task = dag.get_task(TASK_ID)
    return instance


def _another(first: TaskInstance, number: int) -> TaskInstance:
    version = {} if IS_2 else {"dag_version_id": first.dag_version_id}
    return TaskInstance(first.task, run_id=first.run_id, map_index=number, **version)


def _push(instance: TaskInstance, batch_id: str, session: Any) -> None:
    """Have the XCom value that a task pushes when it has submitted its Spark job."""
    if IS_2:
        from airflow.models.xcom import XCom as Model

        how = {}
    else:
        from airflow.models.xcom import XComModel as Model

        how = {"serialize": False}  # the task does that
    session.flush()
    Model.set(
        "batch_id",
        batch_id,
        dag_id=instance.dag_id,
        task_id=instance.task_id,
        run_id=instance.run_id,
        map_index=instance.map_index,
        session=session,
        **how,
    )


if __name__ == "__main__":
    waits = json.load(sys.stdin)
    if not waits:
        migrate()
        read_dags()
    else:
        defer(waits)
