# SPDX-License-Identifier: Apache-2.0
"""Routes and answers the eight calls about packages and groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from airflow_provider_dli.emulator import checks
from airflow_provider_dli.emulator.gateway import unknown_api
from airflow_provider_dli.emulator.messages import Answer, Call
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.service import PackageService

Operation: TypeAlias = Callable[[], Awaitable[Answer]]

# The path is in lower case, the kind is not.
_KIND_OF_PATH = {"jars": "jar", "pyfiles": "pyFile", "files": "file"}


class Resources:
    """Answers the calls below /v2.0/{project_id}/resources."""

    def __init__(self, service: PackageService, object_store: ObjectStore | None) -> None:
        self._service = service
        self._object_store = object_store

    def find(self, call: Call) -> tuple[str, Operation]:
        """Returns the project and the operation of a call; raises RefusedError if unknown."""
        match call.segments:
            case ("v2.0", project_id, "resources", *names) if project_id:
                return project_id, partial(self._operation(call.method, names), call, project_id)
        raise unknown_api()

    def _operation(self, method: str, names: list[str]) -> Callable[[Call, str], Awaitable[Answer]]:
        match method, names:
            case "POST", []:
                return self._upload
            case "POST", [("jars" | "pyfiles" | "files")]:
                return self._upload_typed
            case "GET", []:
                return self._list
            case "GET", [name] if name:
                return self._show
            case "DELETE", [name] if name:
                return self._delete
            case "PUT", ["owner"]:
                return self._change_owner
        raise unknown_api()

    async def _upload(self, call: Call, project_id: str) -> Answer:
        return await self._store(project_id, checks.read_upload(checks.json_body(call)))

    async def _upload_typed(self, call: Call, project_id: str) -> Answer:
        kind = _KIND_OF_PATH[call.segments[-1]]
        return await self._store(project_id, checks.read_typed_upload(checks.json_body(call), kind))

    async def _store(self, project_id: str, upload: checks.Upload) -> Answer:
        if self._object_store is not None:
            # All objects first: a refused upload changes nothing.
            await asyncio.to_thread(self._object_store.check, upload.objects)
        return Answer(201, self._service.upload(project_id, upload))

    async def _list(self, call: Call, project_id: str) -> Answer:
        # An empty filter is ignored; undocumented.
        kind, tags = call.query.get("kind"), call.query.get("tags")
        return Answer(
            200,
            self._service.listing(
                project_id,
                checks.kind(kind) if kind else None,
                checks.tag_filter(tags) if tags else None,
            ),
        )

    async def _show(self, call: Call, project_id: str) -> Answer:
        return Answer(200, self._service.show(project_id, call.segments[-1], _group(call)))

    async def _delete(self, call: Call, project_id: str) -> Answer:
        self._service.delete(project_id, call.segments[-1], _group(call))
        return Answer(200)

    async def _change_owner(self, call: Call, project_id: str) -> Answer:
        change = checks.read_owner_change(checks.json_body(call))
        return Answer(200, self._service.change_owner(project_id, change))


def _group(call: Call) -> str | None:
    # Without it, the package outside of all groups is meant. An empty one is treated alike; this is
    # undocumented.
    return call.query.get("group") or None
