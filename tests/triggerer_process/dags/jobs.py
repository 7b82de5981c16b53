"""Spark jobs: a DAG for each way in which a job is followed and given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dli.operators.spark import SparkBatchOperator

DAGS: dict[str, dict[str, Any]] = {
    "deferred": {"deferrable": True},
    "deferred-left": {"deferrable": True, "on_kill": "leave"},
    "polled": {},
    "polled-left": {"on_kill": "leave"},
}

for dag_id, arguments in DAGS.items():
    with DAG(dag_id, schedule=None):
        SparkBatchOperator(
            task_id="run",
            file="obs://bucket/main.py",
            queue_name="spark",
            spark_version="3.3.1",
            execution_agency_urn="dli_spark",
            name=dag_id,
            poll_interval=1.0,
            retries=1,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )
