# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: the control path, and DLI, IAM and the metadata service with faults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_dli.emulator.control import PREFIX, control
from airflow_provider_dli.emulator.emulator import Emulator
from airflow_provider_dli.emulator.gateway import MAX_BODY_BYTES
from airflow_provider_dli.emulator.messages import Answer, Call, RefusedError
from airflow_provider_dli.emulator.record import Record
from airflow_provider_dli.emulator.responses import CutOff, Reset, Silence, client_leaves, render

_log = logging.getLogger("airflow_provider_dli.emulator")


def application(emulator: Emulator) -> ASGIApp:
    """Returns the application that serves an emulator."""
    return Starlette(routes=[Mount(PREFIX, control(emulator)), Mount("/", _Services(emulator))])


class _Services:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Stopping cancels current requests, whose clients then get no answer.
        with contextlib.suppress(ClientDisconnect, asyncio.CancelledError):
            call = await _read(Request(scope, receive))
            if self._emulator.latency:
                await asyncio.sleep(self._emulator.latency)
            response = await self._respond(call, receive)
            await response(scope, receive, send)

    async def _respond(self, call: Call, receive: Receive) -> Response:
        request_id = uuid.uuid4().hex
        fault = self._emulator.faults.take(call)
        if fault is None:
            return self._noted(call, request_id, await self._answer(call))
        answer = await self._answer(call) if fault.when == "after" else None
        if fault.action == "reset":
            self._note(call, request_id, "reset")
            return Reset()
        if fault.action == "hang":
            # Recorded before the wait, so that a test sees the request while it hangs.
            self._note(call, request_id, "hang")
            try:
                async with asyncio.timeout(fault.seconds):
                    await client_leaves(receive)
            except TimeoutError:
                return self._render(answer or await self._answer(call), request_id)
            return Silence()
        if fault.action == "cut-off":
            self._note(call, request_id, "cut-off")
            return CutOff(self._render(answer or fault.answer(), request_id))
        return self._noted(call, request_id, fault.answer())

    async def _answer(self, call: Call) -> Answer:
        emulator = self._emulator
        try:
            if call.service == "iam":
                return emulator.iam.answer(call)
            if call.service == "metadata":
                return emulator.metadata.answer(call)
            is_batch = call.segments[2:3] == ("batches",)
            service = emulator.jobs if is_batch else emulator.resources
            project_id, operation = service.find(call)
            emulator.gateway.admit(call, project_id)
            return await operation()
        except RefusedError as refusal:
            return refusal.answer()

    def _noted(self, call: Call, request_id: str, answer: Answer) -> Response:
        self._note(call, request_id, answer.status)
        return self._render(answer, request_id)

    def _note(self, call: Call, request_id: str, status: int | str) -> None:
        now = self._emulator.settings.now()
        self._emulator.record(Record.of(call, status, request_id, now))
        _log.info("%s %s %s", call.method, call.raw_path, status)

    def _render(self, answer: Answer, request_id: str) -> Response:
        return render(answer, request_id, self._emulator.settings.now())


async def _read(request: Request) -> Call:
    size, chunks = 0, []
    async for chunk in request.stream():
        size += len(chunk)
        # A body that is too long is still read to its end, so that the client gets the answer.
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Call(
        method=request.method,
        raw_path=request.scope["raw_path"].decode("ascii"),
        raw_query=request.scope["query_string"].decode("ascii"),
        headers=headers,
        body=b"".join(chunks),
        oversize=size > MAX_BODY_BYTES,
    )
