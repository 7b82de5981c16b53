# SPDX-License-Identifier: Apache-2.0
"""The arguments of the operator that runs a Spark job: templates, wrong values, serialised DAGs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred
from operators.spark_tasks import Spark, request, run

from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import SparkBatchOperator

# Templates

_FIELDS: dict[str, tuple[Any, Any]] = {
    "file": ("obs://bucket/{{ params.x }}.py", "obs://bucket/7.py"),
    "class_name": ("org.{{ params.x }}", "org.7"),
    "args": (["{{ params.x }}"], ["7"]),
    "queue_name": ("q{{ params.x }}", "q7"),
    "packages": ({"packages": [{"name": "{{ params.x }}.py"}]}, {"packages": [{"name": "7.py"}]}),
    "spark_version": ("3.1.{{ params.x }}", "3.1.7"),
    "name": ("n{{ params.x }}", "n7"),
    "sc_type": ("{{ 'A' }}", "A"),
    "jars": (["obs://bucket/{{ params.x }}.jar"], ["obs://bucket/7.jar"]),
    "py_files": (["{{ params.x }}.zip"], ["7.zip"]),
    "files": (["{{ params.x }}.csv"], ["7.csv"]),
    "modules": (["m{{ params.x }}"], ["m7"]),
    "package_resources": (
        [{"name": "{{ params.x }}", "type": "jar"}],
        [{"name": "7", "type": "jar"}],
    ),
    "groups": ([{"name": "g{{ params.x }}"}], [{"name": "g7"}]),
    "conf": ({"spark.x": "{{ params.x }}"}, {"spark.x": "7"}),
    "tags": ({"x": "{{ params.x }}"}, {"x": "7"}),
    "driver_memory": ("{{ params.x }}G", "7G"),
    "driver_cores": ("{{ params.x }}", "7"),
    "executor_memory": ("{{ params.x }}G", "7G"),
    "executor_cores": ("{{ params.x }}", "7"),
    "num_executors": ("{{ params.x }}", "7"),
    "obs_bucket": ("b{{ params.x }}", "b7"),
    "auto_recovery": ("{{ true }}", "True"),
    "max_retry_times": ("{{ params.x }}", "7"),
    "feature": ("{{ 'ai' }}", "ai"),
    "image": ("i:{{ params.x }}", "i:7"),
    "catalog_name": ("c{{ params.x }}", "c7"),
    "execution_agency_urn": ("a{{ params.x }}", "a7"),
    "on_clear": ("{{ 'reattach' }}", "reattach"),
    "dli_conn_id": ("c{{ params.x }}", "c7"),
    "region": ("r{{ params.x }}", "r7"),
    "project_id": ("p{{ params.x }}", "p7"),
}


def test_every_template_is_rendered(spark: Spark) -> None:
    given = {name: value for name, (value, _) in _FIELDS.items()}
    before = copy.deepcopy(given)
    operator = spark(**given)

    operator.render_template_fields({"params": {"x": "7"}, "ti": None})

    assert set(operator.template_fields) == set(_FIELDS)
    rendered = {name: getattr(operator, name) for name in _FIELDS}
    assert rendered == {name: value for name, (_, value) in _FIELDS.items()}
    assert given == before


@pytest.mark.parametrize("native", [True, False])
def test_numbers_and_booleans_may_come_from_templates(
    hook: DliHook, emulator: Emulator, native: bool
) -> None:
    with DAG("daily", schedule=None, render_template_as_native_obj=native) as dag:
        operator = SparkBatchOperator(
            task_id="count",
            file="obs://bucket/count.py",
            queue_name="spark",
            spark_version="{{ params.version }}",
            name="{{ params.n }}",
            args=["{{ params.n }}"],
            driver_cores="{{ params.n }}",  # type: ignore[arg-type]
            executor_cores=" {{ params.n }} ",  # type: ignore[arg-type]
            num_executors="{{ params.n }}",  # type: ignore[arg-type]
            auto_recovery="{{ params.yes }}",  # type: ignore[arg-type]
            max_retry_times="{{ params.n }}",  # type: ignore[arg-type]
            conf={"spark.n": "{{ params.n }}", "spark.yes": "{{ params.yes }}"},
        )
    operator.hook = hook
    params = {"n": 2, "yes": True, "version": "3.3.1"}
    operator.render_template_fields({"params": params, "ti": None, "dag": dag})

    run(operator)

    body = request(emulator)
    numbers = ("driverCores", "executorCores", "numExecutors", "max_retry_times")
    assert {body[name] for name in numbers} == {2}
    assert body["auto_recovery"] is True
    assert body["args"] == ["2"]
    assert body["conf"]["spark.yes"].lower() == "true"


def test_auto_recovery_that_a_template_turns_off_is_off(spark: Spark, emulator: Emulator) -> None:
    """Text that is not empty would count as true."""
    with pytest.raises(TaskDeferred) as left:
        run(spark(auto_recovery="False", deferrable=True))

    trigger = left.value.trigger
    assert (trigger.auto_recovery, request(emulator)["auto_recovery"]) == (False, False)


# Wrong values

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"file": None}, "file is missing"),
    ({"file": ""}, "file is missing"),
    ({"file": "https://bucket.obs.eu-de.otc.t-systems.com/a.py"}, "jobs take files in OBS as obs"),
    (
        {"file": "obs://b/a.py"},
        "file is 'obs://b/a.py': .* the bucket has 3 to 63 lower-case letters",
    ),
    ({"file": "a.txt"}, r"file is 'a\.txt': a job runs a \.jar or a \.py file"),
    ({"file": "a.py"}, r"file is 'a\.py': Spark 3\.3\.1 takes files as obs:// paths only"),
    ({"file": "obs://bucket/a.jar"}, "class_name is missing: name the main class"),
    ({"queue_name": None}, "queue_name is missing"),
    ({"queue_name": " "}, "queue_name is missing"),
    ({"spark_version": None}, "spark_version is missing: name the engine"),
    ({"spark_version": "spark-3"}, "spark_version is 'spark-3'"),
    ({"spark_version": 3.3}, r"spark_version is 3\.3"),
    ({"args": "a b"}, "args is <class 'str'>: use a list"),
    ({"args": [None]}, r"args\[0\] is missing"),
    ({"args": [True]}, r"args\[0\] is <class 'bool'>"),
    ({"conf": "spark.x=y"}, "conf is <class 'str'>"),
    ({"conf": {"spark.x": None}}, r"conf\['spark\.x'\] is missing"),
    ({"tags": ["a"]}, "tags is "),
    ({"tags": {"a b": "c"}}, "tags key is 'a b'"),
    ({"jars": "obs://bucket/a.jar"}, "jars is 'obs://bucket/a.jar': use a list"),
    ({"py_files": ["/home/a.zip"]}, r"py_files is '/home/a\.zip'"),
    ({"files": [1]}, "files is 1"),
    ({"modules": "m"}, "modules is 'm'"),
    ({"groups": ["g"]}, r"groups is \['g'\]: Spark 3\.3\.1 takes files"),
    ({"package_resources": [{"name": "a"}], "spark_version": "3.1.1"}, "package_resources is "),
    ({"package_resources": [{"name": "a", "type": "file"}]}, "package_resources is "),
    ({"packages": "{'group': 'g'}"}, "packages is "),
    ({"packages": [{"packages": [{"name": None}]}]}, "packages is missing"),
    ({"sc_type": "D"}, "sc_type is 'D'"),
    ({"driver_memory": "2"}, "driver_memory is '2': use a whole number with its unit"),
    ({"executor_memory": 4}, "executor_memory is 4"),
    ({"driver_cores": "two"}, "driver_cores is 'two'"),
    ({"executor_cores": 0}, "executor_cores is 0"),
    ({"num_executors": 1.5}, r"num_executors is 1\.5"),
    ({"auto_recovery": "maybe"}, "auto_recovery is 'maybe'"),
    ({"max_retry_times": 5}, "max_retry_times is 5: it has no effect without auto_recovery"),
    ({"max_retry_times": 101, "auto_recovery": True}, "max_retry_times is 101"),
    ({"feature": "new"}, "feature is 'new'"),
    ({"feature": "custom"}, "image is missing"),
    ({"image": "a:b"}, "image is 'a:b': it has no effect without feature"),
    ({"on_clear": "ignore"}, "on_clear is 'ignore': use one of resubmit, reattach"),
    ({"on_timeout": "kill"}, "on_timeout is 'kill': use one of cancel, leave"),
    ({"on_kill": None}, "on_kill is missing"),
    ({"on_failure": True}, "on_failure is True"),
    ({"wait_for_completion": "no"}, "wait_for_completion is 'no'"),
    ({"deferrable": "no"}, "deferrable is 'no'"),
    ({"driver_log": 1}, "driver_log is 1"),
    ({"poll_interval": 0}, "poll_interval is 0"),
    ({"timeout": -1}, "timeout is -1"),
    ({"max_unknown_time": "5"}, "max_unknown_time is '5'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=str)
def test_what_is_wrong_fails_the_task_for_good_before_any_request(
    spark: Spark, emulator: Emulator, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        run(spark(retries=3, **arguments))

    assert emulator.requests == []


@pytest.mark.parametrize(
    ("extra", "message"),
    [({"region": "Eu 7"}, "region is 'Eu 7'"), ({"project_id": "p/7"}, "project_id is 'p/7'")],
)
def test_what_is_wrong_with_the_account_fails_the_task_for_good(
    connect: Callable[..., None], extra: dict[str, Any], message: str
) -> None:
    connect()
    operator = SparkBatchOperator(
        task_id="t", file="obs://bucket/a.py", queue_name="q", spark_version="3.3.1", **extra
    )

    with pytest.raises(AirflowFailException, match=message):
        run(operator)


def test_a_secret_argument_that_is_wrong_is_not_shown(spark: Spark) -> None:
    with pytest.raises(AirflowFailException) as caught:
        run(spark(conf={"spark.key": ["s3cr3t"]}, args=[{"key": "s3cr3t"}]))

    assert "s3cr3t" not in str(caught.value)


# In a DAG


def test_a_dag_with_the_operator_survives_the_database() -> None:
    with DAG("daily", schedule=None) as dag:
        SparkBatchOperator(
            task_id="count",
            file="obs://bucket/a.py",
            queue_name="spark",
            queue="workers",
            conf={"spark.x": "y"},
            spark_version="3.3.1",
        )
        SparkBatchOperator.partial(
            task_id="mapped", queue_name="spark", spark_version="3.3.1"
        ).expand(file=["obs://bucket/a.py", "obs://bucket/b.py"])

    read = through_database(dag)

    task = read.get_task("count")
    assert (task.queue, task.queue_name, task.conf) == ("workers", "spark", {"spark.x": "y"})
    assert {link.name for link in task.operator_extra_links} == {
        "DLI Spark job",
        "DLI package group",
        "Spark UI",
    }
    assert "MappedOperator" in type(read.get_task("mapped")).__name__


def through_database(dag: Any) -> Any:
    """Returns a DAG as the scheduler and the webserver read it."""
    from airflow.serialization import serialized_objects

    kind: Any = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
    return kind.from_dict(json.loads(json.dumps(kind.to_dict(dag))))
