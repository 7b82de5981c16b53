"""No test sleeps, and none asserts how long something took: time is an argument, event or count."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent

MAY = {
    "eventually.py": "the one place that waits for threads and processes, without an assertion",
    "hooks/obs_servers.py": "a server that is slow",
    "browser": "waits for Airflow and a browser, which are processes",
    "spark": "waits for Spark, which is a process",
    "triggerer/test_poll_schedule.py": "runs on a loop whose time is virtual",
    "triggerer/virtual_time.py": "is that loop",
    "triggerer_process": "waits for Airflow's own processes, and measures how they share the loop",
}
"""What may sleep and look at the clock, with the reason."""

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Returns every call in the tests that may not look at the clock, each with its place."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if not name.startswith(tuple(MAY)):
            tree = ast.parse(path.read_text())
            found += [
                (f"{name}:{node.lineno}", node)
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
            ]
    return found


def is_call_of(call: ast.Call, module: str, names: set[str]) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == module
        and function.attr in names
    )


def is_sleep(call: ast.Call) -> bool:
    if is_call_of(call, "time", {"sleep"}):
        return True
    # `asyncio.sleep(0)` only gives the loop to others.
    is_none = bool(call.args) and ast.unparse(call.args[0]) == "0"
    return is_call_of(call, "asyncio", {"sleep"}) and not is_none


def test_no_test_sleeps() -> None:
    assert [place for place, call in calls() if is_sleep(call)] == []


def test_no_test_measures_how_long_something_takes() -> None:
    assert [place for place, call in calls() if is_call_of(call, "time", CLOCKS)] == []
