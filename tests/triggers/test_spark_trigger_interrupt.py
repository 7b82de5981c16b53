# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a trigger runs inline, as `airflow dags test` runs it: that counts as a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from conftest import connection
from eventually import at_last
from scenarios.jobs import cancels, looks

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

pytestmark = pytest.mark.usefixtures("interruptible")


@pytest.fixture
def dli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator on the machine's clock, with a connection to it."""
    with running() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        yield emulator


@pytest.fixture
def batch_id(dli: Emulator) -> str:
    """A job that runs."""
    return dli.add_batch({}, "running")


def trigger(batch_id: str, **fields: Any) -> SparkBatchTrigger:
    return SparkBatchTrigger(batch_id=batch_id, poll_interval=0.1, driver_log=False, **fields)


def inline(dli: Emulator, waiting: SparkBatchTrigger) -> None:
    """Run a trigger as Airflow's `dag.test()` does, and press Ctrl-C when it has looked."""

    def press() -> None:
        at_last(lambda: looks(dli))
        os.kill(os.getpid(), signal.SIGINT)

    async def first_event() -> TriggerEvent | None:
        return await anext(waiting.run(), None)

    threading.Thread(target=press, daemon=True).start()
    asyncio.run(first_event())


@pytest.mark.parametrize(
    ("fields", "state"), [({}, "dead"), ({"cancel_on_kill": False}, "running")]
)
def test_ctrl_c_counts_as_a_kill_of_a_trigger_that_runs_inline(
    dli: Emulator, batch_id: str, fields: dict[str, Any], state: str
) -> None:
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        inline(dli, trigger(batch_id, **fields))

    assert dli.batches()[batch_id]["state"] == state
    assert signal.getsignal(signal.SIGINT) is before


def test_the_end_of_a_triggerer_by_the_same_signal_cancels_nothing(
    dli: Emulator, batch_id: str
) -> None:
    """A triggerer gives each trigger its id."""
    waiting = trigger(batch_id)
    waiting.trigger_id = 7

    with pytest.raises(KeyboardInterrupt):
        inline(dli, waiting)

    assert cancels(dli) == 0


def test_a_cancellation_that_is_no_ctrl_c_cancels_nothing(dli: Emulator, batch_id: str) -> None:
    async def cancelled() -> None:
        async with asyncio.timeout(0.6):
            await anext(trigger(batch_id).run())

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())

    assert looks(dli)
    assert cancels(dli) == 0
