# SPDX-License-Identifier: Apache-2.0
"""How a trigger finds out that somebody ended its task, and still does what has to be done."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from airflow_provider_dli.api.jobs.names import BATCH_ID

_log = logging.getLogger(__name__)


async def uncancelled(act: Awaitable[None]) -> None:
    """Await `act` to its end, however often this is cancelled meanwhile."""
    task = asyncio.ensure_future(act)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    task.result()


@contextmanager
def noting_ctrl_c(trigger: Any) -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C was pressed while `airflow dags test` waits.

    There the trigger runs under `asyncio.run`, which turns Ctrl-C into a cancellation like any
    other. In a triggerer, which gives each trigger an id and handles the signal itself, the
    function returns False.
    """
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if trigger.trigger_id is not None or not in_main or not callable(before):
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, before)


async def is_still_deferred(ti: Any, batch_id: str) -> bool:
    """Whether the task instance is deferred, and waits for this very job.

    Then nobody ended the task: a triggerer that was blocked lost its triggers to another one. Where
    the state cannot be read, the task is taken to have been ended, which is far more frequent.
    """
    if ti is None:
        return False
    from asgiref.sync import sync_to_async

    try:
        return await sync_to_async(_is_still_deferred)(ti, batch_id)
    except Exception as error:
        if _is_not_found(error):
            _log.debug("Airflow has no such task instance: it was cleared or deleted.")
        else:
            kind = type(error).__name__
            _log.warning("Could not read the state of the task from Airflow: %s: %s", kind, error)
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


def _is_not_found(error: Exception) -> bool:
    """Whether Airflow answered that there is no such task instance, as after a clear."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return isinstance(detail, dict) and detail.get("status_code") == HTTPStatus.NOT_FOUND
