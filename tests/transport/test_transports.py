"""Both transports against real servers: the emulator, a TLS server, a proxy, nobody at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import Any

import aiohttp
import pytest
import trustme
from eventually import HANG, eventually
from scenarios.servers import Server, serving
from told import told
from transport.worlds import KINDS, Asynchronous, Transport

from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    ConnectionSetupError,
    NotSentError,
    TransportError,
)
from airflow_provider_dli.api.protocol.wire import Flow, Request, Response, send, sleep
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.blocking import BlockingTransport

OK = (200, {}, b"{}")


@pytest.fixture(autouse=True)
def _no_environment_but_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["blocking", "asynchronous"])
def kind(request: pytest.FixtureRequest) -> type[Any]:
    """One after the other, so that what a worker and a triggerer do cannot differ."""
    return KINDS[request.param]


@pytest.fixture
def transport(kind: type[Any]) -> Iterator[Transport]:
    with closing(kind(connect_timeout=1, read_timeout=0.3)) as transport:
        yield transport


def get(origin: str, **headers: str) -> Request:
    return Request("GET", origin, "/v2.0/p/resources", (("tags", "secret"),), headers)


def test_a_flow_gets_the_answer_and_its_header_names_in_lower_case(
    transport: Transport, emulator: Emulator
) -> None:
    response = transport.run(send(get(emulator.url)))

    assert response.status == 401
    assert response.headers["x-request-id"]
    assert b"DLI.0013" in response.body


def test_method_path_query_headers_and_body_go_out_as_they_are(transport: Transport) -> None:
    request = Request(
        "POST",
        "",
        "/v2.0/p/resources/%E4%B8%AD%20%2B%2F~x",
        (("b", "a b+c&d=é"), ("a", "")),
        {"Content-Type": "application/json", "X-Project-Id": "p"},
        b'{"paths": []}',
    )
    with serving(OK) as server:
        transport.run(
            send(
                Request(
                    request.method,
                    server.origin,
                    request.path,
                    request.query,
                    request.headers,
                    request.body,
                )
            )
        )

    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", f"{request.path}?{request.query_string}")
    assert asked.headers["x-project-id"] == "p"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["content-length"] == str(len(request.body))


def test_the_host_that_was_signed_is_the_host_that_is_sent(transport: Transport) -> None:
    with serving(OK) as server:
        transport.run(send(get(server.origin, Host="dli.example")))

    assert server.asked[0].headers["host"] == "dli.example"


def test_a_compressed_body_is_unpacked(transport: Transport) -> None:
    import gzip

    body = gzip.compress(b'{"resources": []}')
    with serving((200, {"Content-Encoding": "gzip"}, body)) as server:
        response = transport.run(send(get(server.origin)))

    assert response.body == b'{"resources": []}'


def test_an_answer_that_cannot_be_unpacked_is_lost(transport: Transport) -> None:
    with (
        serving((200, {"Content-Encoding": "gzip"}, b"not gzip")) as server,
        pytest.raises(AnswerLostError),
    ):
        transport.run(send(get(server.origin)))


def test_a_flow_may_sleep_and_give_a_value(kind: type[Any]) -> None:
    def flow() -> Flow[str]:
        yield from sleep(0.001)
        return "awake"

    with closing(kind()) as transport:
        assert transport.run(flow()) == "awake"


def test_sleep_goes_through_the_clock_that_was_given() -> None:
    slept: list[float] = []

    with closing(BlockingTransport(sleep=slept.append)) as transport:
        transport.run(sleep(1200))

    assert slept == [1200]


def test_sleep_leaves_the_loop_to_others() -> None:
    async def both() -> None:
        sleeping = asyncio.ensure_future(AsyncTransport().run(sleep(2 * HANG)))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not sleeping.done()
        sleeping.cancel()

    asyncio.run(both())


def test_a_lost_answer_is_thrown_into_the_flow_which_may_go_on(
    transport: Transport, emulator: Emulator
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
    transport: Transport, emulator: Emulator, fault: str
) -> None:
    emulator.add_fault(Fault(fault))

    with pytest.raises(AnswerLostError, match=r"GET /v2\.0/p/resources was sent to") as caught:
        transport.run(send(get(emulator.url)))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_nothing_is_sent_again_when_a_kept_connection_breaks(
    transport: Transport, emulator: Emulator, method: str
) -> None:
    """Only flows repeat: a library that did would double what a flow has counted."""
    transport.run(send(get(emulator.url)))
    emulator.add_fault(Fault("reset"))

    with pytest.raises(AnswerLostError):
        transport.run(send(Request(method, emulator.url, "/v2.0/p/resources")))

    assert [record.status for record in emulator.requests[1:]] == ["reset"]


def test_a_refused_connection_was_not_sent(transport: Transport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"

    with pytest.raises(NotSentError, match=r"was not sent: could not connect to .*Check endpoint"):
        transport.run(send(get(origin)))


def test_a_name_that_does_not_resolve_was_not_sent(transport: Transport) -> None:
    with pytest.raises(NotSentError, match=r"dli\.nowhere\.invalid"):
        transport.run(send(get("https://dli.nowhere.invalid")))


def test_a_server_that_takes_no_connection_was_not_sent(kind: type[Any]) -> None:
    with socket.socket() as full, closing(kind(connect_timeout=0.2)) as transport:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(3):  # fills the queue, so that the next one waits for ever
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        try:
            with pytest.raises(NotSentError):
                transport.run(send(get(f"http://127.0.0.1:{full.getsockname()[1]}")))
        finally:
            for one in waiting:
                one.close()


def test_an_answer_that_is_no_http_is_lost(transport: Transport) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(10_000)
                peer.sendall(b"220 mail.example ESMTP\r\n\r\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        with pytest.raises(AnswerLostError):
            transport.run(send(get(f"http://127.0.0.1:{listener.getsockname()[1]}")))
        speaker.join()


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    return monkeypatch


def test_the_proxy_of_the_environment_is_used_with_its_password(
    transport: Transport, through_proxy: pytest.MonkeyPatch
) -> None:
    with serving(OK) as proxy:
        through_proxy.setenv("http_proxy", f"http://user:proxy-password@127.0.0.1:{proxy.port}")
        response = transport.run(send(get("http://dli.nowhere.invalid")))

    assert response.status == 200
    (asked,) = proxy.asked
    assert asked.path == "http://dli.nowhere.invalid/v2.0/p/resources?tags=secret"
    assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwcm94eS1wYXNzd29yZA=="


def test_a_proxy_may_be_named_without_a_scheme(
    transport: Transport, through_proxy: pytest.MonkeyPatch
) -> None:
    with serving(OK) as proxy:
        through_proxy.setenv("http_proxy", f"127.0.0.1:{proxy.port}")

        assert transport.run(send(get("http://dli.nowhere.invalid"))).status == 200


def test_a_proxy_that_asks_for_a_password_is_said_to_be_in_the_way(
    transport: Transport, through_proxy: pytest.MonkeyPatch
) -> None:
    with serving((407, {"Proxy-Authenticate": "Basic"}, b"who are you?")) as proxy:
        through_proxy.setenv("https_proxy", f"http://user:proxy-password@127.0.0.1:{proxy.port}")

        with pytest.raises(NotSentError, match="network and proxy") as caught:
            transport.run(send(get("https://dli.nowhere.invalid")))

    assert [asked.method for asked in proxy.asked] == ["CONNECT"]
    assert "proxy-password" not in told(caught.value)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "10.0.0.1, 127.0.0.1", "127.0.0.0/8"])
def test_what_no_proxy_names_is_asked_directly(
    transport: Transport,
    emulator: Emulator,
    through_proxy: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    through_proxy.setenv("http_proxy", "http://127.0.0.1:1")
    through_proxy.setenv("no_proxy", no_proxy)

    assert transport.run(send(get(emulator.url))).status == 401


def test_the_proxy_for_all_counts_where_none_is_named(
    transport: Transport, through_proxy: pytest.MonkeyPatch
) -> None:
    with serving(OK) as proxy:
        through_proxy.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
        transport.run(send(get("http://dli.nowhere.invalid")))

    assert len(proxy.asked) == 1


def test_a_proxy_that_is_not_there_was_not_sent(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:proxy-password@127.0.0.1:1")

    with pytest.raises(NotSentError) as caught:
        transport.run(send(get("https://dli.nowhere.invalid")))

    assert "proxy-password" not in told(caught.value)


@pytest.mark.parametrize("proxy", ["http://", "http://user:proxy pass@[bad", "socks9://host:1"])
def test_an_unusable_proxy_variable_is_named_without_its_password(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ConnectionSetupError, match="Check the proxy variables") as caught:
        transport.run(send(get("https://dli.nowhere.invalid")))

    assert caught.value.__cause__ is None
    assert "proxy pass" not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_not_repeated_in_the_error(
    transport: Transport, emulator: Emulator
) -> None:
    with pytest.raises(ConnectionSetupError) as caught:
        transport.run(send(get(emulator.url, **{"X-Auth-Token": "canary\ntoken"})))

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer_and_nothing_follows_it(
    transport: Transport, emulator: Emulator, status: int
) -> None:
    with serving((status, {"Location": f"{emulator.url}/stolen"}, b"")) as server:
        response = transport.run(send(get(server.origin, **{"X-Auth-Token": "canary"})))

    assert response.status == status
    assert emulator.requests == []


def test_netrc_does_not_replace_the_signature(
    transport: Transport, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    response = transport.run(send(get(emulator.url, **{"X-Auth-Token": emulator.auth_token})))

    # The token counts; with a foreign Authorization the gateway would complain about that.
    assert response.status == 403
    assert "authorization" not in emulator.requests[0].headers


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(OK, context) as server:
        yield server


def test_a_certificate_of_an_unknown_ca_is_refused_before_anything_is_sent(
    transport: Transport, secure: Server
) -> None:
    with pytest.raises(ConnectionSetupError, match=r"is not trusted .*Set ca_bundle"):
        transport.run(send(get(secure.origin)))

    assert secure.asked == []


def test_a_certificate_for_another_host_is_refused(
    kind: type[Any], authority: trustme.CA, bundle: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dli.example").configure_cert(context)

    with (
        serving(OK, context) as server,
        closing(kind(verify=str(bundle))) as transport,
        pytest.raises(ConnectionSetupError, match="is not trusted"),
    ):
        transport.run(send(get(server.origin)))


def test_a_ca_bundle_is_trusted_and_wins_over_the_environment(
    kind: type[Any], secure: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.pem"
    trustme.CA().cert_pem.write_to_path(str(theirs))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(theirs))

    with closing(kind(verify=str(bundle))) as transport:
        response: Response = transport.run(send(get(secure.origin)))

    assert response.status == 200


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_bundle_of_the_environment_counts_where_the_connection_has_none(
    transport: Transport, secure: Server, bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(bundle))

    assert transport.run(send(get(secure.origin))).status == 200


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl to name the file")
def test_a_folder_of_cas_is_trusted(
    kind: type[Any], secure: Server, bundle: Path, tmp_path: Path
) -> None:
    """OpenSSL finds a CA in a folder by a hash of its name."""
    import subprocess

    found = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(bundle)],  # noqa: S607 - of the PATH
        capture_output=True,
        text=True,
        check=True,
    )
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / f"{found.stdout.strip()}.0").write_bytes(bundle.read_bytes())

    with closing(kind(verify=str(folder))) as transport:
        assert transport.run(send(get(secure.origin))).status == 200


def test_a_missing_ca_bundle_of_the_environment_is_named(
    transport: Transport, secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    with pytest.raises(ConnectionSetupError, match="CA bundle of the environment"):
        transport.run(send(get(secure.origin)))


def test_without_tls_no_ca_bundle_is_needed(
    transport: Transport, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    assert transport.run(send(get(emulator.url))).status == 401


def test_plain_http_on_a_tls_port_was_not_sent(transport: Transport, emulator: Emulator) -> None:
    with pytest.raises(NotSentError):
        transport.run(send(get(emulator.url.replace("http:", "https:"))))


def test_connections_are_kept_for_the_next_request(transport: Transport) -> None:
    """The port of a client that comes again is the same."""
    with serving(OK) as server:
        for _ in range(3):
            transport.run(send(get(server.origin)))

    assert len(server.asked) == 3


def test_concurrent_first_requests_open_one_session(emulator: Emulator) -> None:
    async def all_at_once() -> list[int]:
        transport = AsyncTransport()
        try:
            answers = await asyncio.gather(
                *(transport.run(send(get(emulator.url))) for _ in range(10))
            )
        finally:
            await transport.close()
        return [answer.status for answer in answers]

    assert asyncio.run(all_at_once()) == [401] * 10


def test_after_close_the_next_request_opens_new_connections(emulator: Emulator) -> None:
    with closing(Asynchronous()) as transport:
        transport.run(send(get(emulator.url)))
        transport.runner.run(transport.transport.close())
        transport.runner.run(transport.transport.close())

        assert transport.run(send(get(emulator.url))).status == 401


def test_a_cancelled_flow_is_cancelled_and_its_transport_works_on(emulator: Emulator) -> None:
    emulator.add_fault(Fault("hang"))

    async def leave() -> int:
        transport = AsyncTransport()
        try:
            asking = asyncio.ensure_future(transport.run(send(get(emulator.url))))
            await eventually(lambda: emulator.state()["faults"][0]["hit"])
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return (await transport.run(send(get(emulator.url)))).status
        finally:
            await transport.close()

    assert asyncio.run(leave()) == 401


def test_the_session_of_the_library_is_not_left_open(emulator: Emulator) -> None:
    """What is left open warns when it is collected, and here a warning is a failure."""
    import gc

    with closing(Asynchronous()) as transport:
        transport.run(send(get(emulator.url)))
    gc.collect()

    assert not [one for one in gc.get_objects() if _is_open(one)]


def _is_open(one: object) -> bool:
    return type(one) is aiohttp.ClientSession and not one.closed
