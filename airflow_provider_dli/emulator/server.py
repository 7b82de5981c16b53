# SPDX-License-Identifier: Apache-2.0
"""Serves an emulator on a local port, in its own thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Unpack

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from airflow_provider_dli.emulator.app import application
from airflow_provider_dli.emulator.emulator import Emulator
from airflow_provider_dli.emulator.settings import Options

# Seconds that a current request may still take at the end, unless it waits for its client.
_GRACE_SECONDS = 0.02


@contextmanager
def running(
    *, host: str = "127.0.0.1", port: int = 0, **options: Unpack[Options]
) -> Iterator[Emulator]:
    """Runs an emulator until the block ends; port 0 selects a free one.

    The keywords are those of `airflow_provider_dli.emulator.settings.Settings`.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be a number from 0 to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        shown_host = f"[{host}]" if family == socket.AF_INET6 else host
        emulator = Emulator(f"http://{shown_host}:{listener.getsockname()[1]}", **options)
        with closing(emulator), _serving(application(emulator), listener):
            yield emulator


@contextmanager
def _serving(app: ASGIApp, listener: socket.socket) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dli-emulator", daemon=True)
    thread.start()
    server = _Server(app)
    try:
        asyncio.run_coroutine_threadsafe(server.start(listener), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Server:
    # The protocol of uvicorn without its server, which checks only every tenth of a second whether
    # to stop, and then waits for clients that keep their connections.

    def __init__(self, app: ASGIApp) -> None:
        self._config = Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._protocol, sock=listener))

    async def stop(self) -> None:
        for server in self._servers:
            await _stop_accepting(server)
            server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
        # The transports close in the next iteration of the loop.
        await asyncio.gather(asyncio.sleep(0), *tasks)

    def _protocol(self) -> asyncio.Protocol:
        return _Protocol(self._config, self._state, {})


async def _stop_accepting(server: asyncio.Server) -> None:
    # A server that is closed while it accepts logs an error for every waiting client.
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    # Clients that are being accepted get a few iterations to become connections.
    for _ in range(3):
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        super().connection_made(transport)
        # asyncio does so only for sockets that name their protocol, unlike accepted ones. Without
        # it every answer waits 40 ms for the client to acknowledge its headers.
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Passed to the application in its scope, for faults.
        self.app_state = {**self.app_state, "transport": transport}
        # The application logs its own line, without query and client.
        self.access_log = False
