# SPDX-License-Identifier: Apache-2.0
"""Cancels Spark jobs and looks until they have ended, since the answer to a cancel does not say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.submission import list_by_name
from airflow_provider_dli.api.protocol.backoff import Backoff
from airflow_provider_dli.api.protocol.deadline import Deadline
from airflow_provider_dli.api.protocol.errors import BadRequestError, DliError, NotFoundError
from airflow_provider_dli.api.protocol.wire import Flow, sleep

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.client import Client

LOOKS = Backoff(0.5, 1.5, longest=10.0)
"""Pauses between two looks at jobs that were cancelled."""

LAST_LOOK = 1.0
"""Seconds that a look may take when time is up."""


def cancel(client: Client, batch_id: str, *, seconds: float) -> Flow[SparkBatch | None]:
    """Cancels a job, looks for at most `seconds` until it has ended, and returns the last look.

    A job that had ended already, or that DLI does not know (`None`), counts as cancelled. A job
    that is returned active was cancelled but has not ended yet. Raises why the job could not be
    cancelled or looked at.
    """
    outcome = (yield from cancel_all(client, [batch_id], seconds=seconds))[batch_id]
    if isinstance(outcome, DliError):
        raise outcome
    return outcome


def cancel_all(
    client: Client, batch_ids: Collection[str], *, seconds: float
) -> Flow[dict[str, SparkBatch | DliError | None]]:
    """Cancels jobs, all before the first look, then looks until each has ended.

    Returns for each what `cancel` returns or raises. `seconds` are for all of them together.
    """
    deadline = Deadline.after(seconds, client.now)
    outcomes: dict[str, SparkBatch | DliError | None] = {}
    running: dict[str, DliError | None] = {}
    for batch_id in dict.fromkeys(batch_ids):
        error = yield from _send_cancel(client, batch_id, deadline)
        if error is None or isinstance(error, BadRequestError | NotFoundError):
            # Jobs that have ended are refused so, among others: their state decides.
            running[batch_id] = error
        else:
            outcomes[batch_id] = error
    for pause in LOOKS.pauses():
        for batch_id, refusal in list(running.items()):
            outcome = yield from _look(client, batch_id, refusal, deadline)
            outcomes[batch_id] = outcome
            if not isinstance(outcome, SparkBatch) or outcome.is_terminal:
                del running[batch_id]
        if not running or pause > deadline.left:
            break
        yield from sleep(pause)
    return outcomes


def _send_cancel(client: Client, batch_id: str, deadline: Deadline) -> Flow[DliError | None]:
    try:
        yield from deadline.cut(client.perform_at_once(calls.cancel(batch_id)))
    except DliError as error:
        return error
    return None


def _look(
    client: Client, batch_id: str, refusal: DliError | None, deadline: Deadline
) -> Flow[SparkBatch | DliError | None]:
    """Returns the job, `None` if it does not exist, or why it goes on or cannot be looked at."""
    # There is one look in any case, however long the cancel itself took.
    in_time = Deadline(max(deadline.at, client.now() + LAST_LOOK), client.now)
    try:
        batch = yield from in_time.cut(client.perform_at_once(calls.show(batch_id)))
    except NotFoundError:
        return None
    except DliError as error:
        return error
    return batch if batch.is_terminal or refusal is None else refusal


def active_of(client: Client, names: Sequence[str], *, seconds: float = 0.0) -> Flow[list[str]]:
    """Returns the ids of the active jobs of some names, looking for `seconds` until there is one.

    A job whose submission was interrupted may be listed late.
    """
    end = client.now() + seconds
    while True:
        active: list[str] = []
        for name in names:
            found = yield from list_by_name(client.perform_at_once, name)
            active += [batch.id for batch in found if not batch.is_terminal]
        if active or client.now() + LOOKS.first > end:
            return active
        yield from sleep(LOOKS.first)
