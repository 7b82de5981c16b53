# SPDX-License-Identifier: Apache-2.0
"""An emulator on a port of this machine, served from a thread of its own."""

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

# What a request that is under way at the end may still take, unless it waits for its client.
_GRACE_SECONDS = 0.02


@contextmanager
def running(
    *, host: str = "127.0.0.1", port: int = 0, **options: Unpack[Options]
) -> Iterator[Emulator]:
    """An emulator that serves until the block ends; port 0 takes a free one.

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
    # uvicorn's protocol without uvicorn's server: that one looks only every tenth of a second
    # whether it shall stop, and then waits for clients that keep their connections.

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
        # The transports close in the next turn of the loop.
        await asyncio.gather(asyncio.sleep(0), *tasks)

    def _protocol(self) -> asyncio.Protocol:
        return _Protocol(self._config, self._state, {})


async def _stop_accepting(server: asyncio.Server) -> None:
    # A server that is closed while it accepts complains about every client at its door.
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    # The clients that are half in get a few turns of the loop to become connections.
    for _ in range(3):
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        super().connection_made(transport)
        # asyncio does so only for sockets that name their protocol, which accepted ones do not;
        # without it every answer waits 40 ms for the client to confirm its headers.
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Reaches the application in its scope, where a fault finds it.
        self.app_state = {**self.app_state, "transport": transport}
        # The application writes its own line, without query and client.
        self.access_log = False
