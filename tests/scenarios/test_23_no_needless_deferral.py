"""Fault: a task does not wait, but is deferrable, by itself or by `[operators] default_deferrable`;
or all is READY, or its job has ended, already when it would defer.

Expected: it returns at once, without a trigger.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from fake_clock import FakeClock
from task_runs import TaskRun, context, retried

import airflow_provider_dli.operators.packages as operators
import airflow_provider_dli.operators.spark as jobs
import airflow_provider_dli.sensors.packages as sensors
from airflow_provider_dli.api.protocol.errors import (
    PackageGroupFailedError,
    QuotaError,
    SparkBatchFailedError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook

ARGUMENTS = {"task_id": "stage", "paths": ["obs://bucket/a.jar"], "group": "g", "kind": "jar"}


def read_anew(module: ModuleType) -> Any:
    """Returns the module as a process reads it that has another configuration."""
    assert module.__file__
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_anew", module.__file__)
    assert spec
    assert spec.loader
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


@pytest.fixture
def by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")


def test_a_task_that_does_not_wait_does_not_defer(dli: Emulator) -> None:
    operator = operators.UploadPackageGroupOperator(
        **ARGUMENTS, wait_for_completion=False, deferrable=True
    )

    result = operator.execute({})

    assert result["packages"][0]["state"] == "UPLOADING"
    assert [record.method for record in dli.requests] == ["POST"]


@pytest.mark.usefixtures("by_default")
def test_a_task_that_does_not_wait_does_not_defer_by_default_either(dli: Emulator) -> None:
    operator = read_anew(operators).UploadPackageGroupOperator(
        **ARGUMENTS, wait_for_completion=False
    )

    assert operator.deferrable is True
    assert operator.execute({})["packages"][0]["state"] == "UPLOADING"


@pytest.mark.usefixtures("by_default")
@pytest.mark.parametrize("name", ["operator", "sensor"])
def test_the_configuration_makes_a_task_deferrable(dli: Emulator, name: str) -> None:
    task = (
        read_anew(operators).UploadPackageGroupOperator(**ARGUMENTS)
        if name == "operator"
        else read_anew(sensors).PackageGroupSensor(task_id="staged", group="g")
    )

    with pytest.raises(TaskDeferred):
        task.execute({})


@pytest.mark.usefixtures("by_default")
def test_the_argument_wins_over_the_configuration() -> None:
    operator = read_anew(operators).UploadPackageGroupOperator(**ARGUMENTS, deferrable=False)

    assert operator.deferrable is False


@pytest.mark.usefixtures("dli")
def test_what_is_ready_with_the_answer_of_the_upload_does_not_defer() -> None:
    operator = operators.UploadPackageGroupOperator(**ARGUMENTS, is_async=False, deferrable=True)

    assert operator.execute({})["packages"][0]["state"] == "READY"


def test_what_is_there_already_does_not_defer(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    operator = operators.UploadPackageGroupOperator(**ARGUMENTS, if_exists="skip", deferrable=True)

    assert operator.execute({})["packages"][0]["state"] == "READY"
    assert [record.method for record in dli.requests] == ["GET"]


def test_what_failed_already_does_not_defer(dli: Emulator) -> None:
    dli.set_timeline("*", [(0, "FAILED")])
    operator = operators.UploadPackageGroupOperator(**ARGUMENTS, deferrable=True)

    with pytest.raises(PackageGroupFailedError):
        operator.execute({})


def test_a_sensor_whose_group_is_ready_does_not_defer(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "READY"})
    sensor = sensors.PackageGroupSensor(task_id="staged", group="g", deferrable=True)

    assert sensor.execute({})["packages"] == [{"name": "a.jar", "state": "READY"}]


def test_a_sensor_whose_group_failed_does_not_defer(dli: Emulator) -> None:
    dli.put_group("g", {"a.jar": "FAILED"})
    sensor = sensors.PackageGroupSensor(task_id="staged", group="g", deferrable=True)

    with pytest.raises(AirflowFailException):
        sensor.execute({})


def test_an_upload_that_is_refused_does_not_defer(dli: Emulator) -> None:
    dli.add_fault(Fault("permission-denied", method="POST"))
    operator = operators.UploadPackageGroupOperator(**ARGUMENTS, deferrable=True)

    with pytest.raises(Exception, match=r"DLI\.0003"):
        operator.execute({})


# Spark jobs

JOB = {
    "task_id": "run",
    "file": "obs://bucket/a.py",
    "queue_name": "q",
    "spark_version": "3.3.1",
    "execution_agency_urn": "agency",
}


def asked(dli: Emulator) -> list[str]:
    return [record.method for record in dli.requests]


def test_a_task_that_does_not_wait_for_its_job_does_not_defer(dli: Emulator) -> None:
    result = jobs.SparkBatchOperator(**JOB, wait_for_completion=False, deferrable=True).execute({})

    assert result["state"] == "starting"
    assert asked(dli) == ["GET", "POST"]


@pytest.mark.usefixtures("by_default")
def test_a_task_that_does_not_wait_for_its_job_does_not_defer_by_default_either(
    dli: Emulator,
) -> None:
    operator = read_anew(jobs).SparkBatchOperator(**JOB, wait_for_completion=False)

    assert operator.deferrable is True
    assert operator.execute({})["state"] == "starting"
    assert asked(dli) == ["GET", "POST"]


@pytest.mark.usefixtures("by_default", "dli")
def test_the_configuration_makes_a_task_with_a_job_deferrable() -> None:
    with pytest.raises(TaskDeferred):
        read_anew(jobs).SparkBatchOperator(**JOB).execute({})


@pytest.mark.usefixtures("by_default")
def test_the_argument_wins_over_the_configuration_for_jobs_too() -> None:
    assert read_anew(jobs).SparkBatchOperator(**JOB, deferrable=False).deferrable is False


def test_a_retry_that_finds_the_job_ended_well_does_not_defer(dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "success")])
    run = TaskRun(task_id="run", max_tries=1)
    first = jobs.SparkBatchOperator(**JOB, retries=1, wait_for_completion=False)
    first.execute(context(run))

    again = jobs.SparkBatchOperator(**JOB, retries=1, deferrable=True)

    assert again.execute(context(retried(run)))["state"] == "success"
    assert list(dli.submissions.values()) == [1]


@pytest.mark.parametrize("state", ["success", "dead"])
def test_a_job_that_ended_before_its_lost_submission_was_found_does_not_defer(
    dli: Emulator, state: str
) -> None:
    dli.set_batch_timeline("*", [(0, state)])
    dli.add_fault(Fault("reset", method="POST", when="after"))
    operator = jobs.SparkBatchOperator(**JOB, deferrable=True)
    operator.hook = DliHook(clock=FakeClock())

    if state == "success":
        assert operator.execute({})["state"] == "success"
    else:
        with pytest.raises(SparkBatchFailedError):
            operator.execute({})


def test_a_submission_that_is_refused_does_not_defer(dli: Emulator) -> None:
    dli.add_fault(Fault("quota-exceeded", method="POST"))

    with pytest.raises(QuotaError):
        jobs.SparkBatchOperator(**JOB, deferrable=True).execute({})
