# SPDX-License-Identifier: Apache-2.0
"""Finds Spark jobs that run on while no task of Airflow waits for them, and cancels them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_dli.commands.command import (
    CONNECTION,
    JSON,
    Command,
    argument,
    reporting_errors,
)
from airflow_provider_dli.commands.jobs import (
    TIMEOUT,
    YES,
    Outcome,
    cancel,
    hook_of,
    show_outcomes,
)
from airflow_provider_dli.commands.terminal import console, is_agreed, moment, table

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.commands.task_instances import Standing, Submitter
    from airflow_provider_dli.hooks.dli import DliHook


class Reason(StrEnum):
    """Why nobody seems to wait for a job."""

    FINISHED = "finished"
    CLEARED = "cleared"
    SUCCEEDED = "succeeded"
    ABSENT = "absent"


# What may well be as it should be: cancelled only when asked for by name.
DOUBTFUL = (Reason.SUCCEEDED, Reason.ABSENT)


@dataclass(frozen=True, slots=True)
class Orphan:
    """An active job for which nobody seems to wait."""

    batch: SparkBatch
    submitter: Submitter
    reason: Reason
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON."""
        return self.batch.as_dict() | {
            "task": self.submitter.key._asdict(),
            "reason": self.reason.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: the orphans, and how many active jobs are none.

    `foreign` are jobs that no task of this package submitted, `untold` those of which DLI does not
    tell what they were submitted with.
    """

    orphans: tuple[Orphan, ...]
    awaited: int
    foreign: int
    untold: int


def judged(submitter: Submitter, standing: Standing | None) -> tuple[Reason, str] | None:
    """Say why nobody waits for an active job of a task; `None` when its task does."""
    if standing is None:
        return Reason.ABSENT, "Airflow has no such task instance"
    if submitter.generation not in {"", standing.generation}:
        return Reason.CLEARED, "the task was cleared since"
    if not standing.is_finished:
        return None
    if standing.state == "success":
        return Reason.SUCCEEDED, "the task succeeded without waiting for it"
    return Reason.FINISHED, f"the task is {standing.state}"


@reporting_errors
def _orphans(options: argparse.Namespace, out: TextIO) -> int:
    with hook_of(options) as hook:
        look = _look(hook)
        wanted = [
            orphan
            for orphan in look.orphans
            if orphan.reason not in DOUBTFUL or orphan.reason in (options.also or ())
        ]
        if not options.as_json:
            _show(look, out)
        outcomes = _cancelled(hook, wanted, options) if options.cancel and wanted else []
    if options.as_json:
        print(json.dumps(_as_dict(look, outcomes), indent=2, ensure_ascii=False), file=out)
    elif outcomes:
        show_outcomes(outcomes, out)
    return 0 if sum(one.is_done for one in outcomes) == len(wanted) else 1


def _look(hook: DliHook) -> Look:
    from airflow_provider_dli.commands.task_instances import Submitter, standings

    active = [batch for batch in hook.list_batches() if not batch.is_terminal]
    told = [batch for one in active if (batch := _with_request(hook, one)) is not None]
    submitted = [(batch, Submitter.of(batch)) for batch in told]
    ours = [(batch, submitter) for batch, submitter in submitted if submitter is not None]
    found = standings(submitter.key for _, submitter in ours)
    orphans, awaited = [], 0
    for batch, submitter in ours:
        verdict = judged(submitter, found.get(submitter.key))
        if verdict is None:
            awaited += 1
        # A task that is finished now may have seen its job end since the listing.
        elif (again := _if_active(hook, batch)) is not None:
            orphans.append(Orphan(again, submitter, *verdict))
    untold = sum(batch.request is None for batch in told)
    return Look(tuple(orphans), awaited, len(told) - len(ours) - untold, untold)


def _with_request(hook: DliHook, batch: SparkBatch) -> SparkBatch | None:
    """Ask for what a listing may leave out; `None` for a job that has ended meanwhile."""
    return _if_active(hook, batch) if batch.request is None else batch


def _if_active(hook: DliHook, batch: SparkBatch) -> SparkBatch | None:
    from airflow_provider_dli.api.protocol.errors import NotFoundError

    try:
        shown = hook.get_batch(batch.id)
    except NotFoundError:
        return None
    return None if shown.is_terminal else shown


def _cancelled(
    hook: DliHook, wanted: Collection[Orphan], options: argparse.Namespace
) -> list[Outcome]:
    count = f"{len(wanted)} {'job' if len(wanted) == 1 else 'jobs'}"
    if not is_agreed(options, f"Cancel {count} of project {hook.project_id}?"):
        return []
    return [_ended(hook, orphan, options.timeout) for orphan in wanted]


def _ended(hook: DliHook, orphan: Orphan, timeout: float) -> Outcome:
    from airflow_provider_dli.commands.task_instances import standings

    # Since the look somebody may have cleared the task, and it may have taken its job up again.
    key = orphan.submitter.key
    verdict = judged(orphan.submitter, standings([key]).get(key))
    if verdict is None or verdict[0] is not orphan.reason:
        batch = orphan.batch
        return Outcome(batch.id, "left: its task has changed", False, batch.raw_state, batch.name)
    return cancel(hook, orphan.batch, timeout)


def _as_dict(look: Look, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    return {
        "orphans": [orphan.as_dict() for orphan in look.orphans],
        "awaited": look.awaited,
        "foreign": look.foreign,
        "untold": look.untold,
        "cancelled": [asdict(outcome) for outcome in outcomes],
    }


def _show(look: Look, out: TextIO) -> None:
    printer = console(out)
    if look.orphans:
        rows = (
            (
                orphan.batch.id,
                orphan.batch.raw_state,
                moment(orphan.batch.create_time),
                str(orphan.submitter.key),
                orphan.reason.value,
                orphan.why,
            )
            for orphan in look.orphans
        )
        columns = ("id", "state", "created (UTC)", "task", "reason", "why")
        printer.print(table(columns, rows))
    counts = [
        f"{len(look.orphans)} for which no task waits",
        f"{look.awaited} for which one does",
        f"{look.foreign} that no task of this package submitted",
    ]
    if look.untold:
        counts.append(f"{look.untold} of which DLI does not tell what they are")
    printer.print(f"Active jobs: {', '.join(counts)}")
    for reason in DOUBTFUL:
        count = sum(orphan.reason is reason for orphan in look.orphans)
        if count:
            printer.print(f"{reason.capitalize()}: {count}, cancelled only with --also {reason}")


COMMAND = Command(
    name="orphans",
    help="Find Spark jobs that run on while no task waits for them, and cancel them",
    description=(
        "Finds active jobs that a task of Airflow submitted and none waits for. Their reason is "
        "one of these. finished: the task failed, was skipped or removed. cleared: the task was "
        "cleared since, and submits another job. succeeded: the task did not wait, as with "
        "wait_for_completion=False, and something else may. absent: Airflow has no such task "
        "instance, and another Airflow that uses the same project may have. The last two are only "
        "cancelled when --also names them. Reads Airflow's database. Without --cancel it changes "
        "nothing. The exit status is 1 when finished or cleared ones are left."
    ),
    arguments=(
        argument("--cancel", action="store_true", help="cancel those that are finished or cleared"),
        argument(
            "--also",
            action="append",
            choices=[reason.value for reason in DOUBTFUL],
            help="cancel these as well; may be given twice",
        ),
        YES,
        TIMEOUT,
        *CONNECTION,
        JSON,
    ),
    run=_orphans,
)
