"""Fault: a private CA, a bundle in the environment that does not know it, a server that redirects
to another host, one that never answers.

Expected: the connection's own setting wins; every call is bounded; a redirect is refused and no
header or token reaches the other host. The same holds in both modes.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from fake_clock import FakeClock
from scenarios.modes import event
from scenarios.servers import Server, listing, serving

from airflow_provider_dli.api.errors import DliError, restored
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.triggers.packages import PackageGroupTrigger

READY = listing(g={"a.jar": "READY"})


def in_worker() -> str:
    with DliHook(clock=FakeClock()) as hook:
        try:
            hook.wait_until_ready("g", ["a.jar"], max_unknown_time=10)
        except DliError as error:
            return f"{type(error).__name__}: {error}"
    return "ready"


def in_triggerer() -> str:
    payload = event(
        PackageGroupTrigger(group="g", packages=["a.jar"], poll_interval=0.1, max_unknown_time=0.1)
    )
    if payload["status"] == "ready":
        return "ready"
    error = restored(payload)
    return f"{type(error).__name__}: {error}"


@pytest.fixture(params=[in_worker, in_triggerer], ids=["worker", "triggerer"])
def outcome(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Wait, and give "ready" or the error."""
    wait: Callable[[], str] = request.param
    return wait


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def other_bundle(tmp_path: Path) -> str:
    path = tmp_path / "theirs.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(READY, context) as server:
        yield server


@pytest.fixture
def to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection to an endpoint, without a bundle of the environment."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    def set_connection(endpoint: str, **extra: Any) -> None:
        fields = {
            "conn_type": "dli",
            "login": "ak",
            "password": "sk",
            "extra": {"project_id": "p", "endpoint": endpoint, "read_timeout": 0.2} | extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields))

    return set_connection


def test_a_private_ca_is_not_trusted_of_itself(
    outcome: Callable[[], str], secure: Server, to: Callable[..., None]
) -> None:
    to(secure.origin)

    said = outcome()

    assert said.startswith("ConnectionSetupError")
    assert "Set ca_bundle in the connection to the CA that signed it" in said
    assert secure.asked == []


def test_the_bundle_of_the_connection_wins_over_the_one_of_the_environment(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    other_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to(secure.origin, ca_bundle=bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_bundle)

    assert outcome() == "ready"


def test_a_wrong_bundle_of_the_connection_is_not_saved_by_the_environment(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    other_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to(secure.origin, ca_bundle=other_bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    assert outcome().startswith("ConnectionSetupError")


def test_the_bundle_of_the_environment_counts_where_the_connection_has_none(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to(secure.origin)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    assert outcome() == "ready"


def test_a_setup_that_cannot_work_fails_at_once(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to(secure.origin)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    started = time.monotonic()
    assert outcome().startswith("ConnectionSetupError")
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_other_host_hears_nothing(
    outcome: Callable[[], str], to: Callable[..., None], status: int
) -> None:
    with serving(READY) as other:
        target = f"http://localhost:{other.port}/v2.0/p/resources?token=canary"
        with serving((status, {"Location": target}, b"")) as first:
            to(first.origin, auth_token="canary-token")
            said = outcome()

    assert said.startswith("EndpointError")
    assert f"a redirect to localhost:{other.port}" in said
    assert "canary" not in said
    assert other.asked == []
    assert len(first.asked) == 1


def test_a_server_that_never_answers_bounds_every_call(
    outcome: Callable[[], str], emulator: Emulator, connect: Callable[..., None]
) -> None:
    connect(read_timeout=0.1)
    emulator.add_fault(Fault("hang", times=None))

    started = time.monotonic()
    said = outcome()

    assert said.startswith("AnswerLostError")
    assert time.monotonic() - started < 2


def test_no_redirect_reaches_another_port_of_the_same_host_either(
    outcome: Callable[[], str], to: Callable[..., None], emulator: Emulator
) -> None:
    with serving((307, {"Location": f"{emulator.url}/stolen"}, b"")) as first:
        to(first.origin)
        said = outcome()

    assert said.startswith("EndpointError")
    assert emulator.requests == []


def test_a_proxy_that_is_gone_is_said_without_its_password(
    outcome: Callable[[], str], to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    to("https://dli.nowhere.invalid")
    monkeypatch.setenv("https_proxy", "http://user:canary-password@127.0.0.1:1")

    said = outcome()

    assert said.startswith("NotSentError")
    assert "network and proxy" in said
    assert "canary" not in said
