# SPDX-License-Identifier: Apache-2.0
"""The command `jobs orphans`: finds running Spark jobs that no task waits for, and cancels them."""

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
    from airflow_provider_dli.commands.task_instances import Submitter, TaskState
    from airflow_provider_dli.hooks.dli import DliHook


class Reason(StrEnum):
    """Why no task seems to wait for a job."""

    FINISHED = "finished"
    CLEARED = "cleared"
    SUCCEEDED = "succeeded"
    ABSENT = "absent"


# These may be intended: they are cancelled only if `--also` names them.
DOUBTFUL = (Reason.SUCCEEDED, Reason.ABSENT)


@dataclass(frozen=True, slots=True)
class Orphan:
    """An active job that no task seems to wait for."""

    batch: SparkBatch
    submitter: Submitter
    reason: Reason
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return self.batch.as_dict() | {
            "task": self.submitter.key._asdict(),
            "reason": self.reason.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """The orphans among the active jobs, and how many of these are none.

    `foreign` are jobs that no task of this package submitted, `unknown` those for which DLI does
    not show what they were submitted with.
    """

    orphans: tuple[Orphan, ...]
    awaited: int
    foreign: int
    unknown: int


def why_orphaned(submitter: Submitter, task: TaskState | None) -> tuple[Reason, str] | None:
    """Returns why no task waits for an active job; `None` if its task does."""
    if task is None:
        return Reason.ABSENT, "Airflow has no such task instance"
    if submitter.generation not in {"", task.generation}:
        return Reason.CLEARED, "the task was cleared since"
    if not task.is_finished:
        return None
    if task.state == "success":
        return Reason.SUCCEEDED, "the task succeeded without waiting for it"
    return Reason.FINISHED, f"the task is {task.state}"


@reporting_errors
def _orphans(options: argparse.Namespace, out: TextIO) -> int:
    with hook_of(options) as hook:
        findings = _find_orphans(hook)
        wanted = [
            orphan
            for orphan in findings.orphans
            if orphan.reason not in DOUBTFUL or orphan.reason in (options.also or ())
        ]
        if not options.as_json:
            _show(findings, out)
        outcomes = _cancel_wanted(hook, wanted, options) if options.cancel and wanted else []
    if options.as_json:
        print(json.dumps(_as_dict(findings, outcomes), indent=2, ensure_ascii=False), file=out)
    elif outcomes:
        show_outcomes(outcomes, out)
    return 0 if sum(one.is_done for one in outcomes) == len(wanted) else 1


def _find_orphans(hook: DliHook) -> Findings:
    from airflow_provider_dli.commands.task_instances import Submitter, read_task_states

    active = [batch for batch in hook.list_batches() if not batch.is_terminal]
    shown = [batch for one in active if (batch := _with_request(hook, one)) is not None]
    submitted = [(batch, Submitter.of(batch)) for batch in shown]
    ours = [(batch, submitter) for batch, submitter in submitted if submitter is not None]
    tasks = read_task_states(submitter.key for _, submitter in ours)
    orphans, awaited = [], 0
    for batch, submitter in ours:
        reason = why_orphaned(submitter, tasks.get(submitter.key))
        if reason is None:
            awaited += 1
        # The job of a task that is finished now may have ended since the listing.
        elif (again := _if_active(hook, batch)) is not None:
            orphans.append(Orphan(again, submitter, *reason))
    unknown = sum(batch.request is None for batch in shown)
    return Findings(tuple(orphans), awaited, len(shown) - len(ours) - unknown, unknown)


def _with_request(hook: DliHook, batch: SparkBatch) -> SparkBatch | None:
    """Returns a job with what a listing may leave out; `None` if it has ended meanwhile."""
    return _if_active(hook, batch) if batch.request is None else batch


def _if_active(hook: DliHook, batch: SparkBatch) -> SparkBatch | None:
    from airflow_provider_dli.api.protocol.errors import NotFoundError

    try:
        found = hook.get_batch(batch.id)
    except NotFoundError:
        return None
    return None if found.is_terminal else found


def _cancel_wanted(
    hook: DliHook, wanted: Collection[Orphan], options: argparse.Namespace
) -> list[Outcome]:
    count = f"{len(wanted)} {'job' if len(wanted) == 1 else 'jobs'}"
    if not is_agreed(options, f"Cancel {count} of project {hook.project_id}?"):
        return []
    return [_cancel_orphan(hook, orphan, options.timeout) for orphan in wanted]


def _cancel_orphan(hook: DliHook, orphan: Orphan, timeout: float) -> Outcome:
    from airflow_provider_dli.commands.task_instances import read_task_states

    # Meanwhile the task may have been cleared, and may have reconnected to its job.
    key = orphan.submitter.key
    reason = why_orphaned(orphan.submitter, read_task_states([key]).get(key))
    if reason is None or reason[0] is not orphan.reason:
        batch = orphan.batch
        return Outcome(batch.id, "left: its task has changed", False, batch.raw_state, batch.name)
    return cancel(hook, orphan.batch, timeout)


def _as_dict(findings: Findings, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    return {
        "orphans": [orphan.as_dict() for orphan in findings.orphans],
        "awaited": findings.awaited,
        "foreign": findings.foreign,
        "untold": findings.unknown,
        "cancelled": [asdict(outcome) for outcome in outcomes],
    }


def _show(findings: Findings, out: TextIO) -> None:
    printer = console(out)
    if findings.orphans:
        rows = (
            (
                orphan.batch.id,
                orphan.batch.raw_state,
                moment(orphan.batch.create_time),
                str(orphan.submitter.key),
                orphan.reason.value,
                orphan.why,
            )
            for orphan in findings.orphans
        )
        columns = ("id", "state", "created (UTC)", "task", "reason", "why")
        printer.print(table(columns, rows))
    counts = [
        f"{len(findings.orphans)} that no task waits for",
        f"{findings.awaited} that one does",
        f"{findings.foreign} that no task of this package submitted",
    ]
    if findings.unknown:
        counts.append(f"{findings.unknown} whose request DLI does not show")
    printer.print(f"Active jobs: {', '.join(counts)}")
    for reason in DOUBTFUL:
        count = sum(orphan.reason is reason for orphan in findings.orphans)
        if count:
            printer.print(f"{reason.capitalize()}: {count}, cancelled only with --also {reason}")


COMMAND = Command(
    name="orphans",
    help="Find running Spark jobs that no task waits for, and cancel them",
    description=(
        "Finds active jobs that a task of Airflow submitted and that no task waits for, with one "
        "of these reasons. finished: the task failed, was skipped or removed. cleared: the task "
        "was cleared since, and submits another job. succeeded: the task did not wait, as with "
        "wait_for_completion=False, and something else may wait. absent: Airflow has no such task "
        "instance, but another Airflow on the same project may have it. The last two are cancelled "
        "only if --also names them. Reads Airflow's database. Without --cancel it changes nothing. "
        "The exit status is 1 if finished or cleared jobs are left."
    ),
    arguments=(
        argument("--cancel", action="store_true", help="cancel those that are finished or cleared"),
        argument(
            "--also",
            action="append",
            choices=[reason.value for reason in DOUBTFUL],
            help="cancel these as well; can be given twice",
        ),
        YES,
        TIMEOUT,
        *CONNECTION,
        JSON,
    ),
    run=_orphans,
)
