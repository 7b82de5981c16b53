"""By which clock a shared watch goes, how it ends at a deadline, and how it shares the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scenarios.modes import eventually
from triggerer.watching import Recorder, account_of, after, run

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.jobs.wait import JobWait
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    NotSentError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.api.protocol.pace import pace_of
from airflow_provider_dli.api.protocol.wire import Flow, sleep
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggerer import sharing
from airflow_provider_dli.triggerer.loop import WOKEN, SharedAnswers
from airflow_provider_dli.triggerer.sharing import watch_group, watch_job

MANY = 400
HOUR = 3600.0


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(upload_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return account_of(emulator)


def wait(group: str | None = "g", **changes: Any) -> GroupWait:
    return GroupWait(group, None, **{"poll_interval": 0.5, "jitter": lambda: 0.5} | changes)


class MachineClock:
    """The machine's Unix time, which somebody sets."""

    set_by = 0.0

    def __call__(self) -> float:
        return time.time() + self.set_by


# A clock that is set


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_clock_that_is_set_neither_stops_the_looks_nor_ends_a_wait(
    emulator: Emulator, account: Account, jump: float
) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    clock = MachineClock()

    async def main() -> PackageGroup:
        waiting = asyncio.ensure_future(
            watch_group(account, wait(deadline=clock() + 60), now=clock)
        )
        await eventually(lambda: emulator.requests)
        clock.set_by = jump
        seen = len(emulator.requests)
        await eventually(lambda: len(emulator.requests) > seen)
        emulator.put_group("g", {"a.jar": "READY"})
        return await waiting

    assert run(main()).name == "g"


def test_a_wait_that_begins_after_the_clock_was_set_ends_by_the_new_time(
    emulator: Emulator, account: Account
) -> None:
    clock = MachineClock()

    async def main() -> None:
        other = asyncio.ensure_future(watch_group(account, Recorder("other"), now=clock))
        await eventually(lambda: emulator.requests)
        clock.set_by = HOUR
        with pytest.raises(PackageGroupTimeoutError):
            await watch_group(account, wait(deadline=clock() + 0.3), now=clock)
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)

    run(main())


def test_a_flow_of_the_triggerer_is_measured_evenly(account: Account) -> None:
    """So ends the cancel of a job whose task was ended, whatever sets the clock meanwhile."""
    clock = MachineClock()

    def measured(client: Client) -> Flow[float]:
        began = client.now()
        clock.set_by = -HOUR
        yield from sleep(0)
        return client.now() - began

    assert 0 <= run(sharing.run(account, measured, now=clock)) < HOUR / 2


def test_a_steady_clock_begins_with_the_unix_time_and_goes_on_with_the_other() -> None:
    unix, even = [1_800_000_000.0], [50.0]

    now = steady(lambda: unix[0], lambda: even[0])
    unix[0] -= HOUR
    even[0] += 7

    assert now() == 1_800_000_007.0


# The last look


def test_what_is_ready_at_the_deadline_is_ready_although_the_look_before_was_throttled(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.add_fault(Fault("throttled", retry_after=600))

    run(watch_group(account, wait(deadline=time.time() + 1.8)))

    assert len(emulator.requests) == 2


def test_a_last_look_does_not_wait_for_the_turn_that_the_account_is_given(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    pace = pace_of(account)
    pace.throttled(time.time(), 60)

    assert run(watch_group(account, wait(deadline=time.time() + 1.5))).name == "g"


def test_neither_does_the_last_look_at_a_job(emulator: Emulator, account: Account) -> None:
    job = emulator.add_batch({}, "success")
    pace = pace_of(account)
    pace.throttled(time.time(), 60)

    found = run(watch_job(account, JobWait(job, deadline=time.time() + 1.5)))

    assert found.raw_state == "success"


def test_a_look_that_began_before_the_deadline_is_not_the_last(
    emulator: Emulator, account: Account
) -> None:
    """It may show what was so before, and the wait has time for one more."""
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    emulator.add_fault(Fault("hang", method="GET", when="after", seconds=0.8))

    async def main() -> PackageGroup:
        waiting = asyncio.ensure_future(watch_group(account, wait(deadline=time.time() + 1.3)))
        await eventually(lambda: emulator.requests)
        emulator.put_group("g", {"a.jar": "READY"})
        return await waiting

    assert run(main()).name == "g"
    assert len(emulator.requests) == 2


@pytest.mark.parametrize("retry_after", [86400, 9_999_999_999])
def test_no_retry_after_outlasts_a_deadline(
    emulator: Emulator, account: Account, retry_after: int
) -> None:
    emulator.add_fault(Fault("throttled", times=None, retry_after=retry_after))

    async def main() -> None:
        with pytest.raises(PackageGroupTimeoutError, match=r"The last look failed: GET .* 429"):
            await watch_group(account, wait(deadline=time.time() + 1.5))

    run(main())


# The loop


@asynccontextmanager
async def most_in_a_turn(count: Callable[[], int]) -> AsyncIterator[list[int]]:
    """Notes by how much a count grows from one turn of the loop to the next."""
    grown: list[int] = []

    async def watch() -> None:
        before = count()
        while True:
            await asyncio.sleep(0)
            grown.append(count() - before)
            before = count()

    task = asyncio.ensure_future(watch())
    try:
        yield grown
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("groups", [1, MANY], ids=["one group", "a group each"])
def test_waits_that_end_in_one_look_wake_in_turns(
    emulator: Emulator, account: Account, groups: int
) -> None:
    ended: list[PackageGroup] = []

    async def one(number: int) -> None:
        ended.append(await watch_group(account, Recorder(f"g{number % groups}", until=after(1))))

    async def main() -> int:
        async with most_in_a_turn(lambda: len(ended)) as grown:
            await asyncio.gather(*(one(number) for number in range(MANY)))
        return max(grown)

    assert run(main()) <= WOKEN
    assert len(ended) == MANY
    assert len(emulator.requests) == 1


def test_waits_that_are_failed_by_one_look_wake_in_turns(
    emulator: Emulator, account: Account
) -> None:
    emulator.add_fault(Fault("forbidden", times=None))
    failed: list[DliError] = []

    async def one(number: int) -> None:
        try:
            await watch_group(account, wait(f"g{number}"))
        except DliError as error:
            failed.append(error)

    async def main() -> int:
        async with most_in_a_turn(lambda: len(failed)) as grown:
            await asyncio.gather(*(one(number) for number in range(MANY)))
        return max(grown)

    assert run(main()) <= WOKEN
    assert len(failed) == MANY


def test_who_asks_for_the_same_is_answered_once_and_in_turns() -> None:
    shared: SharedAnswers[str, object] = SharedAnswers()
    asked, answered = [], []

    async def answer() -> object:
        asked.append(1)
        await asyncio.sleep(0)
        return "it"

    async def one() -> None:
        answered.append(await shared.ask("what", answer))

    async def main() -> int:
        async with most_in_a_turn(lambda: len(answered)) as grown:
            await asyncio.gather(*(one() for _ in range(MANY)))
        return max(grown)

    assert run(main()) <= WOKEN
    assert (len(asked), answered) == (1, ["it"] * MANY)


def test_each_who_asks_has_an_error_of_its_own() -> None:
    shared: SharedAnswers[str, object] = SharedAnswers()

    async def answer() -> object:
        raise NotSentError("no network")

    async def main() -> list[Any]:
        asking = (shared.ask("what", answer) for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    errors = run(main())
    assert [str(error) for error in errors] == ["no network"] * 3
    assert len({id(error) for error in errors}) == 3
