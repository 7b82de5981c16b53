"""A server before the emulator that passes requests on, and breaks what comes back as a test says.

It may stand there as the service itself, with TLS or without, or as a forward proxy; and a tunnel
may lead to it. What happens to an answer is one of `faults.answers`.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

Act: TypeAlias = Callable[[socket.socket, bytes], None]
"""What becomes of an answer, given the connection and the answer as it came."""


@dataclass
class Relay:
    """A relay, and verb and path of what it passed on."""

    port: int = 0
    scheme: str = "http"
    passed: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def submissions(self) -> int:
        """How many jobs were submitted through it."""
        return sum(asked.startswith("POST ") for asked in self.passed)


def whole(sock: socket.socket, answer: bytes) -> None:
    """Pass the answer on."""
    sock.sendall(answer)


@contextmanager
def relay(
    target: str,
    act: Act,
    *,
    to: Callable[[str], bool] = lambda asked: asked.startswith("POST "),
    tls: ssl.SSLContext | None = None,
) -> Iterator[Relay]:
    """Pass requests on to `target`; the answers to those that `to` picks are given to `act`."""
    made = Relay(scheme="https" if tls else "http")

    def serve(sock: socket.socket) -> None:
        talk = tls.wrap_socket(sock, server_side=True) if tls else sock
        with talk:
            while (request := _read(talk)) is not None:
                asked, body = request
                made.passed.append(asked.partition("\r\n")[0].rpartition(" ")[0])
                answer = _passed_on(target, asked, body)
                if to(asked):
                    act(talk, answer)
                    return
                talk.sendall(answer)

    with listening(serve) as made.port:
        yield made


@contextmanager
def tunnels(status: int = 200) -> Iterator[int]:
    """A proxy that makes tunnels (CONNECT), or refuses them with another status; gives its port."""

    def serve(sock: socket.socket) -> None:
        with sock:
            asked, _ = _read(sock) or ("", b"")
            if status != 200:
                sock.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
                return
            host, _, port = asked.split()[1].rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(far, sock), daemon=True)
                back.start()
                _pump(sock, far)
                back.join()

    with listening(serve) as port:
        yield port


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread; gives the port."""

    def safely(sock: socket.socket) -> None:
        # A client that leaves is no trouble here.
        with contextlib.suppress(OSError, ValueError), sock:
            serve(sock)

    def accept() -> None:
        # Closing the listener ends it.
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=safely, args=(sock,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def reset(sock: socket.socket) -> None:
    """Close a connection so that the other side sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain(sock).close()


def plain(sock: socket.socket) -> socket.socket:
    """Take the socket out of its TLS, without a word to the other side."""
    return socket.socket(fileno=sock.detach())


def _read(sock: socket.socket) -> tuple[str, bytes] | None:
    """Read a request: its head and its body; `None` when the other side has left."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        more = sock.recv(65536)
        if not more:
            return None
        heard += more
    head, _, body = heard.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    while len(body) < int(_headers(text).get("content-length", 0)):
        body += sock.recv(65536)
    return text, body


def _headers(head: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in pairs}


def _passed_on(target: str, head: str, body: bytes) -> bytes:
    """Ask the target the same, and return its answer as bytes."""
    method, address, _ = head.split("\r\n")[0].split(" ")
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    with contextlib.closing(http.client.HTTPConnection(urlsplit(target).netloc)) as there:
        there.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in _headers(head).items():
            if name != "connection":
                there.putheader(name, value)
        there.endheaders(body)
        answer = there.getresponse()
        content = answer.read()
    told = answer.getheader("Content-Length")
    # Of what is there, although an answer to HEAD has none of it.
    length = told if method == "HEAD" and told is not None else len(content)
    kept = [f"{n}: {v}" for n, v in answer.getheaders() if n.lower() not in {"content-length"}]
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *kept, f"Content-Length: {length}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def _pump(near: socket.socket, far: socket.socket) -> None:
    try:
        while data := near.recv(65536):
            far.sendall(data)
        far.shutdown(socket.SHUT_WR)
    except OSError:
        # A reset is passed on: when both directions have ended, the socket closes with one.
        with contextlib.suppress(OSError):
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.shutdown(socket.SHUT_RD)
