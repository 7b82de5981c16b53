# SPDX-License-Identifier: Apache-2.0
"""Responses to the client, complete or broken on purpose."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from email.utils import formatdate

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider_dli.emulator.messages import Answer

# Closes at once and drops unsent data: the peer sees a reset.
_LINGER_NOT = struct.pack("ii", 1, 0)


def render(answer: Answer, request_id: str, now: float) -> Response:
    """Returns the response for an answer, with the headers of every answer."""
    body = answer.body
    if isinstance(body, dict) and str(body.get("error_code", "")).startswith("APIG"):
        # The gateway repeats the request id in the body; DLI does not.
        body = {**body, "request_id": request_id}
    headers = {"Date": formatdate(now, usegmt=True), "X-Request-Id": request_id}
    if body is None or isinstance(body, str):
        return Response(body, answer.status, {**headers, **answer.headers})
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    headers["Content-Type"] = "application/json"
    return Response(content, answer.status, {**headers, **answer.headers})


class CutOff(Response):
    """The headers of another response and half of its body; then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body or b"{}", whole.status_code, dict(whole.headers))
        self.headers["content-length"] = str(len(self.body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()
        await client_leaves(receive)


class Reset(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Resets the connection."""
        transport = _transport(scope)
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
        await client_leaves(receive)


class Silence(Response):
    """No answer: the client has disconnected."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends nothing."""


async def client_leaves(receive: Receive) -> None:
    """Waits until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.WriteTransport:
    # Set by the protocol in server.py.
    transport: asyncio.WriteTransport = scope["state"]["transport"]
    return transport
