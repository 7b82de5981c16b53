"""A small store on a raw socket in place of OBS, which breaks its answers as a test says.

It keeps objects of any bucket by their keys, takes `Range` and `If-Match`, and notes what it was
asked. A `Fault` is what goes over the line in place of the right answer to a read; then the store
hangs up, so that nothing of it hides behind a connection that stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote

from faults.relay import listening


@dataclass(frozen=True)
class Asked:
    """A request as it came: `path` without its query and decoded, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def key(self) -> str:
        """The key of an object, where the bucket is in the path."""
        return self.path.lstrip("/").partition("/")[2]

    @property
    def range(self) -> str:
        """The range that is asked for, as ``100-199``; empty where the whole is."""
        return self.headers.get("range", "").removeprefix("bytes=")


@dataclass(frozen=True)
class Said:
    """An answer in its parts, without its Content-Length."""

    status: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self, *, length: int | str | None = None) -> bytes:
        """Returns the answer as bytes; `length` is what it says, else how much there is."""
        told = len(self.body) if length is None else length
        return self.head(("Content-Length", str(told))) + self.body

    def head(self, *more: tuple[str, str]) -> bytes:
        """Returns the status line and the headers, up to the empty line."""
        lines = [f"HTTP/1.1 {self.status}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *more)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def without(self, name: str) -> Said:
        """Returns the answer without one of its headers."""
        kept = tuple(header for header in self.headers if header[0] != name)
        return Said(self.status, kept, self.body)


Fault: TypeAlias = Callable[[Asked, Said, bytes], bytes]
"""Returns what goes over the line, of the request, the right answer and the whole object."""


@dataclass
class Store:
    """The store; `objects` are the bytes by their keys, and may be changed at any time.

    `before` hears of each request, `rule` may answer any itself; `broken` says which reads, counted
    from 0, get the `fault`. A store that is not `careful` passes over `If-Match`, as some do.
    """

    port: int = 0
    scheme: str = "http"
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    rule: Callable[[Asked], Said | None] = lambda _: None
    before: Callable[[Asked], None] = lambda _: None
    fault: Fault | None = None
    broken: Callable[[int], bool] = lambda _: True
    careful: bool = True

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def reads(self) -> list[Asked]:
        """What was asked so far about the bytes of objects."""
        return [one for one in self.asked if one.method == "GET" and one.key]

    def answer(self, asked: Asked) -> tuple[bytes, bool]:
        """Returns what goes over the line, and whether the connection stays."""
        is_read = asked.method == "GET" and asked.key in self.objects
        self.before(asked)
        number = len(self.reads)
        self.asked.append(asked)
        found = self.rule(asked)
        if found is not None:
            return _fitting(asked, found), True
        whole = self.objects.get(asked.key, b"")
        good = self._right(asked)
        if is_read and self.fault is not None and self.broken(number):
            return self.fault(asked, good, whole), False
        return _fitting(asked, good), True

    def _right(self, asked: Asked) -> Said:
        if asked.method == "PUT":
            self.objects[asked.key] = asked.body
            return Said("200 OK", (("ETag", etag(asked.body)),))
        data = self.objects.get(asked.key)
        if data is None:
            return refusal("404 Not Found", "NoSuchKey")
        told = (("ETag", etag(data)), ("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT"))
        condition = asked.headers.get("if-match", etag(data))
        if self.careful and condition != etag(data):
            return refusal("412 Precondition Failed", "PreconditionFailed")
        span = span_of(asked, data)
        if span is None or asked.method == "HEAD":
            return Said("200 OK", told, data)
        first, last = span
        if first > last:
            return refusal("416 Range", "InvalidRange", ("Content-Range", f"bytes */{len(data)}"))
        place = ("Content-Range", f"bytes {first}-{last}/{len(data)}")
        return Said("206 Partial Content", (*told, place), data[first : last + 1])


def span_of(asked: Asked, data: bytes) -> tuple[int, int] | None:
    """Returns the first and the last byte that are asked for and there, if a range is asked for."""
    wanted = re.fullmatch(r"(\d*)-(\d*)", asked.range)
    if wanted is None:
        return None
    if not wanted[1]:
        return max(len(data) - int(wanted[2]), 0), len(data) - 1
    return int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def refusal(status: str, code: str, *headers: tuple[str, str], more: str = "") -> Said:
    """Returns a refusal as OBS writes it."""
    body = f"<Error><Code>{code}</Code><Message>words</Message>{more}</Error>"
    return Said(status, (("Content-Type", "application/xml"), *headers), body.encode())


def _fitting(asked: Asked, said: Said) -> bytes:
    raw = said.raw()
    return raw[: len(raw) - len(said.body)] if asked.method == "HEAD" else raw


@contextmanager
def storing(tls: ssl.SSLContext | None = None) -> Iterator[Store]:
    """Run a store; with `tls` as a proxy too, whose tunnels all end here."""
    store = Store(scheme="https" if tls else "http")

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(ValueError):
            while (asked := _read(sock)) is not None:
                if asked.method == "CONNECT" and tls is not None:
                    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    sock = tls.wrap_socket(sock, server_side=True)
                    continue
                raw, stays = store.answer(asked)
                sock.sendall(raw)
                if not stays:
                    break
        sock.close()

    with listening(serve) as store.port:
        yield store


def _read(sock: socket.socket) -> Asked | None:
    heard = b""
    while b"\r\n\r\n" not in heard:
        more = sock.recv(65536)
        if not more:
            return None
        heard += more
    head, _, body = heard.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        more = sock.recv(65536)
        if not more:
            return None
        body += more
    method, address, _ = first.split(" ")
    path, _, query = address.partition("?")
    return Asked(method, unquote(path), dict(parse_qsl(query, True)), headers, body)


# Faults


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _chunked(said: Said, *chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return said.head(("Transfer-Encoding", "chunked")) + b"".join(pieces) + end


def _page(status: str) -> Said:
    page = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
    return Said(status, (("Content-Type", "text/html"), ("Server", "proxy")), page)


def _no_range(*size: tuple[str, str]) -> bytes:
    return refusal("416 Requested Range Not Satisfiable", "InvalidRange", *size).raw()


BROKEN: dict[str, Fault] = {
    "cut in the status line": lambda _, good, __: good.raw()[:10],
    "cut after the status": lambda _, good, __: good.raw()[:12],
    "cut after the status line": lambda _, good, __: f"HTTP/1.1 {good.status}\r\n".encode(),
    "cut in a header": lambda _, good, __: f"HTTP/1.1 {good.status}\r\nContent-Le".encode(),
    "cut after a header": lambda _, good, __: good.head()[:-2],
    "cut before the body": lambda _, good, __: good.raw()[: -len(good.body)],
    "cut in the body": lambda _, good, __: good.raw()[: -len(good.body) // 2],
    "cut in the body without a length": lambda _, good, __: (
        good.head(("Connection", "close")) + _half(good.body)
    ),
    "cut in a chunk": lambda _, good, __: _chunked(good, good.body)[: -len(good.body) // 2],
    "too few chunks": lambda _, good, __: _chunked(good, _half(good.body)),
    "no chunks": lambda _, good, __: _chunked(good),
    "a length that is no number": lambda _, good, __: Said(
        good.status, good.headers, _half(good.body)
    ).raw(length="many"),
    "a length below zero": lambda _, good, __: Said(
        good.status, good.headers, _half(good.body)
    ).raw(length=-1),
    "the page of a proxy": lambda *_: _page("200 OK").raw(),
    "the page of a proxy in chunks": lambda *_: _chunked(_page("200 OK"), _page("").body),
    "the page of a proxy without a length": lambda *_: _page("200 OK").head() + _page("").body,
    "the page of a proxy with 206": lambda *_: _page("206 Partial Content").raw(),
    "204": lambda *_: b"HTTP/1.1 204 No Content\r\n\r\n",
    "204 with an ETag": lambda _, good, __: Said("204 No Content", good.headers).head(),
    "another success": lambda _, good, __: Said("202 Accepted", good.headers, good.body[:5]).raw(),
    "an empty 200": lambda *_: Said("200 OK").raw(),
    "416": lambda _, __, whole: _no_range(("Content-Range", f"bytes */{len(whole)}")),
    "416 that tells no size": lambda *_: _no_range(),
}
"""What no read takes for the bytes of an object of more than some hundred bytes."""


def _place(first: int, last: int, size: int, body: bytes, good: Said) -> Said:
    """Returns a 206 that says which bytes it has."""
    told = ("Content-Range", f"bytes {first}-{last}/{size}")
    return Said(good.status, (*good.without("Content-Range").headers, told), body)


def _moved(by: int, until: int) -> Fault:
    """Answer with a range that begins or ends elsewhere, as it says itself."""

    def fault(asked: Asked, good: Said, whole: bytes) -> bytes:
        first, last = span_of(asked, whole) or (0, len(whole) - 1)
        first, last = max(first + by, 0), last + until
        return _place(first, last, len(whole), whole[first : last + 1], good).raw()

    return fault


def _ignored(_: Asked, good: Said, whole: bytes) -> bytes:
    return Said("200 OK", good.without("Content-Range").headers, whole).raw()


def _beginning(_: Asked, good: Said, whole: bytes) -> bytes:
    """Answer with as many bytes as are asked for, but the first ones of the object."""
    size = len(good.body)
    return _place(0, size - 1, len(whole), whole[:size], good).raw()


def _several(_: Asked, good: Said, __: bytes) -> bytes:
    parts = b"--b\r\nContent-Range: bytes 0-0/9\r\n\r\nx\r\n--b--\r\n"
    kind = ("Content-Type", "multipart/byteranges; boundary=b")
    return Said(good.status, (*good.without("Content-Range").headers, kind), parts).raw()


def _told(text: str) -> Fault:
    """Answer with the right bytes, but with a Content-Range that is none."""

    def fault(_: Asked, good: Said, __: bytes) -> bytes:
        told = (*good.without("Content-Range").headers, ("Content-Range", text))
        return Said(good.status, told, good.body).raw()

    return fault


RANGE_BROKEN: dict[str, Fault] = {
    "Range ignored": _ignored,
    "Range ignored in chunks": lambda _, good, whole: _chunked(
        Said("200 OK", good.without("Content-Range").headers), whole
    ),
    "Range ignored and said to be a part": lambda _, good, whole: Said(
        good.status, good.headers, whole
    ).raw(),
    "an empty 200 with an ETag": lambda _, good, __: Said(
        "200 OK", good.without("Content-Range").headers
    ).raw(),
    "the first bytes": _beginning,
    "an earlier range": _moved(-1, -1),
    "a range that begins earlier": _moved(-10, 0),
    "a range that ends earlier": _moved(0, -10),
    "a range that begins later": _moved(10, 0),
    "no Content-Range": lambda _, good, __: good.without("Content-Range").raw(),
    "no Content-Range and other bytes": lambda _, good, whole: Said(
        good.status, good.without("Content-Range").headers, whole[: len(good.body)]
    ).raw(),
    "a Content-Range that is none": _told("bytes all"),
    "a Content-Range of no sense": _told("bytes 199-100/10"),
    "a Content-Range of other units": _told("rows 100-199/10240"),
    "fewer bytes than its Content-Range": lambda _, good, __: Said(
        good.status, good.headers, good.body[:-1]
    ).raw(),
    "fewer bytes than its Content-Range in chunks": lambda _, good, __: _chunked(
        good, good.body[:-1]
    ),
    "no bytes": lambda _, good, __: Said(good.status, good.headers).raw(),
    "more bytes than its Content-Range": lambda _, good, __: Said(
        good.status, good.headers, good.body + b"x"
    ).raw(),
    "several ranges": _several,
}
"""What no read of a part takes for the bytes of this part."""
