"""Jobs on a real Spark: how they end, what they log, and that nothing of them is left."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dli.api.jobs.placing import with_packages
from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.staging import StagePackagesOperator

APPLICATION = Path(__file__).parents[2] / "example_dags" / "spark_app"
TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n"
JAR = "word-stats.jar"
SLEEP = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("sleeping", flush=True)
spark.sparkContext.parallelize([1, 2], 2).foreach(lambda _: time.sleep(300))
"""


@pytest.fixture
def submit(hook: DliHook) -> Callable[..., str]:
    """Submit a job, and give its id."""

    def submit(**fields: Any) -> str:
        job = SparkJob(**{"queue": "local", "name": "test", "spark_version": "3.3.1"} | fields)
        return hook.submit_batch(job).batch.id

    return submit


@pytest.fixture
def run(hook: DliHook, submit: Callable[..., str]) -> Callable[..., tuple[str, list[str]]]:
    """Run a job to its end, and give its state and the whole log of its driver."""

    def run(**fields: Any) -> tuple[str, list[str]]:
        batch_id = submit(**fields)
        last = hook.wait_for_batch(batch_id, poll_interval=0.5, timeout=120, driver_log=False)
        return last.state.value, list(hook.get_batch_log(batch_id, start=0, size=10_000).lines)

    return run


@pytest.fixture
def stage(emulator: Emulator, bucket: str) -> Callable[[str], list[dict[str, Any]]]:
    """Stage the application from the disk, each kind of file as a group of its own."""
    sources = {"jars": [JAR], "python": ["word_count.py", "wordtools"], "files": ["stop_words.txt"]}

    def stage(target: str) -> list[dict[str, Any]]:
        with DAG("stage", schedule=None):
            tasks = [
                StagePackagesOperator(
                    task_id=f"stage_{part}",
                    sources=[str(APPLICATION / name) for name in names],
                    bucket=bucket,
                    prefix="staged",
                    group=f"word-count-{part}",
                    target=target,
                    poll_interval=0.1,
                )
                for part, names in sources.items()
            ]
        return [task.execute({"ti": SimpleNamespace(map_index=-1)}) for task in tasks]

    return stage


def word_counts(lines: list[str]) -> dict[str, int]:
    return {word: int(count) for word, count in re.findall(r"\('(\w+)', (\d+)\)", "\n".join(lines))}


def expected_counts() -> dict[str, int]:
    stop_words = set((APPLICATION / "stop_words.txt").read_text().split())
    words = re.findall(r"[a-z]+", TEXT.lower())
    return dict(Counter(word for word in words if word not in stop_words))


@pytest.mark.parametrize(("target", "version"), [("group", "3.1.1"), ("obs", "3.3.1")])
def test_the_staged_application_counts_the_words(stage, run, put, read, bucket, target, version):
    fields = {
        "file": "word_count.py",
        "spark_version": version,
        "args": [put("in.txt", TEXT), f"obs://{bucket}/out"],
    }

    state, lines = run(**with_packages(fields, stage(target)))

    assert state == "success", lines
    assert word_counts(read("out/")) == expected_counts()
    assert "longest word: question" in lines
    assert read("out/_SUCCESS") == []


def test_a_class_of_a_jar_runs(run, s3, bucket):
    s3.upload_file(str(APPLICATION / JAR), bucket, JAR)

    state, lines = run(
        file=f"obs://{bucket}/{JAR}",
        class_name="com.example.wordstats.WordStats",
        args=["a", "longer", "word"],
    )

    assert state == "success"
    assert "longer" in lines


def test_a_class_that_is_missing_is_named_in_the_log_of_a_dead_job(run, s3, bucket):
    s3.upload_file(str(APPLICATION / JAR), bucket, JAR)

    state, lines = run(file=f"obs://{bucket}/{JAR}", class_name="com.example.Missing")

    assert state == "dead"
    assert "Error: Failed to load class com.example.Missing." in lines


def test_a_job_that_raises_is_dead_with_its_traceback_in_the_log(run, put):
    file = put("main.py", "from pyspark.sql import SparkSession\nraise ValueError('of the job')\n")

    state, lines = run(file=file)

    assert state == "dead"
    assert "ValueError: of the job" in lines
    assert any(line.startswith("Traceback") for line in lines)


def test_a_table_that_is_written_anew_holds_the_new_rows_alone(run, put, read, bucket):
    program = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
for rows in (["old"], ["new"]):
    data = spark.createDataFrame([(row, 1) for row in rows], "name string, part int")
    data.write.mode("overwrite").partitionBy("part").csv(sys.argv[1])
"""
    put("table/part=1/before.csv", "of an earlier run\n")

    state, lines = run(file=put("main.py", program), args=[f"obs://{bucket}/table"])

    assert state == "success", lines
    assert read("table/") == ["new"]


def test_two_jobs_run_at_the_same_time(hook, submit, put):
    file = put("main.py", SLEEP)
    jobs = [submit(file=file, name=name) for name in ("one", "two")]

    for batch_id in jobs:
        until(lambda batch_id=batch_id: hook.get_batch(batch_id).state.value == "running")

    assert [hook.get_batch(batch_id).state.value for batch_id in jobs] == ["running", "running"]


def test_a_cancelled_job_leaves_no_process_and_no_folder(hook, submit, put, emulator):
    batch_id = submit(file=put("main.py", SLEEP))
    folder = busy_folder(hook, batch_id)

    last = hook.cancel_batch(batch_id, seconds=10)

    assert last.state.value == "dead"
    until(lambda: not processes_in(folder))
    until(lambda: not folder.exists())


def test_the_end_of_the_emulator_is_the_end_of_its_jobs(hook, submit, put, emulator):
    folder = busy_folder(hook, submit(file=put("main.py", SLEEP)))

    emulator.close()

    until(lambda: not processes_in(folder))
    assert not folder.exists()


def busy_folder(hook: DliHook, batch_id: str) -> Path:
    """Returns the folder of a job once its workers are at work."""
    until(lambda: "sleeping" in hook.get_batch_log(batch_id, start=0, size=10_000).lines)
    for process in Path("/proc").iterdir():
        folder = working_folder(process)
        if folder is not None and folder.parent.name.startswith("dli-spark-"):
            # JVM, driver, and the daemon with two workers, which has a process group of its own.
            until(lambda folder=folder.parent: len(processes_in(folder)) >= 5)
            return folder.parent
    raise AssertionError("no process has a folder of a job")


def processes_in(folder: Path) -> list[str]:
    """Returns the processes that were started in a folder, also when that is gone."""
    found = [(process.name, working_folder(process)) for process in Path("/proc").iterdir()]
    return [name for name, work in found if work is not None and str(work).startswith(str(folder))]


def working_folder(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink() if process.name.isdecimal() else None
    except OSError:
        return None


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
