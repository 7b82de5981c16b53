# SPDX-License-Identifier: Apache-2.0
"""The operator that cancels Spark jobs, against the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.errors import (
    InputError,
    PermissionDeniedError,
    SparkBatchTimeoutError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import CancelSparkBatchOperator

ABSENT = "0a324461-d9d9-45da-a52a-3b3c7a3d809e"

Cancel = Callable[..., list[dict[str, str | None]]]


@pytest.fixture
def cancel(hook: DliHook) -> Cancel:
    """Execute the operator on the test's hook."""

    def execute(batch_id: Any, **arguments: Any) -> list[dict[str, str | None]]:
        operator = CancelSparkBatchOperator(task_id="stop", batch_id=batch_id, **arguments)
        operator.hook = hook
        return operator.execute({})

    return execute


def cancels(emulator: Emulator) -> int:
    return sum(record.method == "DELETE" for record in emulator.requests)


def test_a_job_that_runs_is_cancelled(cancel: Cancel, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")

    assert cancel(batch_id) == [{"batch_id": batch_id, "state": "dead"}]
    assert emulator.batches()[batch_id]["state"] == "dead"


def test_several_jobs_are_cancelled(cancel: Cancel, emulator: Emulator) -> None:
    ids = [emulator.add_batch({}, state) for state in ("running", "starting")]

    result = cancel(ids)

    assert [(one["batch_id"], one["state"]) for one in result] == [(one, "dead") for one in ids]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("state", ["success", "dead"])
def test_a_job_that_ended_counts_as_done(cancel: Cancel, emulator: Emulator, state: str) -> None:
    batch_id = emulator.add_batch({}, state)

    assert cancel(batch_id) == [{"batch_id": batch_id, "state": state}]


def test_a_job_that_is_absent_counts_as_done(cancel: Cancel) -> None:
    assert cancel(ABSENT) == [{"batch_id": ABSENT, "state": None}]


def test_no_job_is_nothing_to_do(cancel: Cancel, emulator: Emulator) -> None:
    assert cancel([]) == []
    assert emulator.requests == []


def test_a_job_that_goes_on_fails_the_task(
    cancel: Cancel, emulator: Emulator, clock: FakeClock
) -> None:
    batch_id = emulator.add_batch({}, "running")
    # DLI takes the cancel and does nothing.
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    with pytest.raises(SparkBatchTimeoutError, match=f"after 30 seconds .*: {batch_id}") as caught:
        cancel(batch_id, timeout=30)

    assert caught.value.batch_id == batch_id
    assert sum(clock.slept) <= 30


def test_the_other_jobs_are_cancelled_when_one_goes_on(cancel: Cancel, emulator: Emulator) -> None:
    ids = [emulator.add_batch({}, "running") for _ in range(2)]
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    with pytest.raises(SparkBatchTimeoutError):
        cancel(ids)
    assert emulator.batches()[ids[1]]["state"] == "dead"


def test_a_missing_right_fails_the_task(cancel: Cancel, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault("forbidden", method="DELETE"))

    with pytest.raises(PermissionDeniedError):
        cancel(batch_id)


@pytest.mark.parametrize(
    ("batch_id", "arguments", "message"),
    [
        (None, {}, "batch_id is missing: give the id of a job, or a list"),
        ({"batch_id": ABSENT}, {}, "give the id of a job, or a list"),
        ("", {}, "batch_id is ''"),
        ([ABSENT, None], {}, "batch_id is missing"),
        (ABSENT, {"timeout": 0}, "timeout is 0"),
    ],
)
def test_what_is_wrong_is_refused_before_any_request(
    cancel: Cancel, emulator: Emulator, batch_id: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cancel(batch_id, **arguments)

    assert cancels(emulator) == 0


def test_templates_are_rendered() -> None:
    operator = CancelSparkBatchOperator(
        task_id="stop",
        batch_id=["{{ params.x }}"],
        dli_conn_id="c{{ params.x }}",
        region="r{{ params.x }}",
        project_id="p{{ params.x }}",
    )

    operator.render_template_fields({"params": {"x": "7"}, "ti": None})

    rendered = {name: getattr(operator, name) for name in operator.template_fields}
    assert rendered == {
        "batch_id": ["7"],
        "dli_conn_id": "c7",
        "region": "r7",
        "project_id": "p7",
    }
