# SPDX-License-Identifier: Apache-2.0
"""What operators and sensors share: where a task did its work, and the limits of its wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.base import GRACE, DliTask, TimeLimits

NOW = 1_800_000_000.0


def task_on(hook: DliHook) -> DliTask:
    task = DliTask(task_id="task", dli_conn_id="dli_default", region=None, project_id=None)
    task.hook = hook
    return task


def test_project_and_region_are_looked_up(hook: DliHook, emulator: Emulator) -> None:
    where = task_on(hook).project_and_region()

    assert where == {"project_id": emulator.project_id, "region": hook.account.region}


def test_a_project_that_iam_does_not_tell_is_left_out(
    hook: DliHook,
    connect: Callable[..., None],
    emulator: Emulator,
    task_log: Callable[[], str],
) -> None:
    connect(project_id=None, iam_endpoint=emulator.url)
    emulator.add_fault(Fault("unavailable", path="/v3/projects", times=None))

    where = task_on(hook).project_and_region()

    assert where == {"project_id": None, "region": hook.account.region}
    assert "The XCom value has no project_id" in task_log()


def test_a_connection_that_cannot_be_read_leaves_both_out_and_its_words_out_of_the_log(
    task_log: Callable[[], str],
) -> None:
    class Locked(DliHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> BaseHook:
            raise RuntimeError("password=swordfish")

    where = task_on(Locked("any")).project_and_region()

    assert where == {"project_id": None, "region": None}
    text = task_log()
    assert "RuntimeError" in text
    assert "swordfish" not in text


def limits(
    execution_timeout: timedelta | None, timeout: float | None, spent: float = 0
) -> TimeLimits:
    """Returns the limits of a wait that begins when the task has taken `spent` seconds."""
    return TimeLimits(execution_timeout, timeout, now=NOW, started=NOW - spent)


@pytest.mark.parametrize(
    ("execution_timeout", "timeout", "seconds", "limit"),
    [
        (None, 600, 600, "timeout"),
        (timedelta(hours=1), 600, 600, "timeout"),
        (timedelta(seconds=600), 600, 600, "timeout"),
        (timedelta(minutes=5), 600, 300, "execution_timeout"),
        (timedelta(minutes=5), None, 300, "execution_timeout"),
    ],
)
def test_the_nearer_limit_is_the_deadline(
    execution_timeout: timedelta | None, timeout: float | None, seconds: float, limit: str
) -> None:
    given = limits(execution_timeout, timeout)

    assert given.trigger_arguments == {"deadline": NOW + seconds, "limit": limit}
    assert given.backstop == timedelta(seconds=seconds) + GRACE


def test_a_wait_without_any_limit_has_no_deadline() -> None:
    given = limits(None, None)

    assert (given.deadline, given.backstop) == (None, None)


@pytest.mark.parametrize(("spent", "seconds"), [(100, 200), (400, 0)])
def test_what_the_task_did_before_the_wait_counts_against_its_own_limit(
    spent: float, seconds: float
) -> None:
    given = limits(timedelta(seconds=300), 600, spent)

    assert given.trigger_arguments == {"deadline": NOW + seconds, "limit": "execution_timeout"}


def test_what_the_task_did_before_the_wait_does_not_count_against_the_timeout() -> None:
    assert limits(None, 600, spent=400).deadline == NOW + 600
