# SPDX-License-Identifier: Apache-2.0
"""The file system behind obs:// beside s3fs, which stands on aiobotocore, on one store."""

# Each runs in a process of its own: s3fs needs an environment of its own, since aiobotocore takes
# only a few versions of botocore. The store is moto's, in a third process (obs_server.py).

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from report import WARM_UP, options, publish, size, spread

PAUSES = size((0.0, 0.02), (0.0,))
MIB = 1024 * 1024
SMALL, SMALL_FILES = 64 * 1024, size(200, 2)
LARGE = size(200 * MIB, MIB)
LISTED = size(1000, 2)
RANGES = size(100, 2)
KEYS = ("ACCESSKEY", "secret-key-which-opens-nothing")

NOTES = (
    "Store: moto's S3 server in a process of its own, over plain HTTP on this machine, so that "
    "without a pause much of the time is its own; the pause before each answer stands for the "
    "network. For a range the store needs over 0.1 s of its own, whatever its length. Both file "
    "systems are used by fsspec's methods, each with its defaults (16 MiB read ahead and parts "
    "of 8 MiB, of s3fs 50 MiB for both) unless the row says otherwise. They take turns; times are "
    "medians, ratios medians of the turns, in brackets their range.",
    "At once: fsspec's pipe and cat with all names, as against a file opened, written or read and "
    "closed after the other. Import: on top of fsspec, in fresh processes.",
)

IMPORT = """
import fsspec, importlib, json, sys, time
before, started = set(sys.modules), time.perf_counter()
importlib.import_module(sys.argv[1])
print(json.dumps([time.perf_counter() - started, len(set(sys.modules) - before)]))
"""


