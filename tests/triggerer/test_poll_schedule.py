# SPDX-License-Identifier: Apache-2.0
"""When a shared poll looks, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle, pairwise
from typing import Any

import pytest
from triggerer.virtual_time import Looks, at, now, poll_of, run
from triggerer.watching import Recorder, after

from airflow_provider_dli.api.packages.wait import GroupUpdates, GroupWait
from airflow_provider_dli.api.protocol.errors import (
    PackageGroupTimeoutError,
    ServiceError,
    ThrottledError,
)
from airflow_provider_dli.api.protocol.wait import EARLY_LOOKS, LAST_LOOK
from airflow_provider_dli.triggerer.poll import LEAST_GAP, SharedPoll


def wait(group: str = "g", **changes: Any) -> GroupWait:
    return GroupWait(group, None, **{"jitter": lambda: 0.5} | changes)


async def until(poll: SharedPoll[Any, Any], subscriber: Any) -> Any:
    try:
        return await poll.until(subscriber, "c", now())
    finally:
        if poll.is_empty:
            await poll.close()


async def timed_out(poll: SharedPoll[Any, Any], *subscribers: Any) -> None:
    """Runs waits until their deadlines."""
    ends = (until(poll, subscriber) for subscriber in subscribers)
    for error in await asyncio.gather(*ends, return_exceptions=True):
        assert isinstance(error, PackageGroupTimeoutError)


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def test_the_first_looks_come_sooner_than_the_poll_interval_and_grow_rarer() -> None:
    looks = Looks()

    run(lambda: timed_out(poll_of(looks), wait(poll_interval=10, deadline=60)))

    early = [EARLY_LOOKS.pause(number) for number in range(1, 7)]
    assert gaps([0, *looks.times]) == pytest.approx(
        [*early, 10, 10, 10, 60 - sum(early) - 30], abs=1e-6
    )


def test_a_wait_that_begins_has_early_looks_beside_one_that_looks_rarely() -> None:
    looks = Looks()
    new = wait("new", poll_interval=600, deadline=1010.0)

    async def main() -> None:
        poll = poll_of(looks)
        rare = asyncio.ensure_future(until(poll, Recorder("rare", poll_interval=600)))
        await at(1000)
        looks.times.clear()
        await timed_out(poll, new)
        rare.cancel()
        await asyncio.gather(rare, return_exceptions=True)

    run(main)
    assert looks.times == pytest.approx([1001, 1002.5, 1004.75, 1008.125, 1010])


@pytest.mark.parametrize(("jitter", "first"), [(0.0, 0.9), (1.0, 1.1)])
def test_the_early_looks_of_waits_on_two_accounts_are_not_in_step(
    jitter: float, first: float
) -> None:
    looks = Looks()

    run(lambda: timed_out(poll_of(looks), wait(jitter=lambda: jitter, deadline=4)))

    assert looks.times[:2] == pytest.approx([first, first * (1 + EARLY_LOOKS.growth)])


def test_the_looks_of_settled_waits_are_spread_by_a_tenth_around_the_interval() -> None:
    looks = Looks()
    jitters: Iterator[float] = cycle([0.0, 1.0])
    settled = Recorder(poll_interval=10, until=after(5))

    run(lambda: until(poll_of(looks, jitter=lambda: next(jitters)), settled))

    assert gaps(looks.times) == pytest.approx([9, 11, 9, 11])


def test_settled_waits_share_the_looks_of_the_shortest_interval() -> None:
    looks = Looks()
    often = Recorder("often", poll_interval=10, until=after(4))
    rarely = Recorder("rarely", poll_interval=60, until=after(5))

    async def main() -> None:
        poll = poll_of(looks)
        await asyncio.gather(until(poll, often), until(poll, rarely))

    run(main)
    assert gaps(looks.times) == pytest.approx([10, 10, 10, 60])


def test_looks_have_a_least_gap_however_many_waits_begin() -> None:
    looks = Looks()

    async def main() -> None:
        poll = poll_of(looks)
        waits = []
        for number in range(100):
            waits.append(asyncio.ensure_future(until(poll, wait(f"g{number}", deadline=6))))
            await asyncio.sleep(0.03)
        await asyncio.gather(*waits, return_exceptions=True)

    run(main)
    assert min(gaps(looks.times)) >= LEAST_GAP - 1e-9


def test_looks_that_are_due_within_the_least_gap_are_taken_together() -> None:
    looks = Looks()
    first = Recorder("first", settled=False, first_look=1.0, until=after(1))
    second = Recorder("second", settled=False, first_look=1.0 + LEAST_GAP, until=after(1))

    async def main() -> None:
        poll = poll_of(looks, piecemeal=True)
        await asyncio.gather(until(poll, first), until(poll, second))

    run(main)
    assert (looks.times, looks.asked) == (pytest.approx([1.0]), [{"first", "second"}])


def test_a_look_that_nobody_waits_for_any_more_is_not_taken() -> None:
    looks = Looks()

    async def main() -> None:
        poll = poll_of(looks)
        early = asyncio.ensure_future(until(poll, Recorder("early", settled=False, first_look=3.0)))
        rare = asyncio.ensure_future(
            until(poll, Recorder("rare", settled=False, first_look=7.0, until=after(1)))
        )
        await at(1)
        early.cancel()
        await rare

    run(main)
    assert looks.times == pytest.approx([7.0])


@pytest.mark.parametrize("piecemeal", [True, False])
def test_who_settles_first_has_the_next_look_after_the_whole_interval(piecemeal: bool) -> None:
    looks = Looks()

    run(
        lambda: timed_out(
            poll_of(looks, piecemeal=piecemeal), wait(poll_interval=1.5, deadline=4.5)
        )
    )

    # Settled with the pause of 1.5 s that leads to the second look.
    assert looks.times == pytest.approx([1.0, 2.5, 4.0, 4.5])


def test_an_early_look_at_single_things_asks_for_those_that_are_due() -> None:
    looks = Looks()
    soon = Recorder("soon", settled=False, first_look=1.0, until=after(1))
    later = Recorder("later", settled=False, first_look=2.0, until=after(1))

    async def main() -> None:
        poll = poll_of(looks, piecemeal=True)
        await asyncio.gather(until(poll, soon), until(poll, later))

    run(main)
    # The snapshot of the first look shows both.
    assert looks.asked == [{"soon"}]


def test_a_wait_that_becomes_due_during_a_look_has_one_of_its_own() -> None:
    looks = Looks(takes=3.0)
    first = Recorder("first", settled=False, first_look=1.0, until=after(1))
    late = Recorder("late", settled=False, first_look=1.0, until=after(1))

    async def main() -> None:
        poll = poll_of(looks)
        one = asyncio.ensure_future(until(poll, first))
        await at(2)
        await asyncio.gather(one, until(poll, late))

    run(main)
    assert looks.times == pytest.approx([1.0, 4.0])


def test_after_a_throttled_look_the_next_comes_when_the_service_allows_it() -> None:
    looks = Looks("READY", failures=[ThrottledError("429", status=429, retry_after=30)])

    found = run(lambda: until(poll_of(looks), wait()))

    assert found.name == "g"
    assert looks.times == pytest.approx([1.0, 31.0])


def test_a_last_look_comes_at_the_deadline_whatever_the_service_asked_for() -> None:
    looks = Looks("READY", failures=[ThrottledError("429", status=429, retry_after=600)])

    run(lambda: until(poll_of(looks), wait(deadline=5)))

    assert looks.times == pytest.approx([1.0, 5.0])


@pytest.mark.parametrize("piecemeal", [True, False])
def test_a_deadline_holds_while_a_look_hangs(piecemeal: bool) -> None:
    looks = Looks(takes=3600)

    async def main() -> float:
        await timed_out(poll_of(looks, piecemeal=piecemeal), wait(deadline=5))
        return now()

    assert run(main) == pytest.approx(5 + LAST_LOOK)


def test_a_wait_is_not_called_where_nothing_is_new_and_nothing_open() -> None:
    looks = Looks()
    quiet = Recorder("quiet", is_open=False, poll_interval=10)
    opened = Recorder("open", poll_interval=10, until=after(5))

    async def main() -> None:
        poll = poll_of(looks)
        one = asyncio.ensure_future(until(poll, quiet))
        await until(poll, opened)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)

    run(main)
    assert quiet.told == ["see"]
    assert opened.told == ["see", *["on_unchanged"] * 4]


def test_a_wait_that_is_not_open_has_its_last_look_at_the_deadline() -> None:
    quiet = Recorder(is_open=False, poll_interval=10, deadline=25, until=lambda told: len(told) > 1)

    run(lambda: until(poll_of(Looks()), quiet))

    assert quiet.told == ["see", "on_unchanged"]


def test_an_update_is_awaited_through_errors_that_last_one_look() -> None:
    """It forgets the error also where the next look shows what the last good one did."""
    looks = Looks()
    failure = ServiceError("busy", status=503)
    trouble: list[str] = []
    update = GroupUpdates("g", None, 10.0, trouble=lambda error: trouble.append(str(error)))

    async def main() -> None:
        poll = poll_of(looks)
        one = asyncio.ensure_future(until(poll, update))
        for seconds in (15, 35):
            await at(seconds)
            looks.failures.append(failure)
        await at(55)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)

    run(main)
    assert len(trouble) == 2
