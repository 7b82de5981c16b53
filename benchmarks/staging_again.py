# SPDX-License-Identifier: Apache-2.0
"""Rows of `staging.py` for the whole operator: the first run, and what the next ones do."""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import Row, verdict

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.operators.staging import StagePackagesOperator

CONNECTION = "AIRFLOW_CONN_DLI_DEFAULT"
LEAST = 10.0
"""How many times as long the first run has to take: a tenth for the second."""


def rows(address: str, pause: float, folder: Path, changing: Path) -> Iterator[Row]:
    """Stage all files of a folder, again, and once more with one of them changed."""
    with running(obs_endpoint=address) as emulator:
        os.environ[CONNECTION] = json.dumps(emulator.airflow_connection)
        bucket = f"bucket-{uuid.uuid4()}"
        first = _run(emulator, address, bucket, folder)
        second = _run(emulator, address, bucket, folder)
        content = changing.read_bytes()
        changing.write_bytes(content[::-1])
        third = _run(emulator, address, bucket, folder)
        changing.write_bytes(content)
    what = f"operator, {len(first['packages'])} files"
    ratio = first["seconds"] / second["seconds"]
    yield {
        "what": f"{what}: second run",
        "pause ms": round(1000 * pause),
        "beside": "first run",
        "theirs": f"{first['seconds']:.1f} s",
        "ours": f"{second['seconds']:.2f} s",
        "times as fast": f"{ratio:.1f}",
        "goal": f">= {LEAST:g}",
        "holds": verdict(ratio >= LEAST),
    }
    yield _count("second run, bytes sent / uploads", second, "bytes_sent", 0, pause)
    yield _count("one file changed, objects sent / uploads", third, "objects", 1, pause)


def _count(what: str, run: dict[str, Any], field: str, goal: int, pause: float) -> Row:
    return {
        "what": f"  {what}",
        "pause ms": round(1000 * pause),
        "beside": "-",
        "theirs": "-",
        "ours": f"{run[field]} / {run['uploads']}",
        "times as fast": "-",
        "goal": f"{goal} / {goal}",
        "holds": verdict((run[field], run["uploads"]) == (goal, goal)),
    }


def _run(emulator: Emulator, address: str, bucket: str, folder: Path) -> dict[str, Any]:
    """Run the operator as a task; gives its result, with the seconds and the uploads to DLI."""
    logging.getLogger("airflow.task").setLevel(logging.WARNING)
    task = StagePackagesOperator(
        task_id="stage", sources=[f"{folder}/*.jar"], bucket=bucket, prefix="spark", group="g"
    )
    _make(address, bucket)
    emulator.clear_requests()
    started = time.perf_counter()
    result = task.execute({})
    seconds = time.perf_counter() - started
    uploads = sum(record.method == "POST" for record in emulator.requests)
    objects = sum(package["sent"] for package in result["packages"])
    return result | {"seconds": seconds, "uploads": uploads, "objects": objects}


def _make(address: str, bucket: str) -> None:
    from obs import ObsClient

    answer = ObsClient("AK", "secret-key", server=address, path_style=True).createBucket(bucket)
    assert answer.status < 300, answer
