"""The example DAGs run as they are, against a real object store and the emulator."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import connection, other_client

from airflow_provider_dli.emulator import Emulator, running

EXAMPLES = Path(__file__).parent.parent / "example_dags"
APPLICATION = EXAMPLES / "spark_app"


# A whole Airflow runs here, and what it and its libraries warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]


@pytest.fixture(scope="module")
def examples_in_obs(object_store: str) -> str:
    """Put what `stage_packages` wants to find there into the object store."""
    store = other_client(object_store)
    store.create_bucket(Bucket="dli-examples")
    for file in APPLICATION.glob("*.*"):
        store.upload_file(str(file), "dli-examples", f"spark_app/{file.name}")
    return object_store


@pytest.fixture
def cloud(examples_in_obs: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with running(obs_endpoint=examples_in_obs, upload_seconds=0.5) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        yield emulator


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def run(name: str, *, deferrable: bool = False) -> dict[str, Any]:
    """Run a DAG and give the state of the run and of each task."""
    dag = load(name)
    for task in dag.tasks:
        if hasattr(task, "deferrable"):
            task.deferrable = deferrable
    run = dag.test()
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    return {"run": str(run.state)} | states


@pytest.mark.usefixtures("database")
def test_stage_packages_uploads_three_groups_and_deletes_them(cloud: Emulator) -> None:
    states = run("stage_packages")

    assert set(states.values()) == {"success"}, states
    uploads = [record.body for record in cloud.requests if record.method == "POST"]
    assert {(body["group"], body["kind"]) for body in uploads} == {
        ("word-count-jars", "jar"),
        ("word-count-python", "pyFile"),
        ("word-count-files", "file"),
    }
    assert cloud.groups() == {}


@pytest.mark.usefixtures("database")
def test_stage_packages_fails_and_still_cleans_up_when_a_package_fails(cloud: Emulator) -> None:
    cloud.set_timeline("wordtools.zip", [(0, "UPLOADING"), (0.2, "FAILED")])

    states = run("stage_packages")

    assert states["run"] == "failed"
    assert states["stage_python"] == "failed"
    assert cloud.groups() == {}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("deferrable", [False, True])
def test_stage_files_stages_from_the_disk_and_then_nothing_more(
    cloud: Emulator, deferrable: bool
) -> None:
    assert set(run("stage_files", deferrable=deferrable).values()) == {"success"}
    uploads = [record for record in cloud.requests if record.method == "POST"]

    assert set(run("stage_files", deferrable=deferrable).values()) == {"success"}

    assert len(uploads) == 3
    assert [record for record in cloud.requests if record.method == "POST"] == uploads
    assert {group["status"] for group in cloud.groups().values()} == {"READY"}


@pytest.mark.usefixtures("database")
def test_hook_in_task_uploads_waits_looks_and_deletes(cloud: Emulator) -> None:
    states = run("hook_in_task")

    assert set(states.values()) == {"success"}, states
    assert cloud.groups() == {}


def test_the_zip_holds_the_python_package_as_it_is_in_the_folder() -> None:
    with zipfile.ZipFile(APPLICATION / "wordtools.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    sources = (APPLICATION / "wordtools").glob("*.py")
    assert members == {f"wordtools/{source.name}": source.read_bytes() for source in sources}


def test_the_zip_can_be_imported() -> None:
    code = "from wordtools.text import words; print(words('To be'))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(APPLICATION / "wordtools.zip")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout == "['to', 'be']\n"


def test_the_jar_is_a_zip_with_a_manifest_that_names_its_class() -> None:
    with zipfile.ZipFile(APPLICATION / "word-stats.jar") as archive:
        manifest = archive.read("META-INF/MANIFEST.MF").decode()
        main_class = archive.read("com/example/wordstats/WordStats.class")

    assert "Main-Class: com.example.wordstats.WordStats" in manifest
    # The mark of a class file, and the version of Java 8.
    assert main_class[:4] == b"\xca\xfe\xba\xbe"
    assert main_class[6:8] == b"\x00\x34"
