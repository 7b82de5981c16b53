# SPDX-License-Identifier: Apache-2.0
"""Whose job it is as Airflow tells it, and what a task keeps of the job for its next try."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from task_runs import BrokenStore, MuteRun, StateStore, TaskRun, cleared, context, first, retried

from airflow_provider_dli.api.jobs.names import Owner
from airflow_provider_dli.operators.job_guard import JobMemory, owner_of

LOG = logging.getLogger(__name__)


def task(**arguments: Any) -> BaseOperator:
    with DAG("daily", schedule=None):
        return BaseOperator(task_id="count", **arguments)


def owner(run: TaskRun, retries: int = 0, label: str | None = None) -> Owner:
    return owner_of(task(retries=retries), context(run), label)


def keeper(run: TaskRun, store: StateStore | None = None) -> JobMemory:
    return JobMemory(context(run, store), owner(run), LOG)


def test_the_owner_is_the_instance_that_runs() -> None:
    run = TaskRun("count", "daily", "r1", 4, try_number=2, max_tries=3)

    assert owner(run, retries=1) == Owner("daily-count", "daily", "count", "r1", 4, 2, 3, 1)


def test_without_an_instance_the_owner_is_the_task() -> None:
    assert owner_of(task(), {}, None) == Owner("daily-count", "daily", "count")


def test_a_label_of_its_own_takes_the_place_of_the_ids() -> None:
    assert owner(TaskRun(), label="words").label == "words"
    assert owner_of(task(), {}, "words").label == "words"


def test_an_instance_that_is_not_mapped_may_have_no_index() -> None:
    run = TaskRun()
    run.map_index = None  # type: ignore[assignment]

    assert owner(run).map_index == -1


def test_what_is_kept_is_there_for_the_next_try() -> None:
    run, store = TaskRun(max_tries=2), StateStore()

    keeper(run, store).keep("id-1", lambda _: None)

    assert keeper(retried(run), store).batch_id == "id-1"


def test_what_is_kept_does_not_count_after_a_clear() -> None:
    """On Airflow 3.3 a clear leaves the state as it is."""
    run, store = TaskRun(), StateStore()
    keeper(run, store).keep("id-1", lambda _: None)

    for after in (cleared(run), retried(cleared(run))):
        assert keeper(after, store).batch_id is None


def test_what_is_kept_does_not_count_after_a_clear_with_other_retries() -> None:
    """The generation is the same then: one retry less, one try more."""
    run, store = TaskRun(max_tries=1), StateStore()
    keeper(run, store).keep("id-1", lambda _: None)

    assert cleared(run).max_tries == run.max_tries
    assert keeper(cleared(run), store).batch_id is None


def test_what_is_forgotten_is_not_there_for_the_next_try() -> None:
    run, store = TaskRun(), StateStore()
    keeper(run, store).keep("id-1", lambda _: None)

    keeper(run, store).forget()

    assert keeper(retried(run), store).batch_id is None


def test_the_id_is_an_xcom_value_and_the_links_have_the_instance() -> None:
    run, seen = TaskRun(), list[Any]()

    keeper(run).keep("id-1", seen.append)

    assert run.xcoms == {"batch_id": "id-1"}
    assert seen == [run]


def test_before_airflow_3_3_nothing_is_kept_in_a_state() -> None:
    run = first(task())

    assert keeper(run).batch_id is None
    keeper(run).keep("id-1", lambda _: None)
    keeper(run).forget()


def test_without_an_instance_nothing_is_pushed() -> None:
    seen = list[Any]()

    JobMemory({}, owner(TaskRun()), LOG).keep("id-1", seen.append)

    assert seen == []


@pytest.mark.parametrize("kept", ["text", {}, {"name": "another", "batch_id": "1"}, None, 7])
def test_what_somebody_else_kept_there_does_not_count(kept: Any) -> None:
    store = StateStore({"dli_spark_batch": kept})

    assert keeper(retried(TaskRun()), store).batch_id is None


def test_a_state_store_that_is_out_of_order_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    run = retried(TaskRun())
    keeping = keeper(run, BrokenStore())

    assert keeping.batch_id is None
    keeping.keep("id-1", lambda _: None)
    keeping.forget()

    assert run.xcoms == {"batch_id": "id-1"}
    for what in ("read the task's state (RuntimeError: no get)", "no set", "no delete"):
        assert what in caplog.text
    assert f"found by its name, {owner(run).name}" in caplog.text


def test_a_value_that_cannot_be_pushed_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    run, seen = MuteRun(), list[Any]()

    keeper(run).keep("id-1", seen.append)

    assert seen == [run]
    assert "Airflow did not push an XCom value (RuntimeError: no push)" in caplog.text


def test_links_that_cannot_be_kept_fail_nothing(caplog: pytest.LogCaptureFixture) -> None:
    keeper(TaskRun()).keep("id-1", lambda ti: ti.nothing_of_this_name)

    assert "Airflow did not keep the links (AttributeError" in caplog.text
