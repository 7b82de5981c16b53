# SPDX-License-Identifier: Apache-2.0
"""Files sent to OBS: ObsHook beside the vendor's own client, its memory, and the whole operator."""

# The store is moto's, in a process of its own (obs_server.py). Linux only: /proc tells the memory.

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import staging_again
from obs_server import running
from report import Row, options, publish, spread, verdict

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.hooks.obs import ObsHook

PAUSES = (0.0, 0.02)
CONNECTION = "AIRFLOW_CONN_DLI_DEFAULT"
MB = 10**6
MANY, LARGE, HUGE = 200, 500 * MB, 2000 * MB

NOTES = (
    "Store: moto's S3 server in a process of its own, over plain HTTP on this machine. It needs "
    "several milliseconds of its own CPU for each MB, all in one Python process, so that without a "
    "pause it is the store that is measured; the pause before each answer stands for the network. "
    "The clients take turns; ratios are medians of the turns, in brackets their range. Files are "
    "in the page cache, and their SHA-256, which the hook compares, is computed before.",
    "The vendor's client is esdk-obs-python with its defaults: no Content-MD5, no comparison of "
    "what arrived, a new connection for each request. Its uploadFile sends parts of 9 MB one after "
    "the other and remembers them in a file. The hook sends 8 MiB at a time on 8 connections, each "
    "with its Content-MD5.",
    "The operator stages the same files into a group of the emulator, which takes 3 s for the "
    "upload. Its seconds are those of one run each, hashing and the wait for READY included.",
    "Memory is the highest RSS while 2 GB are sent, less that after a first small file; sampled "
    "every 10 ms in a fresh process.",
)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--memory", nargs=2, help="measure that alone: address and file")
    chosen = parser.parse_args()
    for name in list(os.environ):
        # The store is on this machine.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    if chosen.memory:
        address, path = chosen.memory
        print(json.dumps(_growth(address, Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(Path(folder), chosen.runs))
    publish(
        f"Files sent to an object store, {chosen.runs} turns",
        ["apache-airflow", "esdk-obs-python", "moto", "requests"],
        rows,
        chosen.json,
        NOTES,
    )


def _rows(folder: Path, runs: int) -> Iterator[Row]:
    many = [_file(folder / f"{number}.jar", MB) for number in range(MANY)]
    large = _file(folder / "large.jar", LARGE)
    for pause in PAUSES:
        with running(pause) as address:
            store = Store(address)
            what = f"{MANY} files of 1 MB"
            yield _row(what, pause, "putFile", 2.0, store.compare(store.put_file, many, runs))
            what = f"one file of {LARGE // MB} MB"
            both = store.compare(store.upload_file, [large], runs)
            yield _row(what, pause, "uploadFile", 0.95, both)
            yield _row(what, pause, "putFile", None, store.compare(store.put_file, [large], runs))
            yield from staging_again.rows(address, pause, folder, many[7].path)
    for file in (*many, large):
        file.path.unlink()
    yield _memory(folder)


def _row(
    what: str, pause: float, rival: str, goal: float | None, both: tuple[list[float], list[float]]
) -> Row:
    ours, theirs = both
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    ratio = median(ratios)
    return {
        "what": what,
        "pause ms": round(1000 * pause),
        "beside": f"esdk {rival}",
        "theirs": f"{median(theirs):.1f} s",
        "ours": f"{median(ours):.1f} s",
        "times as fast": f"{ratio:.2f} ({spread(ratios)})",
        "goal": "-" if goal is None else f">= {goal:g}",
        "holds": "-" if goal is None else verdict(ratio >= goal),
    }


def _memory(folder: Path) -> Row:
    huge = _file(folder / "huge.jar", HUGE)
    with running(PAUSES[-1]) as address:
        command = [sys.executable, __file__, "--memory", address, str(huge.path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = json.loads(answer.stdout.splitlines()[-1])
    return {
        "what": f"memory above start, one file of {HUGE // MB} MB",
        "pause ms": round(1000 * PAUSES[-1]),
        "beside": "-",
        "theirs": "-",
        "ours": f"{grown / MB:.0f} MB",
        "times as fast": "-",
        "goal": "< 100 MB",
        "holds": verdict(grown < 100 * MB),
    }


class Store:
    """An object store with a bucket, and the ways to put files there."""

    def __init__(self, address: str) -> None:
        from obs import ObsClient

        self.bucket = f"bucket-{uuid.uuid4()}"
        self.client = ObsClient("AK", "secret-key", server=address, path_style=True)
        self.client.createBucket(self.bucket)
        os.environ[CONNECTION] = json.dumps(
            {
                "conn_type": "dli",
                "login": "ACCESSKEY",
                "password": "secret-key-which-opens-nothing",
                "extra": {
                    "cloud": "huawei",
                    "region": "eu-west-101",
                    "project_id": "0123456789abcdef0123456789abcdef",
                    "obs_endpoint": address,
                },
            }
        )
        self.hook = ObsHook()

    def put_file(self, files: Sequence[FileToSend]) -> None:
        """Send files with the vendor's client, one after the other."""
        for file in files:
            answer = self.client.putFile(self.bucket, file.key, str(file.path))
            assert answer.status < 300, answer

    def upload_file(self, files: Sequence[FileToSend]) -> None:
        """Send files with the vendor's client in parts, resumable, with its defaults."""
        for file in files:
            answer = self.client.uploadFile(
                self.bucket, file.key, str(file.path), enableCheckpoint=True
            )
            assert answer.status < 300, answer

    def send(self, files: Sequence[FileToSend]) -> None:
        """Send files with the hook."""
        self.hook.upload_files(self.bucket, files)

    def compare(
        self,
        rival: Callable[[Sequence[FileToSend]], None],
        files: Sequence[FileToSend],
        runs: int,
    ) -> tuple[list[float], list[float]]:
        """Give the seconds of each turn, of the hook and of a rival; one before does not count."""
        ours, theirs = [], []
        for _ in range(runs + 1):
            theirs.append(self._seconds(rival, files))
            ours.append(self._seconds(self.send, files))
        return ours[1:], theirs[1:]

    def _seconds(
        self, send: Callable[[Sequence[FileToSend]], None], files: Sequence[FileToSend]
    ) -> float:
        started = time.perf_counter()
        send(files)
        seconds = time.perf_counter() - started
        # The store keeps all in its memory.
        self.hook.delete_objects(self.bucket, [file.key for file in files])
        return seconds


def _growth(address: str, path: Path) -> int:
    """Give the bytes by which the memory grows while a file is sent."""
    store = Store(address)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    store.send([_file(path.with_name("small.jar"), MB)])
    file = FileToSend(path, path.name, path.stat().st_size, digest)
    with _highest() as sizes:
        before = sizes[0]
        store.send([file])
    return max(sizes) - before


@contextmanager
def _highest() -> Iterator[list[int]]:
    """Note the memory of this process again and again."""
    sizes, over = [_rss()], threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            sizes.append(_rss())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _file(path: Path, size: int) -> FileToSend:
    """Write bytes that do not repeat, and give them with their digest."""
    source: Any = random.Random(path.name)  # noqa: S311 - the content of files is no secret
    digest, left = hashlib.sha256(), size
    with path.open("wb") as stream:
        while left:
            data = source.randbytes(min(left, MB))
            stream.write(data)
            digest.update(data)
            left -= len(data)
    return FileToSend(path, path.name, size, digest.hexdigest())


if __name__ == "__main__":
    main()
