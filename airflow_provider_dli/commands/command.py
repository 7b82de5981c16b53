# SPDX-License-Identifier: Apache-2.0
"""What a command declares once, for `python -m airflow_provider_dli` and for `airflow dli`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, in the words of `argparse`."""

    flags: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command; `run` gives the exit status."""

    name: str
    help: str
    description: str
    arguments: tuple[Argument, ...]
    run: Callable[[argparse.Namespace], int]


def argument(*flags: str, **options: Any) -> Argument:
    """Declare an argument as `ArgumentParser.add_argument` takes it."""
    return Argument(flags, options)


CONNECTION = (
    argument(
        "--conn-id",
        help="connection of type dli (default: dli_default)",
        default="dli_default",
    ),
    argument("--region", help="wins over the connection's region"),
    argument("--project-id", help="wins over the connection's project id"),
)
JSON = argument(
    "--json",
    help="print one JSON object instead of text",
    action="store_true",
    dest="as_json",
)


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Keep what Airflow logs off the standard output, which has the command's result only."""
    # Read before Airflow is imported: with it connections of Airflow's database are found, too,
    # as by `airflow connections get`.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    with contextlib.redirect_stdout(sys.stderr):
        yield
