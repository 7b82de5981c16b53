"""Whatever befalls a task once, there is one job, and the task ends as that does."""

from __future__ import annotations

import pytest
from mishaps import KINDS, TRIGGERER, WORKER, XCOM, drawn
from trials import ground, tried

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
