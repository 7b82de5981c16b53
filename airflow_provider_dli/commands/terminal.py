# SPDX-License-Identifier: Apache-2.0
"""What commands print on a terminal, and what they ask there."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Of a file or a pipe nobody knows the width, and an id has to stay in one piece.
_WIDE = 250


def console(out: TextIO) -> Console:
    """Give what prints tables."""
    from rich.console import Console

    is_known = out.isatty() or "COLUMNS" in os.environ
    return Console(file=out, width=None if is_known else _WIDE, highlight=False, markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """Give a table whose first column, the ids, is never cut."""
    from rich.table import Table
    from rich.text import Text

    made = Table()
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        # As text: what stands in brackets would be taken for a colour.
        made.add_row(*(Text(cell or "-") for cell in row))
    return made


def moment(milliseconds: int | None) -> str | None:
    """Give a time of DLI in UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def is_agreed(options: argparse.Namespace, question: str) -> bool:
    """Ask whether to go on, unless the arguments say so already."""
    from airflow_provider_dli.api.protocol.errors import InputError

    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("--yes", None, "there is no terminal to ask in, so give it to cancel jobs")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
