# SPDX-License-Identifier: Apache-2.0
"""What the waits for Spark jobs of one event loop share, and who else uses their connections."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from eventually import eventually
from triggerer.watching import account_of, run

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.snapshot import MOST_SINGLE_LOOKS
from airflow_provider_dli.api.jobs.wait import JobWait
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    NotFoundError,
    ServiceError,
    SparkBatchLostError,
)
from airflow_provider_dli.api.protocol.wire import Flow, sleep
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggerer import sharing
from airflow_provider_dli.triggerer.sharing import TURN_GAP, run_serially, watch_job


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return account_of(emulator)


def jobs_of(emulator: Emulator, count: int, state: str = "running") -> list[str]:
    return [emulator.add_batch({"name": f"n{number}"}, state) for number in range(count)]


def wait(batch_id: str, **changes: Any) -> JobWait:
    return JobWait(batch_id, **{"poll_interval": 0.5, "jitter": lambda: 0.5} | changes)


def pages(emulator: Emulator) -> list[float]:
    """Give the times at which a listing was asked for from its beginning."""
    return [
        record.time
        for record in emulator.requests
        if record.path.endswith("/batches") and record.query["from"] == "0"
    ]


@dataclass
class Recorder:
    """A watcher that writes down what it is told, and ends with the job.

    `early` are the pauses before the first looks; then it is settled.
    """

    key: str
    poll_interval: float = 0.5
    early: list[float] = field(default_factory=list)
    settled: bool = True
    is_open: bool = True
    deadline: float | None = None
    told: list[str] = field(default_factory=list)

    def next_look(self, now: float) -> float:
        self.settled = not self.early
        return now + (self.poll_interval if self.settled else self.early.pop(0))

    def on_result(self, found: SparkBatch | None, now: float) -> SparkBatch | None:
        self.told.append(found.raw_state if found else "absent")
        return found if found and found.is_terminal else None

    def on_unchanged(self, now: float) -> None:
        self.told.append("again")

    def on_error(self, error: DliError, now: float) -> None:
        self.told.append(type(error).__name__)

    def expire(self, now: float) -> None:
        raise AssertionError("it has no deadline")


def test_a_thousand_jobs_cost_eleven_requests_a_round_and_all_are_told_their_end(
    emulator: Emulator, account: Account
) -> None:
    emulator.batch_retention = 0
    jobs = jobs_of(emulator, 1000)
    gone, *others = jobs
    waits = [wait(job, poll_interval=1.0, max_unknown_time=0.1) for job in jobs]

    async def main() -> list[SparkBatch | BaseException]:
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in waits]
        await eventually(lambda: all(one.batch for one in waits))
        emulator.clear_requests()
        await eventually(lambda: len(pages(emulator)) >= 3)
        requests, rounds = len(emulator.requests), len(pages(emulator))
        emulator.set_batch_state(gone, "success")  # and its record vanishes
        for job in others:
            emulator.set_batch_state(job, "dead")
        assert requests <= 11 * rounds
        return await asyncio.gather(*waiting, return_exceptions=True)

    lost, *ended = run(main(), seconds=30)
    assert isinstance(lost, SparkBatchLostError)
    assert [job.id for job in ended if isinstance(job, SparkBatch)] == others


def test_waits_that_are_killed_leave_nothing_behind(emulator: Emulator, account: Account) -> None:
    jobs = jobs_of(emulator, 300)

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, wait(job))) for job in jobs]
        await eventually(lambda: emulator.requests)
        for one in waiting:
            one.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in results} == {asyncio.CancelledError}

    run(main(), seconds=15)
    gc.collect()
    assert not [
        one for one in gc.get_objects() if type(one) is aiohttp.ClientSession and not one.closed
    ]


def test_a_single_job_is_asked_for_by_its_id(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1, "Success")

    ended = run(watch_job(account, wait(job)))

    assert ended.id == job
    assert [record.path.rsplit("/", 1)[1] for record in emulator.requests] == [job]


def test_waits_of_one_job_share_its_looks(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1, "dead")

    async def main() -> None:
        await asyncio.gather(*(watch_job(account, wait(job)) for _ in range(20)))

    run(main())
    assert len(emulator.requests) == 1


def test_the_early_looks_of_a_new_job_ask_for_it_alone(
    emulator: Emulator, account: Account
) -> None:
    jobs = jobs_of(emulator, 250)
    new = Recorder(jobs.pop(), early=[0.3, 0.6, 0.6, 60])

    async def main() -> None:
        old = [Recorder(job, poll_interval=60) for job in jobs]
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in old]
        await eventually(lambda: all(one.told for one in old))
        emulator.clear_requests()
        waiting.append(asyncio.ensure_future(watch_job(account, new)))
        await eventually(lambda: len(new.told) >= 3)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert {tuple(one.told) for one in old} == {("running",)}

    run(main(), seconds=15)
    assert {record.path.rsplit("/", 1)[1] for record in emulator.requests} == {new.key}
    assert new.told[:3] == ["running", "again", "again"]


def test_early_looks_do_not_put_off_those_of_the_settled(
    emulator: Emulator, account: Account
) -> None:
    jobs = jobs_of(emulator, 2)
    old = Recorder(jobs[0], poll_interval=1.0)
    new = Recorder(jobs[1], early=[0.5] * 100)

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in (old, new)]
        await eventually(lambda: len(old.told) >= 2 and len(new.told) >= 3)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(main())


def test_a_job_that_nobody_knows_is_trouble_for_its_own_waits_only(
    emulator: Emulator, account: Account
) -> None:
    (job,) = jobs_of(emulator, 1)
    absent = Recorder("0a324461-d9d9-45da-a52a-3b3c7a3d809e")
    there = Recorder(job)

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in (absent, there)]
        await eventually(lambda: len(there.told) >= 2)
        emulator.set_batch_state(job, "success")
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(main())
    assert set(absent.told) == {"NotFoundError"}
    assert there.told == ["running", "again", "success"]


def test_a_job_that_is_found_again_is_seen_anew(emulator: Emulator, account: Account) -> None:
    """Who counts for how long it was absent has to hear that it is not."""
    (job,) = jobs_of(emulator, 1)
    emulator.add_fault(Fault("answer", skip=1, status=400, body={"error_code": "DLI.0002"}))
    watcher = Recorder(job)

    async def main() -> None:
        waiting = asyncio.ensure_future(watch_job(account, watcher))
        await eventually(lambda: len(watcher.told) >= 3)
        emulator.set_batch_state(job, "success")
        await waiting

    run(main())
    assert watcher.told[:3] == ["running", "NotFoundError", "running"]


def test_an_error_of_the_service_reaches_all_who_were_not_seen(
    emulator: Emulator, account: Account
) -> None:
    jobs = sorted(jobs_of(emulator, 3))
    emulator.add_fault(Fault("unavailable", skip=1))
    watchers = [Recorder(job) for job in jobs]

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in watchers]
        await eventually(lambda: all(len(one.told) >= 2 for one in watchers))
        for job in jobs:
            emulator.set_batch_state(job, "success")
        await asyncio.gather(*waiting)

    run(main())
    assert [one.told[0] for one in watchers] == ["running", "ServiceError", "ServiceError"]


def test_a_refusal_names_the_connection_of_each_wait(emulator: Emulator, account: Account) -> None:
    jobs = jobs_of(emulator, 2)
    emulator.add_fault(Fault("forbidden", times=None))

    async def main() -> list[SparkBatch | BaseException]:
        return await asyncio.gather(
            watch_job(account, wait(jobs[0])),
            watch_job(replace(account, conn_id="other"), wait(jobs[1])),
            return_exceptions=True,
        )

    first, second = run(main())
    assert "connection dli_default" in str(first)
    assert "connection other" in str(second)


def test_who_has_to_leave_a_look_to_others_is_told_nothing_of_it(
    emulator: Emulator, account: Account
) -> None:
    """Not even that the job is absent: that would end its wait some day."""
    watchers = [Recorder(job) for job in jobs_of(emulator, 150)]
    emulator.add_fault(Fault("forbidden", path="/batches", times=None))

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, one)) for one in watchers]
        await eventually(lambda: sum(bool(one.told) for one in watchers) == MOST_SINGLE_LOOKS)
        await eventually(lambda: all(one.told for one in watchers))
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(main(), seconds=15)
    assert {one.told[0] for one in watchers} == {"running"}
    assert {what for one in watchers for what in one.told} <= {"running", "again"}


def test_an_error_is_for_those_who_were_asked_for(emulator: Emulator, account: Account) -> None:
    jobs = jobs_of(emulator, 2)
    old, new = Recorder(jobs[0], poll_interval=60), Recorder(jobs[1], early=[0.3, 60])

    async def main() -> None:
        waiting = [asyncio.ensure_future(watch_job(account, old))]
        await eventually(lambda: old.told)
        emulator.add_fault(Fault("unavailable"))
        waiting.append(asyncio.ensure_future(watch_job(account, new)))
        await eventually(lambda: new.told)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(main())
    assert (old.told, new.told) == (["running"], ["ServiceError"])


def test_groups_and_jobs_of_an_account_share_its_connections(
    emulator: Emulator, account: Account
) -> None:
    (job,) = jobs_of(emulator, 1)
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    async def main() -> None:
        group = GroupWait("g", None, poll_interval=0.5)
        waiting = [
            asyncio.ensure_future(sharing.watch_group(account, group)),
            asyncio.ensure_future(watch_job(account, wait(job))),
        ]
        await eventually(lambda: len(emulator.requests) >= 2)
        sessions = [one for one in gc.get_objects() if type(one) is aiohttp.ClientSession]
        emulator.put_group("g", {"a.jar": "READY"})
        emulator.set_batch_state(job, "success")
        await asyncio.gather(*waiting)
        assert len(sessions) == 1

    gc.collect()
    run(main())


def show(job: str) -> Callable[[Client], Flow[SparkBatch]]:
    return lambda client: client.perform(calls.show(job))


def test_a_flow_uses_the_connections_of_the_waits(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1)

    async def main() -> None:
        waiting = asyncio.ensure_future(watch_job(account, wait(job)))
        await eventually(lambda: emulator.requests)
        assert (await sharing.run(account, show(job))).id == job
        assert len(sharing._accounts[asyncio.get_running_loop()]) == 1
        await sharing.run(account, lambda client: client.perform(calls.cancel(job)))
        assert (await waiting).raw_state == "dead"

    run(main())


@pytest.mark.parametrize("ask", [sharing.run, run_serially])
def test_a_flow_of_somebody_who_is_alone_leaves_nothing_behind(
    emulator: Emulator, account: Account, ask: Any
) -> None:
    (job,) = jobs_of(emulator, 1)

    found = run(ask(account, show(job)))

    assert found.id == job
    gc.collect()
    assert not [
        one for one in gc.get_objects() if type(one) is aiohttp.ClientSession and not one.closed
    ]


@pytest.mark.parametrize("ask", [sharing.run, run_serially])
def test_a_flow_raises_what_it_raises_for_its_own_connection(
    emulator: Emulator, account: Account, ask: Any
) -> None:
    emulator.add_fault(Fault("token-expired", times=None))

    async def main() -> None:
        with pytest.raises(AuthenticationError, match="connection other"):
            await ask(replace(account, conn_id="other"), show("a"))

    run(main())


def test_a_flow_goes_by_the_clock_that_it_is_given(emulator: Emulator, account: Account) -> None:
    def now(client: Client) -> Flow[float]:
        yield from sleep(0)
        return client.now()

    assert run(sharing.run(account, now, now=lambda: 7.0, clock=lambda: 0.0)) == 7.0


def test_calls_in_turn_are_served_one_at_a_time_and_as_they_came(
    emulator: Emulator, account: Account
) -> None:
    jobs = jobs_of(emulator, 4)
    emulator.latency = 0.1
    order: list[str] = []

    async def one(job: str, conn_id: str) -> None:
        await run_serially(replace(account, conn_id=conn_id), show(job))
        order.append(job)

    async def main() -> None:
        await asyncio.gather(*(one(job, f"c{job}") for job in jobs))

    run(main())
    assert order == jobs
    times = [record.time for record in emulator.requests]
    assert min(later - earlier for earlier, later in pairwise(times)) >= TURN_GAP


def test_who_gives_up_his_turn_lets_the_next_have_it(emulator: Emulator, account: Account) -> None:
    jobs = jobs_of(emulator, 3)

    async def main() -> None:
        calls = [asyncio.ensure_future(run_serially(account, show(job))) for job in jobs]
        await eventually(lambda: emulator.requests)
        calls[1].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert calls[1].cancelled()

    run(main())
    assert [record.path.rsplit("/", 1)[1] for record in emulator.requests] == [jobs[0], jobs[2]]


@pytest.mark.parametrize("is_sent", [False, True], ids=["in its pause", "in its call"])
def test_who_is_killed_in_his_turn_does_not_keep_it(
    emulator: Emulator, account: Account, is_sent: bool
) -> None:
    jobs = jobs_of(emulator, 2)
    if is_sent:
        emulator.add_fault(Fault("hang", method="GET", skip=1))

    async def main() -> None:
        await run_serially(account, show(jobs[0]))
        holder = asyncio.ensure_future(run_serially(account, show(jobs[0])))
        await asyncio.sleep(0)
        if is_sent:
            await eventually(lambda: emulator.faults.as_json()[0]["hit"])
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
        assert (await run_serially(account, show(jobs[1]))).id == jobs[1]

    run(main())


def test_many_calls_in_turn_do_not_hold_up_the_looks(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1)
    emulator.latency = 0.2
    watcher = Recorder(job, poll_interval=0.5)

    async def main() -> None:
        waiting = asyncio.ensure_future(watch_job(account, watcher))
        calls = [asyncio.ensure_future(run_serially(account, show(job))) for _ in range(200)]
        await eventually(lambda: len(watcher.told) >= 4)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        emulator.set_batch_state(job, "success")
        await waiting

    run(main())
    assert len(emulator.requests) <= len(watcher.told) + 6


def test_errors_in_a_turn_pass_it_on(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1)

    async def main() -> None:
        absent = "0a324461-d9d9-45da-a52a-3b3c7a3d809e"
        first, second = await asyncio.gather(
            run_serially(account, show(absent)),
            run_serially(account, show(job)),
            return_exceptions=True,
        )
        assert isinstance(first, NotFoundError)
        assert isinstance(second, SparkBatch)

    run(main())


def test_accounts_have_turns_of_their_own(emulator: Emulator, account: Account) -> None:
    (job,) = jobs_of(emulator, 1)

    async def main() -> None:
        with running() as other:
            slow = asyncio.ensure_future(run_serially(account_of(other), lambda _: sleep(3600)))
            await asyncio.sleep(0)
            assert (await run_serially(account, show(job))).id == job
            assert not slow.done()
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)

    run(main())


def test_what_is_asked_of_a_service_in_trouble_is_bounded(
    emulator: Emulator, account: Account
) -> None:
    jobs = jobs_of(emulator, 200)
    emulator.add_fault(Fault("unavailable", times=None))

    async def main() -> Counter[str]:
        results = await asyncio.gather(
            *(watch_job(account, wait(job, max_unknown_time=1.2)) for job in jobs),
            return_exceptions=True,
        )
        return Counter(type(one).__name__ for one in results)

    assert run(main()) == {ServiceError.__name__: 200}
    assert len(emulator.requests) <= 5
