"""No answer is too large, no header too long for one world alone, no object too slow for ever."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from fake_clock import FakeClock
from faults import answers
from faults.relay import listening
from scenarios.servers import serving
from transport.worlds import world

from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.errors import AnswerLostError, AnswerTooLargeError
from airflow_provider_dli.api.protocol.wire import Request, Send, send
from airflow_provider_dli.transport.bulk import BulkTransport
from airflow_provider_dli.transport.progress import LEAST_RATE, Progress

Between: TypeAlias = Callable[..., Any]
ALLOWED = 16 * 2**20


@pytest.mark.parametrize("name", answers.TOO_LARGE)
@pytest.mark.parametrize("way", ["http", "https"])
def test_an_answer_that_is_too_large_is_broken_off(
    between: Between, world_kind: str, way: str, name: str
) -> None:
    with (
        between(
            world_kind, way, answers.TOO_LARGE[name], to=lambda _: True, max_answer_size=ALLOWED
        ) as (there, client, world),
        pytest.raises(
            AnswerTooLargeError, match=r"more than 16777216 bytes.*raise max_answer_size"
        ),
    ):
        world.run(client.perform(calls.listing()))

    assert len(there.passed) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_of_just_the_allowed_size_is_read(world_kind: str, packed: bool) -> None:
    body = b"a" * 100_000
    sent = gzip.compress(body) if packed else body
    headers = {"Content-Encoding": "gzip"} if packed else {}
    with (
        serving((200, headers, sent)) as server,
        world(world_kind, FakeClock(), max_answer_size=100_000) as there,
    ):
        assert there.run(send(Request("GET", server.origin, "/"))).body == body


def test_an_object_may_be_as_large_as_it_says(world_kind: str) -> None:
    with (
        serving((200, {}, b"a" * 1000)) as server,
        world(world_kind, FakeClock(), max_answer_size=10) as there,
    ):
        answer = there.run(send(Request("GET", server.origin, "/bucket/key", is_bulk=True)))

    assert len(answer.body) == 1000


def test_a_packed_answer_whose_end_is_missing_is_lost(world_kind: str) -> None:
    packed = gzip.compress(b'{"groups": [], "resources": []}')
    with (
        serving((200, {"Content-Encoding": "gzip"}, packed[:-8])) as server,
        world(world_kind, FakeClock()) as there,
        pytest.raises(AnswerLostError, match="its end is missing"),
    ):
        there.run(send(Request("GET", server.origin, "/")))


def test_an_answer_may_be_packed_in_several_pieces(world_kind: str) -> None:
    packed = gzip.compress(b'{"groups": [],') + gzip.compress(b' "resources": []}')
    with (
        serving((200, {"Content-Encoding": "gzip"}, packed)) as server,
        world(world_kind, FakeClock()) as there,
    ):
        answer = there.run(send(Request("GET", server.origin, "/")))

    assert answer.body == b'{"groups": [], "resources": []}'


@pytest.mark.parametrize("size", [4000, 8190, 8200, 32_768, 60_000])
def test_a_token_of_iam_may_be_long(world_kind: str, size: int) -> None:
    """A real one has 32 KB."""
    with (
        serving((201, {"X-Subject-Token": "x" * size}, b"{}")) as server,
        world(world_kind, FakeClock()) as there,
    ):
        there.run(send(Request("GET", server.origin, "/", headers={"X-Auth-Token": "y" * size})))
        answer = there.run(send(Request("GET", server.origin, "/")))

    assert len(answer.headers["x-subject-token"]) == size
    assert len(server.asked[0].headers["x-auth-token"]) == size


@pytest.mark.parametrize("is_bulk", [True, False])
def test_a_body_goes_as_it_was_signed_without_a_type_that_nobody_gave(
    world_kind: str, is_bulk: bool
) -> None:
    with serving((200, {}, b"{}")) as server, world(world_kind, FakeClock()) as there:
        request = Request("PUT", server.origin, "/b/k", body=b"data", is_bulk=is_bulk)
        there.run(send(request))

    (asked,) = server.asked
    assert asked.body == b"data"
    assert asked.headers["content-length"] == "4"
    assert "content-type" not in asked.headers


def test_cookies_of_an_answer_are_not_sent_with_the_next_request(world_kind: str) -> None:
    with (
        serving((200, {"Set-Cookie": "session=1; Path=/"}, b"{}")) as server,
        world(world_kind, FakeClock()) as there,
    ):
        for _ in range(2):
            there.run(send(Request("GET", server.origin, "/")))

    assert "cookie" not in server.asked[1].headers


@pytest.mark.parametrize("is_bulk", [True, False])
def test_what_carries_an_object_has_more_time_the_more_of_it_has_moved(is_bulk: bool) -> None:
    clock = FakeClock()
    request = Request("PUT", "http://obs", "/bucket/key", is_bulk=is_bulk)
    progress = Progress(Send(request), 120.0, clock.now)

    progress.moved = 10 * LEAST_RATE
    clock.time += 125

    assert progress.is_over is not is_bulk
    clock.time += 6
    assert progress.is_over


def test_an_object_that_is_sent_slower_than_the_least_rate_is_given_up() -> None:
    """Each piece is taken in time; by the stopwatch of the test, minutes pass with each."""
    clock, came = FakeClock(), threading.Event()

    def tick() -> float:
        clock.time += 200 if came.is_set() else 0
        return clock.time

    def serve(sock: socket.socket) -> None:
        while sock.recv(65536):
            came.set()

    with listening(serve) as port:
        transport = BulkTransport(connections=1, monotonic=tick)
        body = bytes(64 * 2**20)
        request = Request("PUT", f"http://127.0.0.1:{port}", "/b/k", (), {}, body, is_bulk=True)
        with pytest.raises(AnswerLostError, match="not finished after"):
            transport.run(send(request))
        transport.close()
