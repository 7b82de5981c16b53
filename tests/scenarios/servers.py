"""Servers that are no DLI: what stands in its place, before it, or nowhere."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request as it came: of a proxy the path is a whole address, or host and port."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Server:
    """A server of this machine and what it was asked."""

    port: int = 0
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


Answer = tuple[int, Mapping[str, str], bytes]


@contextmanager
def serving(
    answer: Answer | Callable[[Asked], Answer], context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Answer every request with status, headers and body; keeps connections alive."""
    asked = Server(scheme="https" if context else "http")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Asked(
                self.command, self.path, {n.lower(): v for n, v in self.headers.items()}
            )
            asked.asked.append(request)
            status, headers, body = answer(request) if callable(answer) else answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PUT = do_CONNECT = answer  # noqa: N815 - as the library asks

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that leaves is no trouble here."""

    server = Quiet(("127.0.0.1", 0), Handler)
    asked.port = server.server_port
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(**groups: Mapping[str, str]) -> Answer:
    """Give the answer of a listing with these groups, each with states by package."""
    entries = [
        {
            "group_name": name,
            "status": "READY",
            "details": [{"resource_name": p, "status": s} for p, s in packages.items()],
        }
        for name, packages in groups.items()
    ]
    body: dict[str, Any] = {"resources": [], "groups": entries, "modules": []}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()
