"""Files that are staged and the jobs that run them: by group, by path, deferred and mapped."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dli.operators.spark import SparkBatchOperator
from airflow_provider_dli.operators.staging import StagePackagesOperator

JOB = {
    # What is staged and run is this very file: here any bytes will do.
    "file": "staged_jobs.py",
    "queue_name": "{{ params.queue }}",
    "driver_cores": "{{ params.cores }}",
    "execution_agency_urn": "agency",
    "poll_interval": 0.1,
}

with DAG(
    dag_id="staged_jobs", schedule=None, params={"bucket": "", "queue": "spark", "cores": 2}
) as dag:
    by_group = StagePackagesOperator(
        task_id="stage_by_group",
        sources=[__file__],
        bucket="{{ params.bucket }}",
        group="words",
        poll_interval=0.1,
    )
    by_path = StagePackagesOperator(
        task_id="stage_by_path",
        sources=[__file__],
        bucket="{{ params.bucket }}",
        target="obs",
    )
    one_by_one = StagePackagesOperator.partial(
        task_id="stage_one_by_one", bucket="{{ params.bucket }}", target="obs"
    ).expand(sources=[[__file__], ["rendered.py"]])
    SparkBatchOperator(
        task_id="run_by_group", packages=by_group.output, spark_version="3.1.1", **JOB
    )
    SparkBatchOperator(task_id="run_by_path", packages=by_path.output, spark_version="3.3.1", **JOB)
    SparkBatchOperator(
        task_id="run_deferred",
        packages=[by_path.output],
        spark_version="3.3.1",
        deferrable=True,
        **JOB,
    )
    SparkBatchOperator(
        task_id="run_of_several", packages=one_by_one.output, spark_version="3.3.1", **JOB
    )
    SparkBatchOperator.partial(
        task_id="run_mapped", packages=by_path.output, spark_version="3.3.1", **JOB
    ).expand(args=[["first"], ["second"]])
