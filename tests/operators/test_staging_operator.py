"""Staging against a real object store and the emulator, executed as Airflow executes it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred
from conftest import connection
from fake_clock import FakeClock

from airflow_provider_dli.api.protocol.errors import (
    NotFoundError,
    PackageGroupExistsError,
    PackageGroupFailedError,
    PermissionDeniedError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.operators.staging import StagePackagesOperator


@pytest.fixture
def emulator(object_store: str, clock: FakeClock) -> Iterator[Emulator]:
    with running(obs_endpoint=object_store, clock=clock.now) as emulator:
        yield emulator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with a JAR and Python code."""
    (tmp_path / "stats.jar").write_bytes(b"PK jar")
    package = tmp_path / "tools"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "text.py").write_text("WORDS = 1\n")
    return tmp_path


class TaskInstance:
    """What a task has of its instance: a place for XCom values."""

    map_index = -1

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        return self.values[key]


@pytest.fixture
def stage(
    emulator: Emulator,
    folder: Path,
    bucket: str,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., StagePackagesOperator]:
    """Makes the operator with its hooks on the test's clock."""
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))

    def make(*sources: str, **arguments: Any) -> StagePackagesOperator:
        paths = [str(folder / source) for source in sources or ("stats.jar",)]
        task = StagePackagesOperator(
            task_id="stage",
            **{"sources": paths, "bucket": bucket, "prefix": "spark", "group": "g"} | arguments,
        )
        task.hook, task.obs_hook = DliHook(clock=clock), ObsHook(clock=clock)
        return task

    return make


def run(task: StagePackagesOperator, dag: str = "daily") -> dict[str, Any]:
    """Run the task as one of a DAG."""
    if not task.has_dag():
        task.dag = DAG(dag, schedule=None)
    return task.execute({"ti": TaskInstance()})


def uploads(emulator: Emulator) -> int:
    return sum(record.method == "POST" for record in emulator.requests)


Stage = Callable[..., StagePackagesOperator]


def test_the_result_tells_where_each_package_lies_and_what_was_done(
    stage: Stage, emulator: Emulator, bucket: str
) -> None:
    result = run(stage())

    sha256 = hashlib.sha256(b"PK jar").hexdigest()
    key = f"spark/stats.jar-{sha256[:32]}/stats.jar"
    assert result == {
        "group": "g",
        "kind": "jar",
        "target": "group",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
        "uploaded": True,
        "bytes_sent": 6,
        "packages": [
            {
                "name": "stats.jar",
                "path": f"https://{bucket}.obs.eu-west-101.myhuaweicloud.eu/{key}",
                "obs_path": f"obs://{bucket}/{key}",
                "size": 6,
                "sha256": sha256,
                "sent": True,
                "state": "READY",
            }
        ],
    }
    json.dumps(result)


def test_a_second_run_sends_nothing_and_uploads_nothing(stage: Stage, emulator: Emulator) -> None:
    run(stage("stats.jar", "tools"))

    again = run(stage("stats.jar", "tools"))

    assert (again["uploaded"], again["bytes_sent"]) == (False, 0)
    assert [package["sent"] for package in again["packages"]] == [False, False]
    assert [package["state"] for package in again["packages"]] == ["READY", "READY"]
    assert uploads(emulator) == 1


