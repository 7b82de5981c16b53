# SPDX-License-Identifier: Apache-2.0
"""The log of a Spark job's driver on a terminal: its end, or what comes until the job has ended."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TextIO

from airflow_provider_dli.commands.command import (
    CONNECTION,
    Command,
    argument,
    at_least,
    reporting_errors,
    seconds,
)
from airflow_provider_dli.commands.jobs import hook_of

if TYPE_CHECKING:
    from airflow_provider_dli.hooks.dli import DliHook

# Each takes a run of the driver to its end, or goes on to the next; while a job writes there is
# always more.
_READINGS = 200


@reporting_errors
def _log(options: argparse.Namespace, out: TextIO) -> int:
    from airflow_provider_dli.api.protocol.errors import InputError

    if options.follow and options.index is not None:
        raise InputError("--index", options.index, "--follow goes through all runs")

    def show(line: str) -> None:
        print(line, file=out, flush=True)

    with hook_of(options) as hook:
        if options.follow:
            # A wait would be patient with an id that DLI does not know.
            hook.get_batch(options.id)
            ended = hook.wait_for_batch(
                options.id, poll_interval=options.interval, auto_recovery=True, driver_log=show
            )
            return 0 if ended.state.value == "success" else 1
        lines = _last_lines(hook, options.id, options.lines, options.index)
    for line in lines:
        show(line)
    if not lines:
        print("The log is empty so far.", file=sys.stderr)
    return 0


def _last_lines(hook: DliHook, batch_id: str, count: int, index: int | None) -> list[str]:
    """Read the last lines: of as many runs of the driver as they take, or of one."""
    from airflow_provider_dli.api.jobs.driver_log import DriverLog

    log, lines = DriverLog(batch_id), deque[str](maxlen=count)
    log.index = index or 0
    for new in islice(iter(partial(hook.read_batch_log, log), []), _READINGS):
        # A reading that goes on to the next run has nothing of the one before.
        if index is not None and log.index != index:
            break
        lines += new
    return list(lines)


COMMAND = Command(
    name="log",
    help="Print the driver log of a Spark job",
    description=(
        "Prints the last lines of a Spark job's driver log. With --follow it goes on until the "
        "job has ended, and the exit status is 0 for success and 1 otherwise; Ctrl-C ends that "
        "with 130 and leaves the job alone."
    ),
    arguments=(
        argument("id", help="id of the job, as the list shows it"),
        argument(
            "--lines", type=at_least(1), default=100, help="print this many lines (default: 100)"
        ),
        argument(
            "--index",
            type=at_least(0),
            help="only this run of a driver that was started again, from 0 on",
        ),
        argument("--follow", action="store_true", help="print what comes, until the job ends"),
        argument(
            "--interval",
            type=seconds,
            default=5.0,
            help="seconds between two looks when following (default: 5)",
        ),
        *CONNECTION,
    ),
    run=_log,
)
