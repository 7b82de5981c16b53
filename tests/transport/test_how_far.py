"""How far a request got: what was certainly not sent, and what may have been done.

The emulator carries out each call; then its answer is broken on its way back. One submission must
come of one job, whatever stands in between, in the worker and in the triggerer alike.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from fake_clock import FakeClock
from faults import answers
from faults.relay import listening, reset, tunnels
from transport.worlds import world

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.jobs import calls as jobs
from airflow_provider_dli.api.jobs.submission import SubmitRequest, submit
from airflow_provider_dli.api.packages import calls as packages
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import AnswerLostError, NotSentError
from airflow_provider_dli.api.protocol.wire import Request, send
from airflow_provider_dli.emulator import Emulator

NOWHERE = Account("https://dli.nowhere.invalid", "p", AccessKey("AK", "SK"))
JOB = {"name": "job-1", "file": "obs://bucket/a.py", "queue": "q", "className": ""}
WAYS = ["http", "https", "tunnel", "forward"]
LOST = [
    *((way, name) for way in WAYS for name in answers.LOST),
    *((way, name) for way in ("https", "tunnel") for name in answers.LOST_IN_TLS),
]
Between: TypeAlias = Callable[..., Any]


@pytest.mark.parametrize(("way", "name"), LOST)
def test_a_submission_whose_answer_breaks_is_looked_up_and_not_sent_again(
    between: Between, emulator: Emulator, world_kind: str, way: str, name: str
) -> None:
    act = (answers.LOST | answers.LOST_IN_TLS)[name]

    with between(world_kind, way, act) as (there, client, world):
        job = world.run(submit(client, SubmitRequest(JOB)))

    assert there.submissions == 1
    assert list(emulator.batches()) == [job.batch.id]


@pytest.mark.parametrize("name", answers.LOST)
@pytest.mark.parametrize("what", ["package", "job"])
def test_half_an_answer_is_no_success_of_what_deletes_or_cancels(
    between: Between, emulator: Emulator, world_kind: str, name: str, what: str
) -> None:
    call = packages.delete("a.jar", "g") if what == "package" else jobs.cancel("b1")

    with (
        between(world_kind, "http", answers.LOST[name], to=lambda _: True) as (
            there,
            client,
            world,
        ),
        pytest.raises(AnswerLostError),
    ):
        world.run(client.once(call))

    assert len(there.passed) == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 204 None\r\n\r\n"])
def test_a_deletion_that_is_answered_without_a_body_is_a_success(
    between: Between, world_kind: str, head: bytes
) -> None:
    """https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0173.html"""

    def act(sock: socket.socket, _: bytes) -> None:
        sock.sendall(head)

    with between(world_kind, "http", act, to=lambda _: True) as (_, client, world):
        assert world.run(client.once(packages.delete("a.jar", "g"))) is True


@pytest.mark.parametrize("way", WAYS)
def test_interim_answers_are_not_taken_for_the_last_one(
    between: Between, emulator: Emulator, world_kind: str, way: str
) -> None:
    with between(world_kind, way, answers.early_hints) as (there, client, world):
        job = world.run(client.once(jobs.create(JOB)))

    assert there.submissions == 1
    assert list(emulator.batches()) == [job.id]


@pytest.mark.parametrize("end", ["FIN", "reset", "no TLS"])
def test_a_connection_that_ends_within_the_handshake_was_not_sent(
    world_kind: str, end: str
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        if end == "reset":
            reset(sock)
        elif end == "no TLS":
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(serve) as port, world(world_kind, FakeClock(), connect_timeout=5) as there:
        account = Account(f"https://127.0.0.1:{port}", "p", AccessKey("AK", "SK"))
        with pytest.raises(NotSentError):
            there.run(Client(account).once(jobs.create(JOB)))


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing(world_kind: str, status: int) -> None:
    with (
        tunnels(status) as port,
        world(world_kind, FakeClock(), proxy=f"http://127.0.0.1:{port}") as there,
        pytest.raises(NotSentError, match=str(status)),
    ):
        there.run(Client(NOWHERE).once(jobs.create(JOB)))


def test_a_proxy_that_hangs_up_on_a_tunnel_has_sent_nothing(world_kind: str) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(65536)

    with (
        listening(serve) as port,
        world(world_kind, FakeClock(), proxy=f"http://127.0.0.1:{port}") as there,
        pytest.raises(NotSentError),
    ):
        there.run(Client(NOWHERE).once(jobs.create(JOB)))


@pytest.mark.parametrize("way", WAYS)
def test_a_kept_connection_that_has_died_meanwhile_counts_as_sent(
    between: Between, emulator: Emulator, world_kind: str, way: str
) -> None:
    """Nobody can tell whether it died before or after the request was read."""
    with between(world_kind, way, answers.LOST["FIN"]) as (there, client, world):
        world.run(client.once(packages.listing()))
        with pytest.raises(AnswerLostError):
            world.run(client.once(jobs.create(JOB)))

    assert there.submissions == 1


@pytest.mark.parametrize("name", answers.ENDLESS)
@pytest.mark.parametrize("way", ["http", "https"])
def test_a_call_ends_when_its_time_is_up_though_its_answer_drips_on(
    between: Between, world_kind: str, way: str, name: str
) -> None:
    with (
        between(world_kind, way, answers.ENDLESS[name], total_timeout=0.4) as (
            there,
            client,
            world,
        ),
        pytest.raises(AnswerLostError, match="not finished after 0 seconds"),
    ):
        world.run(client.once(jobs.create(JOB)))

    assert there.submissions == 1


def test_a_call_has_no_more_time_than_the_flow_allows(between: Between, world_kind: str) -> None:
    with between(world_kind, "http", answers.ENDLESS["body"], to=lambda _: True) as (
        there,
        _,
        world,
    ):
        request = Request("GET", there.origin, "/v2.0/p/resources")
        with pytest.raises(AnswerLostError, match="not finished after 0 seconds"):
            world.run(send(request, 0.3))


def test_a_call_without_any_time_is_not_sent(between: Between, world_kind: str) -> None:
    with (
        between(world_kind, "http", answers.early_hints) as (there, _, world),
        pytest.raises(NotSentError, match="its time limit was reached"),
    ):
        world.run(send(Request("GET", there.origin, "/"), 0.0))

    assert there.passed == []
