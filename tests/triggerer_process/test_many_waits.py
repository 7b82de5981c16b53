"""What waits cost the triggerer that they share with all other triggers."""

from __future__ import annotations

import time

import pytest
from triggerer_process.probe import Probe
from triggerer_process.stage import Stage

from airflow_provider_dli.emulator import Emulator

pytestmark = [
    pytest.mark.alone,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]

TRIGGER = "airflow_provider_dli.triggers.packages.PackageGroupTrigger"
SPARK_TRIGGER = "airflow_provider_dli.triggers.spark.SparkBatchTrigger"
WAITS = 500
LATENCY = 3.0
PAGES = 5
"""Of the listing of so many jobs; each takes the latency."""
POLL_INTERVAL = 4.0
LARGEST_GAP = 0.25
"""Seconds. A blocking call would take LATENCY; the benchmark tells how small the gaps are."""
FLAT = 5.0
"""MB. Waits that kept what they saw would hold a hundred after one look."""


def test_the_first_wait_of_a_triggerer_blocks_nobody(
    stage: Stage, emulator: Emulator, probe: Probe
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.latency = LATENCY
    stage.start_triggerer()
    probe.wait()

    started = time.time()
    stage.defer(TRIGGER, {"group": "g"})
    (wait,) = stage.resumed([1])

    assert wait.event["status"] == "ready"
    assert probe.largest_gap(started) < LARGEST_GAP


def test_500_waits_on_a_slow_service_block_nobody_and_cost_one_listing_for_all(
    stage: Stage, emulator: Emulator, probe: Probe
) -> None:
    groups = [f"group-{number}" for number in range(WAITS)]
    put(emulator, groups, {"a.jar": "UPLOADING", "b.jar": "UPLOADING"})
    emulator.latency = LATENCY
    stage.defer(TRIGGER, *({"group": group, "poll_interval": POLL_INTERVAL} for group in groups))
    stage.start_triggerer()
    # Airflow 3.3 itself stands still while so many start: each logs a line, and the pipe to the
    # process that writes the lines has room for some hundreds.
    stage.until("all have started", lambda: len(stage.lines("trigger waits", "starting")) > WAITS)

    started, standstills = time.time(), stage.standstills
    answered(stage, emulator, 2)
    settled, memory = time.time(), probe.memory
    emulator.clear_requests()
    answered(stage, emulator, 1)
    # All of them have something to say, but none is done.
    put(emulator, groups, {"a.jar": "READY"})
    answered(stage, emulator, 2)
    later = probe.memory
    put(emulator, groups, {"b.jar": "READY"})
    waits = stage.resumed(range(1, WAITS + 1))

    assert [wait.event["status"] for wait in waits] == ["ready"] * WAITS
    assert {request.method for request in emulator.requests} == {"GET"}
    assert len(emulator.requests) <= (time.time() - settled) / POLL_INTERVAL + 2
    assert probe.largest_gap(started) < LARGEST_GAP
    assert stage.standstills == standstills
    assert later - memory < FLAT
    assert stage.errors == []


@pytest.mark.parametrize("driver_log", [False, True])
def test_500_waits_for_jobs_on_a_slow_service_block_nobody_and_share_the_listing(
    stage: Stage, emulator: Emulator, probe: Probe, driver_log: bool
) -> None:
    jobs = [emulator.add_batch({"name": f"job-{number}"}, "running") for number in range(WAITS)]
    write(emulator, jobs, 50)
    emulator.latency = 1.0
    fields = {"poll_interval": POLL_INTERVAL, "driver_log": driver_log}
    stage.defer(SPARK_TRIGGER, *({"batch_id": job, **fields} for job in jobs))
    stage.start_triggerer()
    stage.until("all have started", lambda: len(stage.lines("trigger waits", "starting")) > WAITS)

    started = time.time()
    answered(stage, emulator, 3 * PAGES)
    settled, memory = time.time(), probe.memory
    emulator.clear_requests()
    # All of them have something to tell, but none has ended.
    for job in jobs:
        emulator.set_batch_state(job, "recovering")
    write(emulator, jobs, 50)
    answered(stage, emulator, 3 * PAGES)
    later = probe.memory
    for job in jobs:
        emulator.set_batch_state(job, "success")
    waits = stage.resumed(range(1, WAITS + 1))

    looks = [request for request in emulator.requests if not request.path.endswith("/log")]
    assert [wait.event["batch"]["state"] for wait in waits] == ["success"] * WAITS
    assert {request.method for request in emulator.requests} == {"GET"}
    assert len(looks) <= PAGES * ((time.time() - settled) / POLL_INTERVAL + 2)
    assert probe.largest_gap(started) < LARGEST_GAP
    assert later - memory < FLAT
    assert stage.errors == []


def write(emulator: Emulator, jobs: list[str], lines: int) -> None:
    for job in jobs:
        emulator.write_batch_log(job, [f"a line of {job}"] * lines)


def put(emulator: Emulator, groups: list[str], packages: dict[str, str]) -> None:
    for group in groups:
        emulator.put_group(group, packages)


def answered(stage: Stage, emulator: Emulator, times: int) -> None:
    """Wait until DLI has given that many more answers."""
    before = len(emulator.requests)
    stage.until("DLI has answered", lambda: len(emulator.requests) >= before + times)
