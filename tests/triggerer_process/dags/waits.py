"""A DAG whose only task has as many instances as a test defers; nothing here is ever executed."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, BaseOperator

with DAG("waits", schedule=None):
    BaseOperator(task_id="wait")
