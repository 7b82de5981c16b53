# SPDX-License-Identifier: Apache-2.0
"""Airflow shows the links that a task kept, however the task ends."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DAG_FILE = Path(__file__).parent / "dags" / "linked.py"
BUNDLE = {
    "name": "links",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": str(DAG_FILE.parent)},
}

# A whole Airflow runs here, and what it and its libraries warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

Ran = tuple[Any, dict[str, Any], str]


@pytest.fixture(scope="module")
def ran() -> Iterator[Ran]:
    """Run the DAG once; give it as the UI knows it, its task instances, and what was written."""
    from airflow.utils.db import initdb

    initdb()
    spec = importlib.util.spec_from_file_location("linked", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as environment:
        # Airflow 3 runs only what it finds in a bundle.
        environment.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([BUNDLE]))
        spec.loader.exec_module(module)
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            run = module.dag.test()
        tasks = {
            task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]": task
            for task in run.get_task_instances()
        }
        yield as_the_ui_knows_it(module.dag), tasks, written.getvalue()


def as_the_ui_knows_it(dag: Any) -> Any:
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialized
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    return Serialized.from_dict(json.loads(json.dumps(Serialized.to_dict(dag))))


def link(ran: Ran, task: str, name: str) -> str:
    dag, tasks, _ = ran
    operator = dag.get_task(task.partition("[")[0])
    return str(operator.get_extra_links(tasks[task], name) or "")


def test_the_tasks_end_as_they_should(ran: Ran) -> None:
    assert {name: str(task.state) for name, task in ran[1].items()} == {
        "well": "success",
        "badly": "failed",
        "deferred": "success",
        "without": "failed",
        "mapped[0]": "success",
        "mapped[1]": "success",
    }


@pytest.mark.parametrize(
    ("task", "job"),
    [("well", "a"), ("badly", "b"), ("deferred", "c"), ("mapped[0]", "d"), ("mapped[1]", "e")],
)
def test_links_are_shown_however_a_task_ends(ran: Ran, task: str, job: str) -> None:
    page = f"https://console.example/{job}"

    assert link(ran, task, "DLI Spark job") == page
    assert link(ran, task, "Spark UI") == f"{page}/ui"


@pytest.mark.parametrize("task", ["well", "badly", "deferred", "mapped[0]"])
def test_a_link_without_an_address_is_empty(ran: Ran, task: str) -> None:
    assert link(ran, task, "DLI package group") == ""


def test_a_task_that_kept_none_has_no_links(ran: Ran) -> None:
    for name in ("DLI Spark job", "DLI package group", "Spark UI"):
        assert link(ran, "without", name) == ""


def test_links_write_no_error_to_the_log(ran: Ran) -> None:
    written = ran[2]

    assert "no job is submitted" in written
    assert "XCom not found" not in written
    assert "extra link" not in written


def test_airflow_lists_the_links() -> None:
    airflow = Path(sys.executable).with_name("airflow")

    listed = subprocess.run(
        [str(airflow), "providers", "links", "--output", "plain"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    names = re.findall(r"airflow_provider_dli\.links\.spark\.(\w+)", listed)
    assert sorted(names) == ["PackageGroupLink", "SparkJobLink", "SparkUiLink"]
