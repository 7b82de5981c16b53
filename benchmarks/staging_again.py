# SPDX-License-Identifier: Apache-2.0
"""Rows of `staging.py` for the whole operator: what its next runs do, and the requests of each."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from obs_server import counted
from report import Row, verdict
from staging_turn import CONNECTION, SMALL, vendor

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.operators.staging import StagePackagesOperator
from airflow_provider_dli.staging.plan import Target

MOST = 0.1
"""Of the time of the first run, for the second."""
REQUESTS: dict[Target, tuple[int, int]] = {"group": (8, 3), "obs": (4, 2)}
"""The most for one small file: new, and unchanged."""
REQUESTS_AGAIN = 3 + 1
"""The most for many that are unchanged, of which one page of a listing tells."""


def rows(address: str, folder: Path, changing: Path) -> Iterator[Row]:
    """Stage all files of a folder, again, and once more with one of them changed; then one.

    Rows have those cells alone that are not empty.
    """
    # An emulator that knows the store would ask it for each object, and that would be counted.
    with running(upload_seconds=0) as emulator:
        connection = emulator.airflow_connection
        connection["extra"] |= {"obs_endpoint": address}
        os.environ[CONNECTION] = json.dumps(connection)
        yield from _many(emulator, address, folder, changing)
        for target in REQUESTS:
            bucket = f"bucket-{uuid.uuid4()}"
            for again, most in enumerate(REQUESTS[target]):
                run = _run(emulator, address, bucket, str(folder / SMALL), target)
                which = "unchanged" if again else "new"
                yield _row(f"operator, 1 kB, target={target}, {which}") | {
                    "requests": run["requests"],
                    "goal": f"<= {most} requests",
                    "holds": verdict(run["requests"] <= most),
                }


def _many(emulator: Emulator, address: str, folder: Path, changing: Path) -> Iterator[Row]:
    bucket, source = f"bucket-{uuid.uuid4()}", f"{folder}/*.jar"
    first = _run(emulator, address, bucket, source)
    second = _run(emulator, address, bucket, source)
    content = changing.read_bytes()
    changing.write_bytes(content[::-1])
    third = _run(emulator, address, bucket, source)
    changing.write_bytes(content)
    ratio = second["seconds"] / first["seconds"]
    yield _row(f"operator, {len(first['packages'])} files, unchanged") | {
        "beside": "first run",
        "theirs": f"{first['seconds']:.1f} s",
        "ours": f"{second['seconds']:.2f} s",
        "ours / theirs": f"{ratio:.3f}",
        "requests": f"{first['requests']} / {second['requests']}",
        "goal": f"<= {MOST:g}, {REQUESTS_AGAIN} requests",
        "holds": verdict(ratio <= MOST and second["requests"] <= REQUESTS_AGAIN),
    }
    yield _counts("  unchanged: bytes sent / uploads", second, "bytes_sent", 0)
    yield _counts("  one file changed: objects sent / uploads", third, "objects", 1)


def _counts(what: str, run: Mapping[str, Any], field: str, goal: int) -> Row:
    return _row(what) | {
        "ours": f"{run[field]} / {run['uploads']}",
        "requests": run["requests"],
        "goal": f"{goal} / {goal}",
        "holds": verdict((run[field], run["uploads"]) == (goal, goal)),
    }


def _row(what: str) -> Row:
    return {"what": what, "store": "moto"}


def _run(
    emulator: Emulator, address: str, bucket: str, source: str, target: Target = "group"
) -> dict[str, Any]:
    """Run the operator as a task; gives its result, with what it took and asked."""
    task = StagePackagesOperator(
        task_id="stage",
        sources=[source],
        bucket=bucket,
        prefix="spark",
        target=target,
        group=bucket if target == "group" else None,
    )
    answer = vendor(address).createBucket(bucket)
    assert answer.status < 300, answer
    emulator.clear_requests()
    counted(address)
    started = time.perf_counter()
    result = task.execute({})
    seconds = time.perf_counter() - started
    return result | {
        "seconds": seconds,
        "requests": counted(address).requests + len(emulator.requests),
        "uploads": sum(record.method == "POST" for record in emulator.requests),
        "objects": sum(package["sent"] for package in result["packages"]),
    }
