# SPDX-License-Identifier: Apache-2.0
"""Submits a Spark job so that there is exactly one: looked up by its name before and after.

DLI has no token that makes a submission safe to repeat, so one whose answer was lost is never sent
again: the job is looked for, and when it is not found the failure stands. Who tries again looks
first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchListing, BatchState, SparkBatch
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

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each look for a job whose submission had no answer: it may be listed late."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The one job of a name. `is_new` says that it was submitted now, and not found."""

    batch: SparkBatch
    is_new: bool


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What is to be submitted, under a name that nothing else has.

    `is_first` says that no try before can have submitted it: then a job that has ended is what
    somebody else left. `known_id` is the job that an earlier try noted. `earlier` are names of jobs
    that count as this one, too. `trouble` is given the error of a submission without an answer.
    """

    request: Mapping[str, Any]
    is_first: bool = True
    known_id: str | None = None
    earlier: Sequence[str] = ()
    trouble: Callable[[DliError], object] = lambda _: None

    @property
    def name(self) -> str:
        """The name of the job."""
        return str(self.request["name"])


def submit(client: Client, wanted: SubmitRequest) -> Flow[Submission]:
    """Give the one job that is wanted: the one there is, or a new one.

    An active job is taken over, and one that succeeded when an earlier try may have submitted it; a
    dead one counts as none. Raises `SparkBatchAmbiguousError` where several are active, and
    `SparkBatchLostError` where nobody can tell whether the job was submitted.
    """
    known = yield from _known(client, wanted.known_id)
    if known is not None and known.state is not BatchState.DEAD:
        return Submission(known, is_new=False)
    there = yield from named(client.perform, wanted.name)
    found = chosen(wanted.name, there, with_success=not wanted.is_first)
    for name in wanted.earlier:
        if found is None:
            found = chosen(name, (yield from named(client.perform, name)), with_success=True)
    if found is not None:
        return Submission(found, is_new=False)
    lost = wanted.known_id if known is None else None
    if lost is not None and lost not in {batch.id for batch in there}:
        raise SparkBatchLostError(
            f"An earlier try submitted the Spark job {lost}, and DLI has no record of "
            "it any more: it has ended, but nobody can tell how. Look at what it wrote, then clear "
            "the task to run it anew, or mark it as a success.",
            lost,
        )
    batch = yield from _created(client, wanted, {batch.id for batch in there})
    return Submission(batch, is_new=True)


def named(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]], name: str
) -> Flow[tuple[SparkBatch, ...]]:
    """Return the jobs of a name, those that have ended as well; `perform` sends a call."""
    listed = yield from calls.every(perform, name=name)
    # Whether the service compares the whole name is not documented. A job whose name it does not
    # tell is one that it found by the name.
    return tuple(batch for batch in listed if (batch.name or name) == name)


def chosen(name: str, found: Collection[SparkBatch], *, with_success: bool) -> SparkBatch | None:
    """Give the one job that counts: the active one, or else the last one if that succeeded.

    A state that nobody knows counts as active. A success before a dead job is of another run that
    had the same name: the dead one would not have been submitted otherwise. Raises
    `SparkBatchAmbiguousError`.
    """
    active = [batch for batch in found if not batch.is_terminal]
    if len(active) > 1:
        ids = ", ".join(f"{batch.id} ({batch.raw_state or 'no state'})" for batch in active)
        raise SparkBatchAmbiguousError(
            f"{len(active)} Spark jobs named {name!r} are active: {ids}. To take one of them "
            "would be a guess. Cancel what still runs of them, then clear the task.",
        )
    if active or not with_success:
        return next(iter(active), None)
    last = max(found, key=_age, default=None)
    return last if last is not None and last.state is BatchState.SUCCESS else None


def _known(client: Client, batch_id: str | None) -> Flow[SparkBatch | None]:
    if batch_id is None:
        return None
    try:
        return (yield from client.perform(calls.show(batch_id)))
    except NotFoundError:
        return None


def _age(batch: SparkBatch) -> tuple[int, bool]:
    # Where times do not tell, a success is the last.
    return batch.create_time or 0, batch.state is BatchState.SUCCESS


def _created(client: Client, wanted: SubmitRequest, before: Collection[str]) -> Flow[SparkBatch]:
    try:
        return (yield from client.perform(calls.create(wanted.request)))
    except DliError as error:
        # A page of something on the way does not tell whether the request had passed it.
        if not (error.may_be_done or isinstance(error, EndpointError)):
            raise
        lost = error
    wanted.trouble(lost)
    return (yield from _found(client, wanted.name, before, lost))


def _found(client: Client, name: str, before: Collection[str], lost: DliError) -> Flow[SparkBatch]:
    """Find the job whose submission had no usable answer; `before` are the ids of older ones."""
    trouble: DliError | None = None
    for pause in PAUSES:
        yield from sleep(pause)
        try:
            new = [
                batch
                for batch in (yield from named(client.perform, name))
                if batch.id not in before
            ]
        except DliError as error:
            trouble = error
            if error.is_transient:
                continue
            break
        trouble = None
        if new:
            chosen(name, new, with_success=False)
            return max(new, key=lambda batch: (not batch.is_terminal, batch.create_time or 0))
    if trouble is not None:
        raise SparkBatchLostError(
            f"The Spark job {name!r} may be running: its submission had no usable answer "
            f"({lost}), and it could not be looked up since: {trouble} A retry of the task looks "
            "for it before it submits.",
        ) from lost
    lost.add_note(
        f"DLI lists no job named {name!r} {sum(PAUSES):g} seconds later, so it seems that "
        "the submission was not taken. It is not sent again blindly; a retry of the task looks for "
        "the job before it submits."
    )
    raise lost
