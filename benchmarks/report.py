# SPDX-License-Identifier: Apache-2.0
"""Prints what a benchmark measured as one table, and writes it as JSON when asked to."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import fill
from typing import TypeAlias, TypeVar

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = dict[str, Cell]
Size = TypeVar("Size")

SMALLEST = "BENCHMARK_SMALLEST"
"""Environment variable: when set, every size is so small that a run shows only that it works."""


def size(full: Size, smallest: Size) -> Size:
    """Returns how much to measure: `full`, or `smallest` where the environment asks for that."""
    return smallest if os.environ.get(SMALLEST) else full


WARM_UP = size(1, 0)
"""Turns of each candidate that come first and do not count."""


def options(description: str, runs: int) -> argparse.ArgumentParser:
    """Returns a parser of the flags that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--runs", type=_count, default=runs, help=f"measurements ({runs})")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def publish(
    title: str,
    packages: Sequence[str],
    rows: Sequence[Row],
    file: Path | None,
    notes: Sequence[str] = (),
) -> None:
    """Print a table of rows that all have the same columns; `packages` are named with version.

    `notes` say below the table what its cells cannot.
    """
    now = datetime.now(UTC)
    versions = {package: installed(package) or "not installed" for package in packages}
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    print(f"{title}, {now:%Y-%m-%d}")
    print(f"{machine}, {', '.join(f'{name} {number}' for name, number in versions.items())}\n")
    print(_table(rows))
    for note in notes:
        print(f"\n{fill(note, 100, break_on_hyphens=False)}")
    if file is not None:
        figures = {
            "title": title,
            "measured_at": now.isoformat(timespec="seconds"),
            "machine": machine,
            "versions": versions,
            "rows": list(rows),
            "notes": list(notes),
        }
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def installed(package: str) -> str | None:
    """Returns the version of an installed distribution, or `None`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def verdict(holds: bool) -> str:
    """Returns the cell that shows whether the goal holds."""
    return "yes" if holds else "NO"


def spread(values: Sequence[float]) -> str:
    """Returns the lowest and the highest value, which show how quiet the machine was."""
    return f"{_shown(min(values))}-{_shown(max(values))}"


def _table(rows: Sequence[Row]) -> str:
    lines = [list(rows[0]), *([_shown(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [
        any(isinstance(cell, int | float) for cell in column)
        for column in zip(*(row.values() for row in rows), strict=True)
    ]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:.1f}"
    return str(cell)
