# SPDX-License-Identifier: Apache-2.0
"""Which batch jobs a listing shows, in which order, and which lines of a log an answer holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from airflow_provider_dli.emulator.checks import invalid
from airflow_provider_dli.emulator.jobs.job import Batch
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.packages import milliseconds

DEFAULT_SIZE = 100


def chosen(batches: Iterable[Batch], query: Mapping[str, str], now: float) -> list[Batch]:
    """The jobs that the filters let through, in the order that was asked for.

    What is listed first where no order is asked for is undocumented; here it is the newest. Neither
    is whether names and states may be given in part or in another case; here not.
    """
    matching = [batch for batch in batches if _matches(batch, query, now)]
    return _ordered(matching, query.get("order") or "CREATE_TIME_DESC", now)


def page(query: Mapping[str, str]) -> slice:
    """The part of a listing that was asked for."""
    first = number(query, "from", 0)
    return slice(first, first + number(query, "size", DEFAULT_SIZE))


def lines_json(batch_id: str, lines: Sequence[str], query: Mapping[str, str]) -> JsonObject:
    """The lines of a log that were asked for, by default the last hundred.

    What one of `from` and `size` alone means is undocumented. Here it is as in Livy, whose fields
    these are: the last `size` lines, and a hundred lines from `from` on.
    """
    size = number(query, "size", DEFAULT_SIZE)
    first = number(query, "from", max(0, len(lines) - size))
    shown = list(lines[first : first + size])
    return {"id": batch_id, "from": first, "total": len(lines), "log": shown}


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """A number of the query; RefusedError when it is none."""
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
    # An empty filter counts as none, as the page says of cluster_name.
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
    # Of the same moment those that came later are the newer ones.
    ascending = sorted(batches, key=keys[key])
    return ascending[::-1] if direction == "DESC" else ascending
