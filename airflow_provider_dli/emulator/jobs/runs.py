# SPDX-License-Identifier: Apache-2.0
"""The interface between a stored batch job and what runs it.

`running(spark="local")` creates `local_spark.LocalSpark(object_store)` with the `ObjectStore` of
`obs_endpoint`. It raises `ValueError` with the reason if it cannot run jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airflow_provider_dli.emulator.messages import JsonObject


class Report(Protocol):
    """Receives the reports on one job, from any thread; ignores them after the end of the job.

    A job ends with the state "success" or "dead", or when it is cancelled. The state "recovering"
    starts the next run of the job, with its own driver log.
    """

    def state(self, word: str) -> None:
        """Sets the state of the job."""

    def log(self, lines: Sequence[str]) -> None:
        """Appends lines, without line ends, to the driver log of the current run."""


class Runner(Protocol):
    """Runs jobs that have no timeline. Its methods are called from any thread."""

    def start(self, batch_id: str, request: JsonObject, report: Report) -> None:
        """Starts a job and returns at once. Raises nothing: a job that fails becomes "dead".

        `request` is the accepted submission with current names (`className`, `pyFiles`, …), without
        `groups` and `resources`: their packages are in `jars`, `pyFiles` and `files`. Each file is
        named by its location, obs://BUCKET/KEY; only a package that was created without an upload,
        and so has no content, keeps its name.
        """

    def cancel(self, batch_id: str) -> None:
        """Ends a job that the service shows as dead; does nothing if it is unknown or ended."""

    def close(self) -> None:
        """Ends all jobs and cleans up; called last."""
