# SPDX-License-Identifier: Apache-2.0
"""The Spark batch jobs of DLI without HTTP: what is stored, and what each call does.

Each call has its own page, from the submission to the cancellation:
https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html to dli_02_0129.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_dli.emulator.checks import invalid
from airflow_provider_dli.emulator.jobs.job import (
    BACKEND_LOG,
    Batch,
    batch_json,
    submission_json,
)
from airflow_provider_dli.emulator.jobs.listing import chosen, lines_json, number, page
from airflow_provider_dli.emulator.jobs.requests import Submission
from airflow_provider_dli.emulator.jobs.runs import Runner
from airflow_provider_dli.emulator.jobs.timelines import DEAD, STARTING, BatchTimelines, Script
from airflow_provider_dli.emulator.messages import JsonObject, RefusedError
from airflow_provider_dli.emulator.settings import Settings

_ID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class BatchService:
    """The batch jobs of all projects. Safe to use from several threads.

    `retention` is how many seconds a successful job is kept after its end; None = forever.
    `runner` runs the jobs that have no timeline of their own; None = they follow the default one.
    """

    def __init__(self, settings: Settings, timelines: BatchTimelines) -> None:
        self.retention = settings.batch_retention
        self.runner: Runner | None = None
        self._clock = settings.now
        self._owner = settings.users[0]
        self._timelines = timelines
        self._projects: dict[str, dict[str, Batch]] = {}
        # Reentrant, since a runner may report before its start returns.
        self._lock = threading.RLock()

    def submit(self, project_id: str, submission: Submission, resolved: JsonObject) -> JsonObject:
        """POST /batches. `resolved` is the submission for the runner."""
        with self._lock:
            batch = self._made(submission.body, STARTING, submitted=True)
            script = self._script(submission)
            if script is not None:
                batch.follow(script)
            answer = submission_json(batch, batch.created)
            self._jobs(project_id)[batch.id] = batch
            if script is None and self.runner is not None:
                self.runner.start(batch.id, resolved, _Report(batch, self._clock, self._lock))
            return answer

    def listing(self, project_id: str, query: Mapping[str, str]) -> JsonObject:
        """GET /batches.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0125.html; `start`, `end`,
        `order` and the default of `size` are in the vendor's SDK.
        """
        part = page(query)
        with self._lock:
            now = self._clock()
            jobs = chosen(self._known(project_id), query, now)
            sessions = [batch_json(batch, now, listed=True) for batch in jobs[part]]
        return {"from": part.start, "total": len(jobs), "sessions": sessions}

    def show(self, project_id: str, batch_id: str) -> JsonObject:
        """GET /batches/{batch_id}.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0126.html

        No error is documented for a missing job; the general table gives DLI.0002 with 400.
        """
        with self._lock:
            return batch_json(self._find(project_id, batch_id), self._clock())

    def state(self, project_id: str, batch_id: str) -> JsonObject:
        """GET /batches/{batch_id}/state.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0127.html
        """
        with self._lock:
            state = self._find(project_id, batch_id).state(self._clock())
        return {"id": batch_id, "state": state}

    def log(self, project_id: str, batch_id: str, query: Mapping[str, str]) -> JsonObject:
        """GET /batches/{batch_id}/log, deprecated by the vendor without a successor in the API.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html

        Without `type` and `index` it is the log of the service itself. The answer for a run that
        does not exist is undocumented; here it is an empty log.
        """
        kind = query.get("type") or ""
        if kind not in ("", "driver"):
            raise invalid(f"type must be driver, not {kind!r}")
        run = number(query, "index", 0)
        with self._lock:
            batch = self._find(project_id, batch_id)
            is_driver = kind or query.get("index")
            lines = batch.driver_log(self._clock(), run) if is_driver else BACKEND_LOG
        return lines_json(batch_id, lines, query)

    def cancel(self, project_id: str, batch_id: str) -> JsonObject:
        """DELETE /batches/{batch_id}.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0129.html

        It is documented that an ended job cannot be cancelled, but not the code of the error.
        """
        with self._lock:
            batch, now = self._find(project_id, batch_id), self._clock()
            if batch.has_ended(now):
                text = f"The batch job {batch_id} is {batch.state(now)} and cannot be canceled."
                raise RefusedError(400, "DLI.0001", text)
            batch.change(now, DEAD)
        self._end([batch_id])
        return {"msg": "deleted"}

    def put(self, project_id: str, request: object, state: object, *, listed: object) -> str:
        """Creates a job without a submission, and returns its id."""
        if request is not None and not isinstance(request, dict | str):
            raise ValueError(f"request must be the body of a submission, not {request!r}")
        if not isinstance(listed, bool):
            raise ValueError(f"listed must be true or false, not {listed!r}")
        batch = self._made(request, _word(state), listed=listed)
        with self._lock:
            self._jobs(project_id)[batch.id] = batch
        return batch.id

    def set_state(self, batch_id: str, state: object) -> None:
        """Sets the state of a job."""
        word = _word(state)
        with self._lock:
            self._any(batch_id).change(self._clock(), word)

    def write(self, batch_id: str, lines: object) -> None:
        """Appends to the driver log of a job's current run."""
        if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
            raise ValueError(f"log must be a list of lines, not {lines!r}")
        with self._lock:
            self._any(batch_id).write(self._clock(), lines)

    def all(self, project_id: str) -> dict[str, JsonObject]:
        """Returns the jobs of a project by id, each as the service shows it."""
        with self._lock:
            now = self._clock()
            return {batch.id: batch_json(batch, now) for batch in self._known(project_id)}

    def submissions(self) -> dict[str, int]:
        """Returns the number of submitted jobs by name, including those no longer kept."""
        with self._lock:
            names = [str(batch.asked("name")) for batch in self._every() if batch.submitted]
        return dict(Counter(names))

    def clear(self) -> None:
        """Removes all jobs, and ends those that run."""
        with self._lock:
            now = self._clock()
            active = [batch.id for batch in self._every() if not batch.has_ended(now)]
            self._projects.clear()
        self._end(active)

    def _end(self, batch_ids: Iterable[str]) -> None:
        # Outside the lock: the threads of the runner may be waiting for it to report.
        if self.runner is not None:
            for batch_id in batch_ids:
                self.runner.cancel(batch_id)

    def _made(
        self,
        request: JsonObject | str | None,
        state: str,
        *,
        listed: bool = True,
        submitted: bool = False,
    ) -> Batch:
        now = self._clock()
        return Batch(
            id=str(uuid.uuid4()),
            request=request,
            listed=listed,
            submitted=submitted,
            owner=self._owner,
            created=now,
            events=[(now, state)],
        )

    def _script(self, submission: Submission) -> Script | None:
        """Returns the script of a job; None if the runner runs it."""
        if submission.flaw is not None:
            return self._timelines.stillborn(submission.flaw)
        script = self._timelines.scripted(submission.fields.get("name", ""))
        if script is None:
            return None if self.runner is not None else self._timelines.default()
        return script.played(submission.retries)

    def _jobs(self, project_id: str) -> dict[str, Batch]:
        return self._projects.setdefault(project_id, {})

    def _known(self, project_id: str) -> list[Batch]:
        now, jobs = self._clock(), self._jobs(project_id).values()
        return [batch for batch in jobs if batch.exists(now, self.retention)]

    def _every(self) -> list[Batch]:
        return [batch for jobs in self._projects.values() for batch in jobs.values()]

    def _find(self, project_id: str, batch_id: str) -> Batch:
        if not _ID.fullmatch(batch_id):
            raise invalid(f"batch_id is invalid: {batch_id!r}")
        batch = self._jobs(project_id).get(batch_id)
        if batch is None or not batch.exists(self._clock(), self.retention):
            raise RefusedError(400, "DLI.0002", f"The batch job {batch_id} does not exist.")
        return batch

    def _any(self, batch_id: str) -> Batch:
        for batch in self._every():
            if batch.id == batch_id:
                return batch
        raise ValueError(f"batch_id must be that of a job, not {batch_id!r}")


@dataclass(frozen=True, slots=True)
class _Report:
    batch: Batch
    clock: Callable[[], float]
    lock: threading.RLock

    def state(self, word: str) -> None:
        with self.lock:
            now = self.clock()
            if not self.batch.has_ended(now):
                self.batch.change(now, word)

    def log(self, lines: Sequence[str]) -> None:
        with self.lock:
            now = self.clock()
            if not self.batch.has_ended(now):
                self.batch.write(now, lines)


def _word(state: object) -> str:
    # Undocumented states are allowed: a client has to cope with them.
    if not isinstance(state, str) or not state:
        raise ValueError(f"state must be a word such as 'running', not {state!r}")
    return state
