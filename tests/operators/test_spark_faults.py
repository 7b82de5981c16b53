"""Whatever befalls a task once, there is one job, and the task ends as that does."""

from __future__ import annotations

from typing import Any

import pytest
from mishaps import KINDS, TRIGGERER, WORKER, XCOM, drawn
from operators.spark_tasks import Spark
from task_runs import context, first
from trials import ground, tried

from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError
from airflow_provider_dli.hooks.dli import DliHook

IN_WORKER = tuple(kind for kind in KINDS if kind != TRIGGERER)
SEED = "2026"


@pytest.mark.parametrize("kind", IN_WORKER)
def test_a_fault_leaves_one_job_when_the_task_waits_in_the_worker(kind: str) -> None:
    with ground("dli", is_deferred=False) as own:
        outcomes = [
            tried(own, f"{SEED}-{number}", lambda random: drawn(random, (kind,)))
            for number in range(5)
        ]

    assert [outcome for outcome in outcomes if not outcome.is_well] == []


@pytest.mark.parametrize("kind", [XCOM, WORKER, TRIGGERER])
def test_a_fault_leaves_one_job_when_the_task_is_deferred(kind: str) -> None:
    with ground("dli", is_deferred=True) as own:
        outcome = tried(own, SEED, lambda random: drawn(random, (kind,)))

    assert outcome.is_well, outcome


@pytest.mark.parametrize(("state", "outcome"), [("success", None), ("dead", SparkBatchFailedError)])
def test_an_outcome_that_is_known_stays_when_the_connection_cannot_be_read_any_more(
    spark: Spark, state: str, outcome: type[Exception] | None
) -> None:
    class Closed(DliHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            raise RuntimeError("closed")

    operator = spark(deferrable=True)
    operator.hook = Closed()
    batch = {"id": "b-1", "name": "n", "state": state, "raw_state": state, "queue": "q"}
    ended = {"status": "ended", "batch_id": "b-1", "is_new": True, "batch": batch}

    def go_on() -> dict[str, Any]:
        return operator.execute_complete(context(first(operator)), ended)

    if outcome is not None:
        with pytest.raises(outcome):
            go_on()
    else:
        result = go_on()
        assert (result["state"], result["project_id"], result["region"]) == (state, None, None)
