"""Every way in which an argument may reach an operator: Jinja, XComArg, None, mapped."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_dli.operators.packages import (
    DeletePackageGroupOperator,
    UploadPackageGroupOperator,
)
from airflow_provider_dli.operators.spark import CancelSparkBatchOperator, SparkBatchOperator
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.sensors.spark import SparkBatchSensor

SHARED_CONF = {"spark.run": "{{ params.run }}", "spark.cores": "{{ params.cores }}"}
SHARED_TAGS = {"run": "{{ params.run }}"}

with DAG(
    dag_id="rendered",
    schedule=None,
    params={"run": "r1", "kind": "jar", "project": None, "cores": 2},
    render_template_as_native_obj=True,
) as dag:

    @task
    def files() -> list[str]:
        return ["obs://bucket/x/one.jar", "obs://bucket/x/two.jar"]

    @task
    def name() -> str:
        return "by-xcom"

    @task
    def file_name(stem: str) -> str:
        return f"{stem}.jar"

    found = files()
    names = file_name.expand(stem=["one", "two"])
    by_jinja = UploadPackageGroupOperator(
        task_id="by_jinja",
        paths=["obs://bucket/{{ params.run }}/a.jar"],
        group="by-jinja-{{ params.run }}",
        kind="{{ params.kind }}",
        tags=SHARED_TAGS,
        if_exists="{{ 'replace' }}",
        dli_conn_id="dli_{{ 'default' }}",
        region="{{ 'eu-' ~ 'de' }}",
        project_id="{{ params.project }}",
        is_async=False,
    )
    by_xcom = UploadPackageGroupOperator(
        task_id="by_xcom",
        paths=found,
        group=name(),
        kind="jar",
        tags=SHARED_TAGS,
        is_async=False,
    )
    without = UploadPackageGroupOperator(
        task_id="without",
        paths=found,
        group=None,
        kind="jar",
        tags=None,
        region=None,
        project_id=None,
        is_async=False,
    )
    mapped = UploadPackageGroupOperator.partial(
        task_id="mapped", paths=found, kind="jar", is_async=False, tags=SHARED_TAGS
    ).expand(group=["mapped-1", "mapped-2"])
    mapped_by_kwargs = UploadPackageGroupOperator.partial(
        task_id="mapped_by_kwargs", is_async=False, dli_conn_id="dli_default"
    ).expand_kwargs(
        [
            {"paths": ["obs://bucket/p.py"], "group": "kwargs-1", "kind": "pyFile"},
            {"paths": ["obs://bucket/{{ params.run }}.py"], "group": "kwargs-2", "kind": "pyFile"},
        ]
    )
    deferred = UploadPackageGroupOperator(
        task_id="deferred",
        paths=found,
        group="deferred-{{ params.run }}",
        kind="jar",
        poll_interval=0.1,
        deferrable=True,
    )
    sensed = PackageGroupSensor.partial(
        task_id="sensed", poke_interval=0.1, timeout=5, packages=None
    ).expand(group=["mapped-1", "by-jinja-r1"])
    sensed_names = [
        PackageGroupSensor(
            task_id=f"sensed_names_{how}",
            group="mapped-1",
            packages=names,
            poke_interval=0.1,
            timeout=5,
            mode="reschedule" if how == "reschedule" else "poke",
            deferrable=how == "deferred",
        )
        for how in ("poke", "reschedule", "deferred")
    ]
    deleted = DeletePackageGroupOperator.partial(task_id="deleted").expand(
        group=["mapped-1", "mapped-2"]
    )
    job_by_jinja = SparkBatchOperator(
        task_id="job_by_jinja",
        name="by-jinja-{{ params.run }}",
        file="obs://bucket/{{ params.run }}/a.jar",
        class_name="org.example.{{ params.run | upper }}",
        args=["{{ params.cores }}", "obs://bucket/{{ params.run }}", 7],
        queue_name="queue_{{ params.run }}",
        packages=None,
        conf=SHARED_CONF,
        tags=SHARED_TAGS,
        executor_cores="{{ params.cores }}",
        auto_recovery="{{ 1 == 1 }}",
        image="{{ params.project }}",
        spark_version="{{ '3.1.1' }}",
        on_clear="{{ 'reattach' }}",
        dli_conn_id="dli_{{ 'default' }}",
        region="{{ 'eu-' ~ 'de' }}",
        project_id="{{ params.project }}",
        poll_interval=0.1,
    )
    job_by_xcom = SparkBatchOperator(
        task_id="job_by_xcom",
        name=name(),
        file="obs://bucket/a.py",
        py_files=found,
        queue_name="queue",
        conf=SHARED_CONF,
        spark_version="3.1.1",
        poll_interval=0.1,
    )
    jobs = SparkBatchOperator.partial(
        task_id="jobs",
        file="obs://bucket/a.py",
        queue_name="queue",
        spark_version="3.1.1",
        conf=SHARED_CONF,
        wait_for_completion=False,
    ).expand(args=[["first"], ["{{ params.run }}"]])
    deferred_job = SparkBatchOperator(
        task_id="deferred_job",
        name="deferred-{{ params.run }}",
        file="obs://bucket/a.py",
        queue_name="queue",
        spark_version="3.1.1",
        poll_interval=0.1,
        deferrable=True,
    )
    sensed_job = SparkBatchSensor(
        task_id="sensed_job",
        batch_id="{{ ti.xcom_pull('job_by_jinja', key='batch_id') }}",
        poke_interval=0.1,
        timeout=5,
    )
    cancelled = CancelSparkBatchOperator(
        task_id="cancelled", batch_id=jobs.output.map(lambda job: job["batch_id"])
    )
    job_by_jinja >> sensed_job
    [by_jinja, by_xcom, without, mapped, mapped_by_kwargs, deferred] >> sensed
    for waiting in sensed_names:
        sensed >> waiting >> deleted
