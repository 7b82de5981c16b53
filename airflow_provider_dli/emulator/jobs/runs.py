# SPDX-License-Identifier: Apache-2.0
"""The seam between a batch job as the service keeps it and what really runs it.

`running(spark="local")` makes `local_spark.LocalSpark(object_store)`, which gets the `ObjectStore`
of `obs_endpoint` as its only argument. What it cannot start without, it names in one sentence, as a
`ValueError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airflow_provider_dli.emulator.messages import JsonObject


class Report(Protocol):
    """What a runner tells of one job. Safe from any thread; after the job's end it is not heard.

    A job ends with the state "success" or "dead", or when it is cancelled. The word "recovering"
    begins the next run of the job, with a driver log of its own.
    """

    def state(self, word: str) -> None:
        """The job is in this state from now on."""

    def log(self, lines: Sequence[str]) -> None:
        """Append lines, without their line ends, to the driver log of the present run."""


class Runner(Protocol):
    """What runs jobs in place of a scripted timeline. Its methods are called from any thread."""

    def start(self, batch_id: str, request: JsonObject, report: Report) -> None:
        """Begin a job, which is "starting", and return at once. Raises nothing: a job says "dead".

        `request` is the accepted submission in the spelling of today (`className`, `pyFiles`, …).
        `groups` and `resources` are gone: their packages stand in `jars`, `pyFiles` and `files`.
        Each file is named by where it lies, obs://BUCKET/KEY; only a package that was put into the
        emulator without an upload, and so has no bytes, keeps its name.
        """

    def cancel(self, batch_id: str) -> None:
        """End a job, which is dead already for the service. An unknown or ended one is no error."""

    def close(self) -> None:
        """End all jobs and leave nothing behind; no call follows."""
