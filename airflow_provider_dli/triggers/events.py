# SPDX-License-Identifier: Apache-2.0
"""The event by which a trigger ends the wait of a task, and what the task reads in it.

Events keep the shape of version 0.1: a task, its row and its event may come from different versions
of this package. A DAG file imports this module, so it loads no client.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.protocol.errors import DliError, restored

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.protocol.errors import DliError

READY, ENDED, FAILED = "ready", "ended", "failed"
"""The `status` of an event: of a package group, of a Spark job, and of either."""


def ready_event(states: Mapping[str, str]) -> dict[str, Any]:
    """Returns the event of packages that are READY, by the states of the packages."""
    return {"status": READY, "states": dict(states)}


def ended_event(batch: SparkBatch) -> dict[str, Any]:
    """Returns the event of a Spark job that has ended, well or not."""
    return {"status": ENDED, "batch": batch.as_dict()}


def failed_event(error: DliError, limit: str) -> dict[str, Any]:
    """Returns the event of a wait that failed; `limit` is where its deadline came from."""
    return {"status": FAILED, "limit": limit, **error.as_dict()}


def states_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Returns the states in an event of `PackageGroupTrigger`, or raises its error."""
    return dict(_checked(event, READY).get("states") or {})


def batch_of(event: Mapping[str, Any]) -> SparkBatch:
    """Returns the job in an event of `SparkBatchTrigger`, or raises its error."""
    from airflow_provider_dli.api.jobs.models import SparkBatch

    batch = _checked(event, ENDED).get("batch")
    if not isinstance(batch, Mapping) or "id" not in batch:
        raise _unreadable(event)
    return SparkBatch.from_dict(batch)


def check_complete(group: str | None, names: Collection[str], states: Mapping[str, str]) -> None:
    """Raises `PackageGroupFailedError` when `states` lack one of the packages."""
    from airflow_provider_dli.api.packages.readiness import ABSENT, Readiness, Verdict
    from airflow_provider_dli.api.packages.wait import failed

    absent = {name: ABSENT for name in names if name not in states}
    if absent:
        raise failed(group, Readiness(Verdict.FAILED, absent))


def _checked(event: Mapping[str, Any], status: str) -> Mapping[str, Any]:
    """Returns an event that has this status, or raises its error.

    A timeout is an `AirflowTaskTimeout` when the task's `execution_timeout` was the nearer limit,
    as in the worker.
    """
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    if event.get("status") == status:
        return event
    if not event.get("message"):
        raise _unreadable(event)
    error = restored(event)
    if event.get("limit") == "execution_timeout" and isinstance(error, TimeoutError):
        raise AirflowTaskTimeout(str(error)) from error
    raise error


def _unreadable(event: Mapping[str, Any]) -> DliError:
    return DliError(f"This version cannot read the event of the trigger: {event}")
