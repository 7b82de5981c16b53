# SPDX-License-Identifier: Apache-2.0
"""How pauses grow, and where they are used with which figures."""

from __future__ import annotations

import math
from itertools import islice

import pytest

from airflow_provider_dli.api.jobs import cancelling, submission
from airflow_provider_dli.api.protocol.backoff import Backoff


def test_pauses_grow_by_the_factor_up_to_the_longest() -> None:
    pauses = Backoff(0.5, 3.0, longest=10.0).pauses()

    assert list(islice(pauses, 5)) == [0.5, 1.5, 4.5, 10.0, 10.0]


def test_each_use_of_a_backoff_begins_with_the_first_pause() -> None:
    backoff = Backoff(1.0, 2.0)

    assert next(backoff.pauses()) == next(backoff.pauses()) == 1.0


def test_pauses_stay_finite_in_a_wait_of_days() -> None:
    assert math.isfinite(Backoff(1.0, 2.0).pause(1_000_000))


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
def test_a_pause_is_spread_between_the_two_factors(share: float, seconds: float) -> None:
    backoff = Backoff(1.0, 2.0, spread=(0.9, 1.1))

    assert backoff.spread_out(10.0, share) == pytest.approx(seconds)


def test_without_a_spread_chance_moves_nothing() -> None:
    assert Backoff(1.0, 2.0).spread_out(10.0, 0.7) == 10.0


def test_a_job_is_looked_for_during_a_minute_after_a_lost_submission() -> None:
    assert submission.PAUSES == (1.0, 2.0, 4.0, 8.0, 16.0, 29.0)
    assert sum(submission.PAUSES) == 60.0


def test_a_cancelled_job_is_looked_at_every_ten_seconds_at_last() -> None:
    assert list(islice(cancelling.LOOKS.pauses(), 3)) == [0.5, 0.75, 1.125]
    assert cancelling.LOOKS.pause(100) == 10.0
