"""The blocking transport against real servers: the emulator, a TLS server, nobody at all."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from airflow_provider_dli.api.errors import (
    AnswerLostError,
    ConnectionSetupError,
    NotSentError,
    TransportError,
)
from airflow_provider_dli.api.wire import Flow, Request, Response, send, sleep
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.transport.blocking import BlockingTransport


@pytest.fixture
def transport() -> Iterator[BlockingTransport]:
    with closing(BlockingTransport(connect_timeout=1, read_timeout=0.3)) as transport:
        yield transport


def get(origin: str, **headers: str) -> Request:
    return Request("GET", origin, "/v2.0/p/resources", (("tags", "secret"),), headers)


def test_a_flow_gets_the_answer_and_its_header_names_in_lower_case(
    transport: BlockingTransport, emulator: Emulator
) -> None:
    response = transport.run(send(get(emulator.url)))

    assert response.status == 401
    assert response.headers["x-request-id"]
    assert b"DLI.0013" in response.body


def test_sleep_goes_through_the_clock_that_was_given() -> None:
    slept: list[float] = []

    def flow() -> Flow[str]:
        yield from sleep(1200)
        return "awake"

    with closing(BlockingTransport(sleep=slept.append)) as transport:
        assert transport.run(flow()) == "awake"

    assert slept == [1200]


def test_a_lost_answer_is_thrown_into_the_flow_which_may_go_on(
    transport: BlockingTransport, emulator: Emulator
) -> None:
    emulator.add_fault(Fault("reset"))

    def flow() -> Flow[tuple[str, int]]:
        try:
            yield from send(get(emulator.url))
        except TransportError as error:
            first = type(error).__name__
        return first, (yield from send(get(emulator.url))).status

    assert transport.run(flow()) == ("AnswerLostError", 401)


@pytest.mark.parametrize("fault", ["reset", "cut-off", "hang"])
def test_reset_cut_off_body_and_silence_are_lost_answers(
    transport: BlockingTransport, emulator: Emulator, fault: str
) -> None:
    emulator.add_fault(Fault(fault))

    with pytest.raises(AnswerLostError, match=r"GET /v2\.0/p/resources was sent to") as caught:
        transport.run(send(get(emulator.url)))

    assert "secret" not in str(caught.value)


def test_a_refused_connection_was_not_sent(transport: BlockingTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"

    with pytest.raises(NotSentError, match=r"was not sent: no connection to .*Check endpoint"):
        transport.run(send(get(origin)))


def test_a_name_that_does_not_resolve_was_not_sent(transport: BlockingTransport) -> None:
    with pytest.raises(NotSentError, match=r"dli\.nowhere\.invalid"):
        transport.run(send(get("https://dli.nowhere.invalid")))


def test_a_proxy_that_is_not_there_was_not_sent(
    transport: BlockingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:proxy-password@127.0.0.1:1")

    with pytest.raises(NotSentError) as caught:
        transport.run(send(get("https://dli.nowhere.invalid")))

    assert "proxy-password" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("proxy", ["http://", "http://user:proxy pass@[bad", "socks9://host:1"])
def test_an_unusable_proxy_variable_is_named_without_its_password(
    transport: BlockingTransport, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ConnectionSetupError, match="Check the proxy variables") as caught:
        transport.run(send(get("https://dli.nowhere.invalid")))

    assert caught.value.__cause__ is None
    assert "proxy pass" not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_not_repeated_in_the_error(
    transport: BlockingTransport, emulator: Emulator
) -> None:
    with pytest.raises(ConnectionSetupError) as caught:
        transport.run(send(get(emulator.url, **{"X-Auth-Token": "canary\ntoken"})))

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__}"


class _Redirecting(http.server.BaseHTTPRequestHandler):
    asked: list[str]
    target: str

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(307)
        self.send_header("Location", self.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def serve(
    handler: type[http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_redirect_is_an_answer_and_nothing_follows_it(
    transport: BlockingTransport, emulator: Emulator
) -> None:
    handler = type("Handler", (_Redirecting,), {"asked": [], "target": f"{emulator.url}/stolen"})
    server = serve(handler)
    try:
        response = transport.run(
            send(get(f"http://127.0.0.1:{server.server_port}", **{"X-Auth-Token": "canary"}))
        )
    finally:
        server.shutdown()
        server.server_close()

    assert response.status == 307
    assert emulator.requests == []


def test_netrc_does_not_replace_the_signature(
    transport: BlockingTransport,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    response = transport.run(send(get(emulator.url, **{"X-Auth-Token": emulator.auth_token})))

    # The token counts; with a foreign Authorization the gateway would complain about that.
    assert response.status == 403


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure_origin(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    handler = type("Handler", (_Redirecting,), {"asked": [], "target": "/"})
    server = serve(handler, context)
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_certificate_of_an_unknown_ca_is_refused(
    transport: BlockingTransport, secure_origin: str
) -> None:
    with pytest.raises(ConnectionSetupError, match=r"is not trusted .*Set ca_bundle"):
        transport.run(send(get(secure_origin)))


def test_a_ca_bundle_is_trusted_and_wins_over_the_environment(
    authority: trustme.CA, secure_origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    authority.cert_pem.write_to_path(str(ours))
    trustme.CA().cert_pem.write_to_path(str(theirs))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(theirs))

    with closing(BlockingTransport(verify=str(ours))) as transport:
        response: Response = transport.run(send(get(secure_origin)))

    assert response.status == 307


def test_a_missing_ca_bundle_of_the_environment_is_named(
    transport: BlockingTransport, secure_origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    with pytest.raises(ConnectionSetupError, match="CA bundle of the environment"):
        transport.run(send(get(secure_origin)))


def test_plain_http_on_a_tls_port_was_not_sent(
    transport: BlockingTransport, emulator: Emulator
) -> None:
    with pytest.raises(NotSentError):
        transport.run(send(get(emulator.url.replace("http:", "https:"))))
