# SPDX-License-Identifier: Apache-2.0
"""Finding one group in a listing of 10,000, against decoding the same bytes with `json`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from statistics import median
from typing import Any

from dli_server import MEMBERS, Fields, group, group_name
from report import Row, options, publish, size, spread, verdict

from airflow_provider_dli.api.packages.models import PackageListing

GROUPS = size(10_000, 10)
GOAL = 0.12


def main() -> None:
    """Measures and prints."""
    chosen = options(__doc__, runs=60).parse_args()
    body = _listing(_ready)
    name_last = _listing(_with_name_last)

    def find(name: str, listing: bytes = body) -> Callable[[], object]:
        return lambda: PackageListing(listing).group(name)

    ways: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(body),
        "group at the beginning": find(group_name(0)),
        "group in the middle": find(group_name(GROUPS // 2)),
        "group at the end": find(group_name(GROUPS - 1)),
        "absent group": find("absent"),
        "json.loads, name last": lambda: json.loads(name_last),
        "group in the middle, name last": find(group_name(GROUPS // 2), name_last),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    # Only the words are kept: two decoded listings would slow down the collector, and so json.
    gives = {way: _seen(run()) for way, run in ways.items()}
    for _ in range(chosen.runs):
        for way, run in ways.items():
            times[way].append(_milliseconds(run))
    medians = {way: median(measured) for way, measured in times.items()}
    rows = [_row(way, medians, spread(times[way]), gives[way]) for way in ways]
    publish(
        f"One of {GROUPS} groups with {MEMBERS} members each, {len(body) / 1e6:.1f} MB, "
        f"CPU time, median of {chosen.runs} runs",
        ["msgspec"],
        rows,
        chosen.json,
    )


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    result = run()
    elapsed = time.process_time() - started
    # Freed after the measurement, to the advantage of json, which has more to free.
    del result
    return 1000 * elapsed


def _row(way: str, medians: dict[str, float], extent: str, seen: str) -> Row:
    fallback = way.endswith("name last")
    ratio = medians[way] / medians["json.loads, name last" if fallback else "json.loads"]
    row: Row = {"way": way, "gives": seen, "ms": medians[way], "range": extent, "of json": ratio}
    if way.startswith("json.loads") or fallback:
        return row | {"goal": None, "holds": None}
    return row | {"goal": f"<= {GOAL}", "holds": verdict(ratio <= GOAL)}


def _seen(found: Any) -> str:
    """Returns what came back in words, so that no wrong answer passes for a fast one."""
    if found is None:
        return "None"
    if isinstance(found, dict):
        return f"{len(found['groups'])} groups"
    return f"{found.name}, {len(found.packages)} packages"


def _listing(entry: Callable[[int, Random], Fields]) -> bytes:
    """Returns the body of `GET /v2.0/{project_id}/resources` without blanks."""
    random = Random(0)  # noqa: S311 - the names of packages are no secrets
    body = {
        "resources": [],
        "groups": [entry(number, random) for number in range(GROUPS)],
        "modules": [],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _ready(number: int, random: Random) -> Fields:
    return group(number, random, "READY")


def _with_name_last(number: int, random: Random) -> Fields:
    fields = _ready(number, random)
    return fields | {"group_name": fields.pop("group_name")}


if __name__ == "__main__":
    main()
