# SPDX-License-Identifier: Apache-2.0
"""Passwords, agencies and machines give credentials that open DLI, here the emulator's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import pytest
from eventually import HANG, eventually
from fake_clock import FakeClock
from scenarios.servers import serving
from told import told

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Lease, Token
from airflow_provider_dli.api.access.identity import Source, identity_of
from airflow_provider_dli.api.access.sources import METADATA, Agency, Metadata, Password, TokenKeys
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AuthenticationError,
    DliError,
    NotSentError,
    PermissionDeniedError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Flow, Send
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.blocking import BlockingTransport

T = TypeVar("T")

SIGN_IN = "/v3/auth/tokens"
KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
SESSION = "/meta-data/latest/api/token"
MACHINE = "/openstack/latest/securitykey"
DLI = "/v2.0/0123456789abcdef0123456789abcdef/resources"
KINDS = ["password", "agency", "metadata"]
ISSUED = {"password": SIGN_IN, "agency": KEYS, "metadata": MACHINE}


def source(emulator: Emulator, kind: str) -> Source:
    settings = emulator.settings
    if kind == "password":
        return Password(
            emulator.url,
            settings.users[0],
            settings.password,
            settings.account,
            emulator.project_id,
        )
    if kind == "metadata":
        return Metadata(emulator.url)
    keys = AccessKey(emulator.access_key, emulator.secret_key)
    return Agency(emulator.url, keys, settings.agencies[0], settings.account)


def client(emulator: Emulator, source: Source, clock: FakeClock) -> Client:
    account = Account(emulator.url, emulator.project_id, source, conn_id="c")
    return Client(account, Retry(jitter=lambda: 0.0), now=clock.now)


def run(flow: Flow[T], clock: FakeClock) -> T:
    with closing(BlockingTransport(read_timeout=60, sleep=clock.sleep)) as transport:
        return transport.run(flow)


def look(emulator: Emulator, source: Source, clock: FakeClock) -> None:
    run(client(emulator, source, clock).once(calls.listing()), clock)


def fetch(source: Source, clock: FakeClock) -> Lease:
    return run(source.fetch(clock.now), clock)


def asked(emulator: Emulator) -> list[str]:
    return [record.path for record in emulator.requests]


# each kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_gives_opens_dli_and_is_kept(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    it = client(emulator, source(emulator, kind), clock)

    run(it.once(calls.listing()), clock)
    run(it.once(calls.listing()), clock)

    assert asked(emulator).count(ISSUED[kind]) == 1
    assert asked(emulator)[-2:] == [DLI, DLI]


@pytest.mark.parametrize(
    ("kind", "life"), [("password", 86_400), ("agency", 3600), ("metadata", 3600)]
)
def test_its_end_is_known(emulator: Emulator, clock: FakeClock, kind: str, life: float) -> None:
    lease = fetch(source(emulator, kind), clock)

    assert lease.expires == clock.now() + life


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_lasts_over_its_end_goes_on(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    it = client(emulator, source(emulator, kind), clock)

    for _ in range(30):
        run(it.once(calls.listing()), clock)
        clock.time += 3600

    statuses = {record.status for record in emulator.requests if record.path == DLI}
    assert statuses == {200}


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_revoked_is_fetched_anew_once(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    it = client(emulator, source(emulator, kind), clock)
    run(it.once(calls.listing()), clock)
    emulator.expire_credentials()

    run(it.once(calls.listing()), clock)

    assert asked(emulator).count(ISSUED[kind]) == 2
    assert [r.status for r in emulator.requests if r.path == DLI] == [200, 401, 200]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["unavailable", "unavailable-html", "html", "reset", "cut-off"])
def test_while_it_cannot_be_fetched_a_call_is_tried_again(
    emulator: Emulator, clock: FakeClock, kind: str, trouble: str
) -> None:
    emulator.add_fault(Fault(trouble, path=ISSUED[kind], times=2))
    it = client(emulator, source(emulator, kind), clock)

    run(it.perform(calls.listing()), clock)

    assert clock.slept == [1.0, 2.0]
    assert asked(emulator).count(DLI) == 1


def test_a_call_that_is_not_repeatable_is_tried_again_while_nothing_was_sent(
    emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("unavailable", path=SIGN_IN, times=2))
    upload = calls.upload(
        ["https://bucket.obs.eu-west-101.myhuaweicloud.eu/a.jar"], "jar", group="g"
    )

    run(client(emulator, source(emulator, "password"), clock).perform(upload), clock)

    assert asked(emulator) == [SIGN_IN, SIGN_IN, SIGN_IN, DLI]


# for all who wait


@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_begin_together_fetch_it_once(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    its_source = source(emulator, kind)
    together = threading.Barrier(8)

    def begin(_: int) -> None:
        it = client(emulator, its_source, clock)
        together.wait(10)
        # They wait for each other's fetch in real time.
        with closing(BlockingTransport(sleep=lambda _: os.sched_yield())) as transport:
            transport.run(it.once(calls.listing()))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(begin, range(8)))

    assert asked(emulator).count(ISSUED[kind]) == 1
    assert asked(emulator).count(DLI) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_coroutines_that_begin_together_fetch_it_once(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    its_source = source(emulator, kind)

    async def begin() -> None:
        transport = AsyncTransport()
        try:
            them = [client(emulator, its_source, clock) for _ in range(8)]
            await asyncio.gather(*(transport.run(it.once(calls.listing())) for it in them))
        finally:
            await transport.close()

    asyncio.run(begin())

    assert asked(emulator).count(ISSUED[kind]) == 1
    assert asked(emulator).count(DLI) == 8


def test_threads_that_are_refused_together_fetch_it_anew_once(
    emulator: Emulator, clock: FakeClock
) -> None:
    its_source = source(emulator, "password")
    identity = identity_of(its_source)
    run(identity.lease(clock.now), clock)
    emulator.expire_credentials()
    together = threading.Barrier(8)

    def begin(_: int) -> None:
        it = client(emulator, its_source, clock)
        together.wait(10)
        with closing(BlockingTransport(sleep=lambda _: os.sched_yield())) as transport:
            transport.run(it.once(calls.listing()))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(begin, range(8)))

    assert asked(emulator).count(SIGN_IN) == 2


def test_who_is_killed_while_he_fetches_leaves_it_to_the_others(
    emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("hang", path=SIGN_IN))
    its_source = source(emulator, "password")

    async def one_is_killed() -> None:
        transport = AsyncTransport()
        first = client(emulator, its_source, clock)
        killed = asyncio.create_task(transport.run(first.once(calls.listing())))
        try:
            await eventually(lambda: SIGN_IN in asked(emulator))
            killed.cancel()
            await asyncio.wait([killed])
            async with asyncio.timeout(HANG):
                await transport.run(client(emulator, its_source, clock).once(calls.listing()))
        finally:
            await transport.close()

    asyncio.run(one_is_killed())

    assert asked(emulator).count(SIGN_IN) == 2


# the clock


@pytest.mark.parametrize("offset", [1200, -1200])
@pytest.mark.parametrize("kind", ["keys", "agency", "metadata"])
def test_a_clock_that_is_wrong_is_found_out_once(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, offset: float, kind: str
) -> None:
    with running(clock=clock.now, clock_offset=offset) as emulator:
        keys = AccessKey(emulator.access_key, emulator.secret_key)
        it = client(emulator, keys if kind == "keys" else source(emulator, kind), clock)

        run(it.once(calls.listing()), clock)
        run(it.once(calls.listing()), clock)

        assert [r.status for r in emulator.requests if r.path == DLI] == [401, 200, 200]
    # With an agency also for the keys with which IAM is asked.
    warned = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert len(warned) == (2 if kind == "agency" else 1)
    assert all(f"1200 s {'behind' if offset > 0 else 'ahead of'}" in words for words in warned)


@pytest.mark.parametrize("offset", [1200, -1200])
def test_a_password_needs_no_clock(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, offset: float
) -> None:
    with running(clock=clock.now, clock_offset=offset) as emulator:
        look(emulator, source(emulator, "password"), clock)

        assert [record.status for record in emulator.requests] == [201, 200]
    assert "clock" not in caplog.text


# a password


def test_a_project_is_given_by_its_id_or_else_by_its_name(
    emulator: Emulator, clock: FakeClock
) -> None:
    settings = emulator.settings
    who = (emulator.url, settings.users[0], settings.password, settings.account)

    leases = [
        fetch(Password(*who, project_id=emulator.project_id), clock),
        fetch(Password(*who, project_name=settings.region), clock),
        fetch(Password(*who, emulator.project_id, "of no account"), clock),
    ]

    assert [lease.project_id for lease in leases] == [emulator.project_id] * 3


@pytest.mark.parametrize(
    "wrong", [{"password": "canary"}, {"user": "nobody"}, {"account": "no-account"}]
)
def test_a_wrong_password_is_said_once_and_never_shown(
    emulator: Emulator, clock: FakeClock, wrong: dict[str, str]
) -> None:
    settings = emulator.settings
    right = {
        "user": settings.users[0],
        "password": settings.password,
        "account": settings.account,
    }
    it = Password(emulator.url, **right | wrong, project_id=emulator.project_id)

    with pytest.raises(AuthenticationError, match="username or password is wrong") as caught:
        run(client(emulator, it, clock).perform(calls.listing()), clock)

    assert asked(emulator) == [SIGN_IN]
    assert f"Used: address {emulator.url}." in str(caught.value)
    assert not any(word in told(caught.value) for word in ("canary", settings.password))


def test_a_project_that_iam_does_not_know_is_named(emulator: Emulator, clock: FakeClock) -> None:
    settings = emulator.settings
    it = Password(
        emulator.url, settings.users[0], settings.password, settings.account, "no-project"
    )

    with pytest.raises(AuthenticationError, match="Could not find project, no-project"):
        fetch(it, clock)


# an agency


def test_an_agency_that_is_not_there_is_refused(emulator: Emulator, clock: FakeClock) -> None:
    # Of its own, so that nothing is known of its clock.
    emulator.rotate_keys("KEYWITHOUTAGENCY", "its-secret-key")
    keys = AccessKey(emulator.access_key, emulator.secret_key)
    it = Agency(emulator.url, keys, "no-agency", emulator.settings.account)

    with pytest.raises(PermissionDeniedError, match="You have no right to do this") as caught:
        look(emulator, it, clock)

    assert f"Used: address {emulator.url}." in str(caught.value)
    assert asked(emulator) == [KEYS]


def test_the_keys_of_an_agency_are_not_shown_when_they_are_refused(
    emulator: Emulator, clock: FakeClock
) -> None:
    it = Agency(emulator.url, AccessKey("canary-1", "canary-2"), "a", "b")

    with pytest.raises(AuthenticationError, match=r"ak \*\*\* not exist") as caught:
        look(emulator, it, clock)

    assert "canary" not in told(caught.value)
    assert it.secrets == ("canary-1", "canary-2")


@pytest.mark.parametrize("seconds", [900, 86_400])
def test_the_keys_of_an_agency_last_as_long_as_was_asked_for(
    emulator: Emulator, clock: FakeClock, seconds: int
) -> None:
    keys = AccessKey(emulator.access_key, emulator.secret_key)
    settings = emulator.settings
    it = Agency(emulator.url, keys, settings.agencies[0], settings.account, seconds)

    assert fetch(it, clock).expires == clock.now() + seconds


# a machine


def test_a_machine_is_asked_in_a_session(emulator: Emulator, clock: FakeClock) -> None:
    lease = fetch(Metadata(emulator.url), clock)

    assert isinstance(lease.credential, AccessKey)
    assert lease.credential.security_token
    assert [(r.method, r.path) for r in emulator.requests] == [("PUT", SESSION), ("GET", MACHINE)]


def test_an_older_machine_knows_no_session(clock: FakeClock) -> None:
    with running(clock=clock.now, metadata="v1") as emulator:
        look(emulator, Metadata(emulator.url), clock)

        assert [record.status for record in emulator.requests] == [404, 200, 200]
        assert "x-metadata-token" not in emulator.requests[1].headers


@pytest.mark.parametrize("status", [404, 405, 503])
def test_a_machine_may_say_in_several_ways_that_it_knows_no_session(
    clock: FakeClock, status: int
) -> None:
    with running(clock=clock.now, metadata="v1") as emulator:
        emulator.add_fault(Fault(path=SESSION, status=status, body="no such thing"))

        assert fetch(Metadata(emulator.url), clock).credential


@pytest.mark.parametrize("status", [400, 401, 403, 500, 502])
def test_any_other_refusal_of_a_session_is_one(
    emulator: Emulator, clock: FakeClock, status: int
) -> None:
    emulator.add_fault(Fault(path=SESSION, status=status, body="no"))

    with pytest.raises(AnswerError) as caught:
        fetch(Metadata(emulator.url), clock)

    assert caught.value.status == status
    assert asked(emulator) == [SESSION]


def test_a_session_that_cannot_be_read_is_no_reason_to_go_without(
    emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault(path=SESSION, status=200, body="<html>\nportal\n</html>"))

    with pytest.raises(UnusableAnswerError):
        fetch(Metadata(emulator.url), clock)


@pytest.mark.parametrize("run_it", ["worker", "triggerer"])
@pytest.mark.parametrize("trouble", ["hang", "reset", "cut-off"])
def test_a_session_whose_answer_is_lost_is_tried_once_and_then_the_older_form(
    clock: FakeClock, run_it: str, trouble: str
) -> None:
    """To a container the answer to the PUT never comes: it may not pass another hop."""
    with running(clock=clock.now, metadata="v1") as emulator:
        emulator.add_fault(Fault(trouble, path=SESSION, times=None))
        flow = client(emulator, Metadata(emulator.url), clock).perform(calls.listing())
        runner = Blocking if run_it == "worker" else Asynchronous

        runner.run(flow, None, read_timeout=0.2)

        assert asked(emulator) == [SESSION, MACHINE, DLI]


def test_a_session_is_given_a_few_seconds() -> None:
    step = next(Metadata().fetch(lambda: 0.0))

    assert isinstance(step, Send)
    assert step.limit == 3.0


def test_where_sessions_are_a_must_one_that_was_lost_is_tried_again(
    emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("reset", path=SESSION))
    it = client(emulator, Metadata(emulator.url), clock)

    run(it.perform(calls.listing()), clock)

    assert asked(emulator) == [SESSION, MACHINE, SESSION, MACHINE, DLI]
    assert [r.status for r in emulator.requests if r.path == MACHINE] == [401, 200]


def test_a_machine_without_an_agency_says_so(clock: FakeClock) -> None:
    with (
        running(clock=clock.now, metadata="no-agency") as emulator,
        pytest.raises(
            AuthenticationError, match="Please configure Cloud Service Agency first"
        ) as caught,
    ):
        look(emulator, Metadata(emulator.url), clock)

    assert "GET /openstack/latest/securitykey" in str(caught.value)


def test_the_session_is_not_shown_even_where_the_machine_repeats_it(clock: FakeClock) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        if request.method == "PUT":
            return 200, {}, b"canary-session"
        return 401, {}, f"unknown: {request.headers['x-metadata-token']}".encode()

    with serving(answer) as server, pytest.raises(AuthenticationError) as caught:
        fetch(Metadata(server.origin), clock)

    assert "unknown: ***" in str(caught.value)
    assert "canary" not in told(caught.value)


def test_a_machine_is_asked_at_the_address_that_all_of_them_have() -> None:
    flow = Metadata().fetch(lambda: 0.0)

    request = next(flow).request  # type: ignore[union-attr]  # it sends first

    assert METADATA == "http://169.254.169.254"
    assert request.url == "http://169.254.169.254/meta-data/latest/api/token"


class Blocking:
    """The blocking transport as one function."""

    @staticmethod
    def run(flow: Flow[T], proxy: str | None, read_timeout: float = 5) -> T:
        with closing(BlockingTransport(read_timeout=read_timeout, proxy=proxy)) as transport:
            return transport.run(flow)


class Asynchronous:
    """The asynchronous transport as one function."""

    @staticmethod
    def run(flow: Flow[T], proxy: str | None, read_timeout: float = 5) -> T:
        async def begin() -> T:
            transport = AsyncTransport(read_timeout=read_timeout, proxy=proxy)
            try:
                return await transport.run(flow)
            finally:
                await transport.close()

        return asyncio.run(begin())


@pytest.mark.parametrize("run_it", [Blocking.run, Asynchronous.run])
@pytest.mark.parametrize("given", ["environment", "connection"])
def test_a_machine_is_asked_past_every_proxy(
    emulator: Emulator,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    run_it: Callable[..., Any],
    given: str,
) -> None:
    dead = "http://127.0.0.1:9"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, dead)
        monkeypatch.setenv(name.upper(), dead)
    proxy = dead if given == "connection" else None

    lease = run_it(Metadata(emulator.url).fetch(clock.now), proxy)

    assert isinstance(lease.credential, AccessKey)
    # The same proxy keeps a password from its IAM.
    with pytest.raises(NotSentError):
        run_it(source(emulator, "password").fetch(clock.now), proxy)


# nowhere


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_who_answers_is_an_error_that_names_the_address(
    emulator: Emulator, clock: FakeClock, kind: str
) -> None:
    nowhere = "http://127.0.0.1:9"
    its_source: Source = {
        "password": Password(nowhere, "user", "canary-1", "account", "p1"),
        "agency": Agency(nowhere, AccessKey("canary-2", "canary-3"), "agency", "account"),
        "metadata": Metadata(nowhere),
    }[kind]

    with pytest.raises(NotSentError, match=f"could not connect to {nowhere}") as caught:
        look(emulator, its_source, clock)

    assert isinstance(caught.value.__cause__, DliError)
    assert "canary" not in told(caught.value)
    assert emulator.requests == []


# keys for a token


def test_keys_for_a_token_are_temporary_and_open_what_the_token_opens(
    emulator: Emulator, clock: FakeClock
) -> None:
    it = TokenKeys(emulator.url, Token(emulator.auth_token), 900)

    lease = fetch(it, clock)

    assert isinstance(lease.credential, AccessKey)
    assert lease.credential.security_token
    assert lease.expires == clock.now() + 900
    look(emulator, lease.credential, clock)


def test_the_token_of_a_password_serves_dli_and_the_keys(
    emulator: Emulator, clock: FakeClock
) -> None:
    password = source(emulator, "password")
    it = client(emulator, password, clock)

    run(it.once(calls.listing()), clock)
    fetch(TokenKeys(emulator.url, password), clock)

    assert asked(emulator).count(SIGN_IN) == 1


def test_keys_for_a_token_that_expired_come_by_a_new_one(
    emulator: Emulator, clock: FakeClock
) -> None:
    it = TokenKeys(emulator.url, source(emulator, "password"))
    fetch(it, clock)
    emulator.expire_credentials()

    fetch(it, clock)

    assert asked(emulator).count(SIGN_IN) == 2


def test_sources_of_the_same_token_share_its_keys(emulator: Emulator) -> None:
    one = TokenKeys(emulator.url, Token("canary-token"))
    other = TokenKeys(emulator.url, Token("canary-token"))

    assert identity_of(one) is identity_of(other)
    assert one.secrets == ("canary-token",)
    assert "canary" not in repr(one)
