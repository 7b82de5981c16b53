# SPDX-License-Identifier: Apache-2.0
"""The commands that list and cancel Spark jobs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_dli.commands.command import (
    CONNECTION,
    JSON,
    Command,
    argument,
    at_least,
    reporting_errors,
    seconds,
)
from airflow_provider_dli.commands.terminal import console, is_agreed, moment, table

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.hooks.dli import DliHook

STATES = ("starting", "running", "recovering", "success", "dead", "unknown")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of cancelling one job."""

    id: str
    result: str
    is_done: bool
    state: str | None = None
    name: str | None = None


def hook_of(options: argparse.Namespace) -> DliHook:
    """Returns the hook on the connection that the arguments name."""
    from airflow_provider_dli.hooks.dli import DliHook

    return DliHook(options.conn_id, region=options.region, project_id=options.project_id)


def cancel(hook: DliHook, batch: SparkBatch, timeout: float) -> Outcome:
    """Cancels one job and waits until it has ended; an error is an outcome, too."""
    from airflow_provider_dli.api.protocol.errors import DliError

    try:
        last = hook.cancel_batch(batch.id, seconds=timeout)
    except DliError as error:
        return Outcome(batch.id, f"{type(error).__name__}: {error}", False, None, batch.name)
    if last is None:
        return Outcome(batch.id, "DLI no longer has a record of it", True, None, batch.name)
    if last.is_terminal:
        result = "cancelled" if last.state.value == "dead" else "ended by itself"
    else:
        result = "still active, though DLI accepted the cancel"
    return Outcome(batch.id, result, last.is_terminal, last.raw_state, batch.name)


def show_outcomes(outcomes: Sequence[Outcome], out: TextIO) -> None:
    """Prints a table with the outcome of each job."""
    rows = [(one.id, one.name, one.state, one.result) for one in outcomes]
    console(out).print(table(("id", "name", "state", "result"), rows))


@reporting_errors
def _list(options: argparse.Namespace, out: TextIO) -> int:
    with hook_of(options) as hook:
        found = [
            batch
            for batch in hook.list_batches(name=options.name, queue=options.queue)
            if (options.state is None or batch.state.value == options.state)
            and not (options.active and batch.is_terminal)
        ]
        now = hook.now()
    found.sort(key=lambda batch: batch.create_time or 0, reverse=True)
    shown = found[: options.limit]
    if options.as_json:
        jobs = [_as_dict(batch) for batch in shown]
        print(
            json.dumps({"jobs": jobs, "total": len(found)}, indent=2, ensure_ascii=False), file=out
        )
        return 0
    columns = ("id", "state", "created (UTC)", "duration", "queue", "task, or name")
    printer = console(out)
    printer.print(table(columns, (_row(batch, now) for batch in shown)))
    more = f", {len(found)} in all" if len(found) > len(shown) else ""
    printer.print(f"{len(shown)} {'job' if len(shown) == 1 else 'jobs'}{more}")
    return 0


def _as_dict(batch: SparkBatch) -> dict[str, Any]:
    from airflow_provider_dli.commands.task_instances import Submitter

    submitter = Submitter.of(batch)
    return batch.as_dict() | {"task": submitter and submitter.key._asdict()}


def _row(batch: SparkBatch, now: float) -> tuple[str | None, ...]:
    from airflow_provider_dli.commands.task_instances import Submitter

    submitter = Submitter.of(batch)
    return (
        batch.id,
        batch.raw_state,
        moment(batch.create_time),
        _duration(batch, now),
        batch.queue,
        # The name that a task gives its job is made of the same, and harder to read.
        str(submitter.key) if submitter else batch.name,
    )


def _duration(batch: SparkBatch, now: float) -> str | None:
    end = batch.update_time if batch.is_terminal else int(now * 1000)
    if batch.create_time is None or end is None:
        return None
    return str(timedelta(seconds=max(end - batch.create_time, 0) // 1000))


@reporting_errors
def _cancel(options: argparse.Namespace, out: TextIO) -> int:
    with hook_of(options) as hook:
        found = [_find(hook, batch_id) for batch_id in dict.fromkeys(options.ids)]
        active = [one for one in found if not isinstance(one, Outcome)]
        is_confirmed = _is_confirmed(hook, active, options)
        end = partial(cancel, hook, timeout=options.timeout) if is_confirmed else _left
        outcomes = [one if isinstance(one, Outcome) else end(one) for one in found]
    if options.as_json:
        jobs = [asdict(outcome) for outcome in outcomes]
        print(json.dumps({"jobs": jobs}, indent=2, ensure_ascii=False), file=out)
    else:
        show_outcomes(outcomes, out)
    return 0 if all(outcome.is_done for outcome in outcomes) else 1


def _is_confirmed(hook: DliHook, active: Sequence[SparkBatch], options: argparse.Namespace) -> bool:
    titles = ", ".join(
        f"{batch.id} ({batch.name or 'no name'}, {batch.raw_state or 'no state'})"
        for batch in active
    )
    return not active or is_agreed(options, f"Cancel {titles} of project {hook.project_id}?")


def _left(batch: SparkBatch) -> Outcome:
    return Outcome(batch.id, "not cancelled", False, batch.raw_state, batch.name)


def _find(hook: DliHook, batch_id: str) -> SparkBatch | Outcome:
    """Returns an active job, or the outcome of one that cannot be cancelled."""
    from airflow_provider_dli.api.protocol.errors import DliError, NotFoundError

    try:
        batch = hook.get_batch(batch_id)
    except NotFoundError:
        return Outcome(batch_id, "DLI does not know it", True)
    except DliError as error:
        return Outcome(batch_id, f"{type(error).__name__}: {error}", False)
    if batch.is_terminal:
        return Outcome(batch.id, "had ended already", True, batch.raw_state, batch.name)
    return batch


YES = argument("--yes", action="store_true", help="cancel without asking")
TIMEOUT = argument(
    "--timeout",
    type=seconds,
    default=60.0,
    help="seconds to wait for the end of a cancelled job (default: 60)",
)
LIST = Command(
    name="list",
    help="List the Spark jobs of a project",
    description=(
        "Lists the Spark jobs of a project that DLI still has, newest first. A job that a task of "
        "this package submitted is shown by its task, any other by its name; --json has both."
    ),
    arguments=(
        argument("--name", help="only jobs of exactly this name"),
        argument("--queue", help="only jobs of this queue"),
        argument("--state", choices=STATES, help="unknown: any state that is not documented"),
        argument("--active", action="store_true", help="only jobs that have not ended"),
        argument("--limit", type=at_least(1), default=100, help="show this many (default: 100)"),
        *CONNECTION,
        JSON,
    ),
    run=_list,
)
CANCEL = Command(
    name="cancel",
    help="Cancel Spark jobs, and wait for their end",
    description=(
        "Cancels Spark jobs and waits for the end of each. A job that had ended already, or that "
        "DLI does not know, counts as done. The exit status is 1 if a job still runs, or may."
    ),
    arguments=(
        argument("ids", nargs="+", metavar="ID", help="id of a job, as the list shows it"),
        YES,
        TIMEOUT,
        *CONNECTION,
        JSON,
    ),
    run=_cancel,
)
