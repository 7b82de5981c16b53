# SPDX-License-Identifier: Apache-2.0
"""A `spark-submit` that is a few lines of Python, and one who hears what becomes of its jobs."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_dli.emulator.jobs.spark_submit import SparkSubmit

# `bucket` is the folder of the first bucket that the job names, by its name, if it names any.
_HEAD = f"""\
#!{sys.executable}
import os, re, subprocess, sys, time
from pathlib import Path
found = re.search(r"linkFallback=obs://(\\S+)", " ".join(sys.argv))
bucket = Path(found[1]) if found else None
"""


def program(path: Path, text: str) -> Path:
    """Make a program of this text, and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def installation(folder: Path, script: str) -> SparkSubmit:
    """Returns an installation whose spark-submit runs this script."""
    program(folder / "bin" / "spark-submit", _HEAD + textwrap.dedent(script))
    return SparkSubmit(home=folder, version="3.5.9", java_home=None, java_version=17)


class Listener:
    """Hears what is told of a job, and waits for it."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def state(self, word: str) -> None:
        with self._changed:
            self.states.append(word)
            self._changed.notify_all()

    def log(self, lines: Sequence[str]) -> None:
        with self._changed:
            self.lines.extend(lines)
            self._changed.notify_all()

    def end(self, seconds: float = 60) -> str:
        """Wait for the last state, and give it."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.states[-1:] in (["success"], ["dead"]), seconds
            ), self.lines
        return self.states[-1]

    def line(self, beginning: str, seconds: float = 60) -> str:
        """Wait for a line that begins so, and give the rest of it."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: [line for line in self.lines if line.startswith(beginning)], seconds
            )
            assert found, self.lines
        return found[0].removeprefix(beginning)
