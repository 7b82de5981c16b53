"""No test sleeps, and none asserts how long something took: time is an argument, event or count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent

MAY = {
    "eventually.py": "the one place that waits for threads and processes, without an assertion",
    "hooks/obs_servers.py": "a server that is slow",
    "browser": "waits for Airflow and a browser, which are processes",
    "spark": "waits for Spark, which is a process",
    "triggerer_process": "waits for Airflow's own processes, and measures how they share the loop",
}
"""What may sleep and look at the clock, with the reason."""

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}


def trees() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if not name.startswith(tuple(MAY)):
            yield name, ast.parse(path.read_text())


def is_call_of(node: ast.AST, module: str, names: set[str]) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == module
        and node.func.attr in names
    )


def is_sleep(node: ast.AST) -> bool:
    if is_call_of(node, "time", {"sleep"}):
        return True
    if not is_call_of(node, "asyncio", {"sleep"}):
        return False
    assert isinstance(node, ast.Call)
    # `sleep(0)` only gives the loop to others.
    return not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)


def test_no_test_sleeps() -> None:
    assert [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_sleep(node)
    ] == []


def test_no_test_measures_how_long_something_takes() -> None:
    assert [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_call_of(node, "time", CLOCKS)
    ] == []
