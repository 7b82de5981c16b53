# SPDX-License-Identifier: Apache-2.0
"""Cancels Spark jobs and looks whether they have ended: the answer to a cancel does not say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.submission import named
from airflow_provider_dli.api.protocol.deadline import Deadline
from airflow_provider_dli.api.protocol.errors import BadRequestError, DliError, NotFoundError
from airflow_provider_dli.api.protocol.wire import Flow, sleep

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.client import Client

FIRST_PAUSE = 0.5
GROWTH = 1.5
LONGEST_PAUSE = 10.0
LEAST_LOOK = 1.0
"""Seconds that a look may take when time is up."""


def cancel(client: Client, batch_id: str, *, seconds: float) -> Flow[SparkBatch | None]:
    """Cancel a job and look for at most `seconds` until it has ended; gives the last look at it.

    `None` is a job that DLI does not know; that one, and one that had ended already, count as done.
    What is given may still be active: DLI took the cancel, and the job goes on so far. Raises why
    the job could not be cancelled, or not be looked at.
    """
    outcome = (yield from cancel_all(client, [batch_id], seconds=seconds))[batch_id]
    if isinstance(outcome, DliError):
        raise outcome
    return outcome


def cancel_all(
    client: Client, batch_ids: Collection[str], *, seconds: float
) -> Flow[dict[str, SparkBatch | DliError | None]]:
    """Cancel some jobs, all before the first look, then look until each has ended.

    Returns for each what `cancel` gives or raises. `seconds` are for all of them together.
    """
    deadline = Deadline.after(seconds, client.now)
    outcomes: dict[str, SparkBatch | DliError | None] = {}
    open_: dict[str, DliError | None] = {}
    for batch_id in dict.fromkeys(batch_ids):
        error = yield from _refusal(client, batch_id, deadline)
        if error is None or isinstance(error, (BadRequestError, NotFoundError)):
            # Among others the answers for jobs that have ended: the state tells.
            open_[batch_id] = error
        else:
            outcomes[batch_id] = error
    pause = FIRST_PAUSE
    while True:
        for batch_id, refused in list(open_.items()):
            outcome = yield from _last_look(client, batch_id, refused, deadline)
            outcomes[batch_id] = outcome
            if not isinstance(outcome, SparkBatch) or outcome.is_terminal:
                del open_[batch_id]
        if not open_ or pause > deadline.left:
            return outcomes
        yield from sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _refusal(client: Client, batch_id: str, deadline: Deadline) -> Flow[DliError | None]:
    try:
        yield from deadline.cut(client.hurry(calls.cancel(batch_id)))
    except DliError as error:
        return error
    return None


def _last_look(
    client: Client, batch_id: str, refused: DliError | None, deadline: Deadline
) -> Flow[SparkBatch | DliError | None]:
    """Returns the job, `None` for one that is absent, or why it goes on or cannot be seen."""
    # One look in any case, however long the cancel itself took.
    in_time = Deadline(max(deadline.at, client.now() + LEAST_LOOK), client.now)
    try:
        batch = yield from in_time.cut(client.hurry(calls.show(batch_id)))
    except NotFoundError:
        return None
    except DliError as error:
        return error
    return batch if batch.is_terminal or refused is None else refused


def active_of(client: Client, names: Sequence[str], *, seconds: float = 0.0) -> Flow[list[str]]:
    """Give the ids of the active jobs of some names, looking for `seconds` until there is one.

    One whose submission was broken off may be listed late.
    """
    end = client.now() + seconds
    while True:
        active: list[str] = []
        for name in names:
            found = yield from named(client.hurry, name)
            active += [batch.id for batch in found if not batch.is_terminal]
        if active or client.now() + FIRST_PAUSE > end:
            return active
        yield from sleep(FIRST_PAUSE)
