"""What the tests of both transports share: which one, and what stands before the emulator."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme
from fake_clock import FakeClock
from faults.relay import Act, Relay, relay, tunnels
from transport.worlds import World, world

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.emulator import Emulator

Between: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["blocking", "asynchronous"])
def world_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def tls_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(tls_authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls_authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def tls_bundle(tls_authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    tls_authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def between(emulator: Emulator, clock: FakeClock, tls: ssl.SSLContext, tls_bundle: str) -> Between:
    """Put a relay, and what leads to it, between a client and the emulator."""

    @contextmanager
    def put(
        kind: str, way: str, act: Act, to: Callable[[str], bool] | None = None, **settings: Any
    ) -> Iterator[tuple[Relay, Client, World]]:
        picked = {} if to is None else {"to": to}
        is_secure = way in {"https", "tunnel"}
        with ExitStack() as stack:
            made = stack.enter_context(
                relay(emulator.url, act, tls=tls if is_secure else None, **picked)
            )
            origin = made.origin
            if way == "tunnel":
                settings["proxy"] = f"http://127.0.0.1:{stack.enter_context(tunnels())}"
            if way == "forward":
                settings["proxy"], origin = origin, "http://dli.nowhere.invalid"
            settings = {"verify": tls_bundle, "connect_timeout": 5, "read_timeout": 5} | settings
            keys = AccessKey(emulator.access_key, emulator.secret_key)
            account = Account(origin, emulator.project_id, keys, conn_id="c")
            client = Client(account, now=clock.now)
            yield made, client, stack.enter_context(world(kind, clock, **settings))

    return put
