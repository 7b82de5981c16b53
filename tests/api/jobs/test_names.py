# SPDX-License-Identifier: Apache-2.0
"""Whose job it is, and how it is called: one name for all tries, another one after a clear."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dli.api.jobs.names import LONGEST, Owner

OWNER = Owner("daily-count", "daily", "count", "manual__1", -1, 1, 2, 2)


def again(owner: Owner, **changes: Any) -> Owner:
    return replace(owner, **changes)


def cleared(owner: Owner, retries: int | None = None) -> Owner:
    """Give the first try after a clear, as Airflow numbers it."""
    retries = owner.retries if retries is None else retries
    tries = owner.try_number
    return replace(owner, try_number=tries + 1, generation=tries + retries, retries=retries)


def test_every_try_has_the_same_name() -> None:
    assert {again(OWNER, try_number=number).name for number in (1, 2, 3)} == {OWNER.name}


def test_a_clear_gives_another_name() -> None:
    assert cleared(OWNER).name != OWNER.name


def test_a_name_stays_when_the_retries_of_the_task_are_changed() -> None:
    assert again(OWNER, try_number=2, retries=0).name == OWNER.name


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "daily-other"},
        {"dag_id": "weekly"},
        {"task_id": "sum"},
        {"run_id": "manual__2"},
        {"map_index": 0},
        {"map_index": 1},
    ],
)
def test_another_task_instance_has_another_name(changes: dict[str, Any]) -> None:
    assert again(OWNER, **changes).name != OWNER.name


def test_ids_that_run_together_have_different_names() -> None:
    assert (
        again(OWNER, dag_id="a", task_id="bc").name != again(OWNER, dag_id="ab", task_id="c").name
    )


def test_a_name_is_the_same_in_every_version_of_this_package() -> None:
    """A job that runs while the package is updated has to be found again."""
    assert OWNER.name == "daily-count-03140301a828ebf9"


def test_a_name_begins_with_what_one_knows_it_by() -> None:
    assert re.fullmatch(r"daily-count-[0-9a-f]{16}", OWNER.name)


@pytest.mark.parametrize(
    "label",
    ["a b", "日次集計", "x" * 250, "a/b?c&d", "tab\tline\n", "ünïcödé", "\ud800", "", "…" * 99],
)
def test_a_name_is_one_that_the_service_takes_whatever_the_ids(label: str) -> None:
    name = again(OWNER, label=label, dag_id=label, task_id=label, run_id=label).name

    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
    assert len(name) <= LONGEST


def test_long_ids_that_differ_at_their_end_have_different_names() -> None:
    names = {again(OWNER, label="x" * 250 + end).name for end in "ab"}

    assert len(names) == 2


@pytest.mark.parametrize("number", [2, 3])
def test_a_retry_is_no_first_try(number: int) -> None:
    assert OWNER.is_first_try is True
    assert again(OWNER, try_number=number).is_first_try is False


def test_the_try_after_a_clear_is_a_first_one() -> None:
    after = cleared(again(OWNER, try_number=3))

    assert after.is_first_try is True
    assert again(after, try_number=after.try_number + 1).is_first_try is False


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_the_very_first_try_is_one_whatever_became_of_the_retries(retries: int) -> None:
    assert again(OWNER, retries=retries).is_first_try is True


@pytest.mark.parametrize(("number", "retries"), [(2, 0), (2, 3), (3, 2), (2, 9)])
def test_a_retry_is_one_also_when_the_retries_were_changed(number: int, retries: int) -> None:
    owner = Owner("l", "d", "t", "r", -1, number, generation=3, retries=retries)

    assert owner.is_first_try is False


def test_tries_are_left_as_long_as_airflow_would_try_again() -> None:
    left = [again(OWNER, try_number=number).may_try_again for number in (1, 2, 3)]

    assert left == [True, True, False]


def test_a_task_that_was_not_cleared_has_no_earlier_names() -> None:
    assert OWNER.earlier_names == again(OWNER, try_number=3).earlier_names == ()


def test_the_names_of_before_the_clears_are_known() -> None:
    once = cleared(again(OWNER, try_number=2))
    twice = cleared(once)

    assert OWNER.name in once.earlier_names
    assert {OWNER.name, once.name} <= set(twice.earlier_names)
    assert twice.earlier_names.index(once.name) < twice.earlier_names.index(OWNER.name)


def test_the_name_of_before_a_clear_is_known_when_the_retries_were_changed() -> None:
    assert OWNER.name in cleared(again(OWNER, try_number=3), retries=1).earlier_names
    assert OWNER.name in cleared(again(OWNER, try_number=2), retries=5).earlier_names


def test_a_job_tells_whose_it_is() -> None:
    assert again(OWNER, map_index=4, try_number=2).conf == {
        "spark.airflow.dag_id": "daily",
        "spark.airflow.task_id": "count",
        "spark.airflow.run_id": "manual__1",
        "spark.airflow.map_index": "4",
        "spark.airflow.try_number": "2",
        "spark.airflow.generation": "2",
    }
