# SPDX-License-Identifier: Apache-2.0
"""The Spark batch endpoints of DLI, one function each, and the flow that reads a whole listing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from airflow_provider_dli.api import checks, loose
from airflow_provider_dli.api.batch_models import BatchListing, SparkBatch
from airflow_provider_dli.api.errors import DliError
from airflow_provider_dli.api.wire import Call, Flow, Response, encode

PAGE = 100
"""Jobs of a page: the size that the service takes where none is given."""

_READINGS = 3


def listing(
    *,
    name: str | None = None,
    queue: str | None = None,
    state: str | None = None,
    start: int = 0,
    size: int = PAGE,
) -> Call[BatchListing]:
    """List batch jobs, one page of at most `size` from index `start` on.

    GET /v2.0/{project_id}/batches,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0125.html
    """
    filters = (
        ("job_name", "name", name),
        ("queue_name", "queue", queue),
        ("state", "state", state),
    )
    query = [
        (sent_as, checks.stored_name(field, value))
        for sent_as, field, value in filters
        if value is not None
    ]
    query += [("from", str(start)), ("size", str(size))]
    return Call("GET", "/batches", _listed, query=tuple(query), repeatable=True)


def show(batch_id: str) -> Call[SparkBatch]:
    """Show one batch job, with what it was submitted with.

    GET /v2.0/{project_id}/batches/{batch_id},
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0126.html
    """
    path = f"/batches/{encode(checks.stored_name('batch_id', batch_id))}"
    return Call("GET", path, _shown, repeatable=True)


def every(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]],
    *,
    name: str | None = None,
    queue: str | None = None,
    state: str | None = None,
) -> Flow[tuple[SparkBatch, ...]]:
    """Read all pages of a listing.

    Jobs come and go between two pages, and whether the newest or the oldest comes first is not
    documented. So each page begins with the last job of the one before: where another stands in
    its place, jobs may have slipped through, and the listing is read again. Raises `DliError` when
    it never holds still, or says that there are more jobs than it gives.
    """
    page = partial(listing, name=name, queue=queue, state=state)
    for _ in range(_READINGS):
        found, is_whole = yield from _read(perform, page)
        if is_whole:
            return tuple(found.values())
    raise DliError(
        f"GET /batches gave {len(found)} jobs and has more, also when it was read {_READINGS} "
        "times: jobs come and go too fast. Try again later."
    )


def _read(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]],
    page: Callable[..., Call[BatchListing]],
) -> Flow[tuple[dict[str, SparkBatch], bool]]:
    """Read the pages once: the jobs by their ids, and whether these are all."""
    found: dict[str, SparkBatch] = {}
    totals: set[int] = set()
    start = 0
    while True:
        listed = yield from perform(page(start=start))
        if found and listed.batches and listed.batches[0].id not in found:
            return found, False
        known = len(found)
        found |= {batch.id: batch for batch in listed.batches}
        if listed.total is not None:
            totals.add(listed.total)
        # Neither a short page nor the total alone says that there is no more: a service may give
        # fewer than it is asked for, and may count no more than it gives.
        if len(listed.batches) < PAGE and len(found) >= min(totals, default=0):
            return found, True
        if len(found) == known:
            return found, False
        start += len(listed.batches) - 1


def _listed(response: Response) -> BatchListing:
    return BatchListing.from_wire(loose.answer_object(response.body))


def _shown(response: Response) -> SparkBatch:
    return SparkBatch.from_wire(loose.answer_object(response.body))
