# SPDX-License-Identifier: Apache-2.0
"""Importing a provider's operators on top of `airflow.sdk`, in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypedDict

from report import WARM_UP, Row, installed, options, publish, spread, verdict

GOAL_SHARE = 0.004
GOAL_MODULES = 30
CLIENTS = ("requests", "aiohttp", "huaweicloudsdk", "boto3", "botocore", "esdk")
"""What a DAG file shall not load: beginnings of top-level module names."""

PROBE = """
import importlib, json, sys, time
begun, at_start = time.perf_counter(), set(sys.modules)
from airflow.sdk import DAG, BaseOperator
error, before, started = None, set(sys.modules), time.perf_counter()
try:
    for name in sys.argv[1:]:
        importlib.import_module(name)
except ImportError as failure:
    error = f"{type(failure).__name__}: {failure}"
ms = 1000 * (time.perf_counter() - started)
new = sorted(set(sys.modules) - before)
print(json.dumps({"ms": ms, "new": new, "error": error,
    "sdk_ms": 1000 * (started - begun), "sdk_new": sorted(before - at_start)}))
"""

EMPTY_PROVIDER = """
from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator


class EmptyOperator(BaseOperator):
    def execute(self, context: Any) -> None:
        pass
"""


class Answer(TypedDict):
    """What the probe prints."""

    ms: float
    new: list[str]
    error: str | None
    sdk_ms: float
    sdk_new: list[str]


@dataclass
class Candidate:
    name: str
    package: str
    modules: tuple[str, ...]
    ms: list[float] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    error: str | None = None

    def measure(self, environment: dict[str, str]) -> Answer:
        """Import it in a fresh process, since an import counts once."""
        command = [sys.executable, "-c", PROBE, *self.modules]
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
        )
        # Airflow may greet on standard output; what the probe prints is the last line.
        answer: Answer = json.loads(done.stdout.splitlines()[-1])
        self.add(answer["ms"], answer["new"], answer["error"])
        return answer

    def add(self, ms: float, new: list[str], error: str | None = None) -> None:
        """Keep one measurement."""
        self.ms.append(ms)
        self.new, self.error = new, error


SDK = Candidate("airflow.sdk itself", "apache-airflow-task-sdk", ())
OURS = Candidate(
    "dli",
    "airflow-provider-dli",
    tuple(
        f"airflow_provider_dli.{room}"
        for room in (
            *("operators.packages", "operators.staging", "operators.spark"),
            *("sensors.packages", "sensors.spark"),
        )
    ),
)
CANDIDATES = (
    Candidate("empty provider", "apache-airflow-providers-common-compat", ("empty_provider",)),
    OURS,
    Candidate(
        "databricks",
        "apache-airflow-providers-databricks",
        ("airflow.providers.databricks.operators.databricks",),
    ),
    Candidate(
        "amazon emr",
        "apache-airflow-providers-amazon",
        ("airflow.providers.amazon.aws.operators.emr",),
    ),
    Candidate(
        "huawei dli",
        "apache-airflow-providers-huawei",
        ("airflow.providers.huawei.cloud.operators.dli",),
    ),
)


def main() -> None:
    """Measure and print."""
    chosen = options(__doc__, runs=9).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty_provider.py").write_text(EMPTY_PROVIDER, encoding="utf-8")
        environment = {"AIRFLOW_HOME": folder, **os.environ, "PYTHONPATH": folder}
        # Without .pyc files every run would measure the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _measure(environment, chosen.runs)
    publish(
        f"Importing operators on top of airflow.sdk, median of {chosen.runs} fresh processes",
        ["apache-airflow"],
        [_row(candidate) for candidate in (SDK, *CANDIDATES)],
        chosen.json,
    )


def _measure(environment: dict[str, str], runs: int) -> None:
    present = [candidate for candidate in CANDIDATES if installed(candidate.package)]
    for turn in range(WARM_UP + runs):
        for candidate in present:
            answer = candidate.measure(environment)
            if turn < WARM_UP:
                candidate.ms.clear()  # it wrote the .pyc files
            else:
                SDK.add(answer["sdk_ms"], answer["sdk_new"])


def _row(candidate: Candidate) -> Row:
    row: Row = {
        "import": candidate.name,
        "version": installed(candidate.package),
        "ms": None,
        "range": None,
        "of airflow.sdk": None,
        "modules": None,
        "clients loaded": None,
        "goal": None,
        "holds": None,
    }
    if not candidate.ms:
        return row | {"clients loaded": "not installed"}
    if candidate.error:
        return row | {"clients loaded": candidate.error}
    ms, modules, clients = median(candidate.ms), len(candidate.new), _clients(candidate.new)
    # A share: absolute times of the same code differ threefold between machines.
    share = ms / median(SDK.ms)
    row |= {
        "ms": ms,
        "range": spread(candidate.ms),
        "of airflow.sdk": f"{share:.2%}",
        "modules": modules,
        "clients loaded": ", ".join(clients) or "none",
    }
    if candidate is not OURS:
        return row
    return row | {
        "goal": f"<= {GOAL_SHARE:.1%}, <= {GOAL_MODULES} modules, none",
        "holds": verdict(share <= GOAL_SHARE and modules <= GOAL_MODULES and not clients),
    }


def _clients(modules: list[str]) -> list[str]:
    top_level = {name.split(".", 1)[0] for name in modules}
    return sorted(name for name in top_level if name.startswith(CLIENTS))


if __name__ == "__main__":
    main()
