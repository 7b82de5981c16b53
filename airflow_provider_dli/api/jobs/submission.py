# SPDX-License-Identifier: Apache-2.0
"""Submits a Spark job so that there is exactly one: looked up by its name before and after.

DLI has no token that makes a submission safe to repeat, so a submission whose answer was lost is
never sent again. The job is looked up; if it is not listed, the failure stands, and the next try of
the task begins with a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchListing, BatchState, SparkBatch
from airflow_provider_dli.api.protocol.backoff import Backoff
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    EndpointError,
    NotFoundError,
    SparkBatchAmbiguousError,
    SparkBatchLostError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, sleep

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.client import Client

PAUSES = tuple(islice(Backoff(1.0, 2.0, longest=29.0).pauses(), 6))
"""Seconds before each look-up after a lost answer, a minute in all: the job may be listed late."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The one job of a name. `is_new` means that it was submitted now, and not found."""

    batch: SparkBatch
    is_new: bool


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What to submit, under a name that belongs to this job alone.

    `is_first` means that no earlier try can have submitted the job: one that has ended is then not
    this one. `known_id` is the id that an earlier try recorded. Jobs of `earlier_names` count as
    this one, too. `on_lost_answer` is called with the error before the job is looked up.
    """

    body: Mapping[str, Any]
    is_first: bool = True
    known_id: str | None = None
    earlier_names: Sequence[str] = ()
    on_lost_answer: Callable[[DliError], object] = lambda _: None

    @property
    def name(self) -> str:
        """The name of the job."""
        return str(self.body["name"])


def submit(client: Client, request: SubmitRequest) -> Flow[Submission]:
    """Returns the one job of a name: the existing one, or a new one.

    An active job is taken over, and so is one that succeeded when an earlier try may have submitted
    it; a dead job does not count. Raises `SparkBatchAmbiguousError` where several are active, and
    `SparkBatchLostError` where it is unknown whether the job was submitted.
    """
    known = yield from _find_known(client, request.known_id)
    if known is not None and known.state is not BatchState.DEAD:
        return Submission(known, is_new=False)
    existing = yield from list_by_name(client.perform, request.name)
    found = pick_one(request.name, existing, with_success=not request.is_first)
    for name in request.earlier_names:
        if found is None:
            jobs = yield from list_by_name(client.perform, name)
            found = pick_one(name, jobs, with_success=True)
    if found is not None:
        return Submission(found, is_new=False)
    ids = {batch.id for batch in existing}
    if request.known_id is not None and known is None and request.known_id not in ids:
        raise SparkBatchLostError(
            f"An earlier try submitted the Spark job {request.known_id}, and DLI has no record of "
            "it any more: it has ended, but its result is unknown. Check its output, then clear "
            "the task to run it anew, or mark it as a success.",
            request.known_id,
        )
    return Submission((yield from _create(client, request, ids)), is_new=True)


def list_by_name(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]], name: str
) -> Flow[tuple[SparkBatch, ...]]:
    """Returns the jobs of a name, also those that have ended; `perform` sends a call."""
    listed = yield from calls.every(perform, name=name)
    # Whether the service compares the whole name is not documented. A job that is listed without a
    # name was found by it.
    return tuple(batch for batch in listed if (batch.name or name) == name)


def pick_one(name: str, jobs: Collection[SparkBatch], *, with_success: bool) -> SparkBatch | None:
    """Returns the job that counts: the active one, or else the last one if that succeeded.

    A job in an unknown state counts as active. A success before a dead job belongs to another run
    of the same name: otherwise the dead one would not have been submitted. Raises
    `SparkBatchAmbiguousError`.
    """
    active = [batch for batch in jobs if not batch.is_terminal]
    if len(active) > 1:
        ids = ", ".join(f"{batch.id} ({batch.raw_state or 'no state'})" for batch in active)
        raise SparkBatchAmbiguousError(
            f"{len(active)} Spark jobs named {name!r} are active: {ids}. Choosing one of them "
            "would be a guess. Cancel those that still run, then clear the task.",
        )
    if active or not with_success:
        return next(iter(active), None)
    last = max(jobs, key=_age, default=None)
    return last if last is not None and last.state is BatchState.SUCCESS else None


def _find_known(client: Client, batch_id: str | None) -> Flow[SparkBatch | None]:
    if batch_id is None:
        return None
    try:
        return (yield from client.perform(calls.show(batch_id)))
    except NotFoundError:
        return None


def _age(batch: SparkBatch) -> tuple[int, bool]:
    # Without times, a success counts as the last.
    return batch.create_time or 0, batch.state is BatchState.SUCCESS


def _create(client: Client, request: SubmitRequest, existing: Collection[str]) -> Flow[SparkBatch]:
    try:
        return (yield from client.perform(calls.create(request.body)))
    except DliError as error:
        # The page of a proxy does not tell whether the request had passed it.
        if not (error.may_be_done or isinstance(error, EndpointError)):
            raise
        lost = error
    request.on_lost_answer(lost)
    return (yield from _look_up(client, request.name, existing, lost))


def _look_up(
    client: Client, name: str, existing: Collection[str], lost: DliError
) -> Flow[SparkBatch]:
    """Returns the job whose submission had no usable answer; `existing` are ids of older jobs."""
    failure: DliError | None = None
    for pause in PAUSES:
        yield from sleep(pause)
        try:
            listed = yield from list_by_name(client.perform, name)
        except DliError as error:
            failure = error
            if error.is_transient:
                continue
            break
        failure = None
        new = [batch for batch in listed if batch.id not in existing]
        if new:
            pick_one(name, new, with_success=False)
            return max(new, key=lambda batch: (not batch.is_terminal, batch.create_time or 0))
    if failure is not None:
        raise SparkBatchLostError(
            f"The Spark job {name!r} may be running: its submission had no usable answer "
            f"({lost}), and looking it up failed: {failure} A retry of the task looks it up before "
            "it submits.",
        ) from lost
    lost.add_note(
        f"DLI lists no job named {name!r} {sum(PAUSES):g} seconds later, so the submission was "
        "probably not accepted. It is not sent again, since that could run the job twice; a retry "
        "of the task looks the job up before it submits."
    )
    raise lost
