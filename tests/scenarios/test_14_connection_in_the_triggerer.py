"""Fault: a trigger resolves its connection while other coroutines run, and the service is slow.

Expected: it gets its own connection, never a default one, without a blocking call on the loop: the
largest gap between two heartbeats stays below a tenth of a second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import connection
from eventually import HANG, eventually
from scenarios.modes import events
from scenarios.servers import serving

from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggers.packages import PackageGroupTrigger
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

Trigger = PackageGroupTrigger | SparkBatchTrigger


def together(*triggers: Trigger) -> list[Any]:
    """Run triggers on one event loop and return their events.

    How long they keep the loop to themselves is measured by benchmarks/wait_at_scale.py and by
    triggerer_process/test_many_waits.py.
    """

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*map(events, triggers))

    return asyncio.run(all_of_them())


def trigger(**fields: Any) -> PackageGroupTrigger:
    return PackageGroupTrigger(**{"group": "g", "poll_interval": 0.2} | fields)


def test_a_service_that_is_silent_does_not_block_the_loop(
    dli: Emulator, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(read_timeout=2 * HANG)
    dli.add_fault(Fault("hang", method="GET"))

    async def main() -> list[dict[str, Any]]:
        stuck = asyncio.ensure_future(events(trigger()))
        await eventually(lambda: dli.faults.as_json()[0]["hit"])
        served = await events(trigger(dli_conn_id="other"))
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        return served

    with running() as other:
        other.put_group("g", {"a.jar": "READY"})
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(other))
        (only,) = asyncio.run(main())

    assert only["status"] == "ready"


def test_many_triggers_begin_at_once(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})

    outcomes = together(*(trigger() for _ in range(50)))

    assert [outcome[0]["status"] for outcome in outcomes] == ["ready"] * 50


def test_each_trigger_gets_its_own_connection(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    with running() as other:
        other.put_group("g", {"other.jar": "READY"})
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(other))

        outcomes = together(trigger(), trigger(dli_conn_id="other"))

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


def test_many_triggers_of_jobs_begin_at_once(dli: Emulator) -> None:
    jobs = [dli.add_batch({"file": "a.py", "name": "job"}, "success") for _ in range(20)]

    outcomes = together(*(of_job(job, driver_log=False) for job in jobs))

    assert [outcome[0]["status"] for outcome in outcomes] == ["ended"] * 20


def test_each_trigger_of_a_job_gets_its_own_connection(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as other:
        here = dli.add_batch({"file": "a.py", "name": "here"}, "success")
        there = other.add_batch({"file": "a.py", "name": "there"}, "dead")
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection(other))

        outcomes = together(of_job(here), of_job(there, dli_conn_id="other"))

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
