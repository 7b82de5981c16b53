# SPDX-License-Identifier: Apache-2.0
"""The operator that cancels Spark jobs, against the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fake_clock import FakeClock

from airflow_provider_dli.api.protocol.errors import (
    PermissionDeniedError,
    SparkBatchError,
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


@pytest.mark.parametrize("batch_id", [[], None, "", " ", "None", "null", "[]", [None], ["", None]])
def test_no_job_is_nothing_to_do(cancel: Cancel, emulator: Emulator, batch_id: Any) -> None:
    """So it is after a task that failed before it submitted: the template finds no XCom value."""
    assert cancel(batch_id) == []
    assert emulator.requests == []


def test_ids_that_are_none_are_left_out_of_a_list(cancel: Cancel, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")

    assert cancel([None, batch_id]) == [{"batch_id": batch_id, "state": "dead"}]


class Lazy(Sequence[str]):
    """What Airflow gives in place of the results of mapped tasks."""

    def __init__(self, items: list[str]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


def test_the_ids_may_be_a_lazy_sequence(cancel: Cancel, emulator: Emulator) -> None:
    ids = [emulator.add_batch({}, "running") for _ in range(2)]

    assert [one["batch_id"] for one in cancel(Lazy(ids))] == ids


def test_a_job_that_goes_on_fails_the_task(
    cancel: Cancel, emulator: Emulator, clock: FakeClock
) -> None:
    batch_id = emulator.add_batch({}, "running")
    # DLI takes the cancel and does nothing.
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    with pytest.raises(SparkBatchTimeoutError, match=f"after 30 seconds: {batch_id}") as caught:
        cancel(batch_id, timeout=30)

    assert caught.value.batch_id == batch_id
    assert sum(clock.slept) <= 30


def test_the_other_jobs_are_cancelled_when_one_goes_on(cancel: Cancel, emulator: Emulator) -> None:
    ids = [emulator.add_batch({}, "running") for _ in range(2)]
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    with pytest.raises(SparkBatchTimeoutError):
        cancel(ids)
    assert emulator.batches()[ids[1]]["state"] == "dead"


def test_all_are_asked_before_the_first_look(cancel: Cancel, emulator: Emulator) -> None:
    cancel([emulator.add_batch({}, "running") for _ in range(2)])

    assert [record.method for record in emulator.requests] == ["DELETE", "DELETE", "GET", "GET"]


def test_the_jobs_have_one_time_limit_together(
    cancel: Cancel, emulator: Emulator, clock: FakeClock
) -> None:
    ids = [emulator.add_batch({}, "running") for _ in range(3)]
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE", times=None))

    with pytest.raises(SparkBatchTimeoutError) as caught:
        cancel(ids, timeout=30)

    assert all(batch_id in str(caught.value) for batch_id in ids)
    assert sum(clock.slept) <= 30


@pytest.mark.parametrize("fault", ["forbidden", "unavailable"])
def test_a_cancel_that_fails_keeps_nobody_from_the_others(
    cancel: Cancel, emulator: Emulator, fault: str
) -> None:
    first, second, third = (emulator.add_batch({}, "running") for _ in range(3))
    emulator.add_fault(Fault(fault, method="DELETE", path=f"/batches/{first}", times=None))

    with pytest.raises(SparkBatchError, match="1 of 3 Spark jobs may still be running") as caught:
        cancel([first, second, third])

    assert f"Spark job {first} may still be running: DELETE" in str(caught.value)
    assert [emulator.batches()[one]["state"] for one in (second, third)] == ["dead", "dead"]


def test_a_job_that_goes_on_is_named_beside_one_that_cannot_be_cancelled(
    cancel: Cancel, emulator: Emulator
) -> None:
    first, second = (emulator.add_batch({}, "running") for _ in range(2))
    emulator.add_fault(Fault("forbidden", method="DELETE", path=f"/batches/{first}"))
    emulator.add_fault(Fault(status=200, body={"msg": "deleted"}, method="DELETE"))

    with pytest.raises(SparkBatchError) as caught:
        cancel([first, second], timeout=5)

    assert f"still running after 5 seconds: {second}" in str(caught.value)
    assert first in str(caught.value)


def test_a_missing_right_fails_the_task(cancel: Cancel, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")
    emulator.add_fault(Fault("forbidden", method="DELETE"))

    with pytest.raises(PermissionDeniedError):
        cancel(batch_id)


@pytest.mark.parametrize(
    ("batch_id", "arguments", "message"),
    [
        ({"batch_id": ABSENT}, {}, "give the id of a job, or a list"),
        (b"id", {}, "give the id of a job, or a list"),
        ([ABSENT, 5], {}, "batch_id is 5"),
        (ABSENT, {"timeout": 0}, "timeout is 0"),
    ],
)
def test_what_is_wrong_is_refused_before_any_request(
    cancel: Cancel, emulator: Emulator, batch_id: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
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
