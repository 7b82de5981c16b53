# SPDX-License-Identifier: Apache-2.0
"""Runs batch jobs with PySpark in local mode, each in its own processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

from airflow_provider_dli.emulator.jobs.bucket_copies import BucketCopies
from airflow_provider_dli.emulator.jobs.runs import Report
from airflow_provider_dli.emulator.jobs.spark_submit import SparkSubmit
from airflow_provider_dli.emulator.messages import JsonObject, RefusedError
from airflow_provider_dli.emulator.object_store import ObjectStore

# Each is a JVM with two busy threads; further jobs stay "starting", as in a full queue.
MAX_JOBS = 2
# For auto_recovery. DLI allows up to 100, which would take too long here.
MAX_RECOVERIES = 2

_BUCKET = re.compile(r"obs://([a-z0-9][a-z0-9.-]*)")


class LocalSpark:
    """A `Runner` with a local Spark.

    The buckets that a job names are copied into a folder, where it reads and writes them. Its
    changes are sent to the object store when it has succeeded or failed, but not if it was
    cancelled. A job that fails is run again at most twice, regardless of max_retry_times.
    """

    def __init__(self, store: ObjectStore, spark: SparkSubmit | None = None) -> None:
        self._store = store
        self._spark = SparkSubmit.found() if spark is None else spark
        self._threads = ThreadPoolExecutor(MAX_JOBS, thread_name_prefix="dli-emulator-spark")
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[_Job, Future[None]]] = {}

    def start(self, batch_id: str, request: JsonObject, report: Report) -> None:
        """Starts a job as soon as a slot is free."""
        job = _Job(self._store, self._spark, request, report)
        with self._lock:
            self._jobs[batch_id] = job, self._threads.submit(job.run)

    def cancel(self, batch_id: str) -> None:
        """Kills the processes of a job."""
        with self._lock:
            found = self._jobs.get(batch_id)
        if found is not None:
            found[0].cancel()

    def close(self) -> None:
        """Kills all jobs, and returns when their folders are deleted."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job, _ in jobs:
            job.cancel()
        self._threads.shutdown()
        for _, outcome in jobs:
            # Raises unexpected errors, which would be lost in the thread.
            outcome.result()


class _Job:
    def __init__(
        self, store: ObjectStore, spark: SparkSubmit, request: JsonObject, report: Report
    ) -> None:
        self._store = store
        self._spark = spark
        self._request = request
        self._report = report
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_cancelled = False

    def run(self) -> None:
        """Runs the job to its end, including retries."""
        recoveries = 0
        if self._request.get("auto_recovery"):
            recoveries = min(self._request.get("max_retry_times", MAX_RECOVERIES), MAX_RECOVERIES)
        state = "dead"
        try:
            while not (succeeded := self._succeeds()) and recoveries and not self._is_cancelled:
                recoveries -= 1
                self._report.state("recovering")
            state = "success" if succeeded else "dead"
        finally:
            self._report.state(state)

    def cancel(self) -> None:
        """Kills the current process and prevents further ones."""
        with self._lock:
            self._is_cancelled = True
            # Until it was waited for, its id is not reused for another group.
            if self._process is not None and self._process.returncode is None:
                _kill_group(self._process)

    def _succeeds(self) -> bool:
        try:
            with tempfile.TemporaryDirectory(prefix="dli-spark-") as folder:
                return self._run(Path(folder))
        except RefusedError as refusal:
            self._report.log([f"DLI emulator: {refusal.message}"])
        # ValueError: a text cannot be an argument or a file name.
        except (OSError, HTTPException, ValueError) as error:
            self._report.log([f"DLI emulator: {type(error).__name__}: {error}"])
        return False

    def _run(self, folder: Path) -> bool:
        if self._is_cancelled:
            return False
        self._report.log([self._spark.remark(self._request)])
        self._check_files()
        buckets = BucketCopies(self._store, folder / "buckets")
        left_out = buckets.bring(sorted(set(_BUCKET.findall(json.dumps(self._request)))))
        self._report.log([f"DLI emulator: {place} cannot be a file here" for place in left_out])
        status = self._submit(buckets.folders, folder)
        if status is None:
            return False
        buckets.send_back()
        return status == 0

    def _check_files(self) -> None:
        named = [self._request["file"]]
        for field in ("jars", "pyFiles", "files"):
            named += self._request.get(field, ())
        for name in named:
            if not name.startswith("obs://"):
                text = f"The package {name} has no bytes: it was put there without an upload."
                raise RefusedError(400, "DLI.0002", text)

    def _submit(self, buckets: dict[str, Path], folder: Path) -> int | None:
        """Returns the exit status, or None if the job was cancelled."""
        own = folder / "own"
        own.mkdir()
        process = self._start(self._spark.command(self._request, buckets, own), own)
        if process is None:
            return None
        with process:
            for number, line in enumerate(process.stdout or ()):
                if number == 0:
                    self._report.state("running")
                self._report.log([line.rstrip("\n")])
        # The processes that the driver left behind.
        _kill_group(process)
        return None if self._is_cancelled else process.returncode

    def _start(self, command: list[str], own: Path) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._is_cancelled:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - the job that the user submitted
                command,
                cwd=own,
                env=self._spark.environment(own),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                # Its own process group, so that cancelling reaches all of it and nothing else.
                start_new_session=True,
            )
            return self._process


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
