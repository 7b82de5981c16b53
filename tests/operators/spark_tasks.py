# SPDX-License-Identifier: Apache-2.0
"""A Spark task as the tests run it, and what it sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from task_runs import context, first

from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.operators.spark import SparkBatchOperator

Spark = Callable[..., SparkBatchOperator]
"""Makes the operator with what every job needs; see the fixture `spark`."""


def request(emulator: Emulator) -> dict[str, Any]:
    """Returns the body of the one submission."""
    (body,) = [record.body for record in emulator.requests if record.method == "POST"]
    return dict(body)


def run(operator: SparkBatchOperator, **changes: Any) -> dict[str, Any]:
    """Execute the first try of a task."""
    ti = first(operator)
    for name, value in changes.items():
        setattr(ti, name, value)
    return operator.execute(context(ti))
