"""Fault: the task's `execution_timeout`, or the wait's own `timeout`, passes before all is READY.

Expected: both modes end with the same class of exception, within reach of the limit, and nothing is
deleted at DLI.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowTaskTimeout
from conftest import connection
from fake_clock import FakeClock
from scenarios.modes import Mode, again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import PackageGroupTimeoutError
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.packages import UploadPackageGroupOperator
from airflow_provider_dli.sensors.packages import PackageGroupSensor

NEVER = [(0, "UPLOADING")]


def upload(**arguments: object) -> UploadPackageGroupOperator:
    defaults = {"paths": ["obs://b1-bucket/a.jar"], "group": "g", "kind": "jar"}
    return UploadPackageGroupOperator(
        task_id="stage", deferrable=True, **defaults | {"poll_interval": 0.1} | arguments
    )


def test_the_waits_own_timeout_is_the_same_error_in_both_modes(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", NEVER)

    with pytest.raises(PackageGroupTimeoutError, match=r"'g' was not READY by .*a\.jar is UPLOADI"):
        mode.run(mode.upload(timeout=mode.seconds(60)))


def test_nothing_is_deleted_when_time_is_up(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", NEVER)

    with pytest.raises(PackageGroupTimeoutError):
        mode.run(mode.upload(timeout=mode.seconds(30)))

    assert {record.method for record in dli.requests} == {"POST", "GET"}
    assert list(dli.groups()) == ["g"]


def test_the_execution_timeout_holds_while_the_task_is_deferred(dli: Emulator) -> None:
    dli.set_timeline("*", NEVER)
    operator = upload(execution_timeout=timedelta(seconds=0.4), timeout=600)
    left = deferred(operator)

    with pytest.raises(AirflowTaskTimeout, match="'g' was not READY by"):
        resume(operator, left, event(again(left.trigger)))


@pytest.mark.parametrize("poll_interval", [10, 40])
def test_what_is_ready_at_the_deadline_is_no_timeout(
    mode: Mode, dli: Emulator, poll_interval: float
) -> None:
    """The last look comes at the deadline, however long the poll interval."""
    dli.set_timeline("*", [(0, "UPLOADING"), (mode.seconds(85), "READY")])

    result = mode.run(
        mode.upload(poll_interval=mode.seconds(poll_interval), timeout=mode.seconds(95))
    )

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_a_throttled_wait_in_the_worker_ends_at_its_timeout_not_at_the_retry_after(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(clock=clock.now) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        emulator.put_group("g", {"a.jar": "UPLOADING"})
        emulator.add_fault(Fault("throttled", method="GET", retry_after=3600, times=None))

        with pytest.raises(PackageGroupTimeoutError), DliHook(clock=clock) as hook:
            hook.wait_until_ready("g", ["a.jar"], timeout=60)

    assert sum(clock.slept) < 120


def test_a_deferred_sensor_times_out_as_a_sensor_does(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})
    sensor = PackageGroupSensor(
        task_id="staged", group="g", deferrable=True, poke_interval=0.1, timeout=0.3
    )
    left = deferred(sensor)

    with pytest.raises(AirflowSensorTimeout, match=r"a\.jar is UPLOADING"):
        resume(sensor, left, event(again(left.trigger)))


def test_a_deferred_sensor_keeps_the_tasks_execution_timeout(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})
    sensor = PackageGroupSensor(
        task_id="staged",
        group="g",
        deferrable=True,
        poke_interval=0.1,
        execution_timeout=timedelta(seconds=0.3),
    )
    left = deferred(sensor)

    with pytest.raises(AirflowTaskTimeout):
        resume(sensor, left, event(again(left.trigger)))
