# SPDX-License-Identifier: Apache-2.0
"""What came of the cancels of several Spark jobs, as one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.protocol.errors import DliError


def failure_of_cancels(
    outcomes: Mapping[str, SparkBatch | DliError | None], seconds: float
) -> DliError | None:
    """Returns the error that names each job that may still run, and why; `None` without any.

    It is the job's own error where there is one job, `SparkBatchTimeoutError` where DLI took all
    cancels, and `SparkBatchError` otherwise.
    """
    from airflow_provider_dli.api.protocol.errors import (
        DliError,
        SparkBatchError,
        SparkBatchTimeoutError,
    )

    failed = {key: one for key, one in outcomes.items() if isinstance(one, DliError)}
    running = [
        one.id
        for one in outcomes.values()
        if one is not None and not isinstance(one, DliError) and not one.is_terminal
    ]
    if not failed and not running:
        return None
    if failed and len(outcomes) == 1:
        return next(iter(failed.values()))
    still = (
        f"Cancelled, but after {seconds:g} seconds still running: {', '.join(running)}. "
        "DLI took the cancel; look again, or cancel once more."
    )
    if not failed:
        return SparkBatchTimeoutError(still, running[0])
    reasons = [f"Spark job {key} may still run: {error}" for key, error in failed.items()]
    number = f"{len(failed) + len(running)} of {len(outcomes)} Spark jobs may still run."
    text = " ".join([number, *reasons, *([still] if running else [])])
    return SparkBatchError(text, next(iter(failed)))
