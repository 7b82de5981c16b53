# SPDX-License-Identifier: Apache-2.0
"""Files sent to OBS: ObsHook beside the vendor's own client: time, CPU, memory, and requests."""

# The stores are processes of their own (obs_server.py, instant_store.py), and so is each turn of a
# client (staging_turn.py). Linux only: /proc tells the memory.

from __future__ import annotations

import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from obs_server import INSTANT, MOTO, counted, running
from report import WARM_UP, Row, options, publish, size, spread, verdict
from staging_turn import SMALL, Taken, hook, turn, vendor

MB = 10**6
MANY, LARGE = size((200, 500 * MB), (2, 11 * MB))
MEMORY = 40 * MB
BUCKET = "benchmark"
COLUMNS = (
    "what",
    "store",
    "beside",
    "theirs",
    "ours",
    "ours / theirs",
    "hashing",
    "lean / theirs",
    "requests",
    "goal",
    "holds",
)

NOTES = (
    "Stores: a process of its own over plain HTTP on this machine. 'At once' reads what it is "
    "sent, drops it and answers; '20 ms' answers so much later, for the network. Both know the "
    "ETags of these files from the turn that warms up. Moto's keeps all in one Python process, "
    "which needs several ms of CPU for each MB: there it is the store that is measured.",
    "Ours is what staging does: hash the files, since a key names its content, then "
    "ObsHook.upload_files; each figure is of both, and 'hashing' of the first alone. What one hash "
    "of the same bytes takes in one thread has rows of its own. The vendor's client is "
    "esdk-obs-python with its defaults, which hashes nothing: putFile one file after the other, "
    "uploadFile with its checkpoint. Lean is what the standard library can do: one "
    "SHA-256, no repeats, no time limits, no check of what the file was (lean_client.py).",
    "Each turn is a fresh process that has sent a small file before; the clients take turns. Files "
    "are in the page cache. Figures are medians, ratios medians of those within a turn, in "
    "brackets their range. CPU is user and system time of the client's process. Memory is the "
    "highest RSS (the kernel's VmHWM) above that before, the highest of all turns.",
    "Requests are of one turn. The operator stages into a group of the emulator, objects into "
    "moto, one run each; its requests are those to both.",
)


class Case(NamedTuple):
    """Files, the rival, and the most that ours may take of its wall time, and of its CPU."""

    what: str
    files: Sequence[Path]
    rival: str
    wall: dict[str, float]
    cpu: float


class Place(NamedTuple):
    """A store, and how late it answers."""

    name: str
    program: Path
    pause: float = 0


AT_ONCE = Place("at once", INSTANT)
PLACES = size((AT_ONCE, Place("20 ms", INSTANT, 0.02), Place("moto", MOTO)), (AT_ONCE,))


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--store", choices=[place.name for place in PLACES], help="that one alone")
    chosen = parser.parse_args()
    # Airflow reads it when it is imported, and that is later.
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    for name in list(os.environ):
        # The stores are on this machine.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(Path(folder), chosen.runs, chosen.store))
    publish(
        f"Files sent to an object store, {chosen.runs} turns each",
        ["apache-airflow", "esdk-obs-python", "moto", "requests"],
        rows,
        chosen.json,
        NOTES,
    )


def _rows(folder: Path, runs: int, only: str | None) -> Iterator[Row]:
    _file(folder / SMALL, 1000)
    many = [_file(folder / f"{number}.jar", MB) for number in range(MANY)]
    large = _file(folder / "large.jar", LARGE)
    cases = (
        Case(f"{MANY} x 1 MB", many, "esdk putFile", {"at once": 0.8, "20 ms": 0.15}, 2.0),
        Case(f"{LARGE // MB} MB", [large], "esdk uploadFile", {"at once": 1.8, "20 ms": 0.6}, 3.3),
    )
    for place in PLACES:
        if only not in {None, place.name}:
            continue
        with running(place.pause, place.program) as address:
            vendor(address).createBucket(BUCKET)
            for case in cases:
                yield from map(_whole, _compared(case, place, address, runs))
    if only in {None, "moto"}:
        with running(0, MOTO) as address:
            import staging_again  # late, since it imports Airflow

            yield from map(_whole, staging_again.rows(address, folder, many[-1]))


