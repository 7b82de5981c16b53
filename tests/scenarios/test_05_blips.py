"""Fault: while a task waits, looks at the listing fail in every way a service and a network know,
or the package just uploaded is not listed yet.

Expected: shorter than `max_unknown_time`, the task goes on, with one warning for each change and
without a second upload; longer, it fails with the last error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from builders import listing_body
from conftest import connection
from fake_clock import FakeClock
from scenarios.blips import BLIPS, WARNING
from scenarios.modes import Mode, again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import (
    NotSentError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor


def blip(arguments: dict[str, Any], times: int | None) -> Fault:
    return Fault(**arguments | {"method": "GET", "times": times})


def uploads(emulator: Emulator) -> int:
    return sum(record.method == "POST" for record in emulator.requests)


@pytest.mark.parametrize("name", BLIPS)
def test_a_blip_is_endured_with_one_warning(
    mode: Mode,
    dli: Emulator,
    name: str,
    logged: Callable[[str], str],
) -> None:
    dli.add_fault(blip(BLIPS[name][0], 1 if mode.clock is None else 3))

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]
    assert uploads(dli) == 1
    assert logged(WARNING).count(WARNING) == 1


@pytest.mark.parametrize("name", BLIPS)
def test_trouble_that_lasts_fails_with_the_last_error(mode: Mode, dli: Emulator, name: str) -> None:
    arguments, kind = BLIPS[name]
    dli.add_fault(blip(arguments, None))

    with pytest.raises(kind, match=r"GET /v2\.0/") as caught:
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))

    assert caught.value.__notes__ == [
        f"No look at Package group 'g' succeeded for {mode.seconds(40):g} seconds."
    ]
    assert uploads(dli) == 1


def test_a_service_that_is_not_there_fails_the_wait_after_the_unknown_time(
    dli: Emulator, connect: Callable[..., None]
) -> None:
    operator = Mode("triggerer", None).upload(max_unknown_time=0.4)
    left = deferred(operator)
    connect(endpoint="http://127.0.0.1:1")

    with pytest.raises(NotSentError, match="could not connect to http://127"):
        resume(operator, left, event(again(left.trigger)))


def test_a_service_that_is_not_there_fails_the_wait_of_the_worker_as_late(
    clock: FakeClock, connect: Callable[..., None]
) -> None:
    connect(endpoint="http://127.0.0.1:1")

    with pytest.raises(NotSentError), DliHook(clock=clock) as hook:
        hook.wait_until_ready("g", ["a.jar"], max_unknown_time=40)

    assert 40 <= sum(clock.slept) < 60


def test_each_change_of_trouble_is_a_warning(
    mode: Mode,
    dli: Emulator,
    logged: Callable[[str], str],
) -> None:
    for action in ("unavailable", "html", "unavailable"):
        dli.add_fault(Fault(action, method="GET", times=1))

    mode.run(mode.upload())

    assert logged(WARNING).count(WARNING) == 3


def test_a_package_that_is_not_listed_at_first_is_waited_for(mode: Mode, dli: Emulator) -> None:
    """The listing may lag behind the upload; here the answer of the upload still names it."""
    dli.add_fault(Fault(status=200, body=listing_body(), method="GET", times=2))

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_a_package_that_is_never_listed_fails_after_the_unknown_time(
    mode: Mode, dli: Emulator
) -> None:
    dli.add_fault(Fault(status=200, body=listing_body(), method="GET", times=None))

    with pytest.raises(PackageGroupFailedError, match=r"a\.jar is ABSENT, b\.jar is ABSENT"):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))


def test_trouble_at_the_deadline_is_a_timeout_that_says_so(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault("unavailable", method="GET", times=None))

    with pytest.raises(PackageGroupTimeoutError, match=r"The last look failed: GET .*503"):
        mode.run(mode.upload(timeout=mode.seconds(40)))


def test_a_group_that_cannot_be_read_for_a_while_is_endured(mode: Mode, dli: Emulator) -> None:
    """Broken in its own entry alone, in an answer that is good otherwise."""
    body = {"resources": [], "groups": [{"group_name": "g", "details": "soon"}], "modules": []}
    dli.add_fault(Fault(status=200, body=body, method="GET", times=1))

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def sensor(**arguments: Any) -> PackageGroupSensor:
    return PackageGroupSensor(task_id="staged", **{"group": "g", "poke_interval": 0.1} | arguments)


def test_the_first_look_of_a_deferrable_sensor_endures_a_blip_as_later_ones_do(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the triggerer's turn to look again then, and no reason to fail."""
    with running(clock=clock.now) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        emulator.add_fault(Fault("unavailable", times=None))
        waiting = sensor(deferrable=True, max_unknown_time=300)
        waiting.hook = DliHook(clock=clock)

        with pytest.raises(TaskDeferred):
            waiting.execute({})


def test_a_deferred_sensor_endures_a_blip(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})
    waiting = sensor(deferrable=True)
    left = deferred(waiting)
    dli.add_fault(Fault("unavailable", times=1))
    dli.put_group("g", {"a.jar": "READY"})

    assert resume(waiting, left, event(again(left.trigger)))["packages"] == [
        {"name": "a.jar", "state": "READY"}
    ]
