# SPDX-License-Identifier: Apache-2.0
"""A hook on the object store, straight or with a server in between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from fake_clock import FakeClock
from hooks.obs_servers import Front, connection, fronting

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.hooks.obs import ObsHook


@pytest.fixture
def connect_obs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection `dli_default` to an endpoint of OBS, with changes of its fields."""

    def connect(endpoint: str, /, **extra: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(endpoint, **extra))

    return connect


@pytest.fixture
def obs(object_store: str, connect_obs: Callable[..., None], clock: FakeClock) -> Iterator[ObsHook]:
    connect_obs(object_store)
    with ObsHook(clock=clock) as hook:
        assert hook.endpoint == object_store  # whatever a test does to the connection later
        yield hook


@pytest.fixture
def front(object_store: str, connect_obs: Callable[..., None]) -> Iterator[Front]:
    """Stand before the store; the connection leads here."""
    with fronting(object_store) as front:
        connect_obs(front.origin)
        yield front


@pytest.fixture
def watched(front: Front, clock: FakeClock) -> Iterator[ObsHook]:
    """A hook whose requests go through `front`."""
    with ObsHook(clock=clock) as hook:
        yield hook


@pytest.fixture
def at_obs(front: Front, connect_obs: Callable[..., None], clock: FakeClock) -> Iterator[ObsHook]:
    """A hook on an OBS by its own name and with its own signature, behind which the store is."""
    connect_obs("http://obs.example.test", proxy=front.origin)
    with ObsHook(clock=clock) as hook:
        yield hook


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., FileToSend]:
    """Write a file of so many bytes that do not repeat, as one to send."""

    def make(size: int, name: str = "a.jar") -> FileToSend:
        data = Random(name).randbytes(size)  # noqa: S311 - no secret
        path = tmp_path / name
        path.write_bytes(data)
        return FileToSend(path, f"keys/{name}", size, hashlib.sha256(data).hexdigest())

    return make
