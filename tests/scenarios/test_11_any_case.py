"""Fault: states of packages and Spark jobs come in any case, with blanks around them.

Expected: the same verdict as for the canonical word, in both modes, and the canonical word in XCom.
"""

from __future__ import annotations

from typing import Any

import pytest
from builders import group_entry, listing_body
from scenarios.jobs import looks
from scenarios.modes import Mode

from airflow_provider_dli.api.protocol.errors import PackageGroupFailedError, SparkBatchFailedError
from airflow_provider_dli.emulator import Emulator, Fault


def listing(state: str) -> dict[str, Any]:
    return listing_body(group_entry(dict.fromkeys(("a.jar", "b.jar"), state), status=state))


def listed(dli: Emulator, state: str, times: int | None = None) -> None:
    dli.add_fault(Fault(status=200, body=listing(state), method="GET", times=times))


@pytest.mark.parametrize("state", ["READY", "ready", "Ready", " ready ", "READY\n", "\tReAdY"])
def test_ready_in_any_case_is_ready(mode: Mode, dli: Emulator, state: str) -> None:
    listed(dli, state)

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


@pytest.mark.parametrize("state", ["FAILED", "failed", "Failed ", " fAiLeD"])
def test_failed_in_any_case_fails_at_once(mode: Mode, dli: Emulator, state: str) -> None:
    listed(dli, state)

    with pytest.raises(PackageGroupFailedError, match=r"a\.jar is FAILED, b\.jar is FAILED"):
        mode.run(mode.upload())

    assert sum(record.method == "GET" for record in dli.requests) == 1


@pytest.mark.parametrize("state", ["uploading", "Uploading", " UPLOADING "])
def test_uploading_in_any_case_is_waited_for_without_a_limit_of_the_unknown(
    mode: Mode, dli: Emulator, state: str
) -> None:
    listed(dli, state, times=2)

    result = mode.run(mode.upload(max_unknown_time=mode.seconds(0.1)))

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


@pytest.mark.parametrize("state", ["success", "Success", "SUCCESS", " success ", "sUccess\n"])
def test_success_in_any_case_is_success(mode: Mode, dli: Emulator, state: str) -> None:
    dli.set_batch_timeline("*", [(0, "starting"), (0.001, state)])

    assert mode.run(mode.spark())["state"] == "success"


@pytest.mark.parametrize("state", ["dead", "Dead", "DEAD ", "\tdead"])
def test_dead_in_any_case_fails_at_once(mode: Mode, dli: Emulator, state: str) -> None:
    dli.set_batch_timeline("*", [(0, "starting"), (0.001, state)])

    with pytest.raises(SparkBatchFailedError):
        mode.run(mode.spark(driver_log=False))

    assert len(looks(dli)) == 1


@pytest.mark.parametrize("state", ["Running", " RUNNING", "Starting", "recovering ", "Recovering"])
def test_a_job_that_goes_on_is_waited_for_in_any_case_without_a_limit_of_the_unknown(
    mode: Mode, dli: Emulator, state: str
) -> None:
    dli.set_batch_timeline("*", [(0, state), (mode.seconds(50), "success")])

    assert mode.run(mode.spark(max_unknown_time=mode.seconds(0.1)))["state"] == "success"
