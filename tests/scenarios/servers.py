"""Servers that are no DLI: what stands in its place, before it, or nowhere."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builders import group_entry, listing_body
from eventually import at_last


@dataclass(frozen=True)
class Asked:
    """A request as it came: of a proxy the path is a whole address, or host and port."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


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
        # Headers and body are written apart; the second would wait for the first's confirmation.
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, body)
            asked.asked.append(request)
            status, told, content = answer(request) if callable(answer) else answer
            self.send_response(status)
            for name, value in {**told, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

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
    """Returns the answer of a listing with these groups, each with states by package."""
    body = listing_body(*(group_entry(states, name) for name, states in groups.items()))
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


@contextmanager
def speaking(
    *, after: bytes, says: bytes = b"", context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Send the same bytes to every client once it has sent `after`, and hang up.

    With empty `after` nothing is read, and with empty `says` nothing is said.
    """
    spoken = Server(scheme="https" if context else "http")

    def talk(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            heard = b""
            while after not in heard:
                more = client.recv(65536)
                if not more:
                    return
                heard += more
            spoken.asked.append(Asked("", heard.decode("latin-1"), {}))
            client.sendall(says)

    def serve() -> None:
        # Closing the listener ends it.
        with contextlib.suppress(OSError):
            while True:
                talk(listener.accept()[0])

    listener = socket.create_server(("127.0.0.1", 0))
    spoken.port = listener.getsockname()[1]
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield spoken
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def silent() -> Iterator[Server]:
    """Take connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Server(listener.getsockname()[1])


@dataclass
class ForwardProxy:
    """A proxy that nobody here wrote, in a process of its own."""

    port: int
    user: str
    password: str
    log: Path

    @property
    def address(self) -> str:
        return f"http://{self.user}:{self.password}@127.0.0.1:{self.port}"

    def passed_on(self) -> list[str]:
        """Returns what it has passed on so far, each with verb and host: of TLS no more is seen."""
        return re.findall(r" - ((?:CONNECT|GET|POST|PUT|DELETE) [\w.]+:\d+)", self.log.read_text())


@contextmanager
def forward_proxy(folder: Path, user: str, password: str) -> Iterator[ForwardProxy]:
    """Run `proxy.py` with authentication.

    In a process of its own, since it forks, of which Python 3.12 warns where there are threads.
    """
    port, log = folder / "port", folder / "proxy.log"
    options = ["--num-acceptors=1", "--num-workers=1", f"--basic-auth={user}:{password}"]
    command = [sys.executable, "-m", "proxy", "--hostname=127.0.0.1", "--port=0", *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, f"--port-file={port}", f"--data-dir={folder}"],
            stdout=output,
            stderr=output,
        )
    try:

        def listens() -> str:
            assert process.poll() is None, log.read_text()
            return port.read_text().strip() if port.exists() else ""

        yield ForwardProxy(int(at_last(listens).split()[0]), user, password, log)
    finally:
        process.terminate()
        process.wait(10)
