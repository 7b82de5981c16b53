"""Fault: of a group's packages some are READY and one is FAILED; or the group stays UPLOADING; or
it says READY and lacks a package; or it is empty.

Expected: the task names package and state, waits no longer than its bounds, and succeeds only when
*all that it asked for* are READY, whatever the group says of itself.
"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from builders import group_entry, listing_body
from scenarios.modes import Mode, again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import (
    PackageGroupFailedError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.sensors.packages import PackageGroupSensor

PATHS = [f"obs://bucket/jars/{name}.jar" for name in "abc"]


def listed(dli: Emulator, state: str, packages: dict[str, str], times: int | None = None) -> None:
    body = listing_body(group_entry(packages, status=state))
    dli.add_fault(Fault(status=200, body=body, method="GET", times=times))


ALL = {"a.jar": "READY", "b.jar": "READY", "c.jar": "READY"}

FAILING: dict[str, tuple[str, dict[str, str], str]] = {
    "one failed": ("READY", ALL | {"c.jar": "FAILED"}, r"'g' failed: c\.jar is FAILED\."),
    "one failed in a failed group": ("FAILED", ALL | {"b.jar": "FAILED"}, r": b\.jar is FAILED\."),
    "one failed, one uploading": (
        "UPLOADING",
        {"a.jar": "UPLOADING", "b.jar": "READY", "c.jar": "FAILED"},
        r"a\.jar is UPLOADING, c\.jar is FAILED",
    ),
    "all failed": ("FAILED", dict.fromkeys(ALL, "FAILED"), r"a\.jar is FAILED, b\.jar is FAILED"),
    "the group failed alone": ("FAILED", ALL, "the group itself is FAILED"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_ends_the_wait_at_once_and_names_package_and_state(
    mode: Mode, dli: Emulator, name: str
) -> None:
    state, packages, message = FAILING[name]
    listed(dli, state, packages)

    with pytest.raises(PackageGroupFailedError, match=message):
        mode.run(mode.upload(paths=PATHS))

    assert sum(record.method == "GET" for record in dli.requests) == 1


@pytest.mark.parametrize(
    ("state", "packages", "message"),
    [
        ("READY", {"a.jar": "READY", "b.jar": "READY"}, r"'g' failed: c\.jar is ABSENT"),
        ("READY", {}, r"a\.jar is ABSENT, b\.jar is ABSENT, c\.jar is ABSENT"),
    ],
    ids=["one is missing", "empty"],
)
def test_what_never_appears_fails_after_the_unknown_time_though_the_group_is_ready(
    mode: Mode, dli: Emulator, state: str, packages: dict[str, str], message: str
) -> None:
    listed(dli, state, packages)

    with pytest.raises(PackageGroupFailedError, match=message):
        mode.run(mode.upload(paths=PATHS, max_unknown_time=mode.seconds(30)))


@pytest.mark.parametrize("state", ["UPLOADING", "READY"])
def test_a_package_that_stays_uploading_ends_at_the_timeout(
    mode: Mode, dli: Emulator, state: str
) -> None:
    listed(dli, state, ALL | {"c.jar": "UPLOADING"})

    with pytest.raises(PackageGroupTimeoutError, match=r": c\.jar is UPLOADING\. DLI may still"):
        mode.run(mode.upload(paths=PATHS, timeout=mode.seconds(40)))


@pytest.mark.parametrize(
    ("state", "packages"),
    [
        ("UPLOADING", ALL),
        ("whatever", ALL),
        ("", ALL),
        ("FAILED", ALL | {"other.jar": "FAILED"}),
        ("UPLOADING", ALL | {"other.jar": "UPLOADING"}),
    ],
    ids=["uploading", "unknown word", "none", "another failed", "another uploading"],
)
def test_all_that_was_asked_for_is_enough_whatever_the_group_says(
    mode: Mode, dli: Emulator, state: str, packages: dict[str, str]
) -> None:
    listed(dli, state, packages)

    result = mode.run(mode.upload(paths=PATHS))

    assert {package["state"] for package in result["packages"]} == {"READY"}


def test_one_after_the_other_may_become_ready(mode: Mode, dli: Emulator) -> None:
    for delay, name in enumerate("abc"):
        dli.set_timeline(
            f"{name}.jar", [(0, "UPLOADING"), (mode.seconds(10 + 20 * delay), "READY")]
        )

    result = mode.run(mode.upload(paths=PATHS))

    assert [package["name"] for package in result["packages"]] == list(ALL)


def sensor(**arguments: Any) -> PackageGroupSensor:
    return PackageGroupSensor(
        task_id="staged",
        **{"group": "g", "deferrable": True, "poke_interval": 0.1, "timeout": 5} | arguments,
    )


@pytest.mark.parametrize("packages", [None, ["a.jar", "b.jar"]], ids=["all", "some"])
def test_a_deferred_sensor_waits_for_a_group_that_is_not_there_yet(
    dli: Emulator, packages: list[str] | None
) -> None:
    waiting = sensor(packages=packages)
    left = deferred(waiting)
    dli.put_group("g", {"a.jar": "READY", "b.jar": "READY"})

    assert resume(waiting, left, event(again(left.trigger))) == {
        "group": "g",
        "project_id": dli.project_id,
        "region": "eu-west-101",
        "packages": [{"name": "a.jar", "state": "READY"}, {"name": "b.jar", "state": "READY"}],
    }


def test_a_deferred_sensor_fails_on_a_package_that_fails(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})
    waiting = sensor()
    left = deferred(waiting)
    dli.put_group("g", {"a.jar": "FAILED"})

    with pytest.raises(AirflowFailException, match=r"a\.jar is FAILED"):
        resume(waiting, left, event(again(left.trigger)))
