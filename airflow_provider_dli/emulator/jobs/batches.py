# SPDX-License-Identifier: Apache-2.0
"""Routes and answers the calls about Spark batch jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from airflow_provider_dli.emulator.checks import json_body
from airflow_provider_dli.emulator.gateway import unknown_api
from airflow_provider_dli.emulator.jobs.packages import JobPackages, named_objects
from airflow_provider_dli.emulator.jobs.requests import read_submission
from airflow_provider_dli.emulator.jobs.service import BatchService
from airflow_provider_dli.emulator.messages import Answer, Call
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.service import PackageService

Operation: TypeAlias = Callable[[], Awaitable[Answer]]


class Batches:
    """Answers the calls below /v2.0/{project_id}/batches."""

    def __init__(
        self, service: BatchService, packages: PackageService, object_store: ObjectStore | None
    ) -> None:
        self._service = service
        self._packages = packages
        self._object_store = object_store

    def find(self, call: Call) -> tuple[str, Operation]:
        """Returns the project and the operation of a call; raises RefusedError if unknown."""
        match call.segments:
            case ("v2.0", project_id, "batches", *names) if project_id and all(names):
                return project_id, partial(self._operation(call.method, names), call, project_id)
        raise unknown_api()

    def _operation(self, method: str, names: list[str]) -> Callable[[Call, str], Awaitable[Answer]]:
        match method, names:
            case "POST", []:
                return self._create
            case "GET", []:
                return self._list
            case "GET", [_]:
                return self._show
            case "GET", [_, "state"]:
                return self._state
            case "GET", [_, "log"]:
                return self._log
            case "DELETE", [_]:
                return self._cancel
        raise unknown_api()

    async def _create(self, call: Call, project_id: str) -> Answer:
        """POST /batches.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html

        The emulator has no queues: it accepts every name. Nor does it require an agency, without
        which Spark 3.3.1 cannot read from OBS.
        """
        submission = read_submission(json_body(call))
        # Everything it names first: a refused job changes nothing.
        resolved = JobPackages(self._packages, project_id).resolve(submission.fields)
        objects = named_objects(submission.fields)
        if self._object_store is not None:
            await asyncio.to_thread(self._object_store.check, objects)
        return Answer(200, self._service.submit(project_id, submission, resolved))

    async def _list(self, call: Call, project_id: str) -> Answer:
        return Answer(200, self._service.listing(project_id, call.query))

    async def _show(self, call: Call, project_id: str) -> Answer:
        return Answer(200, self._service.show(project_id, call.segments[3]))

    async def _state(self, call: Call, project_id: str) -> Answer:
        return Answer(200, self._service.state(project_id, call.segments[3]))

    async def _log(self, call: Call, project_id: str) -> Answer:
        return Answer(200, self._service.log(project_id, call.segments[3], call.query))

    async def _cancel(self, call: Call, project_id: str) -> Answer:
        # In a thread, since ending a running job may take some time.
        answer = await asyncio.to_thread(self._service.cancel, project_id, call.segments[3])
        return Answer(200, answer)
