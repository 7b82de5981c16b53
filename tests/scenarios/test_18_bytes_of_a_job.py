"""Fault: between the staging of a job's files and its run somebody else stages other bytes under
the same names; or a package is not READY when the job is to run.

Expected: staging fails on the conflict, or gives the bytes a name of their own. A path in OBS holds
the digest of its bytes, so a job by path runs what was staged for it. A job is not submitted with a
package that is not READY.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from conftest import connection
from fake_clock import FakeClock
from task_runs import TaskRun, context

from airflow_provider_dli.api.protocol.errors import PackageGroupExistsError
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.operators.spark import SparkBatchOperator
from airflow_provider_dli.operators.staging import StagePackagesOperator

DAG_FILE = Path(__file__).parent / "dags" / "staged_jobs.py"
BUNDLE = {
    "name": "staged",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": str(DAG_FILE.parent)},
}
OURS, THEIRS = b"print('ours')\n", b"print('theirs')\n"


@pytest.fixture
def emulator(object_store: str, clock: FakeClock) -> Iterator[Emulator]:
    with running(obs_endpoint=object_store, clock=clock.now) as emulator:
        yield emulator


class Team:
    """Those who stage an application `count.py` from their DAG, and run it."""

    def __init__(self, name: str, folder: Path, bucket: str, clock: FakeClock) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.bucket = bucket
        self.clock = clock

    def stage(self, application: bytes, **arguments: Any) -> dict[str, Any]:
        (self.folder / "count.py").write_bytes(application)
        with DAG(self.name, schedule=None):
            task = StagePackagesOperator(
                task_id="stage",
                sources=[str(self.folder / "count.py")],
                bucket=self.bucket,
                **{"group": "words"} | arguments,
            )
        task.hook, task.obs_hook = DliHook(clock=self.clock), ObsHook(clock=self.clock)
        return task.execute({"ti": TaskRun(dag_id=self.name, task_id="stage")})

    def run(self, packages: Any, **arguments: Any) -> dict[str, Any]:
        operator = SparkBatchOperator(
            task_id="run",
            packages=packages,
            **{"file": "count.py", "queue_name": "spark", "spark_version": "3.1.1"} | arguments,
        )
        operator.hook = DliHook(clock=self.clock)
        return operator.execute(context(TaskRun(dag_id=self.name)))


@pytest.fixture
def teams(tmp_path: Path, bucket: str, clock: FakeClock, dli: Emulator) -> tuple[Team, Team]:
    return Team("ours", tmp_path, bucket, clock), Team("theirs", tmp_path, bucket, clock)


Teams = tuple[Team, Team]
BY_PATH = {"target": "obs", "group": None}


def submissions(dli: Emulator) -> list[Any]:
    return [
        record.body
        for record in dli.requests
        if record.method == "POST" and record.path.endswith("/batches")
    ]


def bytes_of(path: str) -> bytes:
    """Returns what lies at `obs://bucket/key`."""
    bucket, _, key = path.removeprefix("obs://").partition("/")
    with ObsHook() as hook:
        return hook.read_object(bucket, key)


def test_others_cannot_fill_the_group_of_a_job_unasked(teams: Teams, dli: Emulator) -> None:
    ours, theirs = teams
    staged = ours.stage(OURS)

    with pytest.raises(PackageGroupExistsError):
        theirs.stage(THEIRS)

    assert ours.run(staged)["state"] == "success"


def test_others_give_their_bytes_a_group_of_their_own(teams: Teams, dli: Emulator) -> None:
    ours, theirs = teams
    staged, other = ours.stage(OURS), theirs.stage(THEIRS, on_conflict="version")

    ours.run(staged)
    theirs.run(other)

    assert [body["file"] for body in submissions(dli)] == [
        "words/count.py",
        f"{other['group']}/count.py",
    ]


@pytest.mark.parametrize("on_conflict", ["fail", "replace", "version"])
def test_a_job_by_path_runs_what_was_staged_for_it(
    teams: Teams, dli: Emulator, on_conflict: str
) -> None:
    ours, theirs = teams
    staged = ours.stage(OURS, **BY_PATH)
    theirs.stage(THEIRS, on_conflict=on_conflict, **BY_PATH)

    ours.run(staged, spark_version="3.3.1", execution_agency_urn="agency")

    (body,) = submissions(dli)
    assert bytes_of(body["file"]) == OURS


def test_older_bytes_of_the_same_dag_stay_what_an_older_run_staged(
    teams: Teams, dli: Emulator
) -> None:
    ours, _ = teams
    staged = ours.stage(OURS, **BY_PATH)
    ours.stage(THEIRS, **BY_PATH)

    ours.run(staged, spark_version="3.3.1", execution_agency_urn="agency")

    (body,) = submissions(dli)
    assert bytes_of(body["file"]) == OURS


def test_a_job_is_not_submitted_with_a_package_that_is_not_ready(
    teams: Teams, dli: Emulator
) -> None:
    ours, _ = teams
    staged = ours.stage(OURS, wait_for_completion=False)
    dli.clear_requests()

    with pytest.raises(AirflowFailException, match=r"'count\.py': it is UPLOADING in group words"):
        ours.run(staged)
    assert dli.requests == []


def test_a_job_by_path_does_not_care_for_the_group(teams: Teams, dli: Emulator) -> None:
    ours, _ = teams
    staged = ours.stage(OURS, wait_for_completion=False)

    ours.run(staged, spark_version="3.3.1", execution_agency_urn="agency")

    (body,) = submissions(dli)
    assert bytes_of(body["file"]) == OURS


def test_a_job_whose_file_is_not_staged_is_refused(teams: Teams, dli: Emulator) -> None:
    ours, _ = teams
    staged = ours.stage(OURS, **BY_PATH)

    with pytest.raises(AirflowFailException, match=r"none of the packages \(count\.py\)"):
        ours.run(staged, file="sum.py", spark_version="3.3.1")


# The two tasks in a DAG

Ran = tuple[dict[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def ran(object_store: str, database: None) -> Iterator[Ran]:
    """Run the DAG once; give the states of its tasks, and the submissions by task."""
    spec = importlib.util.spec_from_file_location("staged_jobs", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    options = {"obs_endpoint": object_store, "upload_seconds": 0.3, "batch_seconds": 0.6}
    with running(**options) as emulator, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        # Airflow 3 runs only what it finds in a bundle.
        environment.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([BUNDLE]))
        spec.loader.exec_module(module)
        requests.put(f"{object_store}/staged-jobs", timeout=5).raise_for_status()
        run = module.dag.test(run_conf={"bucket": "staged-jobs"})
        states = {
            f"{task.task_id}[{task.map_index}]": str(task.state)
            for task in run.get_task_instances()
        }
        yield states, {owner(body["conf"]): body for body in submissions(emulator)}


def owner(conf: dict[str, str]) -> str:
    return f"{conf['spark.airflow.task_id']}[{conf['spark.airflow.map_index']}]"


# A whole Airflow runs here, and what it and its libraries warn about is theirs.
in_a_dag = pytest.mark.filterwarnings("ignore")


@in_a_dag
def test_staging_and_running_is_a_dag(ran: Ran) -> None:
    assert set(ran[0].values()) == {"success"}, ran[0]


@in_a_dag
def test_a_job_by_group_names_the_package_in_it(ran: Ran) -> None:
    assert ran[1]["run_by_group[-1]"]["file"] == "words/staged_jobs.py"


@in_a_dag
@pytest.mark.parametrize("task", ["run_by_path[-1]", "run_deferred[-1]", "run_mapped[0]"])
def test_a_job_by_path_names_the_object(ran: Ran, task: str) -> None:
    job = ran[1][task]

    assert job["file"].startswith("obs://staged-jobs/staged_jobs.py-")
    assert job["file"].endswith("/staged_jobs.py")
    assert "groups" not in job


@in_a_dag
def test_what_mapped_tasks_staged_is_taken_together(ran: Ran) -> None:
    job = ran[1]["run_of_several[-1]"]

    assert job["file"].endswith("/staged_jobs.py")
    assert [path.rpartition("/")[2] for path in job["pyFiles"]] == ["rendered.py"]


@in_a_dag
def test_each_mapped_task_has_its_own_job(ran: Ran) -> None:
    jobs = [ran[1][f"run_mapped[{index}]"] for index in (0, 1)]

    assert [job["args"] for job in jobs] == [["first"], ["second"]]
    assert len({job["name"] for job in jobs}) == 2


@in_a_dag
def test_numbers_of_templates_arrive_as_numbers(ran: Ran) -> None:
    assert {job["driverCores"] for job in ran[1].values()} == {2}


@in_a_dag
def test_every_job_tells_dag_and_run(ran: Ran) -> None:
    assert {job["conf"]["spark.airflow.dag_id"] for job in ran[1].values()} == {"staged_jobs"}
    assert all(job["conf"]["spark.airflow.run_id"] for job in ran[1].values())
