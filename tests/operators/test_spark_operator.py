# SPDX-License-Identifier: Apache-2.0
"""The operator that runs a Spark job, against the emulator: what it sends, refuses and gives."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred
from fake_clock import FakeClock
from operators.spark_tasks import Spark, request, run
from task_runs import TaskRun, context, first

from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import SparkBatchOperator

PACKAGES = {
    "group": "words",
    "packages": [
        {"name": "count.py", "path": "obs://bucket/spark/count.py", "state": "READY"},
        {"name": "tools.zip", "path": "obs://bucket/spark/tools.zip", "state": "READY"},
    ],
}


# What comes back


def test_the_result_names_job_queue_project_and_region(spark: Spark, emulator: Emulator) -> None:
    result = run(spark())

    (batch_id,) = emulator.batches()
    assert result == {
        "batch_id": batch_id,
        "name": request(emulator)["name"],
        "state": "success",
        "queue": "spark",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
    }
    assert json.loads(json.dumps(result)) == result


def test_the_id_is_an_xcom_value_from_the_submission_on(spark: Spark, emulator: Emulator) -> None:
    emulator.set_batch_timeline("*", [(0, "dead")])
    operator = spark()
    ti = first(operator)

    with pytest.raises(SparkBatchFailedError):
        operator.execute(context(ti))

    assert [ti.xcoms["batch_id"]] == list(emulator.batches())


def test_a_task_that_does_not_wait_ends_after_the_submission(
    spark: Spark, emulator: Emulator, clock: FakeClock
) -> None:
    result = run(spark(wait_for_completion=False))

    assert result["state"] == "starting"
    assert [record.method for record in emulator.requests] == ["GET", "POST"]
    assert clock.slept == []


def test_a_task_without_an_instance_runs_too(spark: Spark, emulator: Emulator) -> None:
    """As in a script, or in somebody's test."""
    assert spark().execute({})["state"] == "success"
    assert request(emulator)["name"].startswith("adhoc_airflow-count-")


def test_a_task_without_an_instance_runs_anew_each_time(spark: Spark, emulator: Emulator) -> None:
    spark().execute({})
    spark().execute({})

    assert list(emulator.submissions.values()) == [2]


# What is sent


def test_a_job_that_needs_little_sends_little(spark: Spark, emulator: Emulator) -> None:
    run(spark())

    body = request(emulator)
    assert {key: body[key] for key in body if key not in {"name", "conf"}} == {
        "file": "obs://bucket/count.py",
        "className": "",
        "queue": "spark",
        "spark_version": "3.3.1",
        "execution_agency_urn": "agency",
    }


def test_every_field_of_a_job_is_sent(spark: Spark, emulator: Emulator) -> None:
    emulator.put_group("words", {"words.jar": "READY", "w.csv": "READY"})
    run(
        spark(
            file="words/words.jar",
            class_name="org.example.Words",
            args=["a", 1],
            sc_type="B",
            jars=["obs://bucket/a.jar"],
            py_files=["obs://bucket/a.zip"],
            files=["obs://bucket/a.csv"],
            modules=["sys.datasource.hbase"],
            package_resources=[{"name": "words/w.csv", "type": "file"}],
            groups=["words"],
            conf={"spark.x": 1},
            tags={"team": "a"},
            driver_memory="2G",
            driver_cores=2,
            executor_memory="4G",
            executor_cores=4,
            num_executors=3,
            obs_bucket="logs",
            auto_recovery=True,
            max_retry_times=5,
            feature="custom",
            spark_version="2.4.5",
            image="org/image:1",
            catalog_name="dli",
            execution_agency_urn="agency",
        )
    )

    body = request(emulator)
    assert {"spark.x": "1", "spark.airflow.tag.team": "a"}.items() <= body.pop("conf").items()
    assert body.pop("name")
    assert body == {
        "file": "words/words.jar",
        "className": "org.example.Words",
        "args": ["a", "1"],
        "queue": "spark",
        "sc_type": "B",
        "jars": ["obs://bucket/a.jar"],
        "pyFiles": ["obs://bucket/a.zip"],
        "files": ["obs://bucket/a.csv"],
        "modules": ["sys.datasource.hbase"],
        "resources": [{"name": "words/w.csv", "type": "file"}],
        "groups": [{"name": "words"}],
        "driverMemory": "2G",
        "driverCores": 2,
        "executorMemory": "4G",
        "executorCores": 4,
        "numExecutors": 3,
        "obs_bucket": "logs",
        "auto_recovery": True,
        "max_retry_times": 5,
        "feature": "custom",
        "spark_version": "2.4.5",
        "image": "org/image:1",
        "catalog_name": "dli",
        "execution_agency_urn": "agency",
    }


def test_a_job_tells_whose_it_is(spark: Spark, emulator: Emulator) -> None:
    run(spark(retries=2), dag_id="daily", run_id="r1", map_index=3)

    assert request(emulator)["conf"] == {
        "spark.airflow.dag_id": "daily",
        "spark.airflow.task_id": "count",
        "spark.airflow.run_id": "r1",
        "spark.airflow.map_index": "3",
        "spark.airflow.try_number": "1",
        "spark.airflow.generation": "2",
    }


def test_the_settings_of_a_task_stay_as_they_were_given(spark: Spark) -> None:
    conf = {"spark.x": "y"}

    run(spark(conf=conf))

    assert conf == {"spark.x": "y"}


