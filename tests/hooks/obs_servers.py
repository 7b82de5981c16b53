# SPDX-License-Identifier: Apache-2.0
"""What stands between a client and the object store: it watches, answers itself, or cuts."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from builders import connection_json
from scenarios.servers import Answer, Asked, Server

Rule = Callable[[Asked], Answer | None]


@dataclass
class Front(Server):
    """A server before the store. `rule` may answer a request; else the store does."""

    rule: Rule = lambda _: None
    after: Callable[[Asked, Answer], Answer | None] = lambda *_: None
    connections: int = 0

    def parts(self) -> list[int]:
        """Give the numbers of the parts that were sent so far, in their order."""
        return [int(number) for one in self.asked for number in query(one).get("partNumber", [])]

    def methods(self) -> list[str]:
        """Give what was asked so far: verbs, and for uploads in parts the step."""
        return [step(one) for one in self.asked]


def query(asked: Asked) -> dict[str, list[str]]:
    return parse_qs(urlsplit(asked.path).query, keep_blank_values=True)


def step(asked: Asked) -> str:
    """Name a request by what it does."""
    names = query(asked)
    if "partNumber" in names:
        return "part"
    if "uploads" in names:
        return "begin" if asked.method == "POST" else "list uploads"
    if "uploadId" in names:
        return {"POST": "complete", "GET": "list parts", "DELETE": "abort"}[asked.method]
    return asked.method


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _FrontServer

    def answer(self) -> None:
        front = self.server.front
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        front.asked.append(asked)
        found = front.rule(asked)
        if found is None:
            stored = passed_on(self.server.store, at_the_store(asked))
            changed = front.after(asked, stored)
            found = stored if changed is None else changed
        if found == HANGS_UP:
            self.close_connection = True
        else:
            self.say(*found)

    def say(self, status: int, headers: Any, content: bytes) -> None:
        self.send_response_only(status)
        told = {name.lower(): value for name, value in headers.items()}
        told.setdefault("content-length", str(len(content)))
        for name, value in told.items():
            if name not in {"server", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - as the library asks

    def log_message(self, *_: object) -> None:
        pass


class _FrontServer(http.server.ThreadingHTTPServer):
    def __init__(self, front: Front, store: str) -> None:
        self.front = front
        self.store = store
        self._counting = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._counting:
            self.front.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._counting:
            self.front.connections -= 1

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no trouble here."""


def at_the_store(asked: Asked) -> Asked:
    """Turn what OBS itself was asked through a forward proxy into what the store understands."""
    if not asked.path.startswith("http"):
        return asked
    parts = urlsplit(asked.path)
    bucket = (parts.hostname or "").partition(".")[0]
    headers = {
        name.replace("x-obs-", "x-amz-"): value
        for name, value in asked.headers.items()
        if name not in {"authorization", "host"}
    }
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, Signature=d"
    path = f"/{bucket}{parts.path}?{parts.query}"
    return Asked(asked.method, path, headers, asked.body)


@contextmanager
def fronting(store: str, context: ssl.SSLContext | None = None) -> Iterator[Front]:
    """Run a server that passes on to the store what no rule answers."""
    front = Front(scheme="https" if context else "http")
    server = _FrontServer(front, urlsplit(store).netloc)
    front.port = server.server_port
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def passed_on(address: str, asked: Asked) -> Answer:
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        headers = {name: value for name, value in asked.headers.items() if name != "connection"}
        connection.request(asked.method, asked.path, asked.body or None, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


HANGS_UP: Any = ()
"""An answer that is none: the connection ends."""


def error(status: int, code: str, message: str = "words", **headers: str) -> Answer:
    """Give a refusal as OBS writes it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><Error>'
        f"<Code>{code}</Code><Message>{message}</Message><RequestId>request-1</RequestId></Error>"
    )
    return status, {"Content-Type": "application/xml", **headers}, body.encode()


class Line:
    """A network line to the store: `cuts` connections end when they have carried `after` bytes.

    A slow one waits for `pause` seconds after what it was given at once.
    """

    def __init__(self, store: str, cuts: int, after: int, pause: float) -> None:
        self.cuts = cuts
        self._after = after
        self._pause = pause
        self._lock = threading.Lock()
        parts = urlsplit(store)
        self._store = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._store) as store:
            back = threading.Thread(target=carry, args=(store, client), daemon=True)
            back.start()
            carry(client, store, self._goes_on)
            back.join()

    def _goes_on(self, carried: int) -> bool:
        time.sleep(self._pause)
        with self._lock:
            is_cut = carried >= self._after and self.cuts > 0
            self.cuts -= is_cut
        return not is_cut


def carry(
    source: socket.socket, target: socket.socket, goes_on: Callable[[int], bool] = lambda _: True
) -> None:
    carried = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            carried += len(data)
            target.sendall(data)
            if not goes_on(carried):
                break
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def line(store: str, *, cuts: int = 0, after: int = 0, pause: float = 0.0) -> Iterator[Line]:
    """Carry bytes to the store and back."""
    with contextlib.closing(Line(store, cuts, after, pause)) as it:
        yield it


def connection(endpoint: str, /, **extra: Any) -> str:
    """Give a connection to a store as JSON; `extra` replaces fields, also login and password."""
    fields = {
        "cloud": "huawei",
        "region": "eu-west-101",
        "project_id": "p1",
        "obs_endpoint": endpoint,
        "read_timeout": 5,
        **extra,
    }
    login, password = fields.pop("login", "ACCESSKEY1"), fields.pop("password", "canary-secret-key")
    return connection_json(fields, login=login, password=password)
