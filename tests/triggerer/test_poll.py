"""What the waits of one event loop share, and what each keeps for itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from eventually import HANG, eventually
from scenarios.servers import listing, serving
from triggerer.watching import Recorder, account_of, after, run

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    InputError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
    ServiceError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggerer import sharing
from airflow_provider_dli.triggerer.sharing import watch_group


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(upload_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return account_of(emulator)


def wait(group: str | None = "g", names: Any = None, **changes: Any) -> GroupWait:
    return GroupWait(group, names, **{"poll_interval": 0.5, "jitter": lambda: 0.5} | changes)


def test_many_waits_share_each_listing(emulator: Emulator, account: Account) -> None:
    groups = [f"g{number}" for number in range(250)]
    for group in groups:
        emulator.put_group(group, {"a.jar": "UPLOADING"})

    async def main() -> int:
        waits = [asyncio.ensure_future(watch_group(account, wait(group))) for group in groups]
        await eventually(lambda: len(emulator.requests) >= 2)
        for group in groups:
            emulator.put_group(group, {"a.jar": "READY"})
        return len(await asyncio.gather(*waits))

    assert run(main()) == 250
    assert len(emulator.requests) <= 4


def test_waits_of_one_group_share_it(emulator: Emulator, account: Account) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[PackageGroup]:
        return await asyncio.gather(*(watch_group(account, wait()) for _ in range(5)))

    assert [group.name for group in run(main())] == ["g"] * 5
    assert len(emulator.requests) == 1


def test_connections_of_one_account_share_a_poll_under_whatever_name(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> None:
        await asyncio.gather(
            watch_group(account, wait()), watch_group(replace(account, conn_id="other"), wait())
        )

    run(main())
    assert len(emulator.requests) == 1


def test_a_refusal_names_the_connection_of_each_wait(emulator: Emulator, account: Account) -> None:
    """Who shares a poll with others is not told of their connection."""
    emulator.add_fault(Fault("token-expired", times=None))

    async def main() -> list[BaseException | PackageGroup]:
        return await asyncio.gather(
            watch_group(account, wait()),
            watch_group(replace(account, conn_id="other"), wait()),
            return_exceptions=True,
        )

    first, second = run(main())
    assert "connection dli_default" in str(first)
    assert "connection other" in str(second)


def test_kinds_have_listings_of_their_own_on_one_session(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"}, kind="jar")
    emulator.put_group("h", {"a.py": "READY"}, kind="pyFile")
    emulator.add_fault(Fault("hang", method="GET", times=3, seconds=0.2))

    async def main() -> int:
        waits = [
            asyncio.ensure_future(watch_group(account, wait(group), kind=kind))
            for group, kind in (("g", "jar"), ("h", "pyFile"), ("g", None))
        ]
        await eventually(lambda: emulator.faults.as_json()[0]["hit"] == 3)
        sessions = sum(
            type(one) is aiohttp.ClientSession and not one.closed for one in gc.get_objects()
        )
        assert len(sharing._accounts[asyncio.get_running_loop()]) == 1
        await asyncio.gather(*waits)
        return sessions

    gc.collect()
    assert run(main()) <= 1
    assert Counter(record.query.get("kind") for record in emulator.requests) == {
        "jar": 1,
        "pyFile": 1,
        None: 1,
    }


def test_accounts_have_polls_of_their_own(emulator: Emulator, account: Account) -> None:
    with running() as other:
        for each in (emulator, other):
            each.put_group("g", {"a.jar": "READY"})

        async def main() -> None:
            await asyncio.gather(
                watch_group(account, wait()), watch_group(account_of(other), wait())
            )

        run(main())
        assert (len(emulator.requests), len(other.requests)) == (1, 1)


def test_the_last_one_to_leave_closes_the_session(emulator: Emulator, account: Account) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    run(watch_group(account, wait()))
    gc.collect()

    assert not [
        one for one in gc.get_objects() if type(one) is aiohttp.ClientSession and not one.closed
    ]


def test_the_last_one_to_be_cancelled_closes_all(emulator: Emulator, account: Account) -> None:
    async def main() -> None:
        one = asyncio.ensure_future(watch_group(account, wait()))
        await eventually(lambda: emulator.requests)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one

    run(main())


def test_whoever_is_cancelled_twice_closes_all_the_same(
    emulator: Emulator, account: Account
) -> None:
    """Airflow repeats a cancel until the trigger is gone."""

    async def main() -> None:
        one = asyncio.ensure_future(watch_group(account, wait()))
        await eventually(lambda: emulator.requests)
        one.cancel()
        await asyncio.sleep(0)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    run(main())


def test_one_kind_that_ends_leaves_the_session_to_the_other(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"}, kind="jar")
    emulator.put_group("h", {"a.py": "UPLOADING"}, kind="pyFile")

    async def main() -> None:
        slow = asyncio.ensure_future(watch_group(account, wait("h"), kind="pyFile"))
        await watch_group(account, wait("g"), kind="jar")
        emulator.put_group("h", {"a.py": "READY"}, kind="pyFile")
        await slow

    run(main())


def test_a_cancelled_wait_leaves_the_others(emulator: Emulator, account: Account) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    async def main() -> PackageGroup:
        waits = [asyncio.ensure_future(watch_group(account, wait())) for _ in range(3)]
        await eventually(lambda: emulator.requests)
        waits[0].cancel()
        emulator.put_group("g", {"a.jar": "READY"})
        group, _ = await asyncio.gather(*waits[1:])
        assert waits[0].cancelled()
        return group

    assert run(main()).name == "g"


def test_a_settled_watcher_gets_its_last_look_at_the_deadline(
    emulator: Emulator, account: Account
) -> None:
    """As in the worker, what became READY just before the deadline is no timeout."""
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    rare = Recorder(poll_interval=60, deadline=time.time() + 0.7)

    async def main() -> None:
        with pytest.raises(PackageGroupTimeoutError):
            await watch_group(account, rare)

    run(main())
    assert rare.told[0] == "see"
    assert len(rare.told) >= 3
    assert rare.told[-1] == "expire"


def test_only_a_change_of_its_own_group_is_seen(emulator: Emulator, account: Account) -> None:
    emulator.put_group("still", {"a.jar": "UPLOADING"})
    emulator.put_group("moving", {"a.jar": "UPLOADING"})
    still, moving = Recorder("still", until=after(3)), Recorder("moving", until=after(3))

    async def main() -> None:
        waits = [asyncio.ensure_future(watch_group(account, one)) for one in (still, moving)]
        for _ in range(2):
            seen = len(moving.told)
            await eventually(lambda seen=seen: len(moving.told) > seen)
            emulator.put_group("moving", {"a.jar": "UPLOADING"})
        await asyncio.gather(*waits)

    run(main())
    assert still.told == ["see", "on_unchanged", "on_unchanged"]
    assert moving.told == ["see", "see", "see"]


def test_who_comes_later_sees_a_group_that_did_not_change(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    first, second = Recorder(until=after(3)), Recorder(until=after(1))

    async def main() -> None:
        one = asyncio.ensure_future(watch_group(account, first))
        await eventually(lambda: first.told)
        await watch_group(account, second)
        await one

    run(main())
    assert second.told == ["see"]
    assert first.told == ["see", "on_unchanged", "on_unchanged"]


def test_packages_without_a_group_are_found(emulator: Emulator, account: Account) -> None:
    emulator.put_package("a.jar", "READY")

    found = run(watch_group(account, wait(None, ("a.jar",))))

    assert found.package("a.jar") is not None


def test_an_answer_from_before_the_wait_began_does_not_count(
    emulator: Emulator, account: Account
) -> None:
    """A listing under way may still show what the task has just replaced."""
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.put_group("other", {"a.jar": "UPLOADING"})
    emulator.add_fault(Fault("hang", method="GET", when="after", seconds=0.3))

    async def main() -> GroupWait:
        other = asyncio.ensure_future(watch_group(account, Recorder("other")))
        await eventually(lambda: emulator.requests)
        emulator.put_group("g", {"a.jar": "UPLOADING"})  # uploaded anew, while the listing hangs
        begun = wait(deadline=time.time() + 0.8)
        try:
            with pytest.raises(PackageGroupTimeoutError):
                await watch_group(account, begun)
        finally:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
        return begun

    assert run(main()).readiness.states == {"a.jar": "UPLOADING"}


@pytest.mark.parametrize("step", ["see", "on_unchanged", "miss", "next_look"])
def test_what_a_watcher_raises_reaches_it_alone(
    emulator: Emulator, account: Account, step: str
) -> None:
    if step == "miss":
        emulator.add_fault(Fault("unavailable"))
    bad = Recorder(settled=step != "next_look", raises={step: RuntimeError("its own")})
    good = Recorder(until=after(3))

    async def main() -> list[PackageGroup | BaseException]:
        return await asyncio.gather(
            watch_group(account, bad), watch_group(account, good), return_exceptions=True
        )

    failure, found = run(main())
    assert isinstance(failure, RuntimeError)
    assert isinstance(found, PackageGroup)


def test_a_watcher_that_cannot_even_begin_leaves_nothing_behind(
    emulator: Emulator, account: Account
) -> None:
    class Broken(Recorder):
        def next_look(self, now: float) -> float:
            raise RuntimeError("its own")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="its own"):
            await watch_group(account, Broken())

    run(main())
    assert emulator.requests == []


@dataclass
class BrokenClock:
    """Breaks once, after a tenth of a second: what nobody foresaw in a poll."""

    at_last: Callable[[], object] = lambda: None
    started: float = field(default_factory=time.time)

    def __call__(self) -> float:
        if time.time() > self.started + 0.1:
            self.started = float("inf")
            self.at_last()
            raise RuntimeError("the clock broke")
        return time.time()


def test_a_poll_that_breaks_keeps_nobody_waiting(emulator: Emulator, account: Account) -> None:
    async def main() -> list[PackageGroup | BaseException]:
        clock = BrokenClock()
        return await asyncio.gather(
            *(watch_group(account, Recorder(), clock=clock) for _ in range(3)),
            return_exceptions=True,
        )

    failures = run(main())
    assert [str(failure) for failure in failures] == ["the clock broke"] * 3


def test_after_a_poll_that_broke_the_next_wait_begins_anew(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> PackageGroup:
        with pytest.raises(RuntimeError):
            await watch_group(account, Recorder(), clock=BrokenClock())
        return await watch_group(account, wait())

    assert run(main()).name == "g"


def test_a_wait_that_is_cancelled_while_its_poll_breaks_is_cancelled(
    emulator: Emulator, account: Account
) -> None:
    async def main() -> list[PackageGroup | BaseException]:
        clock = BrokenClock(lambda: waits[0].cancel())
        waits = [
            asyncio.ensure_future(watch_group(account, Recorder(), clock=clock)) for _ in range(2)
        ]
        return await asyncio.gather(*waits, return_exceptions=True)

    first, second = run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert str(second) == "the clock broke"


@pytest.mark.parametrize("turns", [0, 1])
def test_a_wait_that_joins_between_the_break_and_its_news_does_not_hang(
    emulator: Emulator, account: Account, turns: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        broken = asyncio.Event()

        async def join() -> None:
            await broken.wait()
            await watch_group(account, Recorder("late", until=after(1)))

        late = asyncio.ensure_future(join())
        # The poll is over with this turn of the loop; its first wait wakes up two turns later.
        clock = BrokenClock(lambda: loop.call_soon(broken.set) if turns else broken.set())
        with pytest.raises(RuntimeError):
            await watch_group(account, Recorder(), clock=clock)
        _, hanging = await asyncio.wait([late], timeout=1)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert not hanging

    run(main())


def test_a_wait_that_leaves_while_others_are_told_leaves_nothing_behind(
    emulator: Emulator, account: Account
) -> None:
    """Many are told in turns, and in between somebody may be cancelled."""

    async def main() -> None:
        waits: dict[str, asyncio.Future[PackageGroup]] = {}

        def cancel_the_last(told: list[str]) -> bool:
            waits["g249"].cancel()
            return True

        for number in range(250):
            first = Recorder(f"g{number}", until=cancel_the_last if number == 0 else after(1))
            waits[f"g{number}"] = asyncio.ensure_future(watch_group(account, first))
        await asyncio.gather(*waits.values(), return_exceptions=True)
        assert waits["g249"].cancelled()

    run(main())


def test_a_wait_that_leaves_while_an_error_is_told_is_not_told(
    emulator: Emulator, account: Account
) -> None:
    emulator.add_fault(Fault("unavailable"))

    async def main() -> list[str]:
        waits: list[asyncio.Future[PackageGroup]] = []
        recorders = [Recorder(f"g{number}", until=after(1)) for number in range(150)]

        def cancel_the_others(told: list[str]) -> bool:
            for recorder, one in zip(recorders, waits, strict=True):
                if recorder.told is not told:
                    one.cancel()
            return True

        for recorder in recorders:
            recorder.until = cancel_the_others
            waits.append(asyncio.ensure_future(watch_group(account, recorder)))
        await asyncio.gather(*waits, return_exceptions=True)
        return [what for recorder in recorders for what in recorder.told]

    assert run(main()) == ["miss ServiceError"]


def test_each_wait_logs_in_its_own_context(emulator: Emulator, account: Account) -> None:
    task = contextvars.ContextVar("task", default="nobody")
    logged: list[tuple[str, str]] = []

    class Logging(Recorder):
        def _note(self, what: str, found: PackageGroup | None) -> PackageGroup | None:
            logged.append((self.key or "", task.get()))
            return super()._note(what, found)

    async def one(name: str) -> None:
        task.set(name)
        with pytest.raises(PackageGroupTimeoutError):
            await watch_group(account, Logging(name, deadline=time.time() + 0.6))

    async def main() -> None:
        emulator.add_fault(Fault("unavailable", skip=1))
        await asyncio.gather(one("first"), one("second"))

    run(main())
    assert len(logged) >= 6
    assert all(group == context for group, context in logged)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("token-expired"), AuthenticationError),
        (Fault("forbidden"), DliError),
    ],
    ids=lambda value: value.action if isinstance(value, Fault) else "",
)
def test_a_refusal_ends_every_wait_at_once(
    emulator: Emulator, account: Account, fault: Fault, error: type[DliError]
) -> None:
    emulator.add_fault(fault)

    async def main() -> list[PackageGroup | BaseException]:
        return await asyncio.gather(
            *(watch_group(account, wait(f"g{n}")) for n in range(150)), return_exceptions=True
        )

    assert all(isinstance(one, error) for one in run(main()))
    assert len(emulator.requests) == 1


def test_a_wrong_kind_is_said_to_whoever_gave_it(emulator: Emulator, account: Account) -> None:
    async def main() -> None:
        with pytest.raises(InputError, match="kind is 'JAR'"):
            await watch_group(account, wait(), kind="JAR")

    run(main())
    assert emulator.requests == []


def test_one_error_that_ends_many_waits_names_each_ones_group(
    emulator: Emulator, account: Account
) -> None:
    emulator.add_fault(Fault("unavailable", times=None))

    async def main() -> list[Any]:
        return await asyncio.gather(
            *(
                watch_group(account, wait(group, max_unknown_time=0.4))
                for group in ("first", "second")
            ),
            return_exceptions=True,
        )

    failures = run(main())
    assert all(isinstance(failure, ServiceError) for failure in failures)
    assert [failure.__notes__ for failure in failures] == [
        ["No look at Package group 'first' succeeded for 0.4 seconds."],
        ["No look at Package group 'second' succeeded for 0.4 seconds."],
    ]


def test_a_group_that_cannot_be_read_is_trouble_for_its_own_waits_only() -> None:
    status, headers, body = listing(good={"a.jar": "READY"})
    broken = body.replace(b'"groups": [', b'"groups": [{"group_name": "bad", "details": 7}, ')
    told = Recorder("bad", until=after(1))
    with serving((status, headers, broken)) as server:
        account = Account(server.origin, "p", AccessKey("ak", "sk"))

        async def main() -> PackageGroup:
            good, _ = await asyncio.gather(
                watch_group(account, wait("good")), watch_group(account, told)
            )
            return good

        assert run(main()).name == "good"

    assert told.told == ["miss WireError"]


def test_a_group_that_cannot_be_read_for_a_while_is_endured() -> None:
    """As in the worker, where the whole answer counts as unusable."""
    status, headers, body = listing(g={"a.jar": "READY"})
    broken = body.replace(b'"details": [', b'"details": 7, "x": [')
    answers = iter([(status, headers, broken)])
    with serving(lambda _: next(answers, (status, headers, body))) as server:
        account = Account(server.origin, "p", AccessKey("ak", "sk"))

        assert run(watch_group(account, wait())).name == "g"


def test_a_listing_that_is_no_json_is_endured_and_is_nobodys_end(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.add_fault(Fault("malformed-json"))
    told: list[DliError] = []

    run(watch_group(account, wait(trouble=told.append)))

    assert [type(error) for error in told] == [UnusableAnswerError]


def test_a_group_that_disappears_ends_its_waits(emulator: Emulator, account: Account) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    begun = wait()

    async def main() -> None:
        one = asyncio.ensure_future(watch_group(account, begun))
        await eventually(lambda: begun.readiness.states)
        emulator.reset()
        with pytest.raises(PackageGroupFailedError, match=r"a\.jar is ABSENT"):
            await one

    run(main())


def test_a_deadline_holds_while_the_listing_hangs(emulator: Emulator, account: Account) -> None:
    emulator.add_fault(Fault("hang", times=None))

    patient = replace(account, read_timeout=2 * HANG)

    async def main() -> None:
        with pytest.raises(PackageGroupTimeoutError):
            await watch_group(patient, wait(deadline=time.time() + 0.1))

    run(main())


def test_waits_of_one_loop_are_not_shared_with_another(
    emulator: Emulator, account: Account
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    for _ in range(2):
        run(watch_group(account, wait()))

    assert len(emulator.requests) == 2
