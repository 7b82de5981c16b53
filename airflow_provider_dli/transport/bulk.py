# SPDX-License-Identifier: Apache-2.0
"""Runs flows that move much data, from many threads at once, and can be broken off."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import requests
from urllib3.connection import HTTPConnection

from airflow_provider_dli.transport.blocking import BlockingTransport
from airflow_provider_dli.transport.connections import Adapter

PIECE = 64 * 1024
"""Bytes that go to a socket at once. A timeout is for each of them: Python counts it for the whole
of what a socket is given, and megabytes take long on a slow line."""


class BulkTransport(BlockingTransport):
    """A blocking transport that threads may share; `connections` is how many of them.

    The other settings are those of `BlockingTransport`.
    """

    def __init__(self, *, connections: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._lines = _Lines()
        self._mount(_Adapter(connections, self._lines.hold))

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


def _shut(connection: HTTPConnection) -> None:
    open_socket: Any = connection.sock
    # TLS inside of TLS, to a proxy, has a socket of its own inside.
    inner = getattr(open_socket, "socket", open_socket)
    # Not the method of a TLS socket: that one drops the encryption first, while another thread may
    # be sending. A socket that is gone already raises.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(inner, socket.SHUT_RDWR)


class _Adapter(Adapter):
    def send(self, request: requests.PreparedRequest, *rest: Any, **settings: Any) -> Any:
        if isinstance(request.body, bytes) and len(request.body) > PIECE:
            # Its length is in the headers already, so that it does not go chunked.
            request.body = _Pieces(request.body)  # type: ignore[assignment]  # any iterable will do
        return super().send(request, *rest, **settings)


class _Pieces:
    """A body in pieces, none of them copied."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self._body), PIECE):
            yield self._body[start : start + PIECE]
