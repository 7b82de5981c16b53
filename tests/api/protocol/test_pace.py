# SPDX-License-Identifier: Apache-2.0
"""How fast a process asks: turns after a refusal, a budget of retries, one pace for an account."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import NotFoundError
from airflow_provider_dli.api.protocol.pace import (
    FIRST_GAP,
    FULL_BUDGET,
    LONGEST_GAP,
    Pace,
    pace_of,
)
from airflow_provider_dli.api.protocol.wire import Response

NOW = 1_800_000_000.0
ACCOUNT = Account("https://dli.example", "p", AccessKey("ak", "sk"), conn_id="one")


def test_nobody_waits_before_the_first_refusal() -> None:
    pace = Pace()

    assert [pace.turn(NOW) for _ in range(100)] == [0] * 100


def test_after_a_refusal_turns_come_one_after_the_other() -> None:
    pace = Pace()
    pace.throttled(NOW, None)

    assert [pace.turn(NOW) for _ in range(3)] == pytest.approx([0, FIRST_GAP, 2 * FIRST_GAP])


def test_whoever_comes_late_finds_its_turn_free() -> None:
    pace = Pace()
    pace.throttled(NOW, None)
    pace.turn(NOW)

    assert pace.turn(NOW + 60) == 0


def test_after_a_retry_after_nobody_is_earlier_than_that() -> None:
    pace = Pace()
    pace.throttled(NOW, 3.0)

    assert [pace.turn(NOW) for _ in range(2)] == pytest.approx([3, 3 + FIRST_GAP])


def test_a_shorter_retry_after_does_not_shorten_a_longer_one() -> None:
    pace = Pace()
    pace.throttled(NOW, 30.0)
    pace.throttled(NOW, 1.0)

    assert pace.turn(NOW) == pytest.approx(30)


def test_the_gap_doubles_with_each_refusal_in_spite_of_it_up_to_the_longest() -> None:
    pace, gaps = Pace(), []
    for _ in range(20):
        pace.throttled(NOW, None, pace.gap)
        gaps.append(pace.gap)

    assert gaps[:3] == pytest.approx([FIRST_GAP, FIRST_GAP * 2, FIRST_GAP * 4])
    assert gaps[-1] == pytest.approx(LONGEST_GAP)


def test_refusals_of_calls_from_before_the_gap_grew_do_not_let_it_grow() -> None:
    """Calls that were under way together all meet the same limit."""
    pace = Pace()

    for _ in range(100):
        pace.throttled(NOW, None, 0.0)

    assert pace.gap == pytest.approx(FIRST_GAP)


def test_success_shrinks_the_gap_a_little_and_at_last_to_nothing() -> None:
    pace = Pace()
    pace.throttled(NOW, None)
    pace.succeeded()

    assert FIRST_GAP * 0.9 < pace.gap < FIRST_GAP

    for _ in range(5000):
        pace.succeeded()
    assert pace.gap == 0


def test_retries_cost_from_a_budget() -> None:
    pace = Pace()

    allowed = [pace.may_repeat() for _ in range(int(FULL_BUDGET) + 5)]

    assert allowed == [True] * int(FULL_BUDGET) + [False] * 5


def test_success_refills_half_a_retry_and_never_more_than_the_full_budget() -> None:
    pace = Pace()
    for _ in range(100):
        pace.succeeded()
    for _ in range(int(FULL_BUDGET)):
        pace.may_repeat()

    pace.succeeded()
    after_one = pace.may_repeat()
    pace.succeeded()

    assert (after_one, pace.may_repeat()) == (False, True)


def test_an_account_has_one_pace_under_whatever_connection() -> None:
    pace = pace_of(ACCOUNT)

    assert pace_of(replace(ACCOUNT, conn_id="two", read_timeout=1.0)) is pace


@pytest.mark.parametrize(
    "other",
    [
        replace(ACCOUNT, origin="https://other.example"),
        replace(ACCOUNT, project_id="q"),
        replace(ACCOUNT, source=AccessKey("ak", "sk2")),
    ],
    ids=["origin", "project", "credential"],
)
def test_other_accounts_have_a_pace_of_their_own(other: Account) -> None:
    pace = pace_of(ACCOUNT)

    assert pace_of(other) is not pace


def test_a_pace_that_nobody_uses_is_forgotten() -> None:
    account = replace(ACCOUNT, project_id="forgotten")
    pace_of(account).throttled(NOW, None)
    gc.collect()

    assert pace_of(account).gap == 0


def test_threads_get_turns_that_differ() -> None:
    pace = Pace()
    pace.throttled(NOW, None)
    barrier = threading.Barrier(8)

    def turns() -> list[float]:
        barrier.wait()
        return [pace.turn(NOW) for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        taken = [turn for each in [pool.submit(turns) for _ in range(8)] for turn in each.result()]

    assert len({round(turn / FIRST_GAP) for turn in taken}) == 1600


def test_threads_do_not_overdraw_the_budget() -> None:
    pace = Pace()

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: pace.may_repeat(), range(200)))

    assert sum(allowed) == FULL_BUDGET


def test_a_call_that_is_not_repeated_costs_nothing_of_the_budget() -> None:
    """Many packages that are not there are no trouble of the service."""
    pace = Pace()
    client = Client(ACCOUNT, now=lambda: NOW, pace=pace)
    missing = Response(404, {}, b'{"error_code": "DLI.0023", "error_msg": "not there"}')

    for _ in range(3):
        flow = client.perform(calls.show("a.jar", "g"))
        next(flow)
        with pytest.raises(NotFoundError):
            flow.send(missing)

    assert sum(pace.may_repeat() for _ in range(100)) == FULL_BUDGET
