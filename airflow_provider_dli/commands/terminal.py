# SPDX-License-Identifier: Apache-2.0
"""How commands print to a terminal, and ask for confirmation."""

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

# A file or a pipe has no width, and ids must not be split.
_WIDTH_OF_FILE = 250


def console(out: TextIO) -> Console:
    """Returns a console that prints tables."""
    from rich.console import Console

    is_known = out.isatty() or "COLUMNS" in os.environ
    return Console(
        file=out, width=None if is_known else _WIDTH_OF_FILE, highlight=False, markup=False
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """Returns a table whose first column, the ids, is never cut."""
    from rich.table import Table
    from rich.text import Text

    made = Table()
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        # As text, since brackets would be read as markup.
        made.add_row(*(Text(cell or "-") for cell in row))
    return made


def moment(milliseconds: int | None) -> str | None:
    """Returns a time of DLI as text in UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def is_agreed(options: argparse.Namespace, question: str) -> bool:
    """Whether the user agrees: asks, unless `--yes` was given."""
    from airflow_provider_dli.api.protocol.errors import InputError

    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(
            "--yes", None, "there is no terminal to ask for confirmation; give --yes to cancel jobs"
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
