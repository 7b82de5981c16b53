# SPDX-License-Identifier: Apache-2.0
"""Spark jobs under faults, one in each task: how many jobs come of it, and what the task says.

Beside it another provider's operator under the same faults; and a thousand jobs waited for.
"""

# The tasks run in this process, on the emulator; the provider of the cloud in one of its own
# (spark_rival.py), the waits in others (spark_waits.py).

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from report import Row, options, publish, verdict
from spark_rival import RIVAL, rival, version

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

if TYPE_CHECKING:
    from mishaps import Mishap
    from trials import Outcome

RUNS, DEFERRED, THREADS = 1_000, 0.3, 6
PAIRS = {3: 150, 0: 100}
JOB_SECONDS = 0.5

NOTES = (
    "Each task meets one fault, drawn from the seed: each kind and each call of a run is as likely "
    "as any other; at the submission a quarter of those of the service. A fault comes before or "
    "after the service carried the call out, a 429 only before. Worker: killed at a reading of the "
    "clock, of the task state or of XCom, before or after it; nothing catches that. Triggerer: the "
    "trigger is dropped and made again of its row. Three retries, after 1, 30 or 300 s; half of "
    "the tasks have a task state store, as from Airflow 3.3 on. Requests go over real sockets; the "
    "worker's time is a fake, so that a job of 60 s takes none. A fault that comes too late to "
    "strike is drawn anew, so that in the end the kinds are not equally frequent.",
    "A wrong verdict is a task that ends otherwise than its jobs do in the end; an orphan a job "
    "that is active when its task has ended.",
)
PAIR_NOTES = (
    f"The same faults in the same order: the operator of {RIVAL} as it is, in the mode in which it "
    "waits (deferrable). The look is GET …/state there and GET …/batches/{id} here. Left out are a "
    "read timeout, which its SDK meets after 120 s, and what it does not have: the look-up by "
    "name, the driver log, the task state. A pair counts only where the fault struck both. Theirs "
    f"runs in real time: jobs of {JOB_SECONDS} s, retries at once; a worker is killed at one of "
    "the five moments at which it touches Airflow, ours at one of forty.",
)

Fields = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__.splitlines()[0], runs=RUNS)
    parser.add_argument("--seed", default="2026")
    parser.add_argument("--huawei-python", metavar="PATH", help=f"a Python that has {RIVAL}")
    parser.add_argument("--only", choices=["faults", "pairs", "waits"])
    chosen = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "faults": lambda: _faults(chosen.runs, chosen.seed, chosen.json),
        "pairs": lambda: _pairs(chosen.seed, chosen.huawei_python, chosen.json),
        "waits": lambda: _waits(chosen.huawei_python, chosen.json),
    }
    for part, measure in parts.items():
        if chosen.only in {None, part}:
            measure()
            print()


def _faults(runs: int, seed: str, file: Path | None) -> None:
    with _quiet_airflow():
        outcomes = _outcomes(runs, seed)
    kinds = sorted({outcome.mishap.kind for outcome in outcomes}, key=str.lower)
    by_kind = {
        kind: [outcome for outcome in outcomes if outcome.mishap.kind == kind] for kind in kinds
    }
    publish(
        f"Spark jobs under one fault each, {runs} tasks, {sum(o.is_deferred for o in outcomes)} of "
        f"them deferred, seed {seed}",
        ["apache-airflow"],
        [
            *(_fault_row(kind, found) for kind, found in by_kind.items()),
            _fault_row("all", outcomes),
        ],
        _beside(file, "faults"),
        NOTES,
    )
    for outcome in outcomes:
        if not outcome.is_well:
            print(f"not well: {outcome}")


def _outcomes(runs: int, seed: str) -> list[Outcome]:
    from mishaps import KINDS, TRIGGERER, drawn
    from trials import ground, tried

    in_worker = tuple(kind for kind in KINDS if kind != TRIGGERER)
    deferred = round(runs * DEFERRED)

    def several(slot: int) -> list[Outcome]:
        # The last slot is the worker's: its tasks take the processor, the others wait.
        is_deferred = slot < THREADS
        numbers = range(slot, deferred, THREADS) if is_deferred else range(deferred, runs)
        kinds = KINDS if is_deferred else in_worker
        with ground(f"dli_{slot}", is_deferred=is_deferred) as own:
            return [
                tried(own, f"{seed}-{number}", lambda random: drawn(random, kinds))
                for number in numbers
            ]

    with ThreadPoolExecutor(THREADS + 1) as threads:
        return list(chain.from_iterable(threads.map(several, range(THREADS + 1))))


def _fault_row(kind: str, outcomes: Sequence[Outcome]) -> Row:
    return {
        "fault": kind,
        "tasks": len(outcomes),
        "at the submission": sum(o.mishap.place == "create" for o in outcomes),
        "tried again": sum(o.tries > 1 for o in outcomes),
        "exactly one job": sum(len(o.states) == 1 for o in outcomes),
        "wrong verdicts": sum(o.is_wrong for o in outcomes),
        "orphans": sum(o.orphans for o in outcomes),
        "holds": verdict(all(o.is_well for o in outcomes)),
    }


