# SPDX-License-Identifier: Apache-2.0
"""Looks at many Spark jobs at once: by the listing where that is cheaper, else at each."""

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
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow

T = TypeVar("T")

PAGE_COST = 5
"""Looks at single jobs that cost as much as one page: that shows a hundred jobs, with all that they
were submitted with."""

MOST_SINGLE_LOOKS = 100
"""Jobs that one look asks for singly; it takes as long as these, one after the other."""

MEMORY = 3
"""Looks without the listing, after one where it did not pay; then it is tried again."""

_OF_THIS_ALONE = (InputError, NotFoundError, PermissionDeniedError, BadRequestError)
"""Errors that say nothing of the next call, if that is for something else."""


class Once(Protocol):
    """Sends a call once: `Client.once` is one."""

    def __call__(self, call: Call[T]) -> Flow[T]:
        """Give what the call's parser makes of the answer."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLook:
    """What one look showed: jobs by their ids, and errors that came in place of some.

    Jobs that had no turn are in neither: of them it tells nothing, not even that they are gone.
    """

    jobs: Mapping[str, SparkBatch]
    errors: Mapping[str, DliError]

    def covers(self, batch_id: str) -> bool:
        """Whether it tells of this job."""
        return batch_id in self.jobs or batch_id in self.errors

    def find(self, batch_id: str) -> SparkBatch | None:
        """Give the job, `None` where nothing is told of it; raises what came in its place."""
        if batch_id in self.errors:
            error = self.errors[batch_id]
            raise copy(error) from error  # a copy: one error may stand for many jobs
        return self.jobs.get(batch_id)

    def fingerprint(self, batch_id: str) -> Hashable:
        """Give what changes when the job does. Raises what `find` raises."""
        job = self.find(batch_id)
        # Not the whole: a listing shows other fields than a single job, and both how long it runs.
        return job and (job.raw_state, job.app_id, job.update_time)


class BatchLooks:
    """Looks at jobs of one account, again and again; it learns what the listing is good for.

    A page of the listing shows a hundred jobs, but maybe not those that are waited for: the account
    has others, what comes first is not documented, a job that was just submitted may be missing,
    and the user may lack the right to list. So pages are read as long as they pay, and the rest is
    asked for singly. No look sends more requests than it is asked for jobs, nor more than
    `MOST_SINGLE_LOOKS` beside the pages; who had no turn has one in a later look.
    """

    def __init__(self) -> None:
        self._pages = 0
        self._share_found = 0.0
        self._read_for = 0
        self._looks_since = 0
        self._last_single = ""

    def look(self, once: Once, ids: Collection[str]) -> Flow[BatchLook]:
        """Look at jobs by their ids.

        An error that says nothing of the next call stands for its own job; any other ends the look
        and stands for all that were not seen yet. Raises it where nothing was seen.
        """
        wanted = set(ids)
        jobs: dict[str, SparkBatch] = {}
        errors: dict[str, DliError] = {}
        try:
            pages = (yield from self._read(once, wanted, jobs)) if self._pays(len(wanted)) else 0
            most = min(MOST_SINGLE_LOOKS, len(wanted) - pages)
            yield from self._ask_singly(once, wanted - jobs.keys(), most, jobs, errors)
        except DliError as error:
            if not jobs and not errors:
                raise
            errors |= dict.fromkeys(wanted - jobs.keys() - errors.keys(), error)
        return BatchLook(jobs, errors)

    def _pays(self, count: int) -> bool:
        """Whether the listing is expected to be cheaper than so many single looks."""
        self._looks_since += 1
        pages, found = self._pages, self._share_found * count
        if self._looks_since > MEMORY or count > 2 * self._read_for:
            # As if the account ran nothing else.
            pages, found = ceil(count / calls.PAGE), count
        return pages * PAGE_COST < found

    def _read(self, once: Once, wanted: set[str], jobs: dict[str, SparkBatch]) -> Flow[int]:
        """Read pages as long as they pay; gives how many were read.

        A job that slips from one page to another meanwhile is asked for singly.
        """
        missing = set(wanted)
        pages = start = 0
        pays = True
        try:
            while pays:
                pages += 1
                listed = yield from once(calls.listing(start=start))
                start += len(listed.batches)
                jobs |= {batch.id: batch for batch in listed.batches}
                known = len(missing)
                missing -= jobs.keys()
                pays = _pays_to_go_on(listed, start, known - len(missing), len(missing))
        except (*_OF_THIS_ALONE, UnusableAnswerError):
            return pages
        finally:
            # Also when it failed: a listing that takes too long must not keep all from being seen.
            self._pages, self._read_for, self._looks_since = pages, len(wanted), 0
            self._share_found = 1 - len(missing) / len(wanted)
        return pages

    def _ask_singly(
        self,
        once: Once,
        ids: Collection[str],
        most: int,
        jobs: dict[str, SparkBatch],
        errors: dict[str, DliError],
    ) -> Flow[None]:
        """Look at the first `most` of these jobs that follow those of the last time.

        A job that ends the look is thus the last one in the next.
        """
        queue = sorted(ids)
        first = bisect_right(queue, self._last_single)
        for batch_id in (queue[first:] + queue[:first])[:most]:
            self._last_single = batch_id
            try:
                jobs[batch_id] = yield from once(calls.show(batch_id))
            except _OF_THIS_ALONE as error:
                errors[batch_id] = error


def _pays_to_go_on(listed: BatchListing, start: int, found: int, missing: int) -> bool:
    """Whether the next page is cheaper than to ask for the `missing` jobs singly."""
    if not listed.batches or missing <= PAGE_COST:
        return False
    if listed.total is None:
        return found > PAGE_COST
    pages_left = ceil((listed.total - start) / calls.PAGE)
    return pages_left > 0 and (found > PAGE_COST or pages_left * PAGE_COST < missing)
