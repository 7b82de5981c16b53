# SPDX-License-Identifier: Apache-2.0
"""Reads the states of many Spark jobs at once: from the listing, and the rest one by one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Mapping
from copy import copy
from dataclasses import dataclass
from math import ceil
from typing import Protocol, TypeVar

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchListing, SparkBatch
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow

T = TypeVar("T")

FEW = 5
"""Jobs that are asked for one by one. A page of the listing, which shows a hundred jobs with all
that they were submitted with, has to show more of the jobs that are wanted."""

MOST_SINGLE_LOOKS = 100
"""Jobs at most that one snapshot asks for one by one: it takes as long as all of these calls."""

SNAPSHOTS_WITHOUT_LISTING = 3
"""Snapshots without the listing, after one in which it showed too few of the jobs."""


class Caller(Protocol):
    """Sends a call once, as `Client` does."""

    def once(self, call: Call[T]) -> Flow[T]:
        """Returns what the call's parser makes of the answer."""
        ...


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """Jobs by their ids as they were at one time, and the errors that came in place of some.

    A job that is in neither was not looked at, which does not mean that it is gone.
    """

    jobs: Mapping[str, SparkBatch]
    errors: Mapping[str, DliError]

    def covers(self, batch_id: str) -> bool:
        """Whether it shows this job or its error."""
        return batch_id in self.jobs or batch_id in self.errors

    def find(self, batch_id: str) -> SparkBatch | None:
        """Returns the job, or `None` if it was not looked at; raises the error in its place."""
        if batch_id in self.errors:
            error = self.errors[batch_id]
            raise copy(error) from error  # a copy: one error may stand for many jobs
        return self.jobs.get(batch_id)

    def fingerprint(self, batch_id: str) -> Hashable:
        """Returns a value that changes when the job does. Raises what `find` raises."""
        job = self.find(batch_id)
        # Not every field: a listing shows others than a single job, and both how long it runs.
        return job and (job.raw_state, job.app_id, job.update_time)


class JobReader:
    """Takes snapshots of the jobs of one account, one after the other.

    A page of the listing shows a hundred jobs, but maybe not those that are wanted: the account may
    have many others, the order is not documented, a job that was just submitted may be missing, and
    the user may lack the right to list. Where pages show too few of them, jobs are asked for one by
    one. No snapshot sends more requests than it is asked for jobs, or more than `MOST_SINGLE_LOOKS`
    in addition to the pages; jobs beyond that have their turn in a later one.
    """

    def __init__(self) -> None:
        self._listing_useless_for = 0
        self._without_listing = 0
        self._last_single = ""

    def read(self, client: Caller, ids: Collection[str]) -> Flow[JobSnapshot]:
        """Looks at jobs by their ids.

        An error that concerns one job alone stands for that job. Any other ends the snapshot and
        stands for all jobs that were not seen before it; it is raised if there are none.
        """
        wanted = set(ids)
        jobs: dict[str, SparkBatch] = {}
        errors: dict[str, DliError] = {}
        try:
            pages = 0
            if self._is_listing_worth_a_try(len(wanted)):
                pages = yield from self._read_listing(client, wanted, jobs)
            most = min(MOST_SINGLE_LOOKS, len(wanted) - pages)
            yield from self._read_singly(client, wanted - jobs.keys(), most, jobs, errors)
        except DliError as error:
            if not jobs and not errors:
                raise
            errors |= dict.fromkeys(wanted - jobs.keys() - errors.keys(), error)
        return JobSnapshot(jobs, errors)

    def _is_listing_worth_a_try(self, count: int) -> bool:
        if self._without_listing >= SNAPSHOTS_WITHOUT_LISTING:
            self._listing_useless_for = 0
        self._without_listing += 1
        return count > max(FEW, self._listing_useless_for)

    def _read_listing(
        self, client: Caller, wanted: set[str], jobs: dict[str, SparkBatch]
    ) -> Flow[int]:
        """Reads pages as long as they are of use; returns their number.

        A job that slips from one page to another meanwhile is asked for by its id.
        """
        missing = set(wanted)
        pages = start = 0
        goes_on = True
        try:
            while goes_on:
                pages += 1
                listed = yield from client.once(calls.listing(start=start))
                start += len(listed.batches)
                jobs |= {batch.id: batch for batch in listed.batches}
                found = len(missing & jobs.keys())
                missing -= jobs.keys()
                goes_on = _is_next_page_useful(listed, start, found, len(missing))
        except DliError as error:
            if not (_concerns_one_call(error) or isinstance(error, UnusableAnswerError)):
                raise
            return pages
        finally:
            # Also after an error: a listing that takes too long must not hide all jobs.
            is_useless = len(wanted) - len(missing) <= pages * FEW
            self._listing_useless_for = len(wanted) if is_useless else 0
            self._without_listing = 0
        return pages

    def _read_singly(
        self,
        client: Caller,
        ids: Collection[str],
        most: int,
        jobs: dict[str, SparkBatch],
        errors: dict[str, DliError],
    ) -> Flow[None]:
        """Looks at the first `most` of the jobs that follow those of the last snapshot.

        A job whose error ended a snapshot is thus the last one in the next.
        """
        queue = sorted(ids)
        first = bisect_right(queue, self._last_single)
        for batch_id in (queue[first:] + queue[:first])[:most]:
            self._last_single = batch_id
            try:
                jobs[batch_id] = yield from client.once(calls.show(batch_id))
            except DliError as error:
                if not _concerns_one_call(error):
                    raise
                errors[batch_id] = error


def _concerns_one_call(error: DliError) -> bool:
    """Whether an error means nothing for a call about another job."""
    return (
        error.fault == "caller"
        and not error.is_transient
        and not isinstance(error, AuthenticationError)
    )


def _is_next_page_useful(listed: BatchListing, start: int, found: int, missing: int) -> bool:
    """Whether the next page may replace more than `FEW` single looks."""
    if missing <= FEW or not listed.batches:
        return False
    if listed.total is None:
        return found > FEW
    # The order is not documented: the wanted jobs may come last.
    pages_left = ceil((listed.total - start) / calls.PAGE)
    return pages_left > 0 and (found > FEW or pages_left * FEW < missing)
