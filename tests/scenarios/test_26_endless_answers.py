"""Fault: what answers in DLI's place says a little again and again, and never comes to an end.

Expected: a wait ends at its deadline all the same, in both modes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from faults import answers
from faults.relay import relay
from scenarios.modes import event

from airflow_provider_dli.api.protocol.errors import PackageGroupTimeoutError, restored
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.triggers.packages import PackageGroupTrigger


def in_worker() -> None:
    DliHook().wait_until_ready("g", ["a.jar"], poll_interval=0.1, timeout=0.5)


def in_triggerer() -> None:
    deadline = time.time() + 0.5
    trigger = PackageGroupTrigger(
        group="g", packages=["a.jar"], poll_interval=0.1, deadline=deadline
    )
    raise restored(event(trigger))


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """On the machine's own clock."""
    with running() as emulator:
        yield emulator


@pytest.mark.parametrize("name", answers.ENDLESS)
@pytest.mark.parametrize("wait", [in_worker, in_triggerer])
def test_a_wait_ends_at_its_deadline(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, wait: Callable[[], None], name: str
) -> None:
    with relay(emulator.url, answers.ENDLESS[name], to=lambda _: True) as between:
        fields = emulator.airflow_connection
        extra = fields["extra"] | {"endpoint": between.origin}
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields | {"extra": extra}))

        with pytest.raises(PackageGroupTimeoutError, match="was not READY"):
            wait()

    assert between.passed
