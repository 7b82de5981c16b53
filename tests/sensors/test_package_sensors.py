"""The sensor against the emulator."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_dli.api.errors import InputError, PackageGroupFailedError
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor


def sensor(hook: DliHook, **arguments: Any) -> PackageGroupSensor:
    sensor = PackageGroupSensor(task_id="staged", **{"group": "g"} | arguments)
    sensor.hook = hook
    return sensor


@pytest.mark.parametrize(
    ("packages", "there", "done"),
    [
        (None, {}, False),
        (None, {"a.jar": "READY"}, True),
        (None, {"a.jar": "READY", "b.jar": "UPLOADING"}, False),
        (["a.jar"], {"a.jar": "READY", "b.jar": "FAILED"}, True),
        (["a.jar", "b.jar"], {"a.jar": "READY"}, False),
        (["a.jar"], {"a.jar": "PAUSED"}, False),
    ],
)
def test_it_is_done_when_all_that_was_asked_for_is_ready(
    hook: DliHook, emulator: Emulator, packages: list[str] | None, there: dict[str, str], done: bool
) -> None:
    emulator.put_group("g", there)

    assert bool(sensor(hook, packages=packages).poke({})) is done


def test_a_failed_package_fails_the_task_and_is_named(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "FAILED"})

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is FAILED"):
        sensor(hook).poke({})


def test_an_absent_group_is_waited_for(hook: DliHook) -> None:
    assert not sensor(hook).poke({})


def test_the_result_names_group_project_region_and_packages(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    assert sensor(hook, poke_interval=0.01).execute({}) == {
        "group": "g",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
        "packages": [{"name": "a.jar", "state": "READY"}],
    }


def test_the_kind_is_asked_of_the_service(hook: DliHook, emulator: Emulator) -> None:
    sensor(hook, kind="jar").poke({})

    assert emulator.requests[0].query == {"kind": "jar"}


def test_in_poke_mode_its_timeout_ends_it(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    with pytest.raises(AirflowSensorTimeout):
        sensor(hook, poke_interval=0.01, timeout=0.05).execute({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": ""}, "group is ''"),
        ({"packages": "a.jar"}, r"packages is 'a\.jar'"),
        ({"packages": []}, r"packages is \[\]"),
        ({"kind": "JAR"}, "kind is 'JAR'"),
    ],
)
def test_wrong_input_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sensor(hook, **arguments).poke({})

    assert emulator.requests == []
