"""Fault: three hundred tasks wait at once, and the service refuses what is more than ten requests a
second (429), with a `Retry-After` in seconds, as a date, as `1.58`, or without any.

Expected: no task fails; nobody comes back before `Retry-After`; the rate settles below the limit;
and the tasks do not come in step.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import count
from typing import Any

import pytest
from builders import connection_json
from scenarios.modes import again, events
from scenarios.servers import Answer, Asked, listing, serving

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages import flows
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.pace import Pace
from airflow_provider_dli.api.protocol.wire import Response, Sleep
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.triggers.packages import PackageGroupTrigger

WAITS = 300
LIMIT = 10
REFUSAL = {"error_code": "APIGW.0308", "error_msg": "The throttling threshold has been reached"}

RETRY_AFTER: dict[str, Callable[[float], str | None]] = {
    "seconds": lambda _: "3",
    "a date": lambda now: formatdate(now + 3, usegmt=True),
    "a fraction": lambda _: "1.58",
    "none": lambda _: None,
}


class Limiter:
    """Takes ten requests in any second and refuses the rest."""

    def __init__(self, retry_after: Callable[[float], str | None]) -> None:
        self.retry_after = retry_after
        self.taken: deque[float] = deque(maxlen=LIMIT)
        self.log: list[tuple[float, int]] = []

    def __call__(self, now: float) -> tuple[int, dict[str, str]]:
        full = len(self.taken) == LIMIT and now - self.taken[0] < 1
        self.log.append((now, 429 if full else 200))
        headers = {"date": formatdate(now, usegmt=True)}
        if not full:
            self.taken.append(now)
            return 200, headers
        value = self.retry_after(now)
        return 429, headers if value is None else {**headers, "retry-after": value}

    def counted(self, since: float, until: float) -> tuple[int, int]:
        """Count the requests and the refusals of a time."""
        statuses = [status for now, status in self.log if since <= now < until]
        return len(statuses), statuses.count(429)


class Simulation:
    """Runs many flows on a time that jumps to whatever comes next; an answer takes 50 ms."""

    LATENCY = 0.05

    def __init__(self, answer: Callable[[float], Response]) -> None:
        self.time = 1_800_000_000.0
        self.start = self.time
        self.answer = answer
        self.ended: list[object] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self.time

    def begin(self, flow: Generator[Any, Any, Any]) -> None:
        self._at(0, lambda: self._go_on(flow, None))

    def run(self) -> None:
        while self._agenda:
            self.time, _, step = heapq.heappop(self._agenda)
            step()

    def _at(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.time + seconds, next(self._order), step))

    def _go_on(self, flow: Generator[Any, Any, Any], value: Response | None) -> None:
        try:
            step = flow.send(value)
        except StopIteration as end:
            self.ended.append(end.value)
            return
        except Exception as error:
            self.ended.append(error)
            return
        if isinstance(step, Sleep):
            self._at(step.seconds, lambda: self._go_on(flow, None))
        else:
            response = self.answer(self.time)
            self._at(self.LATENCY, lambda: self._go_on(flow, response))


def simulated(limiter: Limiter, ready_after: float) -> Simulation:
    body = {state: listing(g={"a.jar": state})[2] for state in ("UPLOADING", "READY")}
    refusal = json.dumps(REFUSAL).encode()

    def answer(now: float) -> Response:
        status, headers = limiter(now)
        state = "READY" if now - simulation.start >= ready_after else "UPLOADING"
        return Response(status, headers, refusal if status == 429 else body[state])

    simulation = Simulation(answer)
    account = Account("https://dli.example", "p", AccessKey("ak", "sk"))
    client = Client(account, now=simulation.now, pace=Pace())
    for _ in range(WAITS):
        simulation.begin(flows.until_ready(client, GroupWait("g", ["a.jar"], poll_interval=10)))
    simulation.run()
    return simulation


@pytest.mark.parametrize("retry_after", RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_no_wait_of_three_hundred_fails_and_the_rate_settles_below_the_limit(
    retry_after: Callable[[float], str | None],
) -> None:
    """Threads of one worker share one pace."""
    limiter = Limiter(retry_after)

    simulation = simulated(limiter, ready_after=600)

    assert [error for error in simulation.ended if isinstance(error, Exception)] == []
    assert len(simulation.ended) == WAITS
    asked, refused = limiter.counted(simulation.start + 300, simulation.start + 600)
    assert asked / 300 < LIMIT
    assert asked / 300 > LIMIT / 10
    assert refused / asked < 0.1


def test_waits_do_not_come_in_step() -> None:
    limiter = Limiter(RETRY_AFTER["seconds"])

    simulation = simulated(limiter, ready_after=120)

    late = [now for now, _ in limiter.log if now > simulation.start + 60]
    assert max(sum(abs(now - other) < 0.01 for other in late) for now in late) <= 3


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("1", 1.0), ("1.58", 1.58), (None, 0.4), ("date", 0.99)],
    ids=["seconds", "a fraction", "none", "a date"],
)
def test_three_hundred_deferred_waits_share_a_look_and_its_retry_after(
    monkeypatch: pytest.MonkeyPatch, retry_after: str | None, seconds: float
) -> None:
    asked: list[float] = []

    def answer(_: Asked) -> Answer:
        now = time.time()
        asked.append(now)
        if len(asked) > 1:
            return listing(**{f"g{number}": {"a.jar": "READY"} for number in range(WAITS)})
        # One second after the `Date` of the same answer, which counts whole seconds, too.
        value = formatdate(now + 1, usegmt=True) if retry_after == "date" else retry_after
        headers = {} if value is None else {"Retry-After": value}
        return 429, headers, json.dumps(REFUSAL).encode()

    with serving(answer) as server:
        connected(monkeypatch, server.origin)
        triggers = [
            again(PackageGroupTrigger(group=f"g{number}", poll_interval=0.5))
            for number in range(WAITS)
        ]

        async def main() -> list[list[dict[str, Any]]]:
            return await asyncio.gather(*map(events, triggers))

        outcomes = asyncio.run(main())

    assert [[each["status"] for each in outcome] for outcome in outcomes] == [["ready"]] * WAITS
    assert len(asked) == 2


class SharedClock:
    """A time that jumps to the next one to wake up as soon as all threads sleep."""

    def __init__(self, threads: int) -> None:
        self.time = time.time()
        self._awake = threads
        self._alarms: list[float] = []
        self._changed = threading.Condition()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self._changed:
            alarm = self.time + seconds
            heapq.heappush(self._alarms, alarm)
            self._fall_asleep()
            while self.time < alarm:
                self._changed.wait()

    def leave(self) -> None:
        with self._changed:
            self._fall_asleep()

    def _fall_asleep(self) -> None:
        self._awake -= 1
        if not self._awake and self._alarms:
            self.time = self._alarms[0]
            while self._alarms and self._alarms[0] <= self.time:
                heapq.heappop(self._alarms)
                self._awake += 1
            self._changed.notify_all()


def test_hooks_on_threads_share_the_pace_of_their_account(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = 40
    clock = SharedClock(threads)
    limiter = Limiter(RETRY_AFTER["seconds"])
    lock = threading.Lock()

    def answer(_: Asked) -> Answer:
        with lock:
            status, headers = limiter(clock.now())
        ok, _, body = listing(g={"a.jar": "READY"})
        return (ok, {}, body) if status == 200 else (429, headers, json.dumps(REFUSAL).encode())

    def wait(_: int) -> str:
        try:
            with DliHook(clock=clock) as hook:
                return str(hook.wait_until_ready("g", ["a.jar"]).name)
        finally:
            clock.leave()

    with serving(answer) as server, ThreadPoolExecutor(threads) as pool:
        connected(monkeypatch, server.origin)
        assert list(pool.map(wait, range(threads))) == ["g"] * threads

    # After the first refusal nobody comes before the time that was asked for, and then one by one.
    first = next(now for now, status in limiter.log if status == 429)
    later = [now for now, _ in limiter.log if now > first]
    assert min(later) >= first + 3
    assert len(set(later)) == len(later)
    assert limiter.counted(first + 3, max(later) + 1)[1] < threads / 2


def connected(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    stored = connection_json({"project_id": "p", "endpoint": origin})
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", stored)
