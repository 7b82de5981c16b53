"""The example DAG as it is: staged from the disk, run on a real Spark, read from the store."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from airflow_provider_dli.emulator import Emulator

EXAMPLES = Path(__file__).parents[2] / "example_dags"

# A whole Airflow runs here, and what it and its libraries warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]


@pytest.fixture
def example() -> ModuleType:
    path = EXAMPLES / "run_spark_job.py"
    spec = importlib.util.spec_from_file_location("run_spark_job", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def counted(text: str) -> dict[str, int]:
    stop_words = set((EXAMPLES / "spark_app" / "stop_words.txt").read_text().split())
    words = re.findall(r"[a-z]+", text.lower())
    return dict(Counter(word for word in words if word not in stop_words))


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("target", "version", "deferrable"), [("obs", "3.3.1", False), ("group", "3.1.1", True)]
)
def test_the_example_counts_the_words_of_its_text(
    emulator: Emulator, example: Any, bucket: str, target: str, version: str, deferrable: bool
) -> None:
    for task in example.dag.tasks:
        if hasattr(task, "deferrable"):
            task.deferrable = deferrable
            task.poll_interval = 0.5

    run = example.dag.test(run_conf={"bucket": bucket, "target": target, "spark_version": version})

    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    assert result(run, "read_counts") == counted(example.TEXT)
    assert [job["state"] for job in emulator.batches().values()] == ["success"]


def result(run: Any, task_id: str) -> Any:
    """Returns what a task returned."""
    value = run.get_task_instance(task_id).xcom_pull(task_ids=task_id)
    return json.loads(value) if isinstance(value, str) else value
