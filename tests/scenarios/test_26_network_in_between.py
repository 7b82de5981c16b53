"""Fault: a proxy that asks for a password, or drops TLS; a private CA, a bundle in the environment
that does not know it, no certificate that anybody knows; a server that redirects to another host,
one that never answers.

Expected: the connection's own setting wins; every call is bounded; a redirect is refused and no
header or token reaches the other host; what is in the way is said without a password. The same
holds in both modes.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trustme
from builders import connection_json
from eventually import HANG, at_last
from fake_clock import FakeClock
from scenarios.modes import Mode, event
from scenarios.servers import (
    Answer,
    Asked,
    ForwardProxy,
    Server,
    forward_proxy,
    listing,
    serving,
    silent,
    speaking,
)
from urllib3.exceptions import InsecureRequestWarning

from airflow_provider_dli.api.protocol.errors import DliError, restored
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.triggers.packages import PackageGroupTrigger

READY = listing(g={"a.jar": "READY"})
NUMBERS = count()


def in_worker() -> str:
    clock = FakeClock()
    clock.time = time.time()
    with DliHook(clock=clock) as hook:
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
        extra = {"project_id": "p", "endpoint": endpoint, "read_timeout": 0.2} | extra
        # Another caller each time: what one of a process has found out counts for the next.
        stored = connection_json(extra, login=f"ak{next(NUMBERS)}")
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", stored)

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

    assert outcome().startswith("ConnectionSetupError")


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


@pytest.mark.timeout(HANG)  # by default an answer has 60 seconds
def test_a_server_that_never_answers_bounds_every_call(
    outcome: Callable[[], str], emulator: Emulator, connect: Callable[..., None]
) -> None:
    connect(read_timeout=0.1)
    emulator.add_fault(Fault("hang", times=None))

    assert outcome().startswith("AnswerLostError")


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


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwardProxy]:
    with forward_proxy(tmp_path_factory.mktemp("proxy"), "user", "canary-password") as proxy:
        yield proxy


@pytest.fixture
def via(forward: ForwardProxy) -> Callable[[int], list[str]]:
    """Returns what went through the proxy since the test began; it writes when a client is gone."""
    before = len(forward.passed_on())

    def passed_on(at_least: int) -> list[str]:
        at_last(lambda: len(forward.passed_on()) >= before + at_least)
        return forward.passed_on()[before:]

    return passed_on


def test_tls_goes_through_a_proxy_with_a_password(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    forward: ForwardProxy,
    via: Callable[[int], list[str]],
) -> None:
    """The connection's own wins over NO_PROXY, which the tests set for this host."""
    to(secure.origin, ca_bundle=bundle, proxy=forward.address)

    assert outcome() == "ready"
    assert via(1) == [f"CONNECT 127.0.0.1:{secure.port}"]
    assert all("proxy-authorization" not in asked.headers for asked in secure.asked)


def test_a_signature_outlives_a_proxy_that_reads_along(
    mode: Mode,
    emulator: Emulator,
    connect: Callable[..., None],
    forward: ForwardProxy,
    via: Callable[[int], list[str]],
) -> None:
    """Without TLS a proxy adds headers of its own; none of those is signed."""
    connect(proxy=forward.address)
    emulator.upload_seconds = mode.seconds(20)

    mode.run(mode.upload())

    # One line for each connection: the worker keeps one, the trigger has another.
    port = emulator.url.rsplit(":", 1)[1]
    through = via(1 if mode.clock else 2)
    assert {line.split()[1] for line in through} == {f"127.0.0.1:{port}"}
    assert any("via" in record.headers for record in emulator.requests)
    assert {record.status for record in emulator.requests} == {200, 201}


