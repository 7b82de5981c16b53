# SPDX-License-Identifier: Apache-2.0
"""Connections for requests that track how far a request got, and enforce its time limit.

requests has a timeout for each read but none for a whole request, and raises the same errors before
a request was sent and after it was read. urllib3 handles a request in the calling thread, so each
thread has one current request.
"""

from __future__ import annotations

import http.client
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

from airflow_provider_dli.transport.body import length_of
from airflow_provider_dli.transport.failures import UnreadableAnswerError
from airflow_provider_dli.transport.progress import Progress

PIECE = 1024 * 1024
"""Bytes offered to a socket at once, which takes as many as fit."""

TLS_PIECE = 64 * 1024
"""The same for TLS, which takes all or nothing: the timeout covers all of them, and more would take
long on a slow line."""

_C = TypeVar("_C", bound=HTTPConnection)

_here = threading.local()


@contextmanager
def under_way(progress: Progress) -> Iterator[None]:
    """Makes this thread's connections track a request and enforce its time limit."""
    before, _here.progress = _progress(), progress
    try:
        yield
    finally:
        _here.progress = before


def _progress() -> Progress | None:
    found: Progress | None = getattr(_here, "progress", None)
    return found


class Adapter(HTTPAdapter):
    """Opens such connections, and keeps up to `connections` of them for reuse.

    `opened` is called with each new connection.
    """

    def __init__(
        self, connections: int, opened: Callable[[HTTPConnection], None] = lambda _: None
    ) -> None:
        self._pools = {
            "http": _pool(HTTPConnectionPool, _timed(HTTPConnection, opened)),
            "https": _pool(HTTPSConnectionPool, _timed(HTTPSConnection, opened)),
        }
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        """Creates pools of tracked connections."""
        super().init_poolmanager(*arguments, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Creates pools of tracked connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **settings)
        if not proxy.lower().startswith("socks"):  # it has pools of its own
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pool(kind: type[Any], connection: type[HTTPConnection]) -> type[Any]:
    return type(kind.__name__, (kind,), {"ConnectionCls": connection})


def _timed(kind: type[_C], opened: Callable[[HTTPConnection], None]) -> type[_C]:
    """Returns a connection class that tracks the current request."""
    piece = TLS_PIECE if issubclass(kind, HTTPSConnection) else PIECE

    class Timed(kind):  # type: ignore[valid-type, misc]  # mypy knows no class made of another
        response_class = _Response
        sock: Any
        timeout: Any
        _is_connecting = False

        def connect(self) -> None:
            progress = _progress()
            if progress is not None and isinstance(self.timeout, int | float):
                self.timeout = min(self.timeout, progress.left)
            self._is_connecting = True
            try:
                super().connect()
            finally:
                self._is_connecting = False
            opened(self)

        def putrequest(self, method: str, url: str, *rest: Any, **settings: Any) -> None:
            super().putrequest(method, _as_signed(url), *rest, **settings)

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            progress = _progress()
            # What is sent to a proxy while connecting is not the request.
            if progress is None or self._is_connecting:
                super().send(data)
                return
            each = self.sock.gettimeout()
            left = memoryview(data)
            while left:
                _limit(self.sock, each, progress)
                progress.is_sent = True
                count = self.sock.send(left[:piece])
                progress.moved += count
                left = left[count:]

    Timed.__name__ = Timed.__qualname__ = kind.__name__
    return Timed


def _as_signed(url: str) -> str:
    """Returns the signed target of the request; requests and urllib3 normalise slashes and dots."""
    progress = _progress()
    if progress is None:
        return url
    request = progress.send.request
    return request.target if url.startswith("/") else request.url


def _limit(sock: Any, each: float | None, progress: Progress) -> None:
    """Limits the next operation of a socket to `each` seconds and to the time left."""
    sock.settimeout(progress.left if each is None else min(each, progress.left))


class _Response(http.client.HTTPResponse):
    """An answer whose head is complete; a truncated head is an error."""

    def __init__(self, sock: Any, *arguments: Any, **settings: Any) -> None:
        super().__init__(_Source(sock), *arguments, **settings)  # type: ignore[arg-type]  # it needs no more

    def _read_status(self) -> tuple[str, int, str]:
        # Up to Python 3.14 at least, http.client treats interim answers other than 100 as final.
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in typeshed
            if not 102 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        try:
            super().begin()
            _check(self.headers)
        except BaseException:
            self.close()
            raise


def _check(headers: http.client.HTTPMessage) -> None:
    """Raises `UnreadableAnswerError` if the head of an answer is malformed."""
    is_readable = True
    try:
        assert_header_parsing(headers)
    except HeaderParsingError:
        is_readable = False
    if not is_readable:  # outside the handler, whose error quotes headers
        raise UnreadableAnswerError("it has a header that cannot be read")
    lengths = headers.get_all("content-length")
    if lengths:
        length_of(", ".join(lengths))


class _Source:
    """The source that an answer is read from."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, _: str) -> io.BufferedReader:
        return _Lines(_TimedReads(self._sock))


class _Lines(io.BufferedReader):
    """Reads complete lines only: http.client takes the end of the stream for the end of a head."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and not (size is not None and 0 <= size <= len(line)):
            raise http.client.RemoteDisconnected(
                "the connection was closed before the head of an answer was complete"
            )
        return line


class _TimedReads(io.RawIOBase):
    """Reads a socket within the time limit of the current request."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._each: float | None = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        progress = _progress()
        if progress is not None:
            _limit(self._sock, self._each, progress)
        count: int | None = self._raw.readinto(buffer)
        if progress is not None:
            progress.moved += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
