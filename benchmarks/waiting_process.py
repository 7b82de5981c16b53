# SPDX-License-Identifier: Apache-2.0
"""The process whose waits `wait_at_scale.py` measures: an event loop with triggers and a heartbeat.

Reads a job as JSON from standard input and writes what it measured into the file that the job
names, since Airflow may log to any stream. Runs under the Python of the provider it measures, so it
imports nothing of ours before it has to.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from dli_server import Control, group_name, members

BEAT = 0.002
ONE_HOUR = 3600.0

Fields = dict[str, Any]


def main() -> None:
    """Runs the job."""
    job = json.load(sys.stdin)
    _log_as_the_triggerer_does()
    measure = {"scale": _scale, "turns": _turns, "begin": _begin}[job["measure"]]
    Path(job["result"]).write_text(json.dumps(asyncio.run(measure(job))), encoding="utf-8")


def _log_as_the_triggerer_does() -> None:
    """Writes Airflow 3's log as JSON, as to its supervisor; Airflow 2 writes a log anyway."""
    with contextlib.suppress(ImportError):
        log = importlib.import_module("airflow.sdk.log")
        nobody = Path(os.devnull).open("wb", buffering=0)  # noqa: SIM115 - open as long as we are
        log.configure_logging(json_output=True, output=nobody, sending_to_supervisor=True)


