# SPDX-License-Identifier: Apache-2.0
"""TLS, proxies, timeouts and redirects: the same settings as for DLI, and they hold."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from eventually import at_last
from fake_clock import FakeClock
from hooks.obs_servers import HANGS_UP, Front, error, fronting, line
from scenarios.servers import ForwardProxy, forward_proxy, silent
from told import told

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    ConnectionSetupError,
    EndpointError,
    NotSentError,
)
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.transfer.sending import PART

Connect = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_environment_but_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def secure(authority: trustme.CA, object_store: str) -> Iterator[Front]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with fronting(object_store, context) as front:
        yield front


# TLS


def test_files_go_over_tls_with_the_ca_of_the_connection(
    secure: Front,
    ca_bundle: str,
    bucket: str,
    clock: FakeClock,
    connect_obs: Connect,
    make: Callable[..., FileToSend],
) -> None:
    connect_obs(secure.origin, ca_bundle=ca_bundle)
    file = make(PART + 1)

    with ObsHook(clock=clock) as hook:
        hook.upload_files(bucket, [file])
        found = hook.find_object(bucket, file.key)

    assert found is not None
    assert found.sha256 == file.sha256


def test_the_ca_of_the_environment_counts(
    secure: Front,
    ca_bundle: str,
    bucket: str,
    connect_obs: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    connect_obs(secure.origin)

    ObsHook().check_bucket(bucket)


def test_an_unknown_ca_is_refused_before_anything_is_sent(
    secure: Front, connect_obs: Connect
) -> None:
    connect_obs(secure.origin)

    with pytest.raises(ConnectionSetupError, match=r"is not trusted .*Set ca_bundle"):
        ObsHook().check_bucket("bucket-1")

    assert secure.asked == []


def test_a_certificate_for_another_host_is_refused(
    authority: trustme.CA, ca_bundle: str, object_store: str, connect_obs: Connect
) -> None:
    """The vendor's client would take it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("obs.example.test").configure_cert(context)
    with fronting(object_store, context) as front:
        connect_obs(front.origin, ca_bundle=ca_bundle)

        with pytest.raises(ConnectionSetupError, match="is not trusted"):
            ObsHook().check_bucket("bucket-1")

        assert front.asked == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_can_be_switched_off(secure: Front, bucket: str, connect_obs: Connect) -> None:
    connect_obs(secure.origin, verify=False)

    ObsHook().check_bucket(bucket)


# proxies


def test_a_proxy_of_the_connection_carries_everything(
    object_store: str,
    bucket: str,
    tmp_path: Path,
    connect_obs: Connect,
    clock: FakeClock,
    make: Callable[..., FileToSend],
) -> None:
    with forward_proxy(tmp_path, "user", "proxy-password") as proxy:
        connect_obs(object_store, proxy=proxy.address)
        with ObsHook(clock=clock) as hook:
            hook.upload_files(bucket, [make(PART + 1)])

        assert passed_on(proxy)


def test_tls_goes_through_a_tunnel_of_the_proxy(
    secure: Front, ca_bundle: str, bucket: str, tmp_path: Path, connect_obs: Connect
) -> None:
    with forward_proxy(tmp_path, "user", "proxy-password") as proxy:
        connect_obs(secure.origin, proxy=proxy.address, ca_bundle=ca_bundle)
        with ObsHook() as hook:
            hook.write_object(bucket, "k", bytes(PART))

        assert passed_on(proxy) == [f"CONNECT 127.0.0.1:{secure.port}"]
    assert "proxy-authorization" not in secure.asked[0].headers


def passed_on(proxy: ForwardProxy) -> list[str]:
    """Give what the proxy passed on; it writes that down when a connection has ended."""
    return at_last(proxy.passed_on)


def test_a_proxy_of_the_environment_counts_unless_the_host_is_named(
    front: Front, connect_obs: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_obs("http://obs.example.test")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{front.port}")
    front.rule = lambda _: (404, {}, b"")

    ObsHook().find_object("bucket-1", "k")

    assert [asked.path for asked in front.asked] == ["http://bucket-1.obs.example.test/k"]
    monkeypatch.setenv("no_proxy", ".example.test")
    with pytest.raises(NotSentError):
        ObsHook(clock=FakeClock()).find_object("bucket-1", "k")


def test_a_proxy_that_is_not_there_is_told_without_its_password(connect_obs: Connect) -> None:
    connect_obs("https://obs.example.test", proxy="http://user:proxy-password@127.0.0.1:1")

    with pytest.raises(NotSentError) as caught:
        ObsHook(clock=FakeClock()).check_bucket("bucket-1")

    assert "proxy-password" not in told(caught.value)


# what does not come back


def test_an_address_where_nobody_is_was_not_sent_and_is_tried_again(
    connect_obs: Connect, clock: FakeClock
) -> None:
    connect_obs("http://127.0.0.1:1")

    with pytest.raises(NotSentError, match="GET bucket-1 was not sent: could not connect to http"):
        ObsHook(clock=clock).check_bucket("bucket-1")

    assert len(clock.slept) >= 4


def test_an_answer_that_does_not_come_in_time_is_lost(
    connect_obs: Connect, clock: FakeClock
) -> None:
    with silent() as server:
        connect_obs(server.origin, read_timeout=0.05)

        with pytest.raises(AnswerLostError, match="its answer was lost"):
            ObsHook(clock=clock).check_bucket("bucket-1")


def test_no_message_tells_the_query_of_an_address(
    front: Front, watched: ObsHook, bucket: str
) -> None:
    upload = watched.start_multipart(bucket, "k")
    front.rule = lambda _: HANGS_UP

    with pytest.raises(AnswerLostError, match=rf"^PUT {bucket}/k was sent to http") as caught:
        upload.send(1, b"x")

    assert "uploadId" not in str(caught.value)


def test_a_slow_line_is_no_broken_one(
    object_store: str, connect_obs: Connect, clock: FakeClock, bucket: str
) -> None:
    """A timeout is for each piece that goes out, not for the whole of a part."""
    with line(object_store, pause=0.03) as slow:
        connect_obs(slow.origin, connect_timeout=2.0)

        ObsHook(clock=clock).write_object(bucket, "k", bytes(PART))

    assert clock.slept == []


# redirects


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_the_signature_goes_nowhere_else(
    front: Front, watched: ObsHook, object_store: str, status: int
) -> None:
    code = {301: "PermanentRedirect", 307: "TemporaryRedirect"}.get(status, "")
    with fronting(object_store) as other:
        place = {"Location": f"{other.origin}/bucket-1/k?secret=canary"}
        front.rule = lambda _: (status, place, error(status, code)[2] if code else b"")

        with pytest.raises(
            EndpointError,
            match=rf"HTTP {status} ?{code}, a redirect to 127.0.0.1:{other.port} ?.*Check cloud and"
            " region of the connection, or its obs_endpoint",
        ) as caught:
            watched.read_object("bucket-1", "k")

        assert other.asked == []
    assert "canary" not in told(caught.value)


def test_the_page_of_something_else_is_not_obs(front: Front, watched: ObsHook) -> None:
    page = b"<html><body>Not here</body></html>"
    front.rule = lambda _: (404, {"Content-Type": "text/html"}, page)

    with pytest.raises(EndpointError, match="Not here"):
        watched.read_object("bucket-1", "k")
