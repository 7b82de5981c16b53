# SPDX-License-Identifier: Apache-2.0
"""DLI's Spark batch jobs: what is stored, which call a request is, and its answer.

Nothing runs here. Jobs are put there and get another state by the emulator's own methods.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.checks import invalid
from airflow_provider_dli.emulator.gateway import unknown_api
from airflow_provider_dli.emulator.messages import Answer, Call, JsonObject, RefusedError
from airflow_provider_dli.emulator.packages import milliseconds

Operation: TypeAlias = Callable[[], Awaitable[Answer]]

DEFAULT_SIZE = 100
ENDED = ("success", "dead")

_ID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# With any of these in its request a job has no longer one of the sizes A, B and C.
_OWN_SIZE = ("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors")
# What the documented sample of req_body holds where the request was silent.
_LISTS = ("jars", "pyFiles", "files", "modelFiles", "resources", "modules", "groups", "archives")


@dataclass(slots=True, kw_only=True)
class Batch:
    """One job; times are unix seconds.

    `request` is the body of its submission, as text something that is no JSON, and None something
    that the service does not tell. `listed` says whether a listing tells it.
    """

    id: str
    request: JsonObject | str | None
    listed: bool
    state: str
    owner: str
    created: float
    updated: float

    def asked(self, field: str) -> Any:
        """What the request says in a field; empty where it says nothing."""
        value = self.request.get(field) if isinstance(self.request, dict) else None
        return "" if value is None else value

    @property
    def queue(self) -> str:
        """Its queue; the field has an older name."""
        return str(self.asked("queue") or self.asked("cluster_name"))


class Batches:
    """Everything below /v2.0/{project_id}/batches. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._projects: dict[str, dict[str, Batch]] = {}
        self._lock = threading.Lock()

    def find(self, call: Call) -> tuple[str, Operation]:
        """The project that the path names and what the call asks for; RefusedError if unknown."""
        match (call.method, *call.segments):
            case ("GET", "v2.0", project_id, "batches") if project_id:
                return project_id, partial(self._list, call, project_id)
            case ("GET", "v2.0", project_id, "batches", batch_id) if project_id and batch_id:
                return project_id, partial(self._show, project_id, batch_id)
        raise unknown_api()

    def add(
        self, project_id: str, request: object, state: object, *, listed: object, owner: str
    ) -> str:
        """Have one more job, and give its id."""
        now = self._clock()
        if request is not None and not isinstance(request, dict | str):
            raise ValueError(f"request must be the body of a submission, not {request!r}")
        if not isinstance(listed, bool):
            raise ValueError(f"listed must be true or false, not {listed!r}")
        batch = Batch(
            id=str(uuid.uuid4()),
            request=request,
            listed=listed,
            state=_state(state),
            owner=owner,
            created=now,
            updated=now,
        )
        with self._lock:
            self._projects.setdefault(project_id, {})[batch.id] = batch
        return batch.id

    def set_state(self, batch_id: str, state: object) -> None:
        """Give a job another state, from now on."""
        word = _state(state)
        with self._lock:
            for jobs in self._projects.values():
                if batch_id in jobs:
                    jobs[batch_id].state, jobs[batch_id].updated = word, self._clock()
                    return
        raise ValueError(f"batch_id must be that of a job, not {batch_id!r}")

    def all(self, project_id: str) -> dict[str, JsonObject]:
        """The jobs of a project by id, each as the service shows it."""
        now = self._clock()
        with self._lock:
            jobs = self._projects.get(project_id, {})
            return {batch_id: _batch_json(batch, now) for batch_id, batch in jobs.items()}

    def clear(self) -> None:
        """Forget every job."""
        with self._lock:
            self._projects.clear()

    async def _list(self, call: Call, project_id: str) -> Answer:
        """GET /batches.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0125.html; `start`, `end`,
        `order` and the default of `size` stand in the vendor's SDK.

        What is listed first where no order is asked for is undocumented; here it is the newest.
        Neither is whether names and states may be given in part or in another case; here not.
        """
        query, now = call.query, self._clock()
        first, size = _number(query, "from", 0), _number(query, "size", DEFAULT_SIZE)
        with self._lock:
            jobs = [
                batch
                for batch in self._projects.get(project_id, {}).values()
                if _matches(batch, query)
            ]
        jobs = _ordered(jobs, query.get("order") or "CREATE_TIME_DESC", now)
        sessions = [_batch_json(batch, now, listed=True) for batch in jobs[first : first + size]]
        return Answer(200, {"from": first, "total": len(jobs), "sessions": sessions})

    async def _show(self, project_id: str, batch_id: str) -> Answer:
        """GET /batches/{batch_id}.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0126.html

        No error is documented for an absent job; the general table gives DLI.0002 with 400.
        """
        if not _ID.fullmatch(batch_id):
            raise invalid(f"batch_id is invalid: {batch_id!r}")
        with self._lock:
            batch = self._projects.get(project_id, {}).get(batch_id)
        if batch is None:
            raise RefusedError(400, "DLI.0002", f"The batch job {batch_id} does not exist.")
        return Answer(200, _batch_json(batch, self._clock()))