def test_tasks_may_fill_one_group_at_the_same_time(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    other = stage("tools")

    class Slow(ObsHook):
        """Sends only when the other task is done."""

        def upload_files(self, *arguments: Any) -> None:
            run(other)
            super().upload_files(*arguments)

    task = stage("stats.jar")
    task.obs_hook = Slow(clock=clock)
    run(task)

    assert run(stage("stats.jar", "tools"))["uploaded"] is False
    assert uploads(emulator) == 2


def test_what_earlier_runs_left_is_told_and_then_deleted(
    stage: Stage, folder: Path, bucket: str, clock: FakeClock, task_log: Callable[[], str]
) -> None:
    old = run(stage())["packages"][0]["obs_path"].split("/", 3)[3]
    (folder / "stats.jar").write_bytes(b"PK new")
    clock.sleep(7 * 24 * 3600)
    new = run(stage(delete_after=timedelta(days=1)))["packages"][0]["obs_path"].split("/", 3)[3]
    assert f"Would delete obs://{bucket}/{old}" in task_log()

    run(stage(delete_after=timedelta(days=1), delete_dry_run=False))

    there = {found.key for found in ObsHook().list_objects(bucket, "spark/stats")}
    assert there == {new}


def test_force_sends_and_uploads_again(stage: Stage, emulator: Emulator) -> None:
    run(stage())

    again = run(stage(force=True))

    assert (again["uploaded"], again["bytes_sent"]) == (True, 6)


def test_one_changed_file_is_sent_alone(stage: Stage, folder: Path, emulator: Emulator) -> None:
    run(stage("stats.jar", "tools"))
    (folder / "tools" / "text.py").write_text("WORDS = 2\n")

    again = run(stage("stats.jar", "tools"))

    sent = {package["name"]: package["sent"] for package in again["packages"]}
    assert sent == {"stats.jar": False, "tools.zip": True}
    assert again["uploaded"] is True
    assert uploads(emulator) == 2


@pytest.fixture
def many(folder: Path) -> list[str]:
    """Makes so many files that they are not looked at one by one."""
    names = [f"lib{number:02}.jar" for number in range(25)]
    for name in names:
        (folder / name).write_bytes(name.encode())
    return names


def test_one_changed_file_of_many_is_sent_alone(
    stage: Stage, folder: Path, many: list[str]
) -> None:
    run(stage("lib*.jar"))
    assert run(stage("lib*.jar"))["bytes_sent"] == 0
    (folder / many[7]).write_bytes(b"changed")

    again = run(stage("lib*.jar"))

    assert [package["name"] for package in again["packages"] if package["sent"]] == [many[7]]


def test_an_object_of_many_that_was_deleted_or_cut_is_sent_again(
    stage: Stage, many: list[str], bucket: str
) -> None:
    packages = run(stage("lib*.jar"))["packages"]
    deleted, cut = (package["obs_path"].split("/", 3)[3] for package in packages[3:5])
    ObsHook().delete_objects(bucket, [deleted])
    ObsHook().write_object(bucket, cut, b"l")

    again = run(stage("lib*.jar"))

    assert [package["name"] for package in again["packages"] if package["sent"]] == many[3:5]
    assert again["uploaded"] is False


def test_kinds_are_told_by_the_suffixes(stage: Stage) -> None:
    assert run(stage("stats.jar", group="a"))["kind"] == "jar"
    assert run(stage("tools", group="b"))["kind"] == "pyFile"
    assert run(stage("stats.jar", "tools", group="c"))["kind"] == "file"
    assert run(stage("stats.jar", group="d", kind="file"))["kind"] == "file"


def test_files_alone_need_no_group_and_no_dli(stage: Stage, emulator: Emulator) -> None:
    result = run(stage(target="obs", group=None))

    assert (result["group"], result["uploaded"]) == (None, False)
    assert result["packages"][0]["state"] is None
    assert emulator.requests == []


def test_files_alone_are_sent_once(stage: Stage) -> None:
    run(stage(target="obs"))

    assert run(stage(target="obs"))["bytes_sent"] == 0


def test_an_object_in_obs_is_taken_from_where_it_lies(
    stage: Stage, folder: Path, bucket: str, emulator: Emulator
) -> None:
    path = run(stage(target="obs"))["packages"][0]["obs_path"]

    result = run(stage(sources=[path]))

    assert result["packages"][0]["obs_path"] == path
    assert (result["bytes_sent"], result["uploaded"]) == (0, True)
    assert run(stage(sources=[path]))["uploaded"] is False


def test_an_absent_object_in_obs_is_refused_before_anything_is_sent(
    stage: Stage, bucket: str, folder: Path, emulator: Emulator
) -> None:
    sources = [str(folder / "stats.jar"), f"obs://{bucket}/absent.jar"]

    with pytest.raises(AirflowFailException, match=r"absent\.jar.*no such object"):
        run(stage(sources=sources))

    assert uploads(emulator) == 0
    assert list(ObsHook().list_objects(bucket)) == []


@pytest.mark.parametrize(
    "field", ["kind", "tags", "spark_version", "python_version", "region", "project_id"]
)
def test_a_blank_field_is_none_that_was_given(stage: Stage, field: str) -> None:
    result = run(stage(**{field: " "}))

    assert (result["kind"], result["region"]) == ("jar", "eu-west-101")


@pytest.mark.parametrize("field", ["group", "kind", "spark_version", "python_version"])
def test_a_field_for_which_a_template_rendered_nothing_is_named(
    stage: Stage, emulator: Emulator, field: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"^{field} is 'None': a template rendered"):
        run(stage(**{field: "None"}))

    assert emulator.requests == []


def test_an_absent_bucket_is_named(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match="no-such-bucket"):
        run(stage(bucket="no-such-bucket"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bucket", "Upper"),
        ("prefix", "a b"),
        ("prefix", "../up"),
        ("group", "a/b"),
        ("group", None),
        ("kind", "jars"),
        ("target", "dli"),
        ("if_exists", "keep"),
        ("on_conflict", "ignore"),
        ("force", "yes"),
        ("tags", {"_sys_x": "1"}),
        ("spark_version", "three"),
        ("delete_after", 0),
        ("poll_interval", 0),
        ("deferrable", "no"),
        ("sources", []),
    ],
)
def test_a_wrong_argument_is_refused_before_any_request(
    stage: Stage, emulator: Emulator, bucket: str, field: str, value: object
) -> None:
    with pytest.raises(AirflowFailException, match=field):
        run(stage(**{field: value}))

    assert emulator.requests == []
    assert list(ObsHook().list_objects(bucket)) == []


def test_a_group_that_another_dag_filled_is_not_overwritten(
    stage: Stage, folder: Path, emulator: Emulator
) -> None:
    run(stage(), dag="theirs")
    (folder / "stats.jar").write_bytes(b"PK other")

    with pytest.raises(PackageGroupExistsError, match=r"stats\.jar \(dag theirs\)"):
        run(stage(), dag="ours")

    assert uploads(emulator) == 1


def test_a_conflict_is_told_before_anything_is_sent(
    stage: Stage, bucket: str, emulator: Emulator
) -> None:
    emulator.put_group("g", {"stats.jar": "READY"})

    with pytest.raises(PackageGroupExistsError):
        run(stage())

    assert list(ObsHook().list_objects(bucket)) == []


def test_the_same_bytes_of_another_dag_are_no_conflict(stage: Stage) -> None:
    run(stage(), dag="theirs")

    assert run(stage(), dag="ours")["uploaded"] is False


def test_a_group_of_unknown_origin_is_a_conflict(stage: Stage, emulator: Emulator) -> None:
    emulator.put_group("g", {"stats.jar": "READY"})

    with pytest.raises(PackageGroupExistsError, match=r"stats\.jar \(unknown\)"):
        run(stage())


def test_a_conflict_may_be_replaced(
    stage: Stage, emulator: Emulator, task_log: Callable[[], str]
) -> None:
    emulator.put_group("g", {"stats.jar": "READY"})

    assert run(stage(on_conflict="replace"))["uploaded"] is True
    assert "Replacing what someone else put into package group 'g'" in task_log()


def test_a_conflict_may_be_given_a_version_of_the_name(stage: Stage, emulator: Emulator) -> None:
    emulator.put_group("g", {"stats.jar": "READY"})

    result = run(stage(on_conflict="version"))
    again = run(stage(on_conflict="version"))

    assert result["group"].startswith("g-")
    assert (again["group"], again["uploaded"]) == (result["group"], False)
    assert set(emulator.groups()) == {"g", result["group"]}


def test_older_bytes_of_the_same_dag_are_replaced(
    stage: Stage, folder: Path, emulator: Emulator
) -> None:
    run(stage())
    (folder / "stats.jar").write_bytes(b"PK new")

    assert run(stage())["uploaded"] is True


def test_older_bytes_may_be_kept(
    stage: Stage, folder: Path, emulator: Emulator, task_log: Callable[[], str]
) -> None:
    run(stage())
    (folder / "stats.jar").write_bytes(b"PK new")

    assert run(stage(if_exists="skip"))["uploaded"] is False
    assert "keeps its older bytes: stats.jar (dag daily)" in task_log()


def test_older_bytes_may_fail_the_task(stage: Stage, folder: Path) -> None:
    run(stage())
    (folder / "stats.jar").write_bytes(b"PK new")

    with pytest.raises(PackageGroupExistsError, match="if_exists is 'fail'"):
        run(stage(if_exists="fail"))


def test_a_package_that_failed_is_uploaded_again(stage: Stage, emulator: Emulator) -> None:
    emulator.set_timeline("stats.jar", [(0, "UPLOADING"), (1, "FAILED")])
    with pytest.raises(PackageGroupFailedError, match=r"stats\.jar is FAILED"):
        run(stage())
    emulator.clear_timelines()

    again = run(stage())

    assert (again["uploaded"], again["bytes_sent"]) == (True, 0)


def test_an_upload_that_was_refused_is_tried_again_by_the_next_run(
    stage: Stage, emulator: Emulator
) -> None:
    emulator.add_fault(Fault("permission-denied", method="POST"))
    with pytest.raises(PermissionDeniedError):
        run(stage())

    assert run(stage())["uploaded"] is True


def test_a_group_for_an_engine_that_takes_none_is_warned_of(
    stage: Stage, task_log: Callable[[], str]
) -> None:
    run(stage(spark_version="3.3.1"))

    assert "Spark 3.3.1 takes no package groups, only obs:// paths" in task_log()


def test_compiled_modules_in_a_folder_are_warned_of(
    stage: Stage, folder: Path, task_log: Callable[[], str]
) -> None:
    (folder / "tools" / "_fast.so").write_bytes(b"ELF")

    run(stage("tools"))

    assert "Python loads no compiled modules from a zip, and it has tools/_fast.so" in task_log()


def test_sources_that_became_text_name_the_setting_that_helps(stage: Stage) -> None:
    with pytest.raises(AirflowFailException, match="render_template_as_native_obj=True"):
        run(stage(sources="['stats.jar', 'tools']"))


@pytest.mark.parametrize(("version", "target"), [("3.1.1", "group"), ("3.3.1", "obs")])
def test_what_fits_the_engine_is_not_warned_of(
    stage: Stage, task_log: Callable[[], str], version: str, target: str
) -> None:
    run(stage(spark_version=version, target=target))

    assert "takes no package groups" not in task_log()


def test_a_task_that_does_not_wait_ends_after_the_upload(stage: Stage) -> None:
    result = run(stage(wait_for_completion=False))

    assert result["packages"][0]["state"] == "UPLOADING"
    assert run(stage())["uploaded"] is False


def deferred(task: StagePackagesOperator, ti: TaskInstance) -> TaskDeferred:
    """Execute a task, and give how it left its worker."""
    with pytest.raises(TaskDeferred) as left:
        task.execute({"ti": ti})
    return left.value


def test_the_wait_in_the_triggerer_is_for_the_packages_of_this_run(stage: Stage) -> None:
    left = deferred(stage("stats.jar", "tools", deferrable=True), TaskInstance())

    fields = left.trigger.serialize()[1]
    assert (fields["group"], fields["packages"]) == ("g", ["stats.jar", "tools.zip"])
    assert left.method_name == "execute_complete"


def test_the_execution_timeout_counts_from_the_beginning_of_the_task(
    stage: Stage, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("throttled", method="POST", retry_after="20", times=1))
    began = clock.now()

    task = stage(deferrable=True, execution_timeout=timedelta(seconds=300), timeout=600)
    trigger = deferred(task, TaskInstance()).trigger

    assert clock.now() >= began + 20
    assert (trigger.deadline, trigger.limit) == (began + 300, "execution_timeout")


def test_the_timeout_counts_from_the_end_of_the_upload(
    stage: Stage, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("throttled", method="POST", retry_after="20", times=1))
    began = clock.now()

    trigger = deferred(stage(deferrable=True, timeout=600), TaskInstance()).trigger

    assert clock.now() >= began + 20
    assert (trigger.deadline, trigger.limit) == (clock.now() + 600, "timeout")


def test_the_worker_that_goes_on_needs_no_file(
    stage: Stage, folder: Path, clock: FakeClock
) -> None:
    ti = TaskInstance()
    deferred(stage(deferrable=True), ti)
    (folder / "stats.jar").unlink()
    clock.sleep(60)

    event = {"status": "ready", "states": {"stats.jar": "READY"}}
    result = stage(deferrable=True).execute_complete({"ti": ti}, event)

    assert result["bytes_sent"] == 6
    assert [(p["name"], p["state"]) for p in result["packages"]] == [("stats.jar", "READY")]


def test_a_wait_in_the_triggerer_that_failed_raises_what_the_worker_would(stage: Stage) -> None:
    ti = TaskInstance()
    deferred(stage(deferrable=True), ti)
    failure = PackageGroupFailedError("stats.jar is FAILED")

    with pytest.raises(PackageGroupFailedError, match=r"stats\.jar is FAILED"):
        stage().execute_complete({"ti": ti}, {"status": "failed", **failure.as_dict()})


def test_nothing_is_deferred_when_nothing_has_to_be_waited_for(stage: Stage) -> None:
    run(stage())

    assert run(stage(deferrable=True))["uploaded"] is False


def test_what_was_deferred_is_known_to_the_next_run(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    ti = TaskInstance()
    deferred(stage(deferrable=True), ti)
    clock.sleep(60)
    stage().execute_complete({"ti": ti}, {"status": "ready", "states": {"stats.jar": "READY"}})

    assert run(stage(), dag="another")["uploaded"] is False
    assert uploads(emulator) == 1


def test_a_task_that_an_older_version_deferred_ends_well(stage: Stage, clock: FakeClock) -> None:
    ti = TaskInstance()
    deferred(stage(deferrable=True), ti)
    del ti.values["staged"]["upload"]
    clock.sleep(60)

    event = {"status": "ready", "states": {"stats.jar": "READY"}}
    result = stage(deferrable=True).execute_complete({"ti": ti}, event)

    assert [package["state"] for package in result["packages"]] == ["READY"]
    assert "upload" not in result


def test_relative_sources_count_from_the_folder_of_the_dag(stage: Stage, folder: Path) -> None:
    context = {"ti": TaskInstance(), "dag": SimpleNamespace(fileloc=str(folder / "dag.py"))}

    result = stage(sources=["*.jar"]).execute(context)

    assert [package["name"] for package in result["packages"]] == ["stats.jar"]


@pytest.fixture
def no_place(tmp_path: Path) -> Iterator[None]:
    """Let temporary files have no folder."""
    tempfile.tempdir, before = str(tmp_path / "gone"), tempfile.tempdir
    yield
    tempfile.tempdir = before


@pytest.mark.usefixtures("no_place")
def test_a_full_disk_is_told_with_what_to_do() -> None:
    """A folder that is gone stands for one that is full: neither takes another folder."""
    from airflow_provider_dli.api.protocol.errors import DliError
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.plan import StagingPlan
    from airflow_provider_dli.staging.stager import Stager

    order = StagingPlan(sources=["a.jar"], bucket="bucket-1", owner="o", task="t", target="obs")

    with pytest.raises(
        DliError, match=r"Cannot create a folder in .*gone: No such file.*set TMPDIR"
    ):
        Stager(DliHook(), ObsHook()).stage(order)
