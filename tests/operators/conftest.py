# SPDX-License-Identifier: Apache-2.0
"""What the tests of Spark tasks share."""

from __future__ import annotations

from typing import Any

import pytest
from operators.spark_tasks import Spark

from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import SparkBatchOperator


@pytest.fixture
def spark(hook: DliHook) -> Spark:
    """Makes the operator on the test's hook."""

    def make(**arguments: Any) -> SparkBatchOperator:
        defaults = {"task_id": "count", "file": "obs://bucket/count.py", "queue_name": "spark"}
        engine = {"spark_version": "3.3.1", "execution_agency_urn": "agency"}
        operator = SparkBatchOperator(**defaults | engine | arguments)
        operator.hook = hook
        return operator

    return make
