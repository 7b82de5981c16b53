# SPDX-License-Identifier: Apache-2.0
"""A command, declared once for `python -m airflow_provider_dli` and for `airflow dli`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, as `argparse` takes it."""

    flags: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command; `run` returns the exit status."""

    name: str
    help: str
    description: str
    arguments: tuple[Argument, ...]
    run: Callable[[argparse.Namespace], int]


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that share a first word."""

    name: str
    help: str
    commands: tuple[Command, ...]


def argument(*flags: str, **options: Any) -> Argument:
    """Returns an argument with flags and options of `ArgumentParser.add_argument`."""
    return Argument(flags, options)


def at_least(least: int) -> Callable[[str], int]:
    """Returns the reader of an argument that is a whole number of at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


def seconds(text: str) -> float:
    """Reads an argument that is a number of seconds."""
    from airflow_provider_dli.api import checks

    try:
        return checks.seconds("it", float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds") from None


CONNECTION = (
    argument(
        "--conn-id",
        help="connection of type dli (default: dli_default)",
        default="dli_default",
    ),
    argument("--region", help="overrides the connection's region"),
    argument("--project-id", help="overrides the connection's project id"),
)
JSON = argument(
    "--json",
    help="print one JSON object instead of text",
    action="store_true",
    dest="as_json",
)


@contextlib.contextmanager
def logs_to_stderr() -> Iterator[None]:
    """Redirects Airflow's log to the standard error, so that the output has only the result."""
    # Airflow reads it when it is imported. With it, connections in Airflow's database are found,
    # as `airflow connections get` does.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    with contextlib.redirect_stdout(sys.stderr):
        yield


def reporting_errors(
    work: Callable[[argparse.Namespace, TextIO], int],
) -> Callable[[argparse.Namespace], int]:
    """Makes `work` the `run` of a command: an error is printed, and the exit status is 1.

    `work` gets the standard output, for its result only.
    """

    @functools.wraps(work)
    def run(options: argparse.Namespace) -> int:
        out = sys.stdout
        try:
            with logs_to_stderr():
                status = _run(work, options, out)
            out.flush()
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            status = 128 + signal.SIGINT
        except BrokenPipeError:
            # The reader has closed the output, as `head` does; Python would flush it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
            status = 128 + signal.SIGPIPE
        return status

    return run


def _run(
    work: Callable[[argparse.Namespace, TextIO], int], options: argparse.Namespace, out: TextIO
) -> int:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_provider_dli.api.protocol.errors import DliError

    try:
        return work(options, out)
    except (DliError, AirflowNotFoundException) as error:
        kind = type(error).__name__
        if "as_json" in options and options.as_json:
            print(json.dumps({"error": kind, "message": str(error)}, indent=2), file=out)
        else:
            print(f"{kind}: {error}", file=sys.stderr)
        return 1
