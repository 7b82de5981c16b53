# SPDX-License-Identifier: Apache-2.0
"""The Spark batch endpoints of DLI, one function each, and a flow that reads the whole listing."""

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
    """Submits a batch job; `request` is the result of `SparkJob.as_wire`.

    POST /v2.0/{project_id}/batches,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html. Not repeatable: the service
    accepts no token by which it could recognise a repeated submission.
    """
    return Call("POST", "/batches", _read_created, body=msgspec.json.encode(request))


def listing(
    *,
    name: str | None = None,
    queue: str | None = None,
    state: str | None = None,
    batch_id: str | None = None,
    start: int = 0,
    size: int = PAGE,
) -> Call[BatchListing]:
    """Lists batch jobs: one page of at most `size` jobs, from index `start`.

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
    return Call("GET", "/batches", _read_listing, query=tuple(query), repeatable=True)


def show(batch_id: str) -> Call[SparkBatch]:
    """Shows one batch job, with the request that submitted it.

    GET /v2.0/{project_id}/batches/{batch_id},
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0126.html
    """
    return Call("GET", _path(batch_id), partial(_read_batch, batch_id), repeatable=True)


def state(batch_id: str) -> Call[SparkBatch]:
    """Shows the state of one batch job; the answer has no other field but the id.

    GET /v2.0/{project_id}/batches/{batch_id}/state,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0127.html
    """
    path = f"{_path(batch_id)}/state"
    return Call("GET", path, partial(_read_batch, batch_id), repeatable=True)


def log(
    batch_id: str,
    *,
    start: int | None = None,
    size: int | None = None,
    index: int | None = None,
) -> Call[BatchLog]:
    """Reads the driver's log: at most `size` lines from line `start`, by default the last 100.

    `index` numbers the logs of a job that was restarted; the service's default is 0.

    GET /v2.0/{project_id}/batches/{batch_id}/log,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html, deprecated since 2023.
    """
    numbers = (("from", start), ("size", size), ("index", index))
    query = [("type", "driver")]
    query += [(name, str(value)) for name, value in numbers if value is not None]
    path = f"{_path(batch_id)}/log"
    return Call("GET", path, partial(_read_log, batch_id), query=tuple(query), repeatable=True)


def cancel(batch_id: str) -> Call[None]:
    """Cancels a batch job. For one that has ended the service answers HTTP 400.

    DELETE /v2.0/{project_id}/batches/{batch_id},
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0129.html. The answer means that the
    cancel was accepted, not that the job has ended. It is sent at once, since the job costs money.
    """
    return Call("DELETE", _path(batch_id), _check_cancelled, repeatable=True, is_urgent=True)


def every(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]],
    *,
    name: str | None = None,
    queue: str | None = None,
    state: str | None = None,
) -> Flow[tuple[SparkBatch, ...]]:
    """Reads all pages of a listing.

    Jobs are added and removed between two pages, and their order is not documented. So each page
    begins with the last job of the page before. If another job is in its place, jobs may have been
    skipped, and the listing is read again. Raises `DliError` if it changes each time, or has fewer
    jobs than its total.
    """
    page = partial(listing, name=name, queue=queue, state=state)
    for _ in range(_READINGS):
        found, is_complete = yield from _read_pages(perform, page)
        if is_complete:
            return tuple(found.values())
    changing = DliError(
        f"GET /batches returned {len(found)} jobs and has more, although it was read {_READINGS} "
        "times: jobs are added and removed too fast. Try again later."
    )
    changing.is_transient, changing.fault = True, "service"
    raise changing


def _read_pages(
    perform: Callable[[Call[BatchListing]], Flow[BatchListing]],
    page: Callable[..., Call[BatchListing]],
) -> Flow[tuple[dict[str, SparkBatch], bool]]:
    """Reads the pages once; returns the jobs by their ids, and whether these are all."""
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
        # Neither a short page nor the total alone means the end: a service may return fewer jobs
        # than it was asked for, and its total may count those of the page only.
        if len(listed.batches) < PAGE and len(found) >= min(totals, default=0):
            return found, True
        if len(found) == known:
            return found, False
        start += len(listed.batches) - 1


def _read_listing(response: Response) -> BatchListing:
    return BatchListing.from_wire(lenient.answer_object(response.body))


def _path(batch_id: str) -> str:
    return f"/batches/{encode(checks.stored_name('batch_id', batch_id))}"


def _read_created(response: Response) -> SparkBatch:
    fields = lenient.json_object(response.body)
    # The id decides: the vendor's tools print "is_success": false beside a job that runs.
    if not lenient.text(fields.get("id")):
        lenient.answer_object(response.body)
    return SparkBatch.from_wire(fields)


def _read_batch(batch_id: str, response: Response) -> SparkBatch:
    batch = SparkBatch.from_wire(lenient.answer_object(response.body))
    _check_id(batch_id, batch.id)
    return batch


def _read_log(batch_id: str, response: Response) -> BatchLog:
    fields = lenient.answer_object(response.body)
    _check_id(batch_id, lenient.text(fields.get("id")) or batch_id)
    return BatchLog.from_wire(fields)


def _check_id(expected: str, batch_id: str) -> None:
    if batch_id.strip().lower() != expected.strip().lower():
        raise WireError(f"the body is about the batch job {batch_id!r}")


def _check_cancelled(response: Response) -> None:
    if not response.body.strip():
        return
    message = lenient.text(lenient.answer_object(response.body).get("msg"))
    if message and message.strip().lower() != "deleted":
        raise WireError("msg is not deleted")
