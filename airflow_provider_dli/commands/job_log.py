# SPDX-License-Identifier: Apache-2.0
"""The command `jobs log`: prints the last lines of a driver's log, or follows it to the end."""

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

# Each reads a run of the driver to its end, or goes on to the next. The limit is for a job that
# never stops writing.
_MAX_READS = 200


@reporting_errors
def _log(options: argparse.Namespace, out: TextIO) -> int:
    from airflow_provider_dli.api.protocol.errors import InputError

    if options.follow and options.index is not None:
        raise InputError("--index", options.index, "--follow prints all runs")

    def show(line: str) -> None:
        print(line, file=out, flush=True)

    with hook_of(options) as hook:
        if options.follow:
            # Fails now if DLI does not know the id. The wait would tolerate that for a while.
            hook.get_batch(options.id)
            ended = hook.wait_for_batch(
                options.id, poll_interval=options.interval, auto_recovery=True, driver_log=show
            )
            return 0 if ended.state.value == "success" else 1
        lines = _last_lines(hook, options.id, options.lines, options.index)
    for line in lines:
        show(line)
    if not lines:
        print("The log is still empty.", file=sys.stderr)
    return 0


def _last_lines(hook: DliHook, batch_id: str, count: int, index: int | None) -> list[str]:
    """Returns the last lines, from as many runs of the driver as needed, or from one."""
    from airflow_provider_dli.api.jobs.driver_log import DriverLog

    log, lines = DriverLog(batch_id), deque[str](maxlen=count)
    log.index = index or 0
    for new in islice(iter(partial(hook.read_batch_log, log), []), _MAX_READS):
        # A read that goes on to the next run has no lines of the previous one.
        if index is not None and log.index != index:
            break
        lines += new
    return list(lines)


COMMAND = Command(
    name="log",
    help="Print the driver log of a Spark job",
    description=(
        "Prints the last lines of a Spark job's driver log. With --follow it continues until the "
        "job has ended, and the exit status is 0 for success and 1 otherwise. Ctrl-C stops "
        "following with exit status 130, and the job continues."
    ),
    arguments=(
        argument("id", help="id of the job, as the list shows it"),
        argument(
            "--lines", type=at_least(1), default=100, help="print this many lines (default: 100)"
        ),
        argument(
            "--index",
            type=at_least(0),
            help="only this run of a driver that was restarted, counted from 0",
        ),
        argument("--follow", action="store_true", help="print new lines until the job ends"),
        argument(
            "--interval",
            type=seconds,
            default=5.0,
            help="seconds between two polls when following (default: 5)",
        ),
        *CONNECTION,
    ),
    run=_log,
)
