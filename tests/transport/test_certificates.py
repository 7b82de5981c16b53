"""A CA bundle that changes while a process runs, as its server's certificate does."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from fake_clock import FakeClock
from faults.relay import listening
from transport.worlds import World, world

from airflow_provider_dli.api.protocol.errors import ConnectionSetupError
from airflow_provider_dli.api.protocol.wire import Request, send


class Server:
    """A server whose certificate may be exchanged; each connection is for one request."""

    def __init__(self) -> None:
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def use(self, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)

    def serve(self, sock: socket.socket) -> None:
        with contextlib.closing(self._context.wrap_socket(sock, server_side=True)) as talk:
            talk.recv(65536)
            talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


class Bundle:
    """A file with CAs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes = 0

    def hold(self, *authorities: trustme.CA) -> None:
        self.path.write_bytes(b"".join(one.cert_pem.bytes() for one in authorities))
        # As if a second had passed since, however fast the test is.
        self._changes += 1
        os.utime(self.path, (self._changes, self._changes))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with listening(server.serve) as server.port:
        yield server


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path / "bundle.pem")


@pytest.fixture
def there(world_kind: str, bundle: Bundle) -> Iterator[World]:
    with world(world_kind, FakeClock(), verify=str(bundle.path)) as there:
        yield there


def ask(there: World, server: Server) -> int:
    return there.run(send(Request("GET", f"https://127.0.0.1:{server.port}", "/"))).status


def test_a_bundle_that_is_renewed_before_the_servers_certificate_is_read_anew(
    there: World, server: Server, bundle: Bundle
) -> None:
    old, new = trustme.CA(), trustme.CA()
    bundle.hold(old)
    server.use(old)
    assert ask(there, server) == 200

    bundle.hold(old, new)
    assert ask(there, server) == 200
    server.use(new)

    assert ask(there, server) == 200


def test_a_bundle_that_is_renewed_after_the_servers_certificate_is_read_anew(
    there: World, server: Server, bundle: Bundle
) -> None:
    old, new = trustme.CA(), trustme.CA()
    bundle.hold(old)
    server.use(old)
    assert ask(there, server) == 200

    server.use(new)
    with pytest.raises(ConnectionSetupError, match="is not trusted"):
        ask(there, server)
    bundle.hold(new)

    assert ask(there, server) == 200
