# SPDX-License-Identifier: Apache-2.0
"""The transport for much data: bodies go in pieces, threads share it, and it can be broken off."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from eventually import at_last
from scenarios.servers import Asked, Server, serving

from airflow_provider_dli.api.protocol.errors import AnswerLostError, TransportError
from airflow_provider_dli.api.protocol.wire import Request, send
from airflow_provider_dli.transport.bulk import BulkTransport
from airflow_provider_dli.transport.connections import PIECE

OK = (200, {}, b"{}")


def put(origin: str, body: bytes = b"") -> Request:
    return Request("PUT", origin, "/bucket/key", (), {}, body)


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 10 * PIECE + 7])
def test_a_body_of_any_size_arrives_with_its_length(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with serving(OK) as server, closing(BulkTransport(connections=1)) as transport:
        transport.run(send(put(server.origin, body)))

    (asked,) = server.asked
    assert asked.body == body
    assert asked.headers["content-length"] == str(size)
    assert "transfer-encoding" not in asked.headers


@pytest.fixture(params=["http", "https"])
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, bool | str]]:
    """A server that takes its time, and how to trust it."""
    came = threading.Event()

    def answer(_: Asked) -> tuple[int, dict[str, str], bytes]:
        came.wait()
        return 200, {}, b""

    context, verify = None, True
    if request.param == "https":
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        verify = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(verify)
    with serving(answer, context) as server:
        yield server, verify
        came.set()


def test_what_is_broken_off_ends_at_once_in_all_threads(slow: tuple[Server, bool | str]) -> None:
    server, verify = slow
    failures: list[TransportError] = []

    def ask(transport: BulkTransport) -> None:
        try:
            transport.run(send(put(server.origin)))
        except TransportError as error:
            failures.append(error)

    with closing(BulkTransport(connections=4, verify=verify)) as transport:
        threads = [threading.Thread(target=ask, args=(transport,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        at_last(lambda: len(server.asked) == 4)
        transport.break_off()
        for thread in threads:
            thread.join()

    # No answer came: the server still waits.
    assert len(failures) == 4
    assert transport.is_broken_off


def test_nothing_begins_after_it_was_broken_off() -> None:
    with serving(OK) as server, closing(BulkTransport(connections=1)) as transport:
        transport.run(send(put(server.origin)))
        transport.break_off()

        for _ in range(2):
            with pytest.raises((AnswerLostError, TransportError)):
                transport.run(send(put(server.origin)))

    assert len(server.asked) == 1
