# SPDX-License-Identifier: Apache-2.0
"""Runs flows that move much data, from many threads at once, and can be broken off."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, TypeVar
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_dli.transport.blocking import BlockingTransport

PIECE = 64 * 1024
"""Bytes that go to a socket at once. A timeout is for each of them: Python counts it for the whole
of what a socket is given, and megabytes take long on a slow line."""

_C = TypeVar("_C", bound=HTTPConnection)


class BulkTransport(BlockingTransport):
    """A blocking transport that threads may share; `connections` is how many of them.

    The other settings are those of `BlockingTransport`.
    """

    def __init__(self, *, connections: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._lines = _Lines()
        adapter = _Adapter(self._lines, connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    @property
    def is_broken_off(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._lines.are_cut

    def break_off(self) -> None:
        """End at once what is under way in any thread, for good; the requests there fail."""
        self._lines.cut()


class _Lines:
    """The connections that are open, so that they can be cut while other threads use them."""

    def __init__(self) -> None:
        self.are_cut = False
        self._lock = threading.Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()

    def hold(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._open.add(connection)
            if self.are_cut:
                _shut(connection)

    def cut(self) -> None:
        with self._lock:
            self.are_cut = True
            for connection in self._open:
                _shut(connection)

    def held(self, kind: type[_C]) -> type[_C]:
        """Give a kind of connection that is held from when it is open."""

        def connect(connection: Any) -> None:
            kind.connect(connection)
            self.hold(connection)

        return type(kind.__name__, (kind,), {"connect": connect})


def _shut(connection: HTTPConnection) -> None:
    open_socket: Any = connection.sock
    # TLS inside of TLS, to a proxy, has a socket of its own inside.
    inner = getattr(open_socket, "socket", open_socket)
    # Not the method of a TLS socket: that one drops the encryption first, while another thread may
    # be sending. A socket that is gone already raises.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(inner, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    def __init__(self, lines: _Lines, connections: int) -> None:
        self._pools = {
            "http": _pool(HTTPConnectionPool, lines.held(HTTPConnection)),
            "https": _pool(HTTPSConnectionPool, lines.held(HTTPSConnection)),
        }
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **settings)
        if not proxy.lower().startswith("socks"):  # it has pools of its own
            manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, request: requests.PreparedRequest, *rest: Any, **settings: Any) -> Any:
        if isinstance(request.body, bytes) and len(request.body) > PIECE:
            # Its length is in the headers already, so that it does not go chunked.
            request.body = _Pieces(request.body)  # type: ignore[assignment]  # any iterable will do
        return super().send(request, *rest, **settings)


def _pool(kind: type[Any], connection: type[HTTPConnection]) -> type[Any]:
    return type(kind.__name__, (kind,), {"ConnectionCls": connection})


class _Pieces:
    """A body in pieces, none of them copied."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self._body), PIECE):
            yield self._body[start : start + PIECE]
