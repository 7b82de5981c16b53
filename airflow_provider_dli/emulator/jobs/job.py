# SPDX-License-Identifier: Apache-2.0
"""A Spark batch job as DLI keeps it, and how DLI prints it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.jobs.requests import spelled_today
from airflow_provider_dli.emulator.jobs.timelines import DEAD, RECOVERING, SUCCESS, Script, is_word
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.packages import milliseconds

# With any of these in its request a job has no longer one of the sizes A, B and C.
_OWN_SIZE = ("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors")
# What the documented sample of req_body holds where the request was silent.
_LISTS = ("jars", "pyFiles", "files", "modelFiles", "resources", "modules", "groups", "archives")
# What the service prints of itself; all examples have these three lines.
BACKEND_LOG = ("stdout: ", "stderr: ", "YARN Diagnostics: ")

# When it begins, and the state from then on; None = the service no longer knows the job.
Event: TypeAlias = tuple[float, str | None]


@dataclass(slots=True, kw_only=True)
class Batch:
    """One job; times are unix seconds.

    `request` is the body of its submission, as text something that is no JSON, and None something
    that the service does not tell. `listed` says whether a listing tells it. `submitted` is false
    for a job that was put there. Events and lines that lie in the future are those of a script.
    """

    id: str
    request: JsonObject | str | None
    listed: bool = True
    submitted: bool = False
    owner: str
    created: float
    events: list[Event]
    # When it is written, by which run of the job, and the line.
    lines: list[tuple[float, int, str]] = field(default_factory=list)
    _fields: JsonObject = field(init=False)

    def __post_init__(self) -> None:
        self._fields = spelled_today(self.request) if isinstance(self.request, dict) else {}

    def asked(self, name: str) -> Any:
        """What the request says in a field; empty where it says nothing."""
        return self._fields.get(name, "")

    @property
    def queue(self) -> str:
        """Its queue; the field has an older name."""
        return str(self.asked("queue") or self.asked("cluster_name"))

    def follow(self, script: Script) -> None:
        """Let the script become true from the moment of the submission on."""
        self.events = [(self.created + after, state) for after, state in script.steps]
        for after, line in script.lines:
            at = self.created + after
            self.lines.append((at, self._run(at), line))

    def state(self, now: float) -> str | None:
        """The state at this time; None when the service no longer knows the job."""
        return self._present(now)[1]

    def updated(self, now: float) -> float:
        """When the present state began."""
        return self._present(now)[0]

    def has_ended(self, now: float) -> bool:
        """Whether nothing more is expected to happen to it."""
        return is_word(self.state(now), SUCCESS, DEAD)

    def exists(self, now: float, retention: float | None) -> bool:
        """Whether the service still knows the job, with records of success kept for so long."""
        at, state = self._present(now)
        if retention is not None and is_word(state, SUCCESS):
            return now < at + retention
        return state is not None

    def change(self, now: float, state: str) -> None:
        """Be in another state from now on; what a script had in store is off."""
        self.events = [event for event in self.events if event[0] <= now] + [(now, state)]
        self.lines = [line for line in self.lines if line[0] <= now]

    def write(self, now: float, lines: Sequence[str]) -> None:
        """Append to the driver log of the present run."""
        self.lines += [(now, self._run(now), line) for line in lines]

    def driver_log(self, now: float, run: int) -> list[str]:
        """The driver log of one run of the job, as far as it is written."""
        return [line for at, of_run, line in self.lines if of_run == run and at <= now]

    def duration(self, now: float) -> float:
        """For how many seconds it has been there, or was until its end."""
        return (self.updated(now) if self.has_ended(now) else now) - self.created

    def _present(self, now: float) -> Event:
        return next((event for event in reversed(self.events) if event[0] <= now), self.events[0])

    def _run(self, at: float) -> int:
        return sum(begins <= at and is_word(state, RECOVERING) for begins, state in self.events)


def batch_json(batch: Batch, now: float, *, listed: bool = False) -> JsonObject:
    """A job as DLI prints it; what is empty it prints as empty text."""
    answer = {
        **submission_json(batch, now),
        "log": list(BACKEND_LOG),
        "duration": milliseconds(batch.duration(now)),
    }
    if batch.request is None or (listed and not batch.listed):
        return answer
    return answer | {"req_body": _req_body(batch.request)}


def submission_json(batch: Batch, now: float) -> JsonObject:
    """A job as DLI prints it in answer to its submission: without log, request and duration."""
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