def _compared(case: Case, place: Place, address: str, runs: int) -> Iterator[Row]:
    """Run the clients in turns; yields what each took in relation to the vendor's."""
    clients = [case.rival, "ours", "lean", "ours, hashing before", "sha256", "md5"]
    taken: dict[str, list[Taken]] = defaultdict(list)
    asked: dict[str, int] = {}
    ours = hook(address)
    for number in range(WARM_UP + runs):
        for client in clients:
            counted(address)
            one = turn(client, address, BUCKET, case.files)
            asked[client] = counted(address).requests - 1  # the small file
            if number >= WARM_UP:
                taken[client].append(one)
            # The store keeps all in its memory.
            ours.delete_objects(BUCKET, [path.name for path in case.files])
    wall = _row(case, place, taken, "wall", case.wall.get(place.name))
    wall["requests"] = f"{asked[case.rival]} / {asked['ours']}"
    yield wall
    if place.program == INSTANT and not place.pause:
        yield _row(case, place, taken, "cpu", case.cpu)
        for name in ("sha256", "md5"):
            yield _hash_row(case, place, taken, name)
    if len(case.files) == 1:
        yield _memory_row(case, place, taken)


def _row(
    case: Case, place: Place, taken: dict[str, list[Taken]], field: str, goal: float | None
) -> Row:
    figures = {client: [getattr(one, field) for one in turns] for client, turns in taken.items()}
    theirs = figures[case.rival]
    ratios = _ratios(figures["ours"], theirs)
    return {
        "what": f"{case.what}: {_NAMES[field]}",
        "store": place.name,
        "beside": case.rival,
        "theirs": _seconds(theirs),
        "ours": _seconds(figures["ours"]),
        "ours / theirs": f"{median(ratios):.2f} ({spread(ratios)})",
        "hashing": _seconds(figures["ours, hashing before"]),
        "lean / theirs": f"{median(_ratios(figures['lean'], theirs)):.2f}",
        "goal": "-" if goal is None else f"<= {goal:g}",
        "holds": "-" if goal is None else verdict(median(ratios) <= goal),
    }


def _hash_row(case: Case, place: Place, taken: dict[str, list[Taken]], name: str) -> Row:
    figures = [one.cpu for one in taken[name]]
    ratios = _ratios(figures, [one.cpu for one in taken[case.rival]])
    return {
        "what": f"  {name} of it once: CPU",
        "store": "-",
        "beside": case.rival,
        "hashing": _seconds(figures),
        "ours / theirs": f"+{median(ratios):.2f}",
    }


def _memory_row(case: Case, place: Place, taken: dict[str, list[Taken]]) -> Row:
    most = {client: max(one.memory for one in turns) for client, turns in taken.items()}
    return {
        "what": f"{case.what}: memory above",
        "store": place.name,
        "beside": case.rival,
        "theirs": f"{most[case.rival] / MB:.0f} MB",
        "ours": f"{most['ours'] / MB:.0f} MB",
        "hashing": f"{most['ours, hashing before'] / MB:.0f} MB",
        "goal": f"<= {MEMORY // MB} MB",
        "holds": verdict(most["ours"] <= MEMORY),
    }


_NAMES = {"wall": "wall", "cpu": "CPU"}


def _whole(row: Row) -> Row:
    return {column: row.get(column, "-") for column in COLUMNS}


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def _seconds(figures: Sequence[float]) -> str:
    return f"{median(figures):.2f} s"


def _file(path: Path, size: int) -> Path:
    """Write bytes that do not repeat."""
    source: Any = random.Random(path.name)  # noqa: S311 - the content of files is no secret
    with path.open("wb") as stream:
        for start in range(0, size, MB):
            stream.write(source.randbytes(min(size - start, MB)))
    return path


if __name__ == "__main__":
    main()
