"""Each benchmark still runs. With its smallest sizes: the figures mean nothing here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(
    path.name for path in BENCHMARKS.glob("*.py") if re.search(r"= options\(", path.read_text())
)


@pytest.mark.skipif(version("apache-airflow").startswith("2."), reason="they import airflow.sdk")
@pytest.mark.timeout(900)  # seconds on a quiet machine; each starts several processes
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_runs(script: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "BENCHMARK_SMALLEST": "1",
        "PYTHONPATH": os.pathsep.join([str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]),
    }

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), "--runs", "1"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "-----" in done.stdout  # the table
