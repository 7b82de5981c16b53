"""Reads what a `loop_gap.LoopGapTrigger` writes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
from triggerer_process.stage import Stage


class Probe:
    """How long the event loop of a triggerer is kept from its other triggers, and its memory."""

    def __init__(self, stage: Stage, report: Path) -> None:
        self._stage = stage
        self._report = report
        stage.defer("loop_gap.LoopGapTrigger", {"path": str(report)})

    def wait(self) -> None:
        """Wait until it has begun, with all that Airflow does once."""
        self._stage.until("the probe writes", self._report.exists)

    def largest_gap(self, since: float) -> float:
        """Returns the longest standstill after a Unix time, in seconds."""
        now = time.time()
        self._stage.until("the probe is up to date", lambda: self._read()["time"] > now)
        return max((gap for at, gap in self._read()["gaps"] if at > since), default=0.0)

    @property
    def memory(self) -> float:
        """The MB that the process with the event loop holds."""
        return psutil.Process(self._read()["process"]).memory_info().rss / 1e6

    def _read(self) -> Any:
        return json.loads(self._report.read_text())
