# SPDX-License-Identifier: Apache-2.0
"""One turn of `staging.py`, in a process of its own: what one client does with files, and its cost.

    python benchmarks/staging_turn.py CLIENT ADDRESS BUCKET FILE...

prints the figures as JSON. Linux only: /proc tells the memory.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Work: TypeAlias = Callable[[str, Sequence[Path]], None]
"""Does something with files that have, or are to have, their names as keys in a bucket."""

CONNECTION = "AIRFLOW_CONN_DLI_DEFAULT"
ACCESS_KEY, SECRET_KEY = "ACCESSKEY", "secret-key-which-opens-nothing"
SMALL = "small.txt"
"""A file next to the others that a client may send before it is measured."""


class Taken(NamedTuple):
    """Seconds, and the most bytes of memory above what the process had before."""

    wall: float
    cpu: float
    memory: int


def turn(client: str, address: str, bucket: str, files: Sequence[Path]) -> Taken:
    """Have a client do its work in a process of its own, and give what it took."""
    command = [sys.executable, __file__, client, address, bucket, *map(str, files)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return Taken(*json.loads(answer.stdout.splitlines()[-1]))


def hook(address: str) -> Any:
    """Returns the hook, with a connection to a store."""
    from airflow_provider_dli.hooks.obs import ObsHook

    os.environ[CONNECTION] = json.dumps(
        {
            "conn_type": "dli",
            "login": ACCESS_KEY,
            "password": SECRET_KEY,
            "extra": {
                "cloud": "huawei",
                "region": "eu-west-101",
                "project_id": "0123456789abcdef0123456789abcdef",
                "obs_endpoint": address,
            },
        }
    )
    return ObsHook()


def vendor(address: str) -> Any:
    """Returns the vendor's client for a store, with its defaults."""
    from obs import ObsClient

    return ObsClient(ACCESS_KEY, SECRET_KEY, server=address, path_style=True)


def _ours(address: str) -> Work:
    # Hashed first, as staging does: the key of a file names its content.
    from airflow_provider_dli.api.obs.models import FileToSend
    from airflow_provider_dli.staging.files import digests

    ours = hook(address)

    def send(bucket: str, files: Sequence[Path]) -> None:
        known = digests([(path, str(path)) for path in files])
        both = zip(files, known, strict=True)
        ours.upload_files(
            bucket,
            [FileToSend(path, path.name, one.size, one.sha256, one.tags) for path, one in both],
        )

    return send


def _digests(_: str) -> Work:
    from airflow_provider_dli.staging.files import digests

    def hash_all(_: str, files: Sequence[Path]) -> None:
        digests([(path, str(path)) for path in files])

    return hash_all


def _find(address: str) -> Work:
    ours = hook(address)

    def find(bucket: str, files: Sequence[Path]) -> None:
        found = ours.find_objects(bucket, [path.name for path in files])
        assert len(found) == len(files), found

    return find


def _put_file(address: str) -> Work:
    theirs = vendor(address)

    def send(bucket: str, files: Sequence[Path]) -> None:
        for path in files:
            answer = theirs.putFile(bucket, path.name, str(path))
            assert answer.status < 300, answer

    return send


def _upload_file(address: str) -> Work:
    theirs = vendor(address)

    def send(bucket: str, files: Sequence[Path]) -> None:
        for path in files:
            answer = theirs.uploadFile(bucket, path.name, str(path), enableCheckpoint=True)
            assert answer.status < 300, answer

    return send


def _lean(address: str) -> Work:
    from lean_client import LeanClient

    return LeanClient(address, ACCESS_KEY, SECRET_KEY).send


def _hash(name: str) -> Callable[[str], Work]:
    """Hash the same bytes, once, in one thread."""

    def hash_all(_: str, files: Sequence[Path]) -> None:
        for path in files:
            with path.open("rb", buffering=0) as stream:
                hashlib.file_digest(stream, name)

    return lambda _: hash_all


CLIENTS: dict[str, Callable[[str], Work]] = {
    "ours": _ours,
    "ours, hashing before": _digests,
    "ours, find": _find,
    "esdk putFile": _put_file,
    "esdk uploadFile": _upload_file,
    "lean": _lean,
    "sha256": _hash("sha256"),
    "md5": _hash("md5"),
}


def main() -> None:
    """Measure and print."""
    client, address, bucket, *names = sys.argv[1:]
    files = list(map(Path, names))
    work = CLIENTS[client](address)
    # Modules that are loaded late, and the threads' first steps, are none of the work.
    work(bucket, [files[0].with_name(SMALL)])
    gc.collect()
    # From here on the highest size counts.
    Path("/proc/self/clear_refs").write_text("5")
    before, wall, cpu = _memory("VmRSS"), time.perf_counter(), time.process_time()
    work(bucket, files)
    taken = time.perf_counter() - wall, time.process_time() - cpu, _memory("VmHWM") - before
    print(json.dumps(taken))


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise LookupError(field)


if __name__ == "__main__":
    main()
