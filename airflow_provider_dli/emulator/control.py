# SPDX-License-Identifier: Apache-2.0
"""The control path: inspects and changes an emulator over HTTP, without credentials."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_dli.emulator.emulator import Emulator
from airflow_provider_dli.emulator.faults import Fault
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.settings import seconds, seconds_or_never

_T = TypeVar("_T")

# The settings that may be changed while it runs, with their checks.
_SETTINGS: dict[str, Callable[[str, object], float | None]] = {
    "latency": seconds,
    "upload_seconds": seconds,
    "batch_seconds": seconds,
    "batch_retention": seconds_or_never,
}

# No path of DLI begins with this.
PREFIX = "/_emulator"


def control(emulator: Emulator) -> Starlette:
    """Returns the application for the control path of an emulator."""
    controls = _Controls(emulator)
    return Starlette(
        routes=[
            Route("/state", controls.state, methods=["GET"]),
            Route("/faults", controls.add_fault, methods=["POST"]),
            Route("/faults", controls.clear_faults, methods=["DELETE"]),
            Route("/settings", controls.change_settings, methods=["PUT"]),
            Route("/timelines", controls.set_timeline, methods=["POST"]),
            Route("/timelines", controls.clear_timelines, methods=["DELETE"]),
            Route("/batch-timelines", controls.set_batch_timeline, methods=["POST"]),
            Route("/batch-timelines", controls.clear_batch_timelines, methods=["DELETE"]),
            Route("/batches", controls.add_batch, methods=["POST"]),
            Route("/batches/{batch_id}", controls.change_batch, methods=["PUT"]),
            Route("/requests", controls.requests, methods=["GET"]),
            Route("/requests", controls.clear_requests, methods=["DELETE"]),
            Route("/credentials", controls.expire_credentials, methods=["DELETE"]),
            Route("/keys", controls.rotate_keys, methods=["PUT"]),
            Route("/reset", controls.reset, methods=["POST"]),
        ],
        exception_handlers={_BadInputError: _explain},
    )


class _BadInputError(Exception):
    """A request to the control path is invalid."""


async def _explain(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


class _Controls:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def state(self, _: Request) -> Response:
        return JSONResponse(self._emulator.state())

    async def add_fault(self, request: Request) -> Response:
        body = await _body(request)
        fault = _understood(lambda: Fault.from_json(body))
        self._emulator.add_fault(fault)
        return JSONResponse(fault.as_json(), 201)

    async def clear_faults(self, _: Request) -> Response:
        self._emulator.clear_faults()
        return Response(status_code=204)

    async def change_settings(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, *_SETTINGS)
        # All are checked before any is changed.
        checked = _understood(lambda: {name: _SETTINGS[name](name, body[name]) for name in body})
        for name, value in checked.items():
            setattr(self._emulator, name, value)
        return JSONResponse(self._emulator.state()["settings"])

    async def set_timeline(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, "pattern", "timeline")
        pattern, timeline = body.get("pattern", ""), body.get("timeline", [])
        _understood(lambda: self._emulator.set_timeline(pattern, timeline))
        return JSONResponse(body, 201)

    async def clear_timelines(self, _: Request) -> Response:
        self._emulator.clear_timelines()
        return Response(status_code=204)

    async def set_batch_timeline(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, "pattern", "timeline", "log")
        pattern, timeline, log = (body.get(name, ()) for name in ("pattern", "timeline", "log"))
        _understood(lambda: self._emulator.set_batch_timeline(pattern, timeline, log))
        return JSONResponse(body, 201)

    async def clear_batch_timelines(self, _: Request) -> Response:
        self._emulator.clear_batch_timelines()
        return Response(status_code=204)

    async def add_batch(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, "request", "state", "listed")
        options = {"request": None, **body}
        batch_id = _understood(lambda: self._emulator.add_batch(**options))
        return JSONResponse({"id": batch_id}, 201)

    async def change_batch(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, "state", "log")
        batch_id = request.path_params["batch_id"]
        # The lines first: they may be the last ones of a run.
        if "log" in body:
            _understood(lambda: self._emulator.write_batch_log(batch_id, body["log"]))
        if body.keys() != {"log"}:
            state = body.get("state", "")
            _understood(lambda: self._emulator.set_batch_state(batch_id, state))
        return Response(status_code=204)

    async def requests(self, _: Request) -> Response:
        return JSONResponse([record.as_json() for record in self._emulator.requests])

    async def clear_requests(self, _: Request) -> Response:
        self._emulator.clear_requests()
        return Response(status_code=204)

    async def expire_credentials(self, _: Request) -> Response:
        self._emulator.expire_credentials()
        return Response(status_code=204)

    async def rotate_keys(self, request: Request) -> Response:
        body = await _body(request)
        _only(body, "access_key", "secret_key")
        access_key, secret_key = body.get("access_key"), body.get("secret_key")
        if not isinstance(access_key, str) or not isinstance(secret_key, str):
            raise _BadInputError("access_key and secret_key must be text")
        _understood(lambda: self._emulator.rotate_keys(access_key, secret_key))
        return Response(status_code=204)

    async def reset(self, _: Request) -> Response:
        self._emulator.reset()
        return Response(status_code=204)


async def _body(request: Request) -> JsonObject:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise _BadInputError("the body is no JSON") from None
    if not isinstance(body, dict):
        raise _BadInputError("the body must be a JSON object")
    return body


def _only(body: JsonObject, *known: str) -> None:
    for name in body:
        if name not in known:
            raise _BadInputError(f"{name} is not a field here; these are: {', '.join(known)}")


def _understood(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except ValueError as error:
        raise _BadInputError(str(error)) from error
