# SPDX-License-Identifier: Apache-2.0
"""The Spark batch endpoints of DLI, one function each, and the flow that reads a whole listing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs.models import BatchListing, BatchLog, SparkBatch
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import DliError, WireError
from airflow_provider_dli.api.protocol.wire import Call, Flow, Response, encode

PAGE = 100
"""Jobs on a page: the service's own default."""

VERIFY_FOR = 60.0
"""Seconds for which a cancelled job is looked at until it has ended.

Only where Airflow leaves less time is it less: `on_kill` of a task has 4 s (`ON_KILL_LIMIT`), that
of a trigger 28 s (`KILL_TIME`).
"""

_READINGS = 3


def create(request: Mapping[str, Any]) -> Call[SparkBatch]:
    """Submit a batch job; `request` is what `SparkJob.as_wire` gives.

    POST /v2.0/{project_id}/batches,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html. Not repeatable: the service
    takes no token that would tell a repeat from another job.
    """
    return Call("POST", "/batches", _created, body=msgspec.json.encode(request))


def listing(
    *,
    name: str | None = None,
    queue: str | None = None,
    state: str | None = None,
    batch_id: str | None = None,
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
        ("job-id", "batch_id", batch_id),
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
    return Call("GET", _path(batch_id), partial(_shown, batch_id), repeatable=True)


def state(batch_id: str) -> Call[SparkBatch]:
    """Show the state of one batch job; of the rest the answer has only the id.

    GET /v2.0/{project_id}/batches/{batch_id}/state,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0127.html
    """
    path = f"{_path(batch_id)}/state"
    return Call("GET", path, partial(_shown, batch_id), repeatable=True)


def log(
    batch_id: str,
    *,
    start: int | None = None,
    size: int | None = None,
    index: int | None = None,
) -> Call[BatchLog]:
    """Read lines of the driver's log: at most `size` from line `start` on, by default the last 100.

    `index` numbers the logs of a job that was started again; without it the service takes 0.

    GET /v2.0/{project_id}/batches/{batch_id}/log,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html, deprecated since 2023.
    """
    numbers = (("from", start), ("size", size), ("index", index))
    query = [("type", "driver")]
    query += [(name, str(value)) for name, value in numbers if value is not None]
    path = f"{_path(batch_id)}/log"
    return Call("GET", path, partial(_logged, batch_id), query=tuple(query), repeatable=True)


def cancel(batch_id: str) -> Call[None]:
    """Cancel a batch job. One that has ended is refused, with HTTP 400.

    DELETE /v2.0/{project_id}/batches/{batch_id},
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0129.html. The answer says that the
    cancel was taken, not that the job has ended. It waits for no turn: the job costs money.
    """
    return Call("DELETE", _path(batch_id), _cancelled, repeatable=True, is_urgent=True)


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
    return BatchListing.from_wire(lenient.answer_object(response.body))


def _path(batch_id: str) -> str:
    return f"/batches/{encode(checks.stored_name('batch_id', batch_id))}"


def _created(response: Response) -> SparkBatch:
    fields = lenient.json_object(response.body)
    # Id and state decide: tools of the vendor print "is_success": false beside a job that runs.
    if not lenient.text(fields.get("id")):
        lenient.answer_object(response.body)
    return SparkBatch.from_wire(fields)


def _shown(batch_id: str, response: Response) -> SparkBatch:
    batch = SparkBatch.from_wire(lenient.answer_object(response.body))
    _check_id(batch_id, batch.id)
    return batch


def _logged(batch_id: str, response: Response) -> BatchLog:
    fields = lenient.answer_object(response.body)
    _check_id(batch_id, lenient.text(fields.get("id")) or batch_id)
    return BatchLog.from_wire(fields)


def _check_id(asked: str, answered: str) -> None:
    if answered.strip().lower() != asked.strip().lower():
        raise WireError(f"the body is about the batch job {answered!r}")


def _cancelled(response: Response) -> None:
    if not response.body.strip():
        return
    said = lenient.text(lenient.answer_object(response.body).get("msg"))
    if said and said.strip().lower() != "deleted":
        raise WireError("the body does not say deleted")
