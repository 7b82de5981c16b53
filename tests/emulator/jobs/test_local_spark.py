# SPDX-License-Identifier: Apache-2.0
"""What becomes of jobs that run in processes: states, log, files, and nothing that is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from emulator.jobs.spark_stand_in import Listener, installation
from eventually import at_last

from airflow_provider_dli.emulator.jobs.local_spark import LocalSpark
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.settings import Settings

SLEEP = "print('sleeping in', os.getcwd(), flush=True); time.sleep(60)"


@pytest.fixture
def s3(object_store: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=object_store, region_name="us-east-1", **keys)


@pytest.fixture
def spark(object_store: str, s3: Any, tmp_path: Path) -> Iterator[Callable[[str], LocalSpark]]:
    """Returns a runner whose spark-submit runs a script."""
    s3.create_bucket(Bucket="main-files")
    made: list[LocalSpark] = []

    def make(script: str, endpoint: str = object_store) -> LocalSpark:
        store = ObjectStore(endpoint, Settings())
        made.append(LocalSpark(store, installation(tmp_path / "spark", script)))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


def begin(runner: LocalSpark, batch_id: str = "1", **request: Any) -> Listener:
    listener = Listener()
    runner.start(batch_id, {"file": "obs://main-files/main.py", **request}, listener)
    return listener


def is_alive(process: str) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def gone(process: str) -> bool:
    return at_last(lambda: not is_alive(process))


def test_a_job_runs_from_its_first_line_on_and_succeeds(spark):
    job = begin(spark("print('one'); print('two', file=sys.stderr)"))

    assert job.end() == "success"
    assert job.states == ["running", "success"]


def test_every_line_of_the_driver_is_told_after_a_remark_of_the_emulator(spark):
    job = begin(spark("print('one', flush=True); print('two', file=sys.stderr)"))

    job.end()

    remark, *lines = job.lines
    assert remark.startswith("DLI emulator: on Spark 3.5.9, Java 17 and Python 3")
    assert lines == ["one", "two"]


def test_a_job_that_ends_with_another_status_than_0_is_dead(spark):
    job = begin(spark("sys.exit('no such class')"))

    assert job.end() == "dead"
    assert job.lines[-1] == "no such class"


def test_a_spark_submit_that_cannot_be_started_is_a_dead_job(spark, tmp_path):
    runner = spark("")
    (tmp_path / "spark" / "bin" / "spark-submit").unlink()

    job = begin(runner)

    assert job.end() == "dead"
    assert job.lines[-1].startswith("DLI emulator: FileNotFoundError: ")


def test_a_job_reads_the_objects_of_the_bucket_that_it_names(spark, s3, bucket):
    s3.put_object(Bucket=bucket, Key="deep/er/input.txt", Body=b"content")

    job = begin(
        spark("print((bucket / 'deep/er/input.txt').read_text())"), args=[f"obs://{bucket}/out"]
    )

    assert job.end() == "success"
    assert job.lines[-1] == "content"


@pytest.mark.parametrize("status", [0, 1])
def test_what_a_job_wrote_is_in_the_store_when_its_end_is_told(spark, s3, bucket, status):
    script = f"(bucket / 'out').mkdir(); (bucket / 'out/_SUCCESS').touch(); sys.exit({status})"

    begin(spark(script), args=[f"obs://{bucket}/out"]).end()

    assert s3.head_object(Bucket=bucket, Key="out/_SUCCESS")["ContentLength"] == 0


def test_only_what_a_job_changed_is_sent_back(spark, s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("changed", "kept"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"old")

    begin(spark("(bucket / 'changed').write_text('new')"), args=[f"obs://{bucket}"]).end()

    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert sorted(version["Key"] for version in versions) == ["changed", "changed", "kept"]


def test_what_a_job_deleted_is_deleted_in_the_store(spark, s3, bucket):
    s3.put_object(Bucket=bucket, Key="out/part-0", Body=b"of an earlier run")

    begin(spark("(bucket / 'out/part-0').unlink()"), args=[f"obs://{bucket}/out"]).end()

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_bucket_that_does_not_exist_is_a_dead_job_that_says_so(spark):
    job = begin(spark("print('ran')"), args=["obs://there-is-none/out"])

    assert job.end() == "dead"
    assert job.lines[-1] == "DLI emulator: The OBS bucket there-is-none does not exist."


def test_a_store_out_of_reach_is_a_dead_job_that_says_so(spark):
    job = begin(spark("print('ran')", "http://127.0.0.1:1"), args=["obs://some-bucket/out"])

    assert job.end() == "dead"
    assert "The object store cannot be reached" in job.lines[-1]


def test_a_key_that_no_file_can_have_is_named(spark, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a//b", Body=b"")

    job = begin(spark("print('ran')"), args=[f"obs://{bucket}/out"])

    assert job.end() == "success"
    assert f"DLI emulator: {bucket}/a//b cannot be a file here" in job.lines


@pytest.mark.parametrize(
    "request_fields",
    [{"file": "group/a.py"}, {"pyFiles": ["group/a.py"]}, {"jars": ["group/a.py"]}],
)
def test_a_package_without_bytes_is_a_dead_job_that_says_so(spark, request_fields):
    job = begin(spark("print('ran')"), **request_fields)

    assert job.end() == "dead"
    assert "The package group/a.py has no bytes" in job.lines[-1]


def test_an_argument_that_no_program_can_have_is_a_dead_job_that_says_so(spark):
    job = begin(spark("print('ran')"), args=["a\0b"])

    assert job.end() == "dead"
    assert job.lines[-1] == "DLI emulator: ValueError: embedded null byte"


def test_a_failed_job_with_auto_recovery_is_run_again(spark, tmp_path):
    mark = tmp_path / "mark"
    script = f"""
        mark = Path({str(mark)!r})
        print("run")
        if not mark.exists():
            mark.touch()
            sys.exit(1)
    """

    job = begin(spark(script), auto_recovery=True)

    assert job.end() == "success"
    assert job.states == ["running", "recovering", "running", "success"]


@pytest.mark.parametrize(
    ("request_fields", "recoveries"),
    [
        ({}, 0),
        ({"max_retry_times": 5}, 0),
        ({"auto_recovery": True}, 2),
        ({"auto_recovery": True, "max_retry_times": 1}, 1),
        ({"auto_recovery": True, "max_retry_times": 100}, 2),
    ],
)
def test_a_job_recovers_at_most_twice(spark, request_fields, recoveries):
    job = begin(spark("sys.exit('failed')"), **request_fields)

    assert job.end() == "dead"
    assert job.states.count("recovering") == recoveries


def test_a_cancelled_job_ends_with_all_of_its_processes(spark):
    runner = spark(
        "child = subprocess.Popen(['sleep', '60']); print('pids', os.getpid(), child.pid);"
        "sys.stdout.flush(); time.sleep(60)"
    )
    job = begin(runner, auto_recovery=True)
    parent, child = job.line("pids ").split()

    runner.cancel("1")

    assert job.end() == "dead"
    assert "recovering" not in job.states
    assert gone(parent)
    assert gone(child)


def test_what_a_driver_left_behind_ends_with_its_job(spark):
    job = begin(spark("print('pid', subprocess.Popen(['sleep', '60'], stdout=-3, stderr=-3).pid)"))

    assert job.end() == "success"
    assert gone(job.line("pid "))


def test_a_cancelled_job_sends_nothing_back(spark, s3, bucket):
    runner = spark(f"(bucket / 'half').write_text('a'); {SLEEP}")
    job = begin(runner, args=[f"obs://{bucket}/out"])
    job.line("sleeping")

    runner.cancel("1")

    job.end()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_job_that_is_cancelled_while_its_files_come_does_not_run(spark):
    class Store(BaseHTTPRequestHandler):
        """Has the job cancelled as soon as it is asked for something."""

        def do_GET(self) -> None:
            runner.cancel("1")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<ListBucketResult/>")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Store) as server:
        runner = spark("print('ran')", f"http://127.0.0.1:{server.server_port}")
        job = begin(runner)
        server.handle_request()

    assert job.end() == "dead"
    assert "ran" not in job.lines


def test_a_third_job_waits_until_there_is_room_and_can_be_cancelled_meanwhile(spark):
    runner = spark(SLEEP)
    for job in [begin(runner, batch_id) for batch_id in ("1", "2")]:
        job.line("sleeping")
    third = begin(runner, "3")
    runner.cancel("3")

    runner.cancel("1")

    assert third.end() == "dead"
    assert third.states == ["dead"]
    assert third.lines == []


def test_cancelling_a_job_that_nobody_knows_or_that_has_ended_is_no_error(spark):
    runner = spark("print('ran')")
    job = begin(runner)
    job.end()

    runner.cancel("1")
    runner.cancel("2")

    assert job.states == ["running", "success"]


def test_closing_ends_every_job_and_leaves_no_folder(spark):
    runner = spark(SLEEP)
    jobs = [begin(runner, batch_id) for batch_id in ("1", "2", "3")]
    folders = [job.line("sleeping in ") for job in jobs[:2]]

    runner.close()

    assert [job.states[-1] for job in jobs] == ["dead", "dead", "dead"]
    assert not any(Path(folder).parent.exists() for folder in folders)


def test_an_ended_job_leaves_no_folder(spark):
    job = begin(spark("print('in', os.getcwd())"))

    job.end()

    assert not Path(job.line("in ")).parent.exists()


def test_nothing_of_the_emulators_environment_reaches_a_job(spark, monkeypatch):
    monkeypatch.setenv("A_SECRET", "of the emulator")

    job = begin(spark("print(sorted(os.environ))"))

    job.end()
    assert "A_SECRET" in os.environ
    assert "A_SECRET" not in job.lines[-1]


def test_bytes_that_are_no_text_do_not_end_the_log(spark):
    job = begin(spark(r"sys.stdout.buffer.write(b'\xff\nlast\n')"))

    assert job.end() == "success"
    assert job.lines[-2:] == ["�", "last"]