def test_iam_is_asked_through_the_proxy(
    outcome: Callable[[], str], to: Callable[..., None]
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("http://iam.nowhere.invalid/v3/projects"):
            return 200, {}, b'{"projects": [{"id": "p9"}]}'
        return READY

    with serving(answer) as proxy:
        addresses = {"iam_endpoint": "http://iam.nowhere.invalid", "region": "eu-de"}
        to("http://dli.nowhere.invalid", project_id=None, proxy=proxy.origin, **addresses)

        assert outcome() == "ready"

    assert [asked.path for asked in proxy.asked] == [
        "http://iam.nowhere.invalid/v3/projects?name=eu-de",
        "http://dli.nowhere.invalid/v2.0/p9/resources",
    ]


def test_the_machine_is_not_asked_through_the_proxy(
    outcome: Callable[[], str], to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked who the machine is, and a proxy is another one."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    with running() as machine, serving(READY) as proxy:
        of_machine = {"auth_type": "metadata", "metadata_endpoint": machine.url}
        to("http://dli.nowhere.invalid", proxy=proxy.origin, **of_machine)
        monkeypatch.setenv("http_proxy", proxy.origin)

        assert outcome() == "ready"

    assert [record.path for record in machine.requests] == [
        "/meta-data/latest/api/token",
        "/openstack/latest/securitykey",
    ]
    assert [asked.path for asked in proxy.asked] == ["http://dli.nowhere.invalid/v2.0/p/resources"]


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_the_proxy_of_the_connection_wins_over_the_one_of_the_environment(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    forward: ForwardProxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    to(secure.origin, ca_bundle=bundle, proxy=forward.address)
    with serving((502, {}, b"")) as other:
        monkeypatch.setenv(variable, f"http://user:canary-other@127.0.0.1:{other.port}")

        assert outcome() == "ready"

    assert other.asked == []


def test_the_proxy_of_the_environment_counts_where_the_connection_has_none(
    outcome: Callable[[], str],
    secure: Server,
    to: Callable[..., None],
    bundle: str,
    forward: ForwardProxy,
    via: Callable[[int], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to(secure.origin, ca_bundle=bundle)
    monkeypatch.setenv("HTTPS_PROXY", forward.address)

    assert outcome() == "ready"
    assert secure.asked != []
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    assert outcome() == "ready"
    assert via(1) == [f"CONNECT 127.0.0.1:{secure.port}"]


@pytest.mark.parametrize("login", ["user:canary-wrong@", "other:canary-password@", ""])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_the_password_is_said_without_it(
    outcome: Callable[[], str],
    to: Callable[..., None],
    forward: ForwardProxy,
    scheme: str,
    login: str,
) -> None:
    to(f"{scheme}://dli.nowhere.invalid", proxy=f"http://{login}127.0.0.1:{forward.port}")

    said = outcome()

    assert "407" in said
    assert "proxy" in said.lower()
    assert said.startswith("NotSentError" if scheme == "https" else "EndpointError")
    assert "canary" not in said


def test_a_password_of_a_proxy_with_special_characters_arrives(
    outcome: Callable[[], str], to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Percent-encoded in the address, and as it is in the header, whatever the library."""
    login = base64.b64encode(b"user@corp:pa ss/w%rd:#").decode()
    with serving(READY) as proxy:
        address = f"http://user%40corp:pa%20ss%2Fw%25rd%3A%23@127.0.0.1:{proxy.port}"
        to("http://dli.nowhere.invalid", proxy=address)

        assert outcome() == "ready"

    assert {asked.headers["proxy-authorization"] for asked in proxy.asked} == {f"Basic {login}"}


TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize("says", [b"", b"garbage\r\n\r\n", TUNNEL, TUNNEL + b"no TLS at all"])
def test_a_proxy_that_drops_tls_is_an_error_that_may_pass(
    outcome: Callable[[], str], to: Callable[..., None], says: bytes
) -> None:
    with speaking(after=b"\r\n\r\n", says=says) as proxy:
        to("https://dli.nowhere.invalid", proxy=f"http://user:canary@127.0.0.1:{proxy.port}")
        said = outcome()

    assert said.startswith(("NotSentError", "AnswerLostError"))
    assert "https://dli.nowhere.invalid" in said
    assert "canary" not in said


@pytest.mark.parametrize("says", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"])
def test_a_server_that_hangs_up_or_talks_nonsense_is_an_error_that_may_pass(
    outcome: Callable[[], str], to: Callable[..., None], says: bytes
) -> None:
    with speaking(after=b"\r\n\r\n", says=says) as server:
        to(server.origin)
        said = outcome()

    # Headers that are cut off are an answer without a body to http.client.
    assert said.startswith(("AnswerLostError", "UnusableAnswerError"))


@pytest.mark.timeout(HANG)  # by default an answer has 60 seconds
@pytest.mark.parametrize("what", ["server", "TLS", "proxy"])
def test_who_takes_a_connection_and_never_says_a_word_bounds_every_call(
    outcome: Callable[[], str], to: Callable[..., None], what: str
) -> None:
    with silent() as mute:
        address = {"server": mute.origin, "TLS": f"https://127.0.0.1:{mute.port}"}
        proxy = {"proxy": f"http://user:canary@127.0.0.1:{mute.port}"} if what == "proxy" else {}
        timeouts = {"connect_timeout": 0.1, "read_timeout": 0.1}
        to(address.get(what, "https://dli.nowhere.invalid"), **timeouts, **proxy)
        said = outcome()

    assert said.startswith(("NotSentError", "AnswerLostError"))
    assert "canary" not in said


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[Server]:
    """A server whose certificate nobody signed, for another name at that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
    with serving(READY, context) as server:
        yield server


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [False, "false"])
def test_verify_false_trusts_any_certificate(
    outcome: Callable[[], str],
    self_signed: Server,
    to: Callable[..., None],
    other_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    verify: object,
) -> None:
    """It wins over a bundle of the environment, too, as any setting of the connection does."""
    to(self_signed.origin, verify=verify)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_bundle)

    assert outcome() == "ready"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verify_false_holds_behind_a_proxy(
    outcome: Callable[[], str], self_signed: Server, to: Callable[..., None], forward: ForwardProxy
) -> None:
    to(self_signed.origin, verify=False, proxy=forward.address)

    assert outcome() == "ready"


def test_verify_false_is_warned_of_by_urllib3_in_the_worker(
    self_signed: Server, to: Callable[..., None]
) -> None:
    """A warning of Python's `warnings`, which a worker prints once; aiohttp has none."""
    to(self_signed.origin, verify=False)

    with pytest.warns(InsecureRequestWarning, match="to host '127.0.0.1'"):
        assert in_worker() == "ready"
    assert in_triggerer() == "ready"


@pytest.mark.parametrize("verify", [True, "true", None])
def test_a_certificate_for_another_name_is_not_trusted_of_itself(
    outcome: Callable[[], str], self_signed: Server, to: Callable[..., None], verify: object
) -> None:
    to(self_signed.origin, verify=verify)

    assert outcome().startswith("ConnectionSetupError")
    assert self_signed.asked == []


def test_the_bundle_of_the_connection_counts_for_iam_as_well(
    outcome: Callable[[], str],
    authority: trustme.CA,
    to: Callable[..., None],
    bundle: str,
    other_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v3/projects"):
            return 200, {}, b'{"projects": [{"id": "p9"}]}'
        return 200, {}, READY[2]

    with serving(answer, context) as server:
        addresses = {"iam_endpoint": server.origin, "region": "eu-de"}
        to(server.origin, project_id=None, ca_bundle=bundle, **addresses)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_bundle)

        assert outcome() == "ready"

    assert [asked.path for asked in server.asked] == [
        "/v3/projects?name=eu-de",
        "/v2.0/p9/resources",
    ]


REDIRECTS = {
    "password": "/v3/auth/tokens",
    "agency": "/v3.0/OS-CREDENTIAL/securitytokens",
    "metadata": "/meta-data/latest/api/token",
}


@pytest.mark.parametrize("auth_type", REDIRECTS)
def test_a_redirect_of_iam_or_the_machine_is_refused_as_well(
    outcome: Callable[[], str], to: Callable[..., None], auth_type: str
) -> None:
    """The password itself is in the body there."""
    with serving((201, {"X-Subject-Token": "t"}, b"{}")) as other:
        target = f"http://localhost:{other.port}/v3/auth/tokens?password=canary"
        with serving((307, {"Location": target}, b"")) as first:
            addresses = {"iam_endpoint": first.origin, "metadata_endpoint": first.origin}
            of_whom = {"account": "a", "agency": "b", "auth_type": auth_type}
            to(first.origin, **addresses, **of_whom)
            said = outcome()

    assert said.startswith("EndpointError")
    assert f"a redirect to localhost:{other.port}" in said
    assert "canary" not in said
    assert other.asked == []
    assert [asked.path.partition("?")[0] for asked in first.asked] == [REDIRECTS[auth_type]]
