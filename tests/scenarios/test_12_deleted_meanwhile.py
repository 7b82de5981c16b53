"""Fault: somebody deletes the group, or one of its packages, while a task waits for it.

Expected: the task fails at the next look in both modes, naming what is gone and hinting that
somebody may have deleted it. It does not wait for its timeout.
"""

from __future__ import annotations

import pytest
from scenarios.modes import Mode

from airflow_provider_dli.api.errors import PackageGroupFailedError
from airflow_provider_dli.emulator import Emulator

GONE = r"is ABSENT.*nobody deletes the group meanwhile"


def test_a_group_that_is_deleted_fails_the_task_at_once(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "UPLOADING"), (mode.seconds(30), None)])

    with pytest.raises(PackageGroupFailedError, match=rf"a\.jar is ABSENT, b\.jar {GONE}"):
        mode.run(mode.upload())


def test_a_package_that_is_deleted_fails_the_task_at_once(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "UPLOADING")])
    dli.set_timeline("b.jar", [(0, "UPLOADING"), (mode.seconds(30), None)])

    with pytest.raises(PackageGroupFailedError, match=rf"b\.jar {GONE}"):
        mode.run(mode.upload())


def test_it_is_noticed_at_the_next_look(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "UPLOADING"), (mode.seconds(30), None)])

    started = mode.now()
    with pytest.raises(PackageGroupFailedError):
        mode.run(mode.upload())

    assert mode.now() - started < (45 if mode.clock else 1.5)


def test_a_package_of_somebody_else_may_be_deleted(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("other.jar", [(0, "READY"), (mode.seconds(5), None)])
    dli.put_group("g", {"other.jar": "READY"})

    result = mode.run(mode.upload())

    assert [package["name"] for package in result["packages"]] == ["a.jar", "b.jar"]


def test_an_upload_without_a_group_that_is_deleted_fails_at_once(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "UPLOADING"), (mode.seconds(30), None)])

    with pytest.raises(PackageGroupFailedError, match=r"without a group failed: a\.jar is ABSENT"):
        mode.run(mode.upload(group=None))


def test_nothing_is_deleted_by_the_task_itself(mode: Mode, dli: Emulator) -> None:
    dli.set_timeline("b.jar", [(0, "UPLOADING"), (mode.seconds(20), None)])

    with pytest.raises(PackageGroupFailedError):
        mode.run(mode.upload())

    assert {record.method for record in dli.requests} == {"POST", "GET"}
