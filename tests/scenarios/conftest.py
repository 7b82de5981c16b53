"""An emulator on the clock of the mode: a fake one for the worker, the machine's own otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
        options = {"clock": mode.now, "upload_seconds": mode.seconds(30)}
    with running(**options) as emulator:
        yield emulator


@pytest.fixture
def dli(emulator: Emulator, connect: Callable[..., None]) -> Emulator:
    """An emulator with the connection `dli_default` to it."""
    connect()
    return emulator