def _matches(batch: Batch, query: Mapping[str, str]) -> bool:
    wanted = {
        "job_name": batch.asked("name"),
        "job-id": batch.id,
        "queue_name": batch.queue,
        "cluster_name": batch.queue,
        "state": batch.state,
        "owner": batch.owner,
    }
    # An empty filter counts as none, as the page says of cluster_name.
    if any(query.get(name) and query[name] != value for name, value in wanted.items()):
        return False
    created = milliseconds(batch.created)
    return _number(query, "start", 0) <= created <= _number(query, "end", created)


def _ordered(jobs: list[Batch], order: str, now: float) -> list[Batch]:
    keys: dict[str, Callable[[Batch], float]] = {
        "CREATE_TIME": lambda batch: batch.created,
        "DURATION": lambda batch: _duration(batch, now),
    }
    key, _, direction = order.rpartition("_")
    if key not in keys or direction not in ("ASC", "DESC"):
        raise invalid(f"order is invalid: {order!r}")
    # Of the same moment those that came later are the newer ones.
    ascending = sorted(jobs, key=keys[key])
    return ascending[::-1] if direction == "DESC" else ascending


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not text.isdecimal():
        raise invalid(f"{name} must be a whole number from 0 on, not {text!r}")
    return int(text)


def _state(word: object) -> str:
    # Words that DLI does not document are allowed: a client has to survive them.
    if not isinstance(word, str) or not word:
        raise ValueError(f"state must be a word such as 'running', not {word!r}")
    return word


def _duration(batch: Batch, now: float) -> float:
    return (batch.updated if batch.state in ENDED else now) - batch.created


def _batch_json(batch: Batch, now: float, *, listed: bool = False) -> JsonObject:
    """A job as DLI prints it; what is empty it prints as empty text."""
    is_own_size = any(batch.asked(field) for field in _OWN_SIZE)
    answer = {
        "id": batch.id,
        "appId": "",
        "name": batch.asked("name"),
        "owner": batch.owner,
        "proxyUser": "",
        "state": batch.state,
        "kind": "",
        "log": ["stdout: ", "stderr: ", "YARN Diagnostics: "],
        "sc_type": "CUSTOMIZED" if is_own_size else batch.asked("sc_type") or "A",
        "cluster_name": batch.queue,
        "queue": batch.queue,
        "image": batch.asked("image"),
        "create_time": milliseconds(batch.created),
        "update_time": milliseconds(batch.updated),
        "duration": milliseconds(_duration(batch, now)),
    }
    if batch.request is None or (listed and not batch.listed):
        return answer
    return answer | {"req_body": _req_body(batch.request)}


def _req_body(request: JsonObject | str) -> str:
    if isinstance(request, str):
        return request
    return json.dumps({**{name: [] for name in _LISTS}, **request})
