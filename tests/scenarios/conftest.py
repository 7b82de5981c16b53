"""An emulator on the clock of the mode: a fake one for the worker, the machine's own otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_clock import FakeClock
from scenarios.modes import Mode

from airflow_provider_dli.emulator import Emulator, running


@pytest.fixture(params=["worker", "triggerer"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param, FakeClock() if request.param == "worker" else None)


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """On the clock of the mode where a test has one, else on the machine's."""
    options = {}
    if "mode" in request.fixturenames:
        mode = request.getfixturevalue("mode")
        seconds = mode.seconds(30)
        options = {"clock": mode.now, "upload_seconds": seconds, "batch_seconds": seconds}
    with running(**options) as emulator:
        yield emulator


@pytest.fixture
def dli(
    request: pytest.FixtureRequest, emulator: Emulator, connect: Callable[..., None]
) -> Emulator:
    """An emulator with the connection `dli_default` to it; a "read timeout" comes soon."""
    connect(read_timeout=0.05 if "read timeout" in request.node.name else 5)
    return emulator


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection `dli_default`."""

    def set_connection(fields: dict[str, Any], **extra: Any) -> None:
        changed = fields | {"extra": fields["extra"] | extra}
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(changed))

    return set_connection
