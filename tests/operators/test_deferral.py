"""When the wait of a task has to end."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_dli.operators.deferral import GRACE, TimeLimits


def limits(execution_timeout: timedelta | None, timeout: float) -> TimeLimits:
    return TimeLimits(SimpleNamespace(execution_timeout=execution_timeout), timeout)


@pytest.mark.parametrize(
    ("execution_timeout", "timeout", "seconds", "limit"),
    [
        (None, 600, 600, "timeout"),
        (timedelta(hours=1), 600, 600, "timeout"),
        (timedelta(seconds=600), 600, 600, "timeout"),
        (timedelta(minutes=5), 600, 300, "execution_timeout"),
    ],
)
def test_the_nearer_limit_is_the_deadline(
    execution_timeout: timedelta | None, timeout: float, seconds: float, limit: str
) -> None:
    given = limits(execution_timeout, timeout)

    assert given.deadline == pytest.approx(time.time() + seconds, abs=1)
    assert given.limit == limit
    assert given.backstop == timedelta(seconds=seconds) + GRACE


@pytest.mark.parametrize(("spent", "seconds"), [(100, 200), (400, 0)])
def test_what_the_task_did_before_the_wait_counts_against_its_own_limit(
    spent: float, seconds: float
) -> None:
    task = SimpleNamespace(execution_timeout=timedelta(seconds=300))

    given = TimeLimits(task, 600, time.time() - spent)

    assert given.deadline == pytest.approx(time.time() + seconds, abs=1)
    assert given.limit == "execution_timeout"


def test_what_the_task_did_before_the_wait_does_not_count_against_the_timeout() -> None:
    task = SimpleNamespace(execution_timeout=None)

    given = TimeLimits(task, 600, time.time() - 400)

    assert given.deadline == pytest.approx(time.time() + 600, abs=1)
