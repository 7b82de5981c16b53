# SPDX-License-Identifier: Apache-2.0
"""Waiting in the triggerer: 10,000 waits on one account, and beside another provider's triggers."""

# Three kinds of processes: this one, the server (dli_server.py), and those that wait and are
# measured (waiting_process.py). Linux only: /proc tells the memory.

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from dli_server import LARGE, MEMBERS, SMALL, Control, running
from report import Row, options, publish, size, spread, verdict

DELAY = 0.2
CROWDS = size((10, 1_000, LARGE), (2, LARGE))
UPLOADS = size(20, 2)
ACCOUNTS = size(50, 2)
TOGETHER = size({"ours": 2_000, "spark": 1_000}, {"ours": 5, "spark": 5})
RIVAL = "apache-airflow-providers-huawei"
REGION = "eu-west-101"
RIVAL_INTERVAL = 2
RIVAL_READY = 3.0

NOTES = (
    f"Listing: {LARGE} groups with {MEMBERS} packages each, 13.6 MB; {SMALL} groups for uploads, "
    f"accounts and {RIVAL}. Each wait names its {MEMBERS} packages and has a deadline. Excluded: "
    "imports, and, for listings, CPU, memory and the gap that has a goal, the beginning of the "
    "waits and their looks until they have settled; the settled polls count. CPU is that of the "
    "whole process in a window without the heartbeat that measures gaps. Memory is the RSS with "
    "settled waits (median of one sample a second) less that before the first wait, divided by the "
    "waits: trigger, asyncio task, and all that the looks leave behind, which a few waits need, "
    "too. A gap is how much too late a task comes that sleeps for 2 ms; in brackets, how long this "
    "thread was at work meanwhile, and of that Python's garbage collector, which looks at all of "
    "Airflow. The server speaks plain HTTP: what TLS costs is in none of these figures. Waits that "
    "begin together do so in a fresh process each time, after its first one; their gaps leave out "
    "what the collector and other processes of the machine took; median and range of the runs.",
    f"{RIVAL} has no wait for package groups: its DLISparkCreateBatchJobTrigger polls the state of "
    "a job, a short answer; ours fetch the listing. Its address comes from an environment variable "
    "that its SDK knows; nothing is patched. All become ready "
    f"{RIVAL_READY:g} s after the beginning, poll_interval is {RIVAL_INTERVAL} s for both; fresh "
    "processes in turns, one wait before as a warm-up. Median and range of the turns.",
)

Fields = dict[str, Any]


@dataclass(frozen=True)
class Extent:
    """Seconds: of the large measurements, and between two polls in them."""

    poll_interval: int
    settle: int
    window: int
    alone: int


FULL = size(
    Extent(poll_interval=10, settle=35, window=65, alone=10),
    Extent(poll_interval=1, settle=2, window=3, alone=1),
)
QUICK = Extent(poll_interval=3, settle=15, window=15, alone=5)


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, runs=5)
    parser.add_argument("--quick", action="store_true", help="a poll every 3 s, shorter windows")
    parser.add_argument("--huawei-python", metavar="PATH", help=f"a Python that has {RIVAL}")
    chosen = parser.parse_args()
    extent = QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory() as home, running(DELAY) as control:
        bench = Bench(control, Path(home))
        rows = [
            *_together(bench, chosen.runs),
            *_crowds(bench, extent),
            *_uploads(bench, chosen.runs),
            *_accounts(bench, chosen.runs),
            *_rivals(bench, chosen.runs, chosen.huawei_python),
        ]
    publish(
        f"Waits in one event loop, {extent.window} s settled with a poll every "
        f"{extent.poll_interval} s, server answering after {1000 * DELAY:.0f} ms",
        ["apache-airflow", "aiohttp", "msgspec"],
        rows,
        chosen.json,
        NOTES,
    )


