# SPDX-License-Identifier: Apache-2.0
"""Whether a task still waits for its job, as Airflow tells a trigger that is being ended."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from airflow_provider_dli.api.jobs.names import BATCH_ID

_log = logging.getLogger(__name__)


async def is_still_deferred(ti: Any, batch_id: str) -> bool:
    """Say whether the task instance is deferred, and for this very job.

    Then nobody ended it: a triggerer that stood still lost its triggers to another one. Where
    Airflow does not tell, somebody is taken to have ended it, which is by far the more frequent.
    """
    if ti is None:
        return False
    from asgiref.sync import sync_to_async

    try:
        return await sync_to_async(_is_still_deferred)(ti, batch_id)
    except Exception as error:
        if _is_gone(error):
            _log.debug("Airflow has no such task instance any more: it was cleared or deleted.")
            return False
        _log.warning("Airflow does not tell how the task is: %s: %s", type(error).__name__, error)
        return False


def _is_still_deferred(ti: Any, batch_id: str) -> bool:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    of_task = {"dag_id": ti.dag_id, "map_index": ti.map_index}
    states = RuntimeTaskInstance.get_task_states(
        **of_task, task_ids=[ti.task_id], run_ids=[ti.run_id]
    )
    # By run and by task, with the map index in its name: there is one.
    found = {state for by_task in states.values() for state in by_task.values()}
    if found != {"deferred"}:
        return False
    kept = XCom.get_one(key=BATCH_ID, task_id=ti.task_id, run_id=ti.run_id, **of_task)
    return bool(kept == batch_id)


def _is_gone(error: Exception) -> bool:
    """Whether Airflow answered that it has nothing of the name: so it is after a clear."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return isinstance(detail, dict) and detail.get("status_code") == HTTPStatus.NOT_FOUND
