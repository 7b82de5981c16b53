# SPDX-License-Identifier: Apache-2.0
"""Run an example DAG twice on this machine: object store, DLI emulator, Airflow, all throw-away.

`make demo` calls it. It starts moto's S3 server (in place of OBS) and the DLI emulator on free
ports, makes an empty bucket, and runs the DAG `stage_files` with `airflow dags test`, which stages
the files of `example_dags/spark_app` from the disk. It prints which objects came to lie in the
bucket and which states each package went through. The second run has nothing to do. Then it stops
what it started.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from airflow_provider_dli.emulator import Emulator, running

EXAMPLES = Path(__file__).resolve().parent.parent / "example_dags"
BUCKET = "dli-examples"
DAG = "stage_files"
# Lines of the hooks, and where a task begins.
INTERESTING = re.compile(
    r"\b(dli|progress|staging|transfer_log)\.py:\d+|\[DAG TEST\] starting task_id"
)
AIRFLOW = str(Path(sys.executable).with_name("airflow"))


class Recorder(threading.Thread):
    """Looks at the emulator's groups again and again and notes when a package changes its state."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(daemon=True)
        self.seen: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
        self._emulator = emulator
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.1):
            self.look()

    def look(self) -> None:
        now = time.monotonic()
        states = {
            (group["group_name"], package["resource_name"], package["resource_type"]): package[
                "status"
            ]
            for group in self._emulator.groups().values()
            for package in group["details"]
        }
        for package in self.seen.keys() - states.keys():
            states[package] = "deleted"
        for package, state in states.items():
            history = self.seen.setdefault(package, [])
            if not history or history[-1][1] != state:
                history.append((now, state))

    def stop(self) -> None:
        self._done.set()
        self.join()
        self.look()

    def all_were_ready(self) -> bool:
        return bool(self.seen) and all(
            "READY" in [state for _, state in history] for history in self.seen.values()
        )


def bucket(endpoint: str) -> Any:
    """Make an empty bucket, and give a client that looks into it."""
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
        region_name="us-east-1",
    )
    store.create_bucket(Bucket=BUCKET)
    return store


def objects(store: Any) -> dict[str, Any]:
    """Give the packages that lie in the bucket, without the records beside them."""
    listed = store.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {entry["Key"]: entry for entry in listed if "/.staged/" not in entry["Key"]}


def airflow(home: str, emulator: Emulator) -> dict[str, str]:
    """Give the environment of an Airflow whose connection leads to the emulator and the store."""
    environment = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
    environment |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_DLI_DEFAULT": json.dumps(emulator.airflow_connection),
        # The emulator is on this machine, whatever proxy is set.
        "NO_PROXY": "127.0.0.1",
    }
    migrated = subprocess.run(
        [AIRFLOW, "db", "migrate"], env=environment, capture_output=True, text=True
    )
    if migrated.returncode:
        sys.exit(f"{migrated.stdout}\n{migrated.stderr}")
    return environment


def follow(command: list[str], environment: dict[str, str]) -> int:
    """Run a command and show what the tasks log about packages; all of it when it fails."""
    lines = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if INTERESTING.search(line):
                print(f"  {line.split(' [airflow.')[0].rstrip()}", flush=True)
    if process.returncode:
        print("".join(lines), file=sys.stderr)
    return process.returncode


def table(recorder: Recorder) -> str:
    rows = [("group", "package", "kind", "states")]
    for (group, package, kind), history in sorted(recorder.seen.items()):
        steps = [history[0][1]]
        steps += [
            f"{state} after {at - before:.1f} s" for (before, _), (at, state) in pairwise(history)
        ]
        rows.append((group, package, kind, ", ".join(steps)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def main() -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        store = bucket(endpoint)
        print(f"Object store on {endpoint}, with the empty bucket {BUCKET}")
        with (
            running(obs_endpoint=endpoint) as emulator,
            tempfile.TemporaryDirectory(prefix="dli-demo-") as home,
        ):
            print(f"DLI emulator on {emulator.url}")
            return demonstrate(store, emulator, airflow(home, emulator))
    finally:
        server.stop()


def demonstrate(store: Any, emulator: Emulator, environment: dict[str, str]) -> int:
    print(f"\nRunning the DAG {DAG} …", flush=True)
    recorder = Recorder(emulator)
    recorder.start()
    status = follow([AIRFLOW, "dags", "test", DAG], environment)
    recorder.stop()
    first = objects(store)
    for key, entry in first.items():
        print(f"  {BUCKET}/{key}  {entry['Size']} bytes")
    print(f"\n{table(recorder)}\n")
    if status or not recorder.all_were_ready():
        print("The demo failed: see the log above.", file=sys.stderr)
        return status or 1
    uploads = count_uploads(emulator)
    print(f"Every package is READY. Running the DAG {DAG} again …", flush=True)
    status = follow([AIRFLOW, "dags", "test", DAG], environment)
    sent = [key for key, entry in objects(store).items() if entry != first.get(key)]
    again = count_uploads(emulator) - uploads
    print(f"\nThe second run sent {len(sent)} objects and uploaded {again} groups.")
    return status or (1 if sent or again else 0)


def count_uploads(emulator: Emulator) -> int:
    return sum(record.method == "POST" for record in emulator.requests)


if __name__ == "__main__":
    sys.exit(main())
