# SPDX-License-Identifier: Apache-2.0
"""Runs flows that transfer much data in several threads, and can be interrupted."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any
from weakref import WeakSet

from urllib3.connection import HTTPConnection

from airflow_provider_dli.api.protocol.errors import NotSentError
from airflow_provider_dli.api.protocol.wire import Response, Send
from airflow_provider_dli.transport.blocking import BlockingTransport
from airflow_provider_dli.transport.connections import Adapter

_SLICE = 0.5
"""Seconds after which a pause checks whether the transport was interrupted."""


class BulkTransport(BlockingTransport):
    """A blocking transport that threads share; `connections` is the number of threads.

    The other settings are those of `BlockingTransport`.
    """

    def __init__(self, *, connections: int, **settings: Any) -> None:
        self._lines = _Lines()
        super().__init__(adapter=Adapter(connections, self._lines.hold), **settings)

    @property
    def is_broken_off(self) -> bool:
        """Whether the transport was interrupted and sends nothing any more."""
        return self._lines.are_cut

    def break_off(self) -> None:
        """Interrupts all requests in all threads at once and for good; they fail."""
        self._lines.cut()

    def _send(self, send: Send) -> Response:
        self._go_on()
        return super()._send(send)

    def _pause(self, seconds: float) -> None:
        while seconds > 0:
            self._go_on()
            super()._pause(min(seconds, _SLICE))
            seconds -= _SLICE
        self._go_on()

    def _go_on(self) -> None:
        if self.is_broken_off:
            raise NotSentError(
                "The request was interrupted together with all others of this transfer."
            )


class _Lines:
    """The open connections, which can be cut while other threads use them."""

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
    # TLS within TLS, to a proxy, has another socket inside.
    inner = getattr(open_socket, "socket", open_socket)
    # Not the method of a TLS socket: it drops the encryption first, while another thread may be
    # sending. A socket that is already closed raises.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(inner, socket.SHUT_RDWR)
