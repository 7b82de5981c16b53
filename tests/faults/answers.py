"""In how many ways an answer is broken on its way back, after the service has carried out the call.

Each is an `Act` of `faults.relay`.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import zlib

from faults.relay import Act, plain, reset


def _fin(sock: socket.socket, _: bytes) -> None:
    plain(sock).close()


def _reset(sock: socket.socket, _: bytes) -> None:
    reset(sock)


def _close_notify(sock: socket.socket, _: bytes) -> None:
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            sock.unwrap()
    sock.close()


def _says(text: bytes) -> Act:
    def act(sock: socket.socket, _: bytes) -> None:
        sock.sendall(text)

    return act


def _with_header(line: bytes) -> Act:
    """Pass the answer on with one more header, the first."""

    def act(sock: socket.socket, answer: bytes) -> None:
        status, _, rest = answer.partition(b"\r\n")
        sock.sendall(status + b"\r\n" + line + b"\r\n" + rest)

    return act


def _with_length(text: bytes) -> Act:
    """Pass the answer on with another Content-Length, and hang up."""

    def act(sock: socket.socket, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        kept.append(b"Content-Length: " + text)
        sock.sendall(b"\r\n".join(kept) + b"\r\n\r\n" + body)

    return act


def _cut(of: float) -> Act:
    """Pass a part of the answer on, and hang up."""

    def act(sock: socket.socket, answer: bytes) -> None:
        sock.sendall(answer[: int(len(answer) * of)])

    return act


def _below_tls(text: bytes) -> Act:
    """Send bytes on a TLS connection that are no TLS of it."""

    def act(sock: socket.socket, _: bytes) -> None:
        with plain(sock) as below:
            below.sendall(text)
            with contextlib.suppress(OSError):
                below.recv(1)  # until the other side has read it

    return act


LOST: dict[str, Act] = {
    "FIN": _fin,
    "reset": _reset,
    "no HTTP": _says(b"junk\r\n\r\n"),
    "cut in the status line": _says(b"HTTP/1.1 200"),
    "cut after the status line": _says(b"HTTP/1.1 200 OK\r\n"),
    "cut in a header": _says(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut before the body, without a length": _says(b"HTTP/1.1 200 OK\r\nX: y\r\n"),
    "cut in the body": _cut(0.9),
    "two lengths": _with_header(b"Content-Length: 7"),
    "lengths in one header": _with_length(b"30, 31"),
    "length that is no number": _with_length(b"junk"),
    "length below zero": _with_length(b"-5"),
    "header that does not parse": _with_header(b"NoColonHere"),
    "redirect to no address": _says(
        b"HTTP/1.1 302 Found\r\nLocation: http://[::bad\r\nContent-Length: 0\r\n\r\n"
    ),
    "interim status and no other": _says(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"),
    "another protocol": _says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "packed otherwise": _with_header(b"Content-Encoding: zstd"),
    "not packed as it says": _with_header(b"Content-Encoding: gzip"),
}
"""Answers of which nobody can tell what the service did."""

LOST_IN_TLS: dict[str, Act] = {
    "close_notify": _close_notify,
    "damaged TLS record": _below_tls(b"\x17\x03\x03\x00\x40" + b"x" * 64),
    "plaintext in place of TLS": _below_tls(
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    ),
}
"""The same, where there is TLS."""


def early_hints(sock: socket.socket, answer: bytes) -> None:
    """Pass the answer on after two interim ones."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + answer)


def _drips(beginning: bytes, drop: bytes) -> Act:
    """Send a little again and again, for ever: no pause is long enough for a read timeout."""

    def act(sock: socket.socket, _: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(beginning)
        while True:
            sock.sendall(drop)
            # Waits for the other side, who says nothing more: a pause without a sleep.
            sock.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                if not sock.recv(1):
                    return

    return act


ENDLESS: dict[str, Act] = {
    "header": _drips(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "body": _drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "chunks": _drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "100 Continue": _drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "status line": _drips(b"HTTP/1.1 200 ", b"O"),
}
"""Answers that drip and never end."""


def _floods(beginning: bytes, before: bytes = b"", after: bytes = b"") -> Act:
    def act(sock: socket.socket, _: bytes) -> None:
        sock.sendall(beginning)
        piece = before + b"a" * 65536 + after
        for _ in itertools.count():
            sock.sendall(piece)

    return act


def _bomb(sock: socket.socket, _: bytes) -> None:
    """Send 64 MiB, packed into some 64 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(b"a" * 2**20) for _ in range(64)]
    packed = b"".join([*pieces, packer.flush()])
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    sock.sendall(head % len(packed) + packed)


TOO_LARGE: dict[str, Act] = {
    "without an end": _floods(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    "in chunks without an end": _floods(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n", b"\r\n"
    ),
    "announced": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n"),
    "packed": _bomb,
}
"""Answers of more than the 16 MiB that their tests allow."""
