"""A run of this DAG uses the connection that the test made in the form."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_dli.operators.packages import UploadPackageGroupOperator

with DAG("by_hand", schedule=None):
    UploadPackageGroupOperator(
        task_id="stage",
        paths=["obs://bucket/jars/word-stats.jar"],
        group="by-hand",
        kind="jar",
        dli_conn_id="dli_by_hand",
        wait_for_completion=True,
        poll_interval=1,
    )