class _Heartbeat:
    """Measures how late a task wakes up that sleeps for two milliseconds."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
        self._own = 0.0
        self._beats = 0
        self._collecting = 0.0
        self._collection_began = 0.0

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beats in the background."""
        task = asyncio.get_running_loop().create_task(self._beat())
        gc.callbacks.append(self._collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collection)
            task.cancel()

    @property
    def largest(self) -> Fields:
        """The largest gap, how long this thread and the collector worked in it, and more; ms."""
        gap, busy, collecting = max(self._late)
        worst = sorted((late[0] for late in self._late), reverse=True)[: self._beats // 100 + 1]
        # What is not among the late ones is less than 5 ms.
        p99 = worst[-1] if len(worst) > self._beats // 100 else 5.0
        return {
            "ms": gap,
            "busy_ms": busy,
            "collector_ms": collecting,
            "own_ms": self._own,
            "p99_ms": p99,
        }

    async def _beat(self) -> None:
        while True:
            begun, busy, collecting = time.perf_counter(), time.thread_time(), self._collecting
            queued = _queued()
            await asyncio.sleep(BEAT)
            self._beats += 1
            gap = 1000 * (time.perf_counter() - begun - BEAT)
            if gap > 5:
                busy, collecting = time.thread_time() - busy, self._collecting - collecting
                self._late.append((gap, 1000 * busy, 1000 * collecting))
                # What neither the collector nor other processes of the machine took.
                self._own = max(self._own, gap - 1000 * (collecting + _queued() - queued))

    def _collection(self, phase: str, _: Fields) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collection_began = now
        else:
            self._collecting += now - self._collection_began


def _ours(job: Fields) -> Callable[[Fields], Any]:
    trigger = importlib.import_module("airflow_provider_dli.triggers.packages").PackageGroupTrigger
    # As the operator calls it.
    return lambda wait: trigger(
        group=group_name(wait["target"]),
        packages=members(wait["target"]),
        dli_conn_id=wait["conn_id"],
        poll_interval=job["poll_interval"],
        deadline=time.time() + ONE_HOUR,
        accepted=True,
    )


def _spark(job: Fields) -> Callable[[Fields], Any]:
    trigger = importlib.import_module("airflow_provider_dli.triggers.spark").SparkBatchTrigger
    return lambda wait: trigger(
        batch_id=group_name(wait["target"]),
        dli_conn_id=wait["conn_id"],
        poll_interval=job["poll_interval"],
        deadline=time.time() + ONE_HOUR,
        driver_log=job["trigger"] == "spark_log",
    )


def _huawei(job: Fields) -> Callable[[Fields], Any]:
    module = importlib.import_module("airflow.providers.huawei.cloud.triggers.dli")
    return lambda wait: module.DLISparkCreateBatchJobTrigger(
        job_id=group_name(wait["target"]),
        poll_interval=job["poll_interval"],
        huaweicloud_conn_id=wait["conn_id"],
    )


_TRIGGERS = {"ours": _ours, "spark": _spark, "spark_log": _spark, "huawei": _huawei}


async def _event(trigger: Any) -> float:
    """Returns the Unix time of the one event; raises an error if the wait failed."""
    events: AsyncIterator[Any] = trigger.run()
    async for event in events:
        ended = time.time()
        if event.payload["status"] not in {"ready", "ended", "success"}:
            raise RuntimeError(f"the wait ended with {event.payload}")
        # As Airflow does: the generator runs to its end.
        async for _ in events:
            pass
        return ended
    raise RuntimeError("the wait ended without an event")


async def _scale(job: Fields) -> Fields:
    """Many waits on one account: settle, measure CPU and memory, then gaps, then let them end."""
    make = _TRIGGERS[job["trigger"]](job)
    control = Control(job["origin"])
    gc.collect()
    alone, settling, settled, ending = (_Heartbeat() for _ in range(4))
    with alone.beating():
        await asyncio.sleep(job["alone"])
    memory = _resident()
    with settling.beating():
        waits = []
        for wait in job["waits"]:
            waits.append(asyncio.get_running_loop().create_task(_event(make(wait))))
            await asyncio.sleep(0)  # so does the triggerer between two triggers
        await asyncio.sleep(job["settle"])
    # Without the heartbeat, which needs CPU itself.
    began, cpu, seconds = time.time(), time.process_time(), time.perf_counter()
    resident = []
    while time.perf_counter() - seconds < job["window"]:
        await asyncio.sleep(1)
        resident.append(_resident())
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - seconds
    with settled.beating():
        await asyncio.sleep(job["window"] if job["alone"] else 0)
    ended = time.time()
    with ending.beating():
        ready = time.time()
        await asyncio.to_thread(control.ready, job["project"])
        last = max(await asyncio.gather(*waits))
    return {
        "window": [began, ended],
        "cpu_per_minute": 60 * cpu / seconds,
        "memory_grown": median(resident) - memory,
        "memory_before": memory,
        "memory_highest": max(resident),
        "alone": alone.largest,
        "settling": settling.largest,
        "settled": settled.largest,
        "ending": ending.largest,
        "seconds_to_the_last": last - ready,
    }


async def _begin(job: Fields) -> Fields:
    """The first wait of a process, from its import on; then many that begin and end together."""
    gc.collect()
    gc.freeze()  # what Airflow has loaded; of what comes later the collector's share is told
    first, begin, later, ending = (_Heartbeat() for _ in range(4))
    waits = []
    with first.beating():
        await asyncio.sleep(0)
        make = _TRIGGERS[job["trigger"]](job)
        waits.append(asyncio.get_running_loop().create_task(_event(make(job["waits"][0]))))
        await asyncio.sleep(job["alone"])
    with begin.beating():
        for wait in job["waits"][1:]:
            waits.append(asyncio.get_running_loop().create_task(_event(make(wait))))
            await asyncio.sleep(0)  # so does the triggerer between two triggers
        # The common look, and that no other.
        await asyncio.sleep(job["settle"])
    with later.beating():
        await asyncio.sleep(job["window"])
    with ending.beating():
        await asyncio.to_thread(Control(job["origin"]).ready, job["project"])
        await asyncio.gather(*waits)
    return {
        "first": first.largest,
        "begin": begin.largest,
        "later": later.largest,
        "ending": ending.largest,
    }


async def _turns(job: Fields) -> list[Fields]:
    """Some waits in each turn, which begin together and end before the next turn."""
    make = _TRIGGERS[job["trigger"]](job)
    control = Control(job["origin"])
    return [await _turn(make, control, turn) for turn in job["turns"]]


async def _turn(make: Callable[[Fields], Any], control: Control, waits: list[Fields]) -> Fields:
    await asyncio.sleep(0.5)  # the last turn closes its connections
    begin = time.time() + 0.5
    for project in {wait["project"] for wait in waits}:
        ready_at = {
            group_name(wait["target"]): begin + wait["ready_after"]
            for wait in waits
            if wait["project"] == project
        }
        await asyncio.to_thread(control.schedule, project, ready_at)
    await asyncio.sleep(begin - time.time())
    heartbeat = _Heartbeat()
    with heartbeat.beating():
        begun = time.time()
        ended = await asyncio.gather(*(_event(make(wait)) for wait in waits))
    return {
        "seconds": max(ended) - begun,
        "after_ready": [
            end - begin - wait["ready_after"] for end, wait in zip(ended, waits, strict=True)
        ],
        "gap": heartbeat.largest,
    }


def _queued() -> float:
    """Returns the seconds that this thread has waited for a processor."""
    return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


def _resident() -> int:
    """Returns the bytes of this process that are in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
