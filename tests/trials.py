"""Tasks that run a Spark job while one thing goes wrong, tried again as Airflow would try them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from fake_clock import FakeClock, SkippingClock
from mishaps import ANSWERS, CALLS, STORE, TRIGGERER, WORKER, XCOM, Fate, KilledError, Mishap, drawn
from task_runs import StateStore, TaskRun, context, first, retried

from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.spark import SparkBatchOperator

_RETRY_DELAYS = (1.0, 30.0, 300.0)
_READ_TIMEOUT = 0.4
_LONG = 3600.0


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its verdict, and the jobs that it submitted.

    `states` are theirs when the task had ended, `ended` those when they all had.
    """

    mishap: Mishap
    is_deferred: bool
    has_store: bool
    struck: bool
    tries: int
    verdict: bool
    states: tuple[str, ...]
    ended: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether the verdict is not that of the jobs."""
        return self.verdict != ("success" in self.ended)

    @property
    def orphans(self) -> int:
        """How many jobs were active when the task had ended."""
        return sum(state not in {"success", "dead"} for state in self.states)

    @property
    def is_well(self) -> bool:
        """Whether there was one job, and the task ended as it did."""
        return len(self.states) == 1 and self.verdict and not self.is_wrong and not self.orphans


@dataclass
class _Clock:
    clock: FakeClock
    fate: Fate

    def now(self) -> float:
        self.fate.moment(WORKER)
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.fate.moment(WORKER)
        self.clock.sleep(seconds)


class _Store(StateStore):
    fate: Fate

    def get(self, key: str, default: Any = None) -> Any:
        self.fate.moment(STORE, WORKER)
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.fate.moment(STORE, WORKER)
        super().set(key, value)
        self.fate.moment(WORKER)

    def delete(self, key: str) -> None:
        self.fate.moment(STORE, WORKER)
        super().delete(key)


@dataclass
class _Run(TaskRun):
    fate: Fate = field(default_factory=lambda: Fate(Mishap("none", "none")))

    def xcom_push(self, key: str, value: Any) -> None:
        self.fate.moment(XCOM, WORKER)
        super().xcom_push(key, value)
        self.fate.moment(WORKER)


@dataclass(frozen=True)
class Ground:
    """An emulator and a connection to it, for one task after the other."""

    emulator: Emulator
    clock: FakeClock
    conn_id: str
    is_deferred: bool

    def connect(self, read_timeout: float, host: str = "127.0.0.1") -> None:
        """Set the connection."""
        fields = self.emulator.airflow_connection
        endpoint = self.emulator.url.replace("127.0.0.1", host)
        extra = fields["extra"] | {"endpoint": endpoint, "read_timeout": read_timeout}
        os.environ[_variable(self.conn_id)] = json.dumps(fields | {"extra": extra})


@contextmanager
def ground(conn_id: str, *, is_deferred: bool) -> Iterator[Ground]:
    """Run an emulator: on a clock that nobody waits for, or that goes on while a task is deferred.

    There is no time but the real one in the triggerer.
    """
    clock = SkippingClock() if is_deferred else FakeClock()
    seconds = 1.0 if is_deferred else 60.0
    try:
        with running(clock=clock.now, batch_seconds=seconds, batch_retention=None) as emulator:
            yield Ground(emulator, clock, conn_id, is_deferred)
    finally:
        os.environ.pop(_variable(conn_id), None)


def _variable(conn_id: str) -> str:
    return f"AIRFLOW_CONN_{conn_id.upper()}"


class Trial:
    """One task that one thing befalls, from its first try to its end."""

    def __init__(self, ground: Ground, mishap: Mishap, random: Random, retries: int = 3) -> None:
        self._ground = ground
        self._mishap = mishap
        self._fate = Fate(mishap)
        self._delay = random.choice(_RETRY_DELAYS)
        self._store: _Store | None = None
        if mishap.kind == STORE or random.random() < 0.5:  # Airflow has it from 3.3 on
            self._store = _Store()
            self._store.fate = self._fate
        self._retries = retries
        self._restarts = mishap.kind == TRIGGERER
        self._read_timeout = _READ_TIMEOUT if mishap.kind == "read timeout" else 10.0

    def run(self) -> Outcome:
        """Run the task, and look what there is."""
        emulator = self._ground.emulator
        emulator.reset()
        if isinstance(self._ground.clock, SkippingClock):
            self._ground.clock.time = 0.0  # too far ahead, what the triggerer signs would be old
        self._ground.connect(self._read_timeout)
        if self._mishap.kind in ANSWERS:
            method, path, _ = CALLS[self._mishap.place]
            what = {"method": method, "path": path, "skip": self._mishap.nth}
            emulator.add_fault(Fault(**ANSWERS[self._mishap.kind], **what, when=self._mishap.when))
        verdict, tries = self._led()
        states = states_of(emulator)
        self._ground.clock.sleep(_LONG)
        return Outcome(
            self._mishap,
            self._ground.is_deferred,
            self._store is not None,
            self._fate.struck or any(fault["hit"] for fault in emulator.faults.as_json()),
            tries,
            verdict,
            states,
            states_of(emulator),
        )

    def _led(self) -> tuple[bool, int]:
        """Try as often as Airflow would; gives the verdict and the number of tries."""
        run = _Run(**vars(first(self._task())), fate=self._fate)
        while True:
            try:
                self._tried(run)
            except AirflowFailException:
                return False, run.try_number
            except (Exception, KilledError):
                if run.try_number > run.max_tries:
                    return False, run.try_number
            else:
                return True, run.try_number
            self._ground.clock.sleep(self._delay)
            run = retried(run)

    def _tried(self, run: TaskRun) -> None:
        try:
            result = self._task().execute(context(run, self._store))
        except TaskDeferred as left:
            # In a process of its own it would have a pace of its own: that of the worker tells the
            # time by a clock that skips.
            self._ground.connect(self._read_timeout, "localhost")
            event = asyncio.run(self._event(left.trigger))
            self._ground.connect(self._read_timeout)
            result = self._task().resume_execution(
                left.method_name,
                {**(left.kwargs or {}), "event": event},
                context(run, self._store),
            )
        run.xcom_push("return_value", _plain(result))

    def _task(self) -> SparkBatchOperator:
        """Returns the task as a new process has it."""
        task = SparkBatchOperator(
            task_id="run",
            file="obs://bucket/application.py",
            queue_name="queue",
            spark_version="3.3.1",
            execution_agency_urn="agency",
            retries=self._retries,
            poll_interval=0.2 if self._ground.is_deferred else 10.0,
            deferrable=self._ground.is_deferred,
            dli_conn_id=self._ground.conn_id,
        )
        task.hook = DliHook(self._ground.conn_id, clock=_Clock(self._ground.clock, self._fate))
        return task

    async def _event(self, trigger: Any) -> dict[str, Any]:
        waiting = asyncio.ensure_future(_payload(_again(trigger)))
        if self._restarts:
            self._restarts = False
            _, pending = await asyncio.wait([waiting], timeout=self._mishap.seconds)
            if pending:
                self._fate.struck = True
                waiting.cancel()
                await asyncio.wait([waiting])
                return await _payload(_again(trigger))
        return await waiting


def states_of(emulator: Emulator) -> tuple[str, ...]:
    """Returns the states of all jobs."""
    return tuple(str(job["state"]) for job in emulator.batches().values())


def _again(trigger: Any) -> Any:
    """Returns the trigger as a triggerer makes it of its row."""
    return type(trigger)(**_plain(trigger.serialize()[1]))


async def _payload(trigger: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        (event,) = [event async for event in trigger.run()]
    return dict(_plain(event.payload))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def tried(ground: Ground, seed: str, draw: Callable[[Random], Mishap] = drawn) -> Outcome:
    """Run a task with a mishap; one that came too late to strike is drawn anew."""
    random = Random(seed)  # noqa: S311 - what goes wrong is no secret
    while True:
        outcome = Trial(ground, draw(random), random).run()
        if outcome.struck:
            return outcome
