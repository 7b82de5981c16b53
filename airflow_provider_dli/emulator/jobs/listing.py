# SPDX-License-Identifier: Apache-2.0
"""Selects and orders the batch jobs of a listing, and the lines of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from airflow_provider_dli.emulator.checks import invalid
from airflow_provider_dli.emulator.jobs.job import Batch
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.packages import milliseconds

DEFAULT_SIZE = 100


def chosen(batches: Iterable[Batch], query: Mapping[str, str], now: float) -> list[Batch]:
    """Returns the jobs that match the filters, in the requested order.

    The default order is undocumented; here the newest is first. Whether filters match parts of
    names and states or another case is undocumented too; here they do not.
    """
    matching = [batch for batch in batches if _matches(batch, query, now)]
    return _ordered(matching, query.get("order") or "CREATE_TIME_DESC", now)


def page(query: Mapping[str, str]) -> slice:
    """Returns the requested part of a listing."""
    first = number(query, "from", 0)
    return slice(first, first + number(query, "size", DEFAULT_SIZE))


def lines_json(batch_id: str, lines: Sequence[str], query: Mapping[str, str]) -> JsonObject:
    """Returns the requested lines of a log, by default the last hundred.

    The meaning of `from` or `size` alone is undocumented. Here it is as in Livy, which has the same
    fields: the last `size` lines, and a hundred lines from `from` on.
    """
    size = number(query, "size", DEFAULT_SIZE)
    first = number(query, "from", max(0, len(lines) - size))
    shown = list(lines[first : first + size])
    return {"id": batch_id, "from": first, "total": len(lines), "log": shown}


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """Returns a number of the query; raises RefusedError if it is not a number."""
    text = query.get(name) or str(default)
    if not text.isdecimal():
        raise invalid(f"{name} must be a whole number from 0 on, not {text!r}")
    return int(text)


def _matches(batch: Batch, query: Mapping[str, str], now: float) -> bool:
    wanted = {
        "job_name": batch.asked("name"),
        "job-id": batch.id,
        "queue_name": batch.queue,
        "cluster_name": batch.queue,
        "state": batch.state(now),
        "owner": batch.owner,
    }
    # An empty filter is ignored, as the page documents for cluster_name.
    if any(query.get(name) and query[name] != value for name, value in wanted.items()):
        return False
    created = milliseconds(batch.created)
    return number(query, "start", 0) <= created <= number(query, "end", created)


def _ordered(batches: list[Batch], order: str, now: float) -> list[Batch]:
    keys: dict[str, Callable[[Batch], float]] = {
        "CREATE_TIME": lambda batch: batch.created,
        "DURATION": lambda batch: batch.duration(now),
    }
    key, _, direction = order.rpartition("_")
    if key not in keys or direction not in ("ASC", "DESC"):
        raise invalid(f"order is invalid: {order!r}")
    # Of jobs with the same time, those submitted later are newer.
    ascending = sorted(batches, key=keys[key])
    return ascending[::-1] if direction == "DESC" else ascending
