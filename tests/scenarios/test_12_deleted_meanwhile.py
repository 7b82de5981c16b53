"""Fault: somebody deletes the group, or one of its packages, while a task waits for it; or cancels
the Spark job in the console, or deletes its record.

Expected: the task fails at the next look in both modes, naming what is gone and hinting that
somebody may have deleted or cancelled it. It does not wait for its timeout. A job without a record
may be one that DLI does not find for the moment, so that takes `max_unknown_time`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scenarios.jobs import NEVER, job, looks, submissions
from scenarios.modes import Mode, once

from airflow_provider_dli.api.protocol.errors import (
    PackageGroupFailedError,
    SparkBatchFailedError,
    SparkBatchLostError,
)
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook

GONE = r"is ABSENT.*nobody deletes the group meanwhile"


def uploading(dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "UPLOADING")])


def deleted(mode: Mode, dli: Emulator, *names: str, group: str | None = "g") -> Callable[[], bool]:
    """Deletes packages as somebody else, as soon as a look has shown them."""

    def delete() -> None:
        with DliHook(clock=mode.clock) as other:
            for name in names:
                other.delete_package(name, group)

    # When the second look comes, the first has been answered.
    return once(lambda: methods(dli).count("GET") > 1, delete)


def methods(dli: Emulator) -> list[str]:
    return [record.method for record in dli.requests]


def test_a_group_that_is_deleted_fails_the_task_at_once(mode: Mode, dli: Emulator) -> None:
    uploading(dli)

    with pytest.raises(PackageGroupFailedError, match=rf"a\.jar is ABSENT, b\.jar {GONE}"):
        mode.run(mode.upload(), deleted(mode, dli, "a.jar", "b.jar"))


def test_a_package_that_is_deleted_fails_the_task_at_once(mode: Mode, dli: Emulator) -> None:
    uploading(dli)

    with pytest.raises(PackageGroupFailedError, match=rf"b\.jar {GONE}"):
        mode.run(mode.upload(), deleted(mode, dli, "b.jar"))


def test_it_is_noticed_at_the_next_look(mode: Mode, dli: Emulator) -> None:
    uploading(dli)

    with pytest.raises(PackageGroupFailedError):
        mode.run(mode.upload(), deleted(mode, dli, "b.jar"))

    after = methods(dli)[methods(dli).index("DELETE") + 1 :]
    assert after.count("GET") <= 2  # one may have been under way


def test_a_package_of_somebody_else_may_be_deleted(mode: Mode, dli: Emulator) -> None:
    dli.put_group("g", {"other.jar": "READY"})

    result = mode.run(mode.upload(), deleted(mode, dli, "other.jar"))

    assert [package["name"] for package in result["packages"]] == ["a.jar", "b.jar"]


def test_an_upload_without_a_group_that_is_deleted_fails_at_once(mode: Mode, dli: Emulator) -> None:
    uploading(dli)

    with pytest.raises(PackageGroupFailedError, match=r"without a group failed: a\.jar is ABSENT"):
        mode.run(mode.upload(group=None), deleted(mode, dli, "a.jar", "b.jar", group=None))


def test_nothing_is_deleted_by_the_task_itself(mode: Mode, dli: Emulator) -> None:
    uploading(dli)

    with pytest.raises(PackageGroupFailedError):
        mode.run(mode.upload(), deleted(mode, dli, "b.jar"))

    assert methods(dli).count("DELETE") == 1


def test_a_job_that_is_cancelled_in_the_console_fails_the_task_and_says_so(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)

    def cancel() -> None:
        dli.set_batch_state(job(dli)["id"], "dead")

    with pytest.raises(SparkBatchFailedError, match="cancelled or ended outside Airflow"):
        mode.run(mode.spark(timeout=None), once(lambda: looks(dli), cancel))

    assert submissions(dli) == 1


def test_a_job_that_the_service_ends_is_said_to_be_ended_outside_airflow(
    mode: Mode, dli: Emulator
) -> None:
    dli.set_batch_timeline("*", NEVER)

    def end() -> None:
        dli.write_batch_log(job(dli)["id"], ["ERROR ApplicationMaster: RECEIVED SIGNAL TERM"])
        dli.set_batch_state(job(dli)["id"], "dead")

    with pytest.raises(SparkBatchFailedError, match="cancelled or ended outside Airflow: ERROR"):
        mode.run(mode.spark(timeout=None), once(lambda: looks(dli), end))


def test_a_job_whose_record_is_gone_is_lost_and_no_success(mode: Mode, dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "running"), (mode.seconds(30), None)])
    limit = mode.seconds(60)

    with pytest.raises(
        SparkBatchLostError,
        match=f"has no record of it any more; it was running before, for {limit:g} seconds",
    ):
        mode.run(mode.spark(timeout=None, max_unknown_time=limit))

    assert submissions(dli) == 1


def test_a_job_whose_record_comes_back_is_waited_for(mode: Mode, dli: Emulator) -> None:
    gone, back, ended = mode.seconds(20), mode.seconds(50), mode.seconds(90)
    dli.set_batch_timeline("*", [(0, "running"), (gone, None), (back, "x"), (ended, "success")])

    assert mode.run(mode.spark(timeout=None))["state"] == "success"