def test_airflow_s_own_queue_is_not_that_of_the_job(spark: Spark, emulator: Emulator) -> None:
    operator = spark(queue="workers")

    run(operator)

    assert operator.queue == "workers"
    assert request(emulator)["queue"] == "spark"


def test_default_arguments_of_a_dag_reach_airflow_s_queue_only(
    hook: DliHook, emulator: Emulator
) -> None:
    with DAG("daily", schedule=None, default_args={"queue": "workers", "queue_name": "etl"}):
        operator = SparkBatchOperator(
            task_id="count", file="obs://bucket/count.py", spark_version="3.3.1"
        )
    operator.hook = hook

    run(operator)

    assert (operator.queue, request(emulator)["queue"]) == ("workers", "etl")


def test_staged_packages_go_by_path_where_the_engine_takes_no_groups(
    spark: Spark, emulator: Emulator
) -> None:
    run(spark(file="count.py", packages=PACKAGES))

    body = request(emulator)
    assert body["file"] == "obs://bucket/spark/count.py"
    assert body["pyFiles"] == ["obs://bucket/spark/tools.zip"]
    assert "groups" not in body


def test_staged_packages_go_by_group_where_the_engine_takes_them(
    spark: Spark, emulator: Emulator
) -> None:
    emulator.put_group("words", {"count.py": "READY", "tools.zip": "READY"})

    run(spark(file="count.py", packages=PACKAGES, spark_version="3.1.1"))

    body = request(emulator)
    assert body["file"] == "words/count.py"
    assert body["groups"] == [
        {"name": "words", "resources": [{"name": "tools.zip", "type": "pyFile"}]}
    ]


# Names


def test_a_job_is_called_by_dag_and_task(spark: Spark, emulator: Emulator) -> None:
    run(spark(), dag_id="daily")

    assert request(emulator)["name"].startswith("daily-count-")


@pytest.mark.parametrize(("name", "begins"), [("words", "words-"), (7, "7-"), ("", "dag-count-")])
def test_a_job_may_be_called_otherwise(
    spark: Spark, emulator: Emulator, name: Any, begins: str
) -> None:
    run(spark(name=name))

    assert request(emulator)["name"].startswith(begins)


@pytest.mark.parametrize("ids", ["with blanks and / signs?", "日次集計", "x" * 250])
def test_a_job_of_odd_ids_has_a_name_that_the_service_takes(
    spark: Spark, emulator: Emulator, ids: str
) -> None:
    ti = TaskRun(dag_id=ids, task_id=ids, run_id=ids)

    assert spark().execute(context(ti))["state"] == "success"
    assert len(request(emulator)["name"]) <= 128


def test_mapped_tasks_have_jobs_of_their_own(spark: Spark, emulator: Emulator) -> None:
    done = [run(spark(wait_for_completion=False), map_index=index) for index in range(3)]

    assert len({one["batch_id"] for one in done}) == 3
    assert list(emulator.submissions.values()) == [1, 1, 1]


def test_the_same_run_of_another_dag_has_a_job_of_its_own(spark: Spark, emulator: Emulator) -> None:
    for dag_id in ("daily", "weekly"):
        run(spark(wait_for_completion=False, name="words"), dag_id=dag_id)

    assert list(emulator.submissions.values()) == [1, 1]


def test_another_airflow_has_jobs_of_its_own_under_another_name(
    spark: Spark, emulator: Emulator
) -> None:
    for name in ("staging", "production"):
        run(spark(wait_for_completion=False, name=name))

    assert list(emulator.submissions.values()) == [1, 1]


BLANK = ["name", "packages", "jars", "args", "class_name", "execution_agency_urn", "driver_memory"]


@pytest.mark.parametrize("field", BLANK)
def test_a_blank_field_is_none_that_was_given(spark: Spark, emulator: Emulator, field: str) -> None:
    spark(**{field: None}).execute({})
    spark(**{field: " "}).execute({})

    plain, blank = [record.body for record in emulator.requests if record.method == "POST"]
    assert blank == plain


def test_a_name_for_which_a_template_rendered_nothing_is_refused(
    spark: Spark, emulator: Emulator
) -> None:
    with pytest.raises(AirflowFailException, match="name is 'None': a template rendered nothing"):
        spark(name="None").execute({})

    assert emulator.requests == []


# The limits of a wait in the triggerer


def left_after_a_long_submission(spark: Spark, emulator: Emulator, **limits: Any) -> Any:
    """Defer a task whose submission DLI takes only after some time; give its trigger."""
    emulator.add_fault(Fault("throttled", method="POST", retry_after="20", times=1))
    with pytest.raises(TaskDeferred) as left:
        run(spark(deferrable=True, **limits))
    return left.value.trigger


def test_the_execution_timeout_counts_from_the_beginning_of_the_try(
    spark: Spark, emulator: Emulator, clock: FakeClock
) -> None:
    began = clock.now()

    trigger = left_after_a_long_submission(
        spark, emulator, execution_timeout=timedelta(seconds=300), timeout=600
    )

    assert clock.now() >= began + 20
    assert (trigger.deadline, trigger.limit) == (began + 300, "execution_timeout")
    assert trigger.started == began


def test_the_timeout_counts_from_the_end_of_the_submission(
    spark: Spark, emulator: Emulator, clock: FakeClock
) -> None:
    began = clock.now()

    trigger = left_after_a_long_submission(spark, emulator, timeout=600)

    assert clock.now() >= began + 20
    assert (trigger.deadline, trigger.limit) == (clock.now() + 600, "timeout")
