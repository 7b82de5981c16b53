# SPDX-License-Identifier: Apache-2.0
"""A thousand Spark jobs that are waited for on one account, in one event loop of a triggerer."""

# Three kinds of processes, as in wait_at_scale.py, whose they are. Linux only.

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from dli_server import JOBS, running
from report import Row, publish, size
from wait_at_scale import RIVAL, Bench

DELAY = 0.02
RIVAL_JOBS = 100
INTERVAL, SETTLE, WINDOW = size((5, 20, 20), (1, 1, 2))

NOTES = (
    f"Waits on one account with a poll every {INTERVAL} s; the server has {JOBS} jobs and no "
    f"others, and answers after {1000 * DELAY:.0f} ms over plain HTTP. Requests and CPU are of a "
    f"window of {WINDOW} s or more that begins {SETTLE} s after the first wait; CPU is that of the "
    "whole process, without the heartbeat. A gap is how much too late a task comes that sleeps for "
    "2 ms, in a window of its own; p99 of all beats, 5 ms stands for less. The driver's log is "
    "read for one job after the other, two in a second, so that a job has its turn every 500 s.",
    f"The trigger of {RIVAL} asks for the state of its one job, and blocks the loop meanwhile. "
    f"{JOBS} such looks, one after the other, do not fit into {INTERVAL} s, so it is measured with "
    f"{RIVAL_JOBS}. Airflow 2.11.2.",
)

Fields = dict[str, Any]


def measure(python: str | None, file: Path | None) -> None:
    """Measures and prints; `python` is an interpreter that has the other provider."""
    with tempfile.TemporaryDirectory() as home, running(DELAY) as control:
        bench = Bench(control, Path(home))
        rows = [
            _row(bench, "ours, without the driver's log", "spark", sys.executable, JOBS),
            _row(bench, "ours, with the driver's log", "spark_log", sys.executable, JOBS),
        ]
        if python is not None:
            rows.append(_row(bench, RIVAL, "huawei", python, RIVAL_JOBS))
    publish(
        "Spark jobs waited for in one event loop",
        ["apache-airflow", "aiohttp"],
        rows,
        file,
        NOTES,
    )


def _row(bench: Bench, who: str, trigger: str, python: str, jobs: int) -> Row:
    project = f"jobs{trigger}".replace("_", "")
    wait = {"conn_id": f"to_{project}", "project": project, "ready_after": 0.0}
    result = bench.run(
        {
            "measure": "scale",
            "trigger": trigger,
            "project": project,
            "waits": [wait | {"target": target} for target in range(jobs)],
            "poll_interval": INTERVAL,
            "settle": SETTLE,
            "window": WINDOW,
            "alone": 2,
        },
        python,
    )
    begin, end = result["window"]
    in_window = [stamp for stamp in bench.control.asked(project) if begin <= stamp <= end]
    logs = [stamp for stamp in bench.control.logs_asked(project) if begin <= stamp <= end]
    intervals = (end - begin) / INTERVAL
    settled = result["settled"]
    return {
        "waits": who,
        "jobs": jobs,
        "looks per interval": round((len(in_window) - len(logs)) / intervals, 1),
        "logs per interval": round(len(logs) / intervals, 1),
        "largest gap ms": round(settled["ms"], 1),
        "p99 ms": round(settled["p99_ms"], 1),
        "CPU s per interval": round(result["cpu_per_minute"] * INTERVAL / 60, 3),
        "all ended: last event after s": round(result["seconds_to_the_last"], 1),
        "largest gap ms then": round(result["ending"]["ms"], 1),
    }
