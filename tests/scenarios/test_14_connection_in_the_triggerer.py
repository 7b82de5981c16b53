"""Fault: a trigger resolves its connection while other coroutines run, and the service is slow.

Expected: it gets its own connection, never a default one, without a blocking call on the loop: the
largest gap between two heartbeats stays below a tenth of a second.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import connection
from scenarios.modes import events
from scenarios.servers import serving

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.triggers.packages import PackageGroupTrigger
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

LARGEST_GAP = 0.1


Trigger = PackageGroupTrigger | SparkBatchTrigger


async def with_heartbeat(*triggers: Trigger) -> tuple[list[Any], float]:
    """Run triggers at once; give their events and the largest gap that the loop had meanwhile."""
    running = asyncio.gather(*map(events, triggers))
    gap, last = 0.0, time.monotonic()
    while not running.done():
        await asyncio.sleep(0.002)
        now = time.monotonic()
        gap, last = max(gap, now - last), now
    return await running, gap


def quietest(make: Callable[[], list[Trigger]]) -> tuple[list[Any], float]:
    """Run triggers three times; give the outcomes with the smallest of the largest gaps.

    What the machine does beside only adds to a gap. Python's collector would go through all of
    Airflow and the tests: frozen, it looks only at what comes later.
    """
    asyncio.run(with_heartbeat(*make()[:1]))  # the first one pays for imports
    gc.collect()
    gc.freeze()
    try:
        runs = [asyncio.run(with_heartbeat(*make())) for _ in range(3)]
    finally:
        gc.unfreeze()
    return min(runs, key=lambda run: run[1])


def trigger(**fields: Any) -> PackageGroupTrigger:
    return PackageGroupTrigger(**{"group": "g", "poll_interval": 0.2} | fields)


def test_a_slow_service_does_not_block_the_loop(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    dli.latency = 0.4

    (only,), gap = quietest(lambda: [trigger()])

    assert only[0]["status"] == "ready"
    assert gap < LARGEST_GAP


def test_many_triggers_that_begin_at_once_do_not_block_the_loop(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    dli.latency = 0.2

    outcomes, gap = quietest(lambda: [trigger() for _ in range(50)])

    assert [outcome[0]["status"] for outcome in outcomes] == ["ready"] * 50
    assert gap < LARGEST_GAP


def test_each_trigger_gets_its_own_connection(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    with running() as other:
        other.put_group("g", {"other.jar": "READY"})
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(other))

        outcomes, _ = asyncio.run(with_heartbeat(trigger(), trigger(dli_conn_id="other")))

    assert [list(outcome[0]["states"]) for outcome in outcomes] == [["a.jar"], ["other.jar"]]


def test_a_connection_that_does_not_exist_is_no_reason_to_try_another(dli: Emulator) -> None:
    (only,) = asyncio.run(events(trigger(dli_conn_id="missing", max_unknown_time=0.2)))

    assert "The connection 'missing' could not be read" in only["message"]
    assert dli.requests == []


def test_a_connection_that_is_incomplete_is_one_event_that_says_what_is_missing(
    dli: Emulator, connect: Callable[..., None]
) -> None:
    connect(project_id=None, cloud=None)

    (only,) = asyncio.run(events(trigger()))

    assert (only["status"], only["error"]) == ("failed", "InputError")
    assert "connection 'dli_default': project_id is missing" in only["message"]


def of_job(batch_id: str, **fields: Any) -> SparkBatchTrigger:
    return SparkBatchTrigger(**{"batch_id": batch_id, "poll_interval": 0.2} | fields)


def test_many_triggers_of_jobs_that_begin_at_once_do_not_block_the_loop(dli: Emulator) -> None:
    jobs = [dli.add_batch({"file": "a.py", "name": "job"}, "success") for _ in range(20)]
    dli.latency = 0.1

    outcomes, gap = quietest(lambda: [of_job(job, driver_log=False) for job in jobs])

    assert [outcome[0]["status"] for outcome in outcomes] == ["ended"] * 20
    assert gap < LARGEST_GAP


def test_each_trigger_of_a_job_gets_its_own_connection(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as other:
        here = dli.add_batch({"file": "a.py", "name": "here"}, "success")
        there = other.add_batch({"file": "a.py", "name": "there"}, "dead")
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(other))

        outcomes, _ = asyncio.run(with_heartbeat(of_job(here), of_job(there, dli_conn_id="other")))

    assert [outcome[0]["batch"]["name"] for outcome in outcomes] == ["here", "there"]


def test_a_connection_of_a_job_that_does_not_exist_is_no_reason_to_try_another(
    dli: Emulator,
) -> None:
    (only,) = asyncio.run(events(of_job("b", dli_conn_id="missing", max_unknown_time=0.2)))

    assert "The connection 'missing' could not be read" in only["message"]
    assert dli.requests == []


def test_an_incomplete_connection_of_a_job_is_one_event_that_says_what_is_missing(
    dli: Emulator, connect: Callable[..., None]
) -> None:
    connect(project_id=None, cloud=None)

    (only,) = asyncio.run(events(of_job("b")))

    assert (only["status"], only["error"]) == ("failed", "InputError")
    assert "connection 'dli_default': project_id is missing" in only["message"]


def test_a_large_listing_is_no_longer_on_the_loop_than_the_gap_allows(dli: Emulator) -> None:
    for number in range(2000):
        dli.put_group(f"group-{number}", {"a.jar": "READY"})
    dli.put_group("g", {"a.jar": "READY"})

    outcomes, gap = quietest(lambda: [trigger(group=f"group-{number}") for number in range(50)])

    assert [outcome[0]["status"] for outcome in outcomes] == ["ready"] * 50
    # The emulator writes its answer in a thread of this process: it takes turns with the loop.
    assert gap < 3 * LARGEST_GAP


def test_a_group_is_found_in_a_listing_of_50_mb(connect: Callable[..., None]) -> None:
    package = {"resource_name": "a.jar", "status": "READY", "description": 1000 * "x"}
    names = [*(f"group-{number}" for number in range(48_000)), "g"]
    groups = [{"group_name": name, "status": "READY", "details": [package]} for name in names]
    body = json.dumps({"groups": groups}).encode()
    assert len(body) > 50_000_000

    with serving((200, {"Content-Type": "application/json"}, body)) as server:
        connect(endpoint=server.origin)
        (only,) = asyncio.run(events(trigger()))

    assert only == {"status": "ready", "states": {"a.jar": "READY"}}
