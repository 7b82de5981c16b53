"""Fault: arguments come as Jinja, as XComArg, as None, mapped with `expand` and `expand_kwargs`, as
native types, or as a dictionary that tasks share.

Expected: each is rendered once and reaches the request; values are not changed; what is wrong is
said when the task runs, naming field, value and rule.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from conftest import connection
from scenarios.modes import deferred

from airflow_provider_dli.emulator import Emulator, Record, running
from airflow_provider_dli.operators.packages import (
    DeletePackageGroupOperator,
    UploadPackageGroupOperator,
)
from airflow_provider_dli.operators.spark import CancelSparkBatchOperator, SparkBatchOperator
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.sensors.spark import SparkBatchSensor

DAG_FILE = Path(__file__).parent / "dags" / "rendered.py"
BUNDLE = {
    "name": "scenarios",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": str(DAG_FILE.parent)},
}

# A whole Airflow runs here, and what it and its libraries warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]


@pytest.fixture(scope="module")
def ran(database: None) -> Iterator[tuple[Any, dict[str, str], list[Record]]]:
    """Run the DAG once; give its module, the states of its tasks, and what DLI was asked."""
    spec = importlib.util.spec_from_file_location("rendered", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with (
        running(upload_seconds=0.3, batch_seconds=0.3) as emulator,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        # Airflow 3 runs only what it finds in a bundle.
        environment.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([BUNDLE]))
        spec.loader.exec_module(module)
        run = module.dag.test()
        states = {
            f"{task.task_id}[{task.map_index}]": str(task.state)
            for task in run.get_task_instances()
        }
        yield module, states, emulator.requests


Ran = tuple[Any, dict[str, str], list[Record]]


def upload(ran: Ran, group: str | None) -> Any:
    found = [r.body for r in ran[2] if r.method == "POST" and "paths" in r.body]
    (body,) = [body for body in found if body.get("group") == group]
    return body


def test_every_task_succeeds(ran: Ran) -> None:
    assert set(ran[1].values()) == {"success"}, ran[1]


def test_jinja_is_rendered_in_every_templated_argument(ran: Ran) -> None:
    body = upload(ran, "by-jinja-r1")

    assert re.fullmatch(r"https://bucket\.obs\.eu-de\..+/r1/a\.jar", body["paths"][0])
    assert body["kind"] == "jar"
    assert body["tags"] == [{"key": "run", "value": "r1"}]


def test_an_xcom_arrives_as_the_list_that_it_is(ran: Ran) -> None:
    body = upload(ran, "by-xcom")

    assert [path.rsplit("/", 1)[-1] for path in body["paths"]] == ["one.jar", "two.jar"]


@pytest.mark.parametrize("how", ["poke", "reschedule", "deferred"])
def test_the_output_of_a_mapped_task_names_the_packages_that_are_waited_for(
    ran: Ran, how: str
) -> None:
    assert ran[1][f"sensed_names_{how}[-1]"] == "success"


def test_none_is_left_out_of_the_request(ran: Ran) -> None:
    body = upload(ran, None)

    assert set(body) == {"paths", "kind", "is_async"}


def test_a_dictionary_that_tasks_share_stays_as_it_was(ran: Ran) -> None:
    assert ran[0].SHARED_TAGS == {"run": "{{ params.run }}"}
    assert upload(ran, "by-xcom")["tags"] == [{"key": "run", "value": "r1"}]


def test_each_mapped_task_uploads_its_own_group(ran: Ran) -> None:
    assert {upload(ran, f"mapped-{number}")["group"] for number in (1, 2)} == {
        "mapped-1",
        "mapped-2",
    }


def test_mapped_keywords_are_rendered_too(ran: Ran) -> None:
    assert upload(ran, "kwargs-2")["paths"][0].endswith("/r1.py")
    assert upload(ran, "kwargs-1")["kind"] == "pyFile"


def test_a_deferred_task_waits_for_the_rendered_group(ran: Ran) -> None:
    assert upload(ran, "deferred-r1")["is_async"] is True


def job(ran: Ran, name: str) -> dict[str, Any]:
    """Returns what the job was submitted with whose name begins so."""
    found = [r.body for r in ran[2] if r.method == "POST" and "file" in (r.body or {})]
    (body,) = [body for body in found if body["name"].startswith(f"{name}-")]
    return body


def test_jinja_is_rendered_in_the_arguments_of_a_job(ran: Ran) -> None:
    body = job(ran, "by-jinja-r1")

    assert (body["file"], body["className"]) == ("obs://bucket/r1/a.jar", "org.example.R1")
    assert body["args"] == ["2", "obs://bucket/r1", "7"]
    assert (body["queue"], body["executorCores"], body["auto_recovery"]) == ("queue_r1", 2, True)
    assert body["conf"]["spark.run"] == body["conf"]["spark.airflow.tag.run"] == "r1"
    assert "image" not in body


def test_a_job_is_told_an_xcom_as_the_list_that_it_is(ran: Ran) -> None:
    assert job(ran, "by-xcom")["pyFiles"] == ["obs://bucket/x/one.jar", "obs://bucket/x/two.jar"]


def test_settings_that_jobs_share_stay_as_they_were(ran: Ran) -> None:
    assert ran[0].SHARED_CONF == {
        "spark.run": "{{ params.run }}",
        "spark.cores": "{{ params.cores }}",
    }
    assert job(ran, "by-xcom")["conf"]["spark.cores"] == "2"


def test_each_mapped_task_runs_a_job_of_its_own(ran: Ran) -> None:
    found = [r.body for r in ran[2] if r.method == "POST" and "args" in (r.body or {})]
    mapped = [body for body in found if body["conf"]["spark.airflow.task_id"] == "jobs"]

    assert sorted(body["args"] for body in mapped) == [["first"], ["r1"]]
    assert len({body["name"] for body in mapped}) == 2
    assert {body["conf"]["spark.airflow.map_index"] for body in mapped} == {"0", "1"}


def test_a_deferred_job_has_the_rendered_name(ran: Ran) -> None:
    assert job(ran, "deferred-r1")["file"] == "obs://bucket/a.py"


def context() -> dict[str, Any]:
    return {"params": {"x": "7"}, "ti": None}


# Every templated argument of a job, as text, in a list or in an object.
JOB: dict[str, Any] = {
    **{
        name: f"{name}-{{{{ params.x }}}}"
        for name in SparkBatchOperator.template_fields
        if name not in {"args", "jars", "py_files", "files", "modules"}
    },
    **{name: ["{{ params.x }}", 1, None] for name in ("args", "jars", "py_files", "files")},
    "modules": ("{{ params.x }}",),
    "package_resources": [{"name": "{{ params.x }}"}],
    "groups": [{"name": "g", "resources": [{"name": "{{ params.x }}"}]}],
    "conf": {"spark.x": "{{ params.x }}", "spark.y": {"{{ params.x }}": [1]}},
    "tags": {"x": "{{ params.x }}"},
    "packages": [{"group": "{{ params.x }}", "packages": [{"name": "{{ params.x }}"}]}],
}
JOB_RENDERED = json.loads(json.dumps(JOB).replace("{{ params.x }}", "7")) | {"modules": ("7",)}
JOB_RENDERED["conf"]["spark.y"] = {"{{ params.x }}": [1]}  # Airflow renders no keys

TEMPLATED = [
    (
        UploadPackageGroupOperator,
        {
            "paths": ["obs://bucket/{{ params.x }}/a.jar"],
            "group": "g-{{ params.x }}",
            "kind": "{{ 'jar' }}",
            "tags": {"x": "{{ params.x }}"},
            "if_exists": "{{ 'skip' }}",
            "dli_conn_id": "c{{ params.x }}",
            "region": "r{{ params.x }}",
            "project_id": "p{{ params.x }}",
        },
        {
            "paths": ["obs://bucket/7/a.jar"],
            "group": "g-7",
            "kind": "jar",
            "tags": {"x": "7"},
            "if_exists": "skip",
            "dli_conn_id": "c7",
            "region": "r7",
            "project_id": "p7",
        },
    ),
    (
        PackageGroupSensor,
        {
            "group": "g-{{ params.x }}",
            "packages": ["{{ params.x }}.jar"],
            "kind": "{{ 'jar' }}",
            "dli_conn_id": "c{{ params.x }}",
            "region": "r{{ params.x }}",
            "project_id": "p{{ params.x }}",
        },
        {
            "group": "g-7",
            "packages": ["7.jar"],
            "kind": "jar",
            "dli_conn_id": "c7",
            "region": "r7",
            "project_id": "p7",
        },
    ),
    (
        DeletePackageGroupOperator,
        {"group": "g-{{ params.x }}", "packages": ["{{ params.x }}.jar"]},
        {"group": "g-7", "packages": ["7.jar"]},
    ),
    (SparkBatchOperator, JOB, {**JOB, **JOB_RENDERED}),
    *(
        (
            kind,
            {
                "batch_id": "b-{{ params.x }}",
                "dli_conn_id": "c{{ params.x }}",
                "region": "r{{ params.x }}",
                "project_id": "p{{ params.x }}",
            },
            {"batch_id": "b-7", "dli_conn_id": "c7", "region": "r7", "project_id": "p7"},
        )
        for kind in (SparkBatchSensor, CancelSparkBatchOperator)
    ),
]


def test_every_templated_argument_of_a_job_is_rendered_here() -> None:
    assert set(JOB) == set(SparkBatchOperator.template_fields)


@pytest.mark.parametrize(
    ("kind", "given", "rendered"), TEMPLATED, ids=lambda value: getattr(value, "__name__", "")
)
def test_rendering_changes_the_operator_and_not_what_it_was_given(
    kind: Any, given: dict[str, Any], rendered: dict[str, Any]
) -> None:
    before = copy.deepcopy(given)
    operator = kind(task_id="t", **given)

    operator.render_template_fields(context())

    assert {name: getattr(operator, name) for name in rendered} == rendered
    assert given == before


@pytest.mark.parametrize("kind", [UploadPackageGroupOperator, PackageGroupSensor])
def test_the_trigger_is_given_rendered_values(kind: Any, dli: Emulator) -> None:
    extra = (
        {"paths": ["obs://bucket/{{ params.x }}.jar"], "kind": "jar"}
        if kind is UploadPackageGroupOperator
        else {"packages": ["{{ params.x }}.jar"]}
    )
    operator = kind(task_id="t", group="g-{{ params.x }}", deferrable=True, **extra)
    operator.render_template_fields(context())

    _, fields = deferred(operator).trigger.serialize()

    assert (fields["group"], fields["packages"]) == ("g-7", ["7.jar"])


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (UploadPackageGroupOperator, {"paths": "{{ none }}"}, "paths is 'None'"),
    (UploadPackageGroupOperator, {"group": "g/{{ params.x }}"}, "group is 'g/7': use 1 to 64"),
    (UploadPackageGroupOperator, {"kind": "{{ params.x }}"}, "kind is '7': use one of jar, pyFile"),
    (UploadPackageGroupOperator, {"tags": "{{ params.x }}"}, "tags is '7'"),
    (UploadPackageGroupOperator, {"if_exists": "{{ params.x }}"}, "if_exists is '7'"),
    (UploadPackageGroupOperator, {"region": "Eu {{ params.x }}"}, "region is 'Eu 7'"),
    (UploadPackageGroupOperator, {"project_id": "p/{{ params.x }}"}, "project_id is 'p/7'"),
    (UploadPackageGroupOperator, {"timeout": None}, "timeout is missing"),
    (UploadPackageGroupOperator, {"poll_interval": "10"}, "poll_interval is '10'"),
    (UploadPackageGroupOperator, {"max_unknown_time": 0}, "max_unknown_time is 0"),
    (UploadPackageGroupOperator, {"deferrable": "no"}, "deferrable is 'no'"),
    (PackageGroupSensor, {"group": None}, "group is missing"),
    (PackageGroupSensor, {"packages": "{{ params.x }}.jar"}, r"packages is '7\.jar'"),
    (PackageGroupSensor, {"packages": []}, r"packages is \[\]"),
    (PackageGroupSensor, {"kind": "{{ params.x }}"}, "kind is '7'"),
    (PackageGroupSensor, {"max_unknown_time": "soon"}, "max_unknown_time is 'soon'"),
]
WRONG_OF_JOBS: list[tuple[Any, dict[str, Any], str]] = [
    (SparkBatchOperator, {"file": None}, "file is missing"),
    (SparkBatchOperator, {"queue_name": None}, "queue_name is missing"),
    (SparkBatchOperator, {"spark_version": None}, "spark_version is missing"),
    (SparkBatchOperator, {"args": "{{ params.x }}"}, "args"),
    (SparkBatchOperator, {"conf": "{{ params.x }}"}, "conf"),
    (SparkBatchOperator, {"packages": "{{ params.x }}"}, "packages is '7'"),
    (SparkBatchOperator, {"on_clear": "{{ params.x }}"}, "on_clear is '7'"),
    (SparkBatchOperator, {"on_kill": "stop"}, "on_kill is 'stop'"),
    (SparkBatchOperator, {"on_failure": None}, "on_failure is "),
    (SparkBatchOperator, {"executor_cores": "many {{ params.x }}"}, "executor_cores is 'many 7'"),
    (SparkBatchOperator, {"driver_memory": "{{ params.x }}"}, "driver_memory is '7'"),
    (SparkBatchOperator, {"package_resources": [{"name": "a"}]}, "package_resources"),
    (SparkBatchOperator, {"timeout": "soon"}, "timeout is 'soon'"),
    (SparkBatchOperator, {"poll_interval": "10"}, "poll_interval is '10'"),
    (SparkBatchOperator, {"deferrable": "no"}, "deferrable is 'no'"),
    (SparkBatchOperator, {"auto_recovery": "perhaps"}, "auto_recovery is 'perhaps'"),
    (SparkBatchOperator, {"region": "Eu {{ params.x }}"}, "region is 'Eu 7'"),
    (SparkBatchSensor, {"batch_id": None}, "batch_id is missing"),
    (SparkBatchSensor, {"batch_id": "{{ '' }}"}, "batch_id is ''"),
    (SparkBatchSensor, {"auto_recovery": "no"}, "auto_recovery is 'no'"),
    (SparkBatchSensor, {"max_unknown_time": "soon"}, "max_unknown_time is 'soon'"),
    (CancelSparkBatchOperator, {"batch_id": ["a", 7]}, "batch_id is 7"),
    (CancelSparkBatchOperator, {"timeout": "soon"}, "timeout is 'soon'"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), WRONG_OF_JOBS)
def test_what_is_wrong_with_a_job_is_said_before_any_request_when_the_task_runs(
    dli: Emulator, kind: Any, arguments: dict[str, Any], message: str
) -> None:
    defaults: dict[str, Any] = {"batch_id": "b"}
    if kind is SparkBatchSensor:
        defaults["deferrable"] = True
    if kind is SparkBatchOperator:
        defaults = {"file": "obs://bucket/a.py", "queue_name": "queue", "spark_version": "3.3.1"}
        defaults["deferrable"] = True
    operator = kind(task_id="t", **defaults | arguments)
    operator.render_template_fields(context())

    # What a retry cannot mend is not tried again.
    with pytest.raises(AirflowFailException, match=message):
        operator.execute({})

    assert dli.requests == []


@pytest.mark.parametrize(("kind", "arguments", "message"), WRONG)
def test_what_is_wrong_is_said_before_any_request_when_the_task_runs(
    dli: Emulator, kind: Any, arguments: dict[str, Any], message: str
) -> None:
    defaults: dict[str, Any] = {"task_id": "t", "group": "g", "deferrable": True}
    if kind is UploadPackageGroupOperator:
        defaults |= {"paths": ["obs://bucket/a.jar"], "kind": "jar"}
    operator = kind(**defaults | arguments)
    operator.render_template_fields(context())

    # What a retry cannot mend is not tried again.
    with pytest.raises(AirflowFailException, match=message):
        operator.execute({})

    assert dli.requests == []
