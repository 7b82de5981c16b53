# SPDX-License-Identifier: Apache-2.0
"""A Spark batch job as DLI stores and prints it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.jobs.requests import spelled_today
from airflow_provider_dli.emulator.jobs.timelines import DEAD, RECOVERING, SUCCESS, Script, is_word
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.packages import milliseconds

# A job with any of these in its request no longer has one of the sizes A, B and C.
_OWN_SIZE = ("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors")
# The defaults in the documented example of req_body.
_LISTS = ("jars", "pyFiles", "files", "modelFiles", "resources", "modules", "groups", "archives")
# The log of the service; all examples have these three lines.
BACKEND_LOG = ("stdout: ", "stderr: ", "YARN Diagnostics: ")

# When it begins, and the state from then on; None = the job no longer exists.
Event: TypeAlias = tuple[float, str | None]


@dataclass(slots=True, kw_only=True)
class Batch:
    """A job; times are in Unix seconds.

    `request` is the body of its submission: text if it is not JSON, None if the service does not
    show it. `listed` is whether listings show it. `submitted` is false for a job that was created
    without a submission. Events and lines in the future are those of a script.
    """

    id: str
    request: JsonObject | str | None
    listed: bool = True
    submitted: bool = False
    owner: str
    created: float
    events: list[Event]
    # When it is written, the run of the job, and the line.
    lines: list[tuple[float, int, str]] = field(default_factory=list)
    _fields: JsonObject = field(init=False)

    def __post_init__(self) -> None:
        self._fields = spelled_today(self.request) if isinstance(self.request, dict) else {}

    def asked(self, name: str) -> Any:
        """Returns a field of the request, empty if it is missing."""
        return self._fields.get(name, "")

    @property
    def queue(self) -> str:
        """The queue; the field also has an older name."""
        return str(self.asked("queue") or self.asked("cluster_name"))

    def follow(self, script: Script) -> None:
        """Applies a script from the time of the submission on."""
        self.events = [(self.created + after, state) for after, state in script.steps]
        for after, line in script.lines:
            at = self.created + after
            self.lines.append((at, self._run(at), line))

    def state(self, now: float) -> str | None:
        """Returns the state at a time; None if the job no longer exists."""
        return self._present(now)[1]

    def updated(self, now: float) -> float:
        """Returns when the current state began."""
        return self._present(now)[0]

    def has_ended(self, now: float) -> bool:
        """Whether the job has reached a final state."""
        return is_word(self.state(now), SUCCESS, DEAD)

    def exists(self, now: float, retention: float | None) -> bool:
        """Whether the job still exists, if successful jobs are kept for `retention` seconds."""
        at, state = self._present(now)
        if retention is not None and is_word(state, SUCCESS):
            return now < at + retention
        return state is not None

    def change(self, now: float, state: str) -> None:
        """Changes the state and drops the rest of a script."""
        self.events = [event for event in self.events if event[0] <= now] + [(now, state)]
        self.lines = [line for line in self.lines if line[0] <= now]

    def write(self, now: float, lines: Sequence[str]) -> None:
        """Appends to the driver log of the current run."""
        self.lines += [(now, self._run(now), line) for line in lines]

    def driver_log(self, now: float, run: int) -> list[str]:
        """Returns the driver log of a run, as far as it is written."""
        return [line for at, of_run, line in self.lines if of_run == run and at <= now]

    def duration(self, now: float) -> float:
        """Returns the seconds from the submission until now or until the end."""
        return (self.updated(now) if self.has_ended(now) else now) - self.created

    def _present(self, now: float) -> Event:
        return next((event for event in reversed(self.events) if event[0] <= now), self.events[0])

    def _run(self, at: float) -> int:
        return sum(begins <= at and is_word(state, RECOVERING) for begins, state in self.events)


def batch_json(batch: Batch, now: float, *, listed: bool = False) -> JsonObject:
    """Returns a job as DLI prints it; empty values are empty texts."""
    answer = {
        **submission_json(batch, now),
        "log": list(BACKEND_LOG),
        "duration": milliseconds(batch.duration(now)),
    }
    if batch.request is None or (listed and not batch.listed):
        return answer
    return answer | {"req_body": _req_body(batch.request)}


def submission_json(batch: Batch, now: float) -> JsonObject:
    """Returns the answer to a submission: without log, request and duration."""
    is_own_size = any(batch.asked(name) for name in _OWN_SIZE)
    return {
        "id": batch.id,
        "appId": "",
        "name": batch.asked("name"),
        "owner": batch.owner,
        "proxyUser": "",
        "state": batch.state(now),
        "kind": "",
        "log": [],
        "sc_type": "CUSTOMIZED" if is_own_size else batch.asked("sc_type") or "A",
        "cluster_name": batch.queue,
        "queue": batch.queue,
        "image": batch.asked("image"),
        "create_time": milliseconds(batch.created),
        "update_time": milliseconds(batch.updated(now)),
    }


def _req_body(request: JsonObject | str) -> str:
    if isinstance(request, str):
        return request
    return json.dumps({**{name: [] for name in _LISTS}, **request})