@dataclass(frozen=True)
class _Pair:
    """What became of the same mishap here and there."""

    mishap: Mishap
    ours: Outcome
    theirs: Outcome

    @property
    def place(self) -> str:
        kind, where = self.mishap.kind, self.mishap.place
        named = {"create": f"submission, {self.mishap.when}", "show": "look"}
        return named.get(where, kind)


def _pairs(seed: str, python: str | None, file: Path | None) -> None:
    if python is None:
        print(f"Beside {RIVAL}: not measured, give --huawei-python")
        return
    rows: list[Row] = []
    with _quiet_airflow(), _both(python) as measure:
        for retries in PAIRS:
            pairs = measure(seed, retries)
            places = sorted({pair.place for pair in pairs})
            for place in [*places, ""]:
                found = [pair for pair in pairs if place in {"", pair.place}]
                rows.append(_pair_row(retries, place or "all", found))
    publish(
        f"Spark jobs under one fault each, beside {RIVAL} {version(python)} on Airflow 2.11.2, "
        f"seed {seed}",
        ["apache-airflow"],
        rows,
        _beside(file, "pairs"),
        PAIR_NOTES,
    )


def _pair_row(retries: int, place: str, pairs: Sequence[_Pair]) -> Row:
    row: Row = {"retries": retries, "fault": place, "tasks": len(pairs)}
    for whose in ("ours", "theirs"):
        outcomes: list[Outcome] = [getattr(pair, whose) for pair in pairs]
        row |= {
            f"{whose}: jobs": sum(len(o.states) for o in outcomes),
            f"{whose}: > 1": sum(len(o.states) > 1 for o in outcomes),
            f"{whose}: wrong": sum(o.is_wrong for o in outcomes),
            f"{whose}: orphans": sum(o.orphans for o in outcomes),
        }
    return row


@contextmanager
def _both(python: str) -> Iterator[Callable[[str, int], list[_Pair]]]:
    """Returns what runs tasks in both providers, with the same mishaps."""
    from mishaps import ANSWERS, TRIGGERER, WORKER, XCOM, drawn
    from trials import Trial, ground

    from airflow_provider_dli.emulator import running

    answers = tuple(kind for kind in ANSWERS if kind != "read timeout")

    def draw(random: Random, kinds: tuple[str, ...]) -> Mishap:
        while True:
            mishap = drawn(random, kinds)
            if mishap.place not in {"list", "log"}:
                return mishap

    with (
        running(batch_seconds=JOB_SECONDS, batch_retention=None) as emulator,
        rival(python, emulator.url, emulator.airflow_connection) as ask,
        ground("dli_ours", is_deferred=True) as own,
        ThreadPoolExecutor(1) as beside,
    ):

        def measure(seed: str, retries: int) -> list[_Pair]:
            kinds = (*answers, *((XCOM, WORKER, TRIGGERER) if retries else ()))
            pairs: list[_Pair] = []
            for number in count():
                random = Random(f"{seed}-{number}")  # noqa: S311 - what goes wrong is no secret
                mishap = draw(random, kinds)
                other = Random(f"{number}-{seed}")  # noqa: S311 - the same
                theirs = beside.submit(_theirs, emulator, ask, mishap, other, retries)
                pair = _Pair(mishap, Trial(own, mishap, random, retries).run(), theirs.result())
                if pair.ours.struck and pair.theirs.struck:
                    pairs.append(pair)
                if len(pairs) == PAIRS[retries]:
                    return pairs
            raise AssertionError

        yield measure


def _theirs(
    emulator: Any, ask: Callable[[Fields], Fields], mishap: Mishap, random: Random, retries: int
) -> Outcome:
    from mishaps import ANSWERS, WORKER, XCOM
    from trials import Outcome, states_of

    from airflow_provider_dli.emulator import Fault

    moments = {XCOM: 1, WORKER: 5}.get(mishap.kind)
    if moments:
        mishap = replace(mishap, nth=random.randrange(moments))
    emulator.reset()
    if mishap.kind in ANSWERS:
        look = ("GET", "/batches/*/state")
        method, path = ("POST", "/batches") if mishap.place == "create" else look
        what = {"method": method, "path": path, "skip": mishap.nth}
        emulator.add_fault(Fault(**ANSWERS[mishap.kind], **what, when=mishap.when))
    told = ask(asdict(mishap) | {"retries": retries, "seconds": mishap.seconds / 3})
    struck = told["struck"] or any(fault["hit"] for fault in emulator.faults.as_json())
    states = states_of(emulator)
    time.sleep(JOB_SECONDS)
    was_well, tries = told["verdict"], told["tries"]
    return Outcome(mishap, True, False, struck, tries, was_well, states, states_of(emulator))


def _waits(python: str | None, file: Path | None) -> None:
    import spark_waits

    spark_waits.measure(python, _beside(file, "waits"))


def _beside(file: Path | None, part: str) -> Path | None:
    return None if file is None else file.with_stem(f"{file.stem}-{part}")


@contextmanager
def _quiet_airflow() -> Iterator[None]:
    """Run Airflow in a home of its own, without a log."""
    with tempfile.TemporaryDirectory() as home, Path(os.devnull).open("w") as nobody:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"  # operators may be executed directly
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
        logging.disable(logging.CRITICAL)
        with redirect_stdout(nobody):
            yield
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    main()