class Tasks:
    """What is measured: each method is one task, of which the seconds count."""

    def __init__(self, name: str, address: str, bucket: str) -> None:
        self.fs = _ours(address) if name == "ours" else _s3fs(address)
        self.top = f"{bucket}/{name}"
        source: Any = random.Random(0)  # noqa: S311 - the content of files is no secret
        self.small = source.randbytes(SMALL)
        self.piece = source.randbytes(MIB)
        self.starts = [source.randrange(LARGE - SMALL) for _ in range(RANGES)]
        self.names = [f"{self.top}/small/{number}" for number in range(SMALL_FILES)]
        self.large = f"{self.top}/large"

    def fill(self) -> None:
        """Put the objects there that are listed."""
        self.fs.pipe({f"{self.top}/listed/{number}": b"." for number in range(LISTED)})

    def write_small(self) -> None:
        for name in self.names:
            with self.fs.open(name, "wb") as file:
                file.write(self.small)

    def read_small(self) -> None:
        for name in self.names:
            with self.fs.open(name, "rb") as file:
                assert len(file.read()) == SMALL

    def write_small_at_once(self) -> None:
        self.fs.pipe(dict.fromkeys(self.names, self.small))

    def read_small_at_once(self) -> None:
        assert len(self.fs.cat(self.names)) == SMALL_FILES

    def write_large(self) -> None:
        with self.fs.open(self.large, "wb") as file:
            for _ in range(LARGE // MIB):
                file.write(self.piece)

    def read_large(self, block_size: int | None = None) -> None:
        size = 0
        with self.fs.open(self.large, "rb", block_size=block_size) as file:
            while data := file.read(MIB):
                size += len(data)
        assert size == LARGE

    def read_large_in_large_blocks(self) -> None:
        self.read_large(50 * MIB)

    def list_folder(self) -> None:
        assert len(self.fs.ls(f"{self.top}/listed", detail=True)) == LISTED

    def read_ranges(self) -> None:
        with self.fs.open(self.large, "rb") as file:
            for start in self.starts:
                file.seek(start)
                assert len(file.read(SMALL)) == SMALL

    def read_ranges_at_once(self) -> None:
        ends = [start + SMALL for start in self.starts]
        parts = self.fs.cat_ranges([self.large] * RANGES, self.starts, ends)
        assert all(len(part) == SMALL for part in parts)


TASKS: dict[str, tuple[str, Callable[[Tasks], None]]] = {
    "write_small": ("write 200 files of 64 KiB", Tasks.write_small),
    "read_small": ("read them", Tasks.read_small),
    "write_small_at_once": ("write them at once", Tasks.write_small_at_once),
    "read_small_at_once": ("read them at once", Tasks.read_small_at_once),
    "write_large": ("write one of 200 MiB", Tasks.write_large),
    "read_large": ("read it", Tasks.read_large),
    "read_large_in_large_blocks": ("  with blocks of 50 MiB", Tasks.read_large_in_large_blocks),
    "list_folder": ("ls of 1,000 objects", Tasks.list_folder),
    "read_ranges": ("seek and read 100 x 64 KiB", Tasks.read_ranges),
    "read_ranges_at_once": ("  with cat_ranges", Tasks.read_ranges_at_once),
}


def _ours(address: str) -> Any:
    from airflow_provider_dli.fs.obs import ObsFileSystem

    access_key, secret_key = KEYS
    extra = {
        "cloud": "huawei",
        "region": "eu-west-101",
        "project_id": "0123456789abcdef0123456789abcdef",
        "obs_endpoint": address,
    }
    os.environ["AIRFLOW_CONN_DLI_DEFAULT"] = json.dumps(
        {"conn_type": "dli", "login": access_key, "password": secret_key, "extra": extra}
    )
    return ObsFileSystem()


def _s3fs(address: str) -> Any:
    import s3fs  # type: ignore[import-not-found]  # it lives in an environment of its own

    access_key, secret_key = KEYS
    return s3fs.S3FileSystem(
        key=access_key, secret=secret_key, endpoint_url=address, use_listings_cache=False
    )


class Worker:
    """One file system in a process of its own, which does one task after the other."""

    def __init__(self, python: str, name: str, address: str, bucket: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, __file__, "--worker", name, address, bucket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self, task: str) -> float:
        """Do a task and give how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(task, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            # Airflow may greet on standard output.
            if line.startswith("took "):
                return float(line.split()[1])
        raise RuntimeError(f"{self.name} failed at {task}")


def _work(name: str, address: str, bucket: str) -> None:
    tasks = Tasks(name, address, bucket)
    for line in sys.stdin:
        task = line.strip()
        started = time.perf_counter()
        tasks.fill() if task == "fill" else TASKS[task][1](tasks)
        print("took", time.perf_counter() - started, flush=True)


def main() -> None:
    """Measure and print."""
    if "--worker" in sys.argv[1:]:
        _work(*sys.argv[2:])
        return
    parser = options(__doc__, runs=5)
    parser.add_argument("--s3fs", metavar="PYTHON", help="interpreter of an environment with s3fs")
    chosen = parser.parse_args()
    for name in list(os.environ):
        # The store is on this machine.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    rows = [*_rows(chosen), *_imports(chosen)]
    theirs = _installed(chosen.s3fs, "s3fs", "aiobotocore", "botocore") if chosen.s3fs else "none"
    publish(
        f"File systems of fsspec on one store, {chosen.runs} turns",
        ["apache-airflow", "esdk-obs-python", "fsspec", "moto"],
        rows,
        chosen.json,
        (f"Beside: {theirs}.", *NOTES),
    )


def _rows(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import boto3
    from obs_server import running

    for pause in PAUSES:
        with running(pause) as address, ExitStack() as stack:
            bucket = f"bucket-{uuid.uuid4()}"
            access_key, secret_key = KEYS
            boto3.client(
                "s3",
                endpoint_url=address,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                region_name="us-east-1",
            ).create_bucket(Bucket=bucket)
            pythons = {"ours": sys.executable} | ({"s3fs": chosen.s3fs} if chosen.s3fs else {})
            workers = [
                stack.enter_context(Worker(python, name, address, bucket))
                for name, python in pythons.items()
            ]
            for worker in workers:
                worker.seconds("fill")
            for task, (what, _) in TASKS.items():
                times: dict[str, list[float]] = {worker.name: [] for worker in workers}
                for turn in range(WARM_UP + chosen.runs):
                    for worker in workers:
                        seconds = worker.seconds(task)
                        if turn >= WARM_UP:
                            times[worker.name].append(seconds)
                yield _row(what, round(1000 * pause), times["ours"], times.get("s3fs", []))


def _imports(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    turns = range(WARM_UP + chosen.runs)
    ours = [_import(sys.executable, "airflow_provider_dli.fs.obs") for _ in turns]
    theirs = [_import(chosen.s3fs, "s3fs") for _ in turns] if chosen.s3fs else []
    what = f"import ({ours[0][1]} modules, of s3fs {theirs[0][1] if theirs else '-'})"
    yield _row(what, None, [one for one, _ in ours[WARM_UP:]], [one for one, _ in theirs[WARM_UP:]])


def _import(python: str, module: str) -> tuple[float, int]:
    command = [python, "-c", IMPORT, module]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, modules = json.loads(answer.stdout.splitlines()[-1])
    return seconds, modules


def _row(what: str, pause: int | None, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    ratios = [their / our for our, their in zip(ours, theirs, strict=bool(theirs))]
    return {
        "what": what,
        "pause ms": pause,
        "s3fs s": median(theirs) if theirs else None,
        "ours s": median(ours),
        "times as fast": f"{median(ratios):.2f} ({spread(ratios)})" if ratios else "-",
    }


def _installed(python: str, *packages: str) -> str:
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [python, "-c", code, *packages]
    versions = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return ", ".join(f"{name} {number}" for name, number in zip(packages, versions, strict=True))


if __name__ == "__main__":
    # Found beside this file, also by an interpreter that runs it from elsewhere.
    sys.path.insert(0, str(Path(__file__).parent))
    main()
