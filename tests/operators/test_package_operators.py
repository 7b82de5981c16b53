"""The operators against the emulator, executed as Airflow executes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from fake_clock import FakeClock

from airflow_provider_dli.api.protocol.errors import (
    InputError,
    PackageGroupExistsError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.packages import (
    DeletePackageGroupOperator,
    UploadPackageGroupOperator,
)

PATHS = ["obs://bucket/jars/a.jar", "obs://bucket/jars/b.jar"]
READY = {"status": "ready", "states": {"a.jar": "READY", "b.jar": "READY"}}
URL = "https://bucket.obs.eu-west-101.myhuaweicloud.eu/jars"


def upload(hook: DliHook, **arguments: Any) -> UploadPackageGroupOperator:
    arguments = {"paths": PATHS, "group": "g", "kind": "jar"} | arguments
    operator = UploadPackageGroupOperator(task_id="stage", **arguments)
    operator.hook = hook
    return operator


def uploads(emulator: Emulator) -> int:
    return sum(record.method == "POST" for record in emulator.requests)


def test_the_result_names_group_kind_project_region_and_every_package(
    hook: DliHook, emulator: Emulator
) -> None:
    result = upload(hook).execute({})

    assert result == {
        "group": "g",
        "kind": "jar",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
        "packages": [
            {"name": "a.jar", "path": f"{URL}/a.jar", "state": "READY"},
            {"name": "b.jar", "path": f"{URL}/b.jar", "state": "READY"},
        ],
    }
    json.dumps(result)


def test_all_packages_go_in_one_upload(hook: DliHook, emulator: Emulator) -> None:
    upload(hook).execute({})

    assert uploads(emulator) == 1


def test_a_group_that_is_ready_at_once_is_not_looked_up(hook: DliHook, emulator: Emulator) -> None:
    upload(hook, is_async=False).execute({})

    assert [record.method for record in emulator.requests] == ["POST"]


def test_packages_without_a_group_are_waited_for(hook: DliHook) -> None:
    result = upload(hook, group=None).execute({})

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]
    assert result["group"] is None


def test_without_waiting_the_task_ends_after_the_upload(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    result = upload(hook, wait_for_completion=False).execute({})

    assert [package["state"] for package in result["packages"]] == ["UPLOADING", "UPLOADING"]
    assert len(emulator.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize("is_async", [True, False])
def test_a_failed_package_fails_the_task_and_is_named(
    hook: DliHook, emulator: Emulator, is_async: bool
) -> None:
    emulator.set_timeline("b.jar", [(0, "UPLOADING"), (1, "FAILED")])

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is FAILED"):
        upload(hook, is_async=is_async).execute({})


def test_a_failed_package_fails_the_task_that_does_not_wait(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.set_timeline("b.jar", [(0, "FAILED")])

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is FAILED"):
        upload(hook, wait_for_completion=False).execute({})


@pytest.mark.parametrize("wait", [True, False])
def test_a_missing_package_fails_the_task_and_is_named(
    hook: DliHook, emulator: Emulator, wait: bool
) -> None:
    emulator.set_timeline("b.jar", [(0, None)])

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is ABSENT"):
        upload(hook, wait_for_completion=wait).execute({})


def test_a_package_of_another_upload_does_not_count(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"old.jar": "FAILED"})

    assert upload(hook).execute({})["packages"][0]["state"] == "READY"


def test_the_task_fails_when_time_is_up(hook: DliHook, emulator: Emulator) -> None:
    emulator.upload_seconds = 600

    with pytest.raises(PackageGroupTimeoutError, match=r"UTC: a\.jar is UPLOADING, b"):
        upload(hook, timeout=300).execute({})


def test_skip_does_not_upload_what_is_there_but_waits_for_it(
    hook: DliHook, emulator: Emulator
) -> None:
    upload(hook, wait_for_completion=False).execute({})

    result = upload(hook, if_exists="skip").execute({})

    assert uploads(emulator) == 1
    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_fail_refuses_a_group_that_is_there(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    with pytest.raises(PackageGroupExistsError):
        upload(hook, if_exists="fail").execute({})
    assert uploads(emulator) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": None}, "paths is missing"),
        ({"paths": "obs://bucket/a.jar"}, "paths is 'obs"),
        ({"kind": None}, "kind is missing"),
        ({"group": "a/b"}, "group is 'a/b'"),
        ({"if_exists": "never"}, "if_exists is 'never'"),
        ({"poll_interval": 0}, "poll_interval is 0"),
        ({"timeout": "1h"}, "timeout is '1h'"),
        ({"wait_for_completion": "no"}, "wait_for_completion is 'no'"),
        ({"tags": ["a"]}, "tags is 'a'"),
    ],
)
def test_wrong_input_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        upload(hook, **arguments).execute({})

    assert emulator.requests == []


def test_what_a_template_made_of_nothing_leaves_connection_region_and_project(
    connect: Callable[..., None], emulator: Emulator
) -> None:
    connect()
    operator = UploadPackageGroupOperator(
        task_id="stage",
        paths=PATHS,
        group="g",
        kind="jar",
        wait_for_completion=False,
        dli_conn_id="",
        region=" ",
        project_id="",
        tags="",
    )

    result = operator.execute({})

    assert (result["project_id"], result["region"]) == (emulator.project_id, "eu-west-101")
    assert "tags" not in emulator.requests[0].body


@pytest.mark.parametrize("field", ["group", "dli_conn_id", "region", "project_id"])
def test_a_template_that_rendered_nothing_ends_the_task(
    connect: Callable[..., None], emulator: Emulator, field: str
) -> None:
    connect()
    for make in (UploadPackageGroupOperator, DeletePackageGroupOperator):
        arguments = {"task_id": "t", "group": "g", field: "None"}
        if make is UploadPackageGroupOperator:
            arguments |= {"paths": PATHS, "kind": "jar"}

        with pytest.raises(AirflowFailException, match=f"^{field} is 'None': a template rendered"):
            make(**arguments).execute({})

    assert emulator.requests == []


def test_a_blank_group_is_refused_since_only_none_means_no_group(
    hook: DliHook, emulator: Emulator
) -> None:
    with pytest.raises(AirflowFailException, match="group is '': use 1 to 64"):
        upload(hook, group="").execute({})

    assert emulator.requests == []


def test_a_known_success_does_not_fail_over_the_project_of_its_result(
    emulator: Emulator, connect: Callable[..., None], clock: FakeClock
) -> None:
    connect(project_id=None, iam_endpoint=emulator.url)
    emulator.add_fault(Fault("unavailable", path="/v3/projects", times=None))
    with DliHook(clock=clock) as hook:
        result = upload(hook).execute_complete({}, READY)

    assert (result["project_id"], result["region"]) == (None, "eu-west-101")
    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_a_known_success_does_not_fail_over_a_connection_that_is_gone(
    task_log: Callable[[], str],
) -> None:
    result = upload(DliHook("gone")).execute_complete({}, READY)

    assert (result["project_id"], result["region"]) == (None, None)
    assert [package["path"] for package in result["packages"]] == PATHS
    assert "The connection cannot be read" in task_log()


def test_wrong_input_that_the_triggerer_found_is_not_tried_again(hook: DliHook) -> None:
    error = InputError("region", "Eu 7", "give it as the console shows it, such as eu-de")
    event = {"status": "failed", **error.as_dict()}

    with pytest.raises(AirflowFailException, match="region is 'Eu 7'"):
        upload(hook).execute_complete({}, event)


def test_templated_arguments_are_not_changed(hook: DliHook) -> None:
    tags = {"team": "a"}
    operator = upload(hook, tags=tags)

    operator.execute({})

    assert (operator.paths, operator.tags) == (PATHS, {"team": "a"})


def test_a_group_is_deleted_and_its_packages_named(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})
    operator = DeletePackageGroupOperator(task_id="delete", group="g")
    operator.hook = hook

    assert operator.execute({}) == ["a.jar", "b.jar"]
    assert emulator.groups() == {}


def test_some_packages_are_deleted_and_the_others_stay(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})
    operator = DeletePackageGroupOperator(task_id="delete", group="g", packages=["a.jar"])
    operator.hook = hook

    assert operator.execute({}) == ["a.jar"]
    assert emulator.groups()["g"]["resources"] == ["b.jar"]


@pytest.mark.parametrize(
    "arguments", [{"group": ""}, {"group": None}, {"packages": "a.jar"}, {"packages": [""]}]
)
def test_a_wrong_deletion_is_refused_before_any_request_and_not_tried_again(
    hook: DliHook, emulator: Emulator, arguments: dict[str, Any]
) -> None:
    operator = DeletePackageGroupOperator(**{"task_id": "delete", "group": "g"} | arguments)
    operator.hook = hook

    with pytest.raises(AirflowFailException, match=r"^(group|packages) is "):
        operator.execute({})
    assert emulator.requests == []


def test_a_deletion_that_is_refused_says_what_is_left(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY", "c.jar": "READY"})
    emulator.add_fault(Fault("permission-denied", method="DELETE", path="*/b.jar"))
    operator = DeletePackageGroupOperator(task_id="delete", group="g")
    operator.hook = hook

    with pytest.raises(Exception, match=r"DLI\.0003") as caught:
        operator.execute({})

    assert "b.jar, c.jar" in caught.value.__notes__[0]
    assert emulator.groups()["g"]["resources"] == ["b.jar", "c.jar"]


def test_an_operator_makes_its_hook_from_its_own_arguments() -> None:
    operator = DeletePackageGroupOperator(
        task_id="delete", group="g", dli_conn_id="other", region="eu-de", project_id="p"
    )

    hook = operator.hook

    assert (hook.dli_conn_id, hook._region, hook._project_id) == ("other", "eu-de", "p")


# The limits of a wait in the triggerer


def left_after_a_long_upload(hook: DliHook, emulator: Emulator, **limits: Any) -> TaskDeferred:
    """Defer a task whose upload DLI takes only after some time."""
    emulator.add_fault(Fault("throttled", method="POST", retry_after="20", times=1))
    with pytest.raises(TaskDeferred) as left:
        upload(hook, deferrable=True, **limits).execute({})
    return left.value


def test_the_execution_timeout_counts_from_the_beginning_of_the_task(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    began = clock.now()

    left = left_after_a_long_upload(
        hook, emulator, execution_timeout=timedelta(seconds=300), timeout=600
    )

    assert clock.now() >= began + 20
    assert (left.trigger.deadline, left.trigger.limit) == (began + 300, "execution_timeout")


def test_the_timeout_counts_from_the_end_of_the_upload(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    began = clock.now()

    left = left_after_a_long_upload(hook, emulator, timeout=600)

    assert clock.now() >= began + 20
    assert (left.trigger.deadline, left.trigger.limit) == (clock.now() + 600, "timeout")