class Bench:
    """Starts the processes that wait, with the connections that they need."""

    def __init__(self, control: Control, home: Path) -> None:
        self.control = control
        self._home = home
        self._jobs = 0

    def run(self, job: Fields, python: str = sys.executable) -> Any:
        """Runs a job in a process, and returns what it measured."""
        with self.started(job, python) as result:
            pass
        return json.loads(result.read_text(encoding="utf-8"))

    @contextmanager
    def started(self, job: Fields, python: str = sys.executable) -> Iterator[Path]:
        """Starts a job. It is done when the context ends, and its result is in the file."""
        self._jobs += 1
        result = self._home / f"{self._jobs}.json"
        job = job | {"origin": self.control.origin, "result": str(result)}
        with result.with_suffix(".log").open("w+", encoding="utf-8") as log:
            process = subprocess.Popen(
                [python, str(Path(__file__).with_name("waiting_process.py"))],
                env=self._environment(job),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                encoding="utf-8",
            )
            with process:
                assert process.stdin is not None
                process.stdin.write(json.dumps(job))
                process.stdin.close()
                yield result
            if process.returncode:
                log.seek(0)
                raise RuntimeError(f"a waiting process failed:\n{log.read()[-3000:]}")

    def _environment(self, job: Fields) -> dict[str, str]:
        ours = job["trigger"] != "huawei"
        # Without proxies, since the server is on this machine.
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environment["AIRFLOW_HOME"] = str(self._home / job["trigger"])
        # The vendor's SDK takes the address of a region from here.
        region = REGION.replace("-", "_").upper()
        environment[f"HUAWEICLOUD_SDK_REGION_DLI_{region}"] = self.control.origin
        waits = job.get("waits") or [wait for turn in job["turns"] for wait in turn]
        for wait in waits:
            extra = {"region": REGION, "project_id": wait["project"]}
            connection = {
                "conn_type": "dli" if ours else "huaweicloud",
                "login": f"KEY{wait['project']}",
                "password": "secret-key-which-opens-nothing",
                "extra": extra | ({"endpoint": self.control.origin} if ours else {}),
            }
            environment[f"AIRFLOW_CONN_{wait['conn_id'].upper()}"] = json.dumps(connection)
        return environment


def _wait(project: str, target: int, ready_after: float = 0.0) -> Fields:
    return {
        "conn_id": f"to_{project}",
        "project": project,
        "target": target,
        "ready_after": ready_after,
    }


def _crowds(bench: Bench, extent: Extent) -> Iterator[Row]:
    *few, many = (_crowd(waits, extent) for waits in CROWDS)
    with ExitStack() as together:
        for job in few:
            job["alone"] = 0
        files = [together.enter_context(bench.started(job)) for job in few]
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    result = bench.run(many)
    listings = [
        _listings(bench.control, job["project"], measured["window"], extent.poll_interval)
        for job, measured in zip([*few, many], [*results, result], strict=True)
    ]
    yield _row(
        f"listings per interval, {' / '.join(f'{waits:,}' for waits in CROWDS)} waits, one account",
        " / ".join(f"{number:.2f}" for number in listings),
        "1 / 1 / 1",
        all(0.9 <= number <= 1.1 for number in listings),
    )
    gap = result["settled"]["ms"]
    yield _row(
        f"largest gap, {LARGE:,} settled waits", _gap(result["settled"]), "<= 30 ms", gap <= 30
    )
    yield _row("  the same loop without waits", _gap(result["alone"]))
    yield _row("  while they begin and settle", _gap(result["settling"]))
    yield _row("  when all become READY at once", _gap(result["ending"]))
    yield _row("  from then to the last event", f"{result['seconds_to_the_last']:.1f} s")
    cpu = result["cpu_per_minute"] * extent.poll_interval / FULL.poll_interval
    scaled = "" if extent is FULL else ", scaled to 10 s"
    yield _row(f"CPU per minute, {LARGE:,} waits{scaled}", f"{cpu:.2f} s", "<= 0.3 s", cpu <= 0.3)
    grown, grown_few = result["memory_grown"] / 1000, results[0]["memory_grown"] / 1000
    each = grown / LARGE
    yield _row(f"memory per wait, {LARGE:,} waits", f"{each:.1f} kB", "<= 8 kB", each <= 8)
    more = (grown - grown_few) / (LARGE - CROWDS[0])
    yield _row(f"  more than with {CROWDS[0]} waits, per wait", f"{more:.1f} kB")
    yield _row(f"  {CROWDS[0]} waits together", f"{grown_few / 1000:.1f} MB")
    before, highest = (result[key] / 1e6 for key in ("memory_before", "memory_highest"))
    yield _row("  whole process, before / highest sample", f"{before:.0f} / {highest:.0f} MB")


def _together(bench: Bench, runs: int) -> Iterator[Row]:
    """Waits that begin together in a fresh process: all on one group, or a job each."""
    for trigger, number in TOGETHER.items():
        what = "on one group" if trigger == "ours" else "for jobs"
        results = []
        for run in range(runs):
            # A project of its own each time, which is not ready yet; a small listing.
            project = f"{'small' if trigger == 'ours' else 'jobs'}{run}"
            targets = [0] * number if trigger == "ours" else list(range(number))
            job = {
                "measure": "begin",
                "trigger": trigger,
                "project": project,
                "waits": [_wait(project, target) for target in targets],
                "poll_interval": 10,
                "settle": size(2.0, 1.2),
                "window": size(4.0, 0.5),
                "alone": size(3.0, 0.1),
            }
            results.append(bench.run(job))
        for phase, name in {
            "first": f"largest gap, the first wait {what}, with all that it imports",
            "begin": f"  {number:,} waits {what} begin together, and their first look",
            "later": "  their later looks",
            "ending": "  all end in one look",
        }.items():
            gaps = [result[phase]["own_ms"] for result in results]
            has_goal = phase != "later"
            yield _row(
                name,
                f"{median(gaps):.1f} ms ({spread(gaps)})",
                "< 50 ms" if has_goal else None,
                max(gaps) < 50 if has_goal else None,
            )


