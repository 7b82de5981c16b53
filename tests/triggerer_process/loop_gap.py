"""Triggers of the tests themselves, importable in the triggerer."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

STEP = 0.01
NOTEWORTHY = 0.03


class LoopGapTrigger(BaseTrigger):
    """Notes for how long others kept the event loop; goes on for ever.

    Time in which the thread was ready to run but the machine's processors were busy with others is
    not counted, where Linux tells.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "loop_gap.LoopGapTrigger", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # What Airflow has loaded takes Python's collector a quarter of a second whenever it goes
        # through all there is. Frozen, only what came later counts.
        gc.collect()
        gc.freeze()
        gaps: list[tuple[float, float]] = []
        report = Path(self.path)
        written = 0.0
        while True:
            before, queued = time.monotonic(), _queued()
            await asyncio.sleep(STEP)
            gap = time.monotonic() - before - STEP - (_queued() - queued)
            if gap > NOTEWORTHY:
                gaps.append((time.time(), round(gap, 4)))
            if time.monotonic() - written > 0.2:
                content = {"process": os.getpid(), "time": time.time(), "gaps": gaps}
                await asyncio.to_thread(_replace, report, json.dumps(content))
                written = time.monotonic()
        yield TriggerEvent(None)  # makes this a generator


class BlockingTrigger(BaseTrigger):
    """What a trigger must never do."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "loop_gap.BlockingTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        time.sleep(self.seconds)  # noqa: ASYNC251 - this is the point
        yield TriggerEvent({"status": "ready"})


def _replace(file: Path, text: str) -> None:
    """Write so that nobody reads half of it."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


def _queued() -> float:
    """Return the seconds that this thread has waited for a processor."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
