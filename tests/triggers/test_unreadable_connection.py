"""A connection that cannot be read for a while: trouble that may pass, also for a healthy job.

Airflow tells a secrets backend that failed as it tells a connection that is not there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import connection
from pytest_mock import MockerFixture
from scenarios.jobs import cancels
from scenarios.modes import event, events, eventually

from airflow_provider_dli.api.protocol.errors import NotSentError, restored
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.triggerer import accounts
from airflow_provider_dli.triggers.packages import PackageGroupTrigger, PackageGroupUpdatedTrigger
from airflow_provider_dli.triggers.spark import SparkBatchTrigger
from airflow_provider_dli.triggers.task_log import task_log

NAME = "AIRFLOW_CONN_DLI_DEFAULT"
Wait = Callable[..., Any]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(upload_seconds=0) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.delenv(NAME, raising=False)


@pytest.fixture(params=["packages", "job"])
def wait(request: pytest.FixtureRequest, emulator: Emulator) -> Wait:
    """Makes a trigger of which the wait is over at its first look."""
    if request.param == "packages":
        emulator.put_group("g", {"a.jar": "READY"})
        return lambda **fields: PackageGroupTrigger(group="g", poll_interval=0.2, **fields)
    batch_id = emulator.add_batch({}, "success")
    return lambda **fields: SparkBatchTrigger(batch_id=batch_id, poll_interval=0.2, **fields)


@pytest.fixture
def lookups(mocker: MockerFixture) -> Any:
    """Counts how often Airflow is asked for a connection."""
    return mocker.spy(accounts, "get_async_connection")


def test_a_wait_goes_on_when_the_connection_can_be_read_again(
    emulator: Emulator, wait: Wait, lookups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[dict[str, Any]]:
        waiting = asyncio.ensure_future(events(wait()))
        await eventually(lambda: lookups.call_count >= 2)  # the first one has failed
        monkeypatch.setenv(NAME, connection(emulator))
        return await waiting

    (only,) = asyncio.run(main())
    assert only["status"] in {"ready", "ended"}


def test_it_is_warned_of_once(
    wait: Wait, task_log: Callable[[], str], caplog: pytest.LogCaptureFixture, lookups: Any
) -> None:
    event(wait(max_unknown_time=2.0))

    assert lookups.call_count >= 2
    # Airflow 2 shows its task log in two places.
    line = "The wait continues after an error: The connection 'dli_default'"
    assert max(caplog.text.count(line), task_log().count(line)) == 1


def test_after_max_unknown_time_the_error_names_the_connection(wait: Wait) -> None:
    error = restored(event(wait(max_unknown_time=0.3)))

    assert isinstance(error, NotSentError)
    assert str(error).startswith("The connection 'dli_default' could not be read (")


def test_at_the_deadline_the_wait_times_out(wait: Wait) -> None:
    error = restored(event(wait(deadline=time.time() + 0.3)))

    assert isinstance(error, TimeoutError)
    assert "The last look failed: The connection 'dli_default' could not be read" in str(error)


def test_a_connection_that_is_there_and_wrong_ends_a_wait_at_once(
    emulator: Emulator, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, connection(emulator, endpoint=None, cloud=None))

    assert event(wait())["error"] == "InputError"


def test_a_connection_that_cannot_be_read_when_the_keys_were_refused_is_read_again(
    emulator: Emulator, lookups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = emulator.add_batch({}, "running")
    monkeypatch.setenv(NAME, connection(emulator))

    async def main() -> list[dict[str, Any]]:
        waiting = asyncio.ensure_future(
            events(SparkBatchTrigger(batch_id=batch_id, poll_interval=0.2))
        )
        await eventually(lambda: emulator.requests)
        monkeypatch.delenv(NAME)
        emulator.rotate_keys("NEWACCESSKEY", "new-secret-key")
        seen = lookups.call_count
        await eventually(lambda: lookups.call_count > seen)
        monkeypatch.setenv(NAME, connection(emulator))
        emulator.set_batch_state(batch_id, "success")
        return await waiting

    (only,) = asyncio.run(main())
    assert only["status"] == "ended"


def test_a_watch_of_an_asset_waits_without_end(
    emulator: Emulator, lookups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        stream = PackageGroupUpdatedTrigger(group="g", poll_interval=0.1).run()
        following = asyncio.ensure_future(anext(stream))
        await eventually(lambda: lookups.call_count >= 2)
        monkeypatch.setenv(NAME, connection(emulator))
        await eventually(lambda: emulator.requests)
        assert not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    asyncio.run(main())


def test_many_waits_for_one_connection_look_for_it_once_in_a_while(
    emulator: Emulator, lookups: Any
) -> None:
    async def main() -> None:
        await asyncio.gather(
            *(
                events(PackageGroupTrigger(group=f"g{number}", max_unknown_time=0.5))
                for number in range(100)
            )
        )

    asyncio.run(main())
    assert lookups.call_count <= 3


def test_a_job_is_cancelled_although_the_connection_cannot_be_read_at_first(
    emulator: Emulator, lookups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = emulator.add_batch({}, "running")

    async def main() -> None:
        killing = asyncio.ensure_future(SparkBatchTrigger(batch_id=batch_id).on_kill())
        await eventually(lambda: lookups.call_count >= 2)  # the first one has failed
        monkeypatch.setenv(NAME, connection(emulator))
        await killing
        await task_log.written()

    asyncio.run(main())
    assert cancels(emulator) == 1
    assert emulator.batches()[batch_id]["state"] == "dead"