def _crowd(waits: int, extent: Extent) -> Fields:
    project = f"large{waits}"
    return {
        "measure": "scale",
        "trigger": "ours",
        "project": project,
        "waits": [_wait(project, target) for target in range(waits)],
        "poll_interval": extent.poll_interval,
        "settle": extent.settle,
        "window": extent.window,
        "alone": extent.alone,
    }


def _listings(control: Control, project: str, window: Sequence[float], interval: float) -> float:
    """Returns the listings per interval: the number of pauses between them over what they span."""
    begin, end = window
    asked = [stamp for stamp in control.asked(project) if begin <= stamp <= end]
    if len(asked) < 2:
        return nan  # a window that short tells nothing
    return interval * (len(asked) - 1) / (asked[-1] - asked[0])


def _gap(gap: Fields) -> str:
    return f"{gap['ms']:.1f} ms ({gap['busy_ms']:.1f}, {gap['collector_ms']:.1f})"


def _uploads(bench: Bench, runs: int) -> Iterator[Row]:
    # Each on an account of its own, so that none uses the looks of another.
    waits = [
        _wait(f"upload{number}", 0, ready_after=1 + 2 * number / (UPLOADS - 1))
        for number in range(UPLOADS)
    ]
    turns = bench.run(_job("ours", 10, [waits] * (runs + 1)))[1:]
    seconds = [after for turn in turns for after in turn["after_ready"]]
    yield _row(
        f"READY to event, {len(seconds)} uploads that take 1-3 s",
        f"{median(seconds):.2f} s ({spread(seconds)})",
        "< 1.5 s",
        median(seconds) < 1.5,
    )


def _accounts(bench: Bench, runs: int) -> Iterator[Row]:
    # READY from the beginning, so that nothing but the looks takes time.
    waits = [_wait(f"account{number}", 0, ready_after=-60) for number in range(ACCOUNTS)]
    turns = bench.run(_job("ours", 10, [waits[:1], waits] * (runs + 1)))[2:]
    one = [turn["seconds"] for turn in turns[::2]]
    all_ = [turn["seconds"] for turn in turns[1::2]]
    ratio = median(all_) / median(one)
    yield _row(
        f"{ACCOUNTS} waits on {ACCOUNTS} accounts, of one wait, no TLS",
        f"{ratio:.2f} ({median(all_):.2f} s / {median(one):.2f} s)",
        "<= 1.15",
        ratio <= 1.15,
    )
    worst = max((turn["gap"] for turn in turns[1::2]), key=lambda gap: float(gap["ms"]))
    yield _row("  largest gap meanwhile", _gap(worst))


def _job(trigger: str, poll_interval: float, turns: list[list[Fields]]) -> Fields:
    return {
        "measure": "turns",
        "trigger": trigger,
        "poll_interval": poll_interval,
        "turns": turns,
    }


def _rivals(bench: Bench, runs: int, python: str | None) -> Iterator[Row]:
    if python is None:
        yield _row(f"beside {RIVAL}", "not measured: give --huawei-python")
        return
    one_account = [_wait("shared", target, RIVAL_READY) for target in range(ACCOUNTS)]
    many_accounts = [_wait(f"single{target}", 0, RIVAL_READY) for target in range(ACCOUNTS)]
    candidates = {
        "ours, one account": ("ours", one_account, sys.executable),
        f"ours, {ACCOUNTS} accounts": ("ours", many_accounts, sys.executable),
        f"{RIVAL} {_version(python)}": ("huawei", one_account, python),
    }
    turns: dict[str, list[Fields]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, (trigger, waits, interpreter) in candidates.items():
            # The first turn, with one wait, is the warm-up.
            job = _job(trigger, RIVAL_INTERVAL, [waits[:1], waits])
            turns[name].append(bench.run(job, interpreter)[1])
    for name, measured in turns.items():
        seconds = [turn["seconds"] - RIVAL_READY for turn in measured]
        gaps = [turn["gap"]["ms"] for turn in measured]
        yield _row(
            f"{ACCOUNTS} waits, READY to last event: {name}",
            f"{median(seconds):.2f} s ({spread(seconds)})",
        )
        yield _row("  largest gap meanwhile", f"{median(gaps):.1f} ms ({spread(gaps)})")


def _version(python: str) -> str:
    code = f"from importlib.metadata import version; print(version({RIVAL!r}))"
    done = subprocess.run(
        [python, "-c", code], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout.strip()


def _row(figure: str, value: str, goal: str | None = None, holds: bool | None = None) -> Row:
    shown = None if holds is None else verdict(holds)
    return {"figure": figure, "value": value, "goal": goal, "holds": shown}


if __name__ == "__main__":
    main()
