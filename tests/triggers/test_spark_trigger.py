# SPDX-License-Identifier: Apache-2.0
"""The wait of the trigger for Spark jobs against the emulator, on a loop as a triggerer runs it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from scenarios.jobs import asked
from scenarios.modes import again, event, events, eventually, plain

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.protocol.errors import SparkBatchTimeoutError, restored
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.triggers.spark import SparkBatchTrigger


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _connected(connect: Callable[..., None]) -> None:
    connect()


def trigger(batch_id: str, **fields: Any) -> SparkBatchTrigger:
    return SparkBatchTrigger(batch_id=batch_id, **{"poll_interval": 0.1} | fields)


@pytest.mark.parametrize("state", ["success", "dead"])
def test_the_end_of_a_job_is_one_event_with_the_job(emulator: Emulator, state: str) -> None:
    batch_id = emulator.add_batch({"name": "job", "queue": "q"}, state)

    (only,) = asyncio.run(events(trigger(batch_id, is_new=False)))

    assert only.keys() == {"batch_id", "is_new", "started", "status", "batch"}
    assert (only["batch_id"], only["is_new"], only["status"]) == (batch_id, False, "ended")
    batch = SparkBatch.from_dict(only["batch"])
    assert (batch.id, batch.raw_state, batch.name, batch.queue) == (batch_id, state, "job", "q")


def test_the_event_tells_nothing_of_what_the_job_was_submitted_with(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"conf": {"password": "hush"}, "args": ["hush"]}, "success")

    assert "hush" not in json.dumps(event(trigger(batch_id)))


def test_what_went_wrong_is_one_event_of_which_the_error_is_made_again(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "running")

    only = event(trigger(batch_id, deadline=time.time() + 0.1, limit="execution_timeout"))

    error = restored(only)
    assert (only["batch_id"], only["status"]) == (batch_id, "failed")
    assert only["limit"] == "execution_timeout"
    assert isinstance(error, SparkBatchTimeoutError)
    assert error.batch_id == batch_id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_id": None}, "batch_id is missing"),
        ({"batch_id": ""}, "batch_id is ''"),
        ({"poll_interval": "soon"}, "poll_interval is 'soon'"),
        ({"deadline": "soon"}, "deadline is 'soon'"),
        ({"max_unknown_time": None}, "max_unknown_time is missing"),
        ({"auto_recovery": "maybe"}, "auto_recovery is 'maybe'"),
        ({"dli_conn_id": 7}, "dli_conn_id is 7"),
    ],
)
def test_a_wait_that_makes_no_sense_is_one_event_that_says_so(
    emulator: Emulator, fields: dict[str, Any], message: str
) -> None:
    only = event(trigger(**{"batch_id": "b"} | fields))

    assert (only["status"], only["error"]) == ("failed", "InputError")
    assert only["message"].startswith(message)
    assert emulator.requests == []


def test_a_job_that_stays_dead_is_dead_although_it_may_be_started_again(
    emulator: Emulator,
) -> None:
    batch_id = emulator.add_batch({}, "dead")

    only = event(trigger(batch_id, auto_recovery=True))

    assert only["batch"]["raw_state"] == "dead"
    assert len(asked(emulator, "GET")) == 2


def test_a_trigger_that_is_cancelled_gives_no_event_and_cancels_nothing(
    emulator: Emulator,
) -> None:
    """So it is when the triggerer is restarted; somebody who ends the task has `on_kill` called."""
    batch_id = emulator.add_batch({}, "running")

    async def kill() -> list[TriggerEvent]:
        given: list[TriggerEvent] = []

        async def take() -> None:
            given.extend([each async for each in trigger(batch_id).run()])

        running_trigger = asyncio.ensure_future(take())
        await eventually(lambda: asked(emulator, "GET", "/log"))
        running_trigger.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_trigger
        # A connection that is just being read is read to its end.
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        return given

    assert asyncio.run(kill()) == []
    assert {record.method for record in emulator.requests} == {"GET"}


def test_many_waits_on_one_account_share_their_looks(emulator: Emulator) -> None:
    ids = [emulator.add_batch({"name": f"n{number}"}, "running") for number in range(60)]

    async def main() -> list[list[dict[str, Any]]]:
        waiting = asyncio.gather(
            *(events(trigger(one, driver_log=False, poll_interval=0.5)) for one in ids)
        )
        await eventually(lambda: len(emulator.requests) >= 2)
        for one in ids:
            emulator.set_batch_state(one, "success")
        return await waiting

    outcomes = asyncio.run(main())

    assert [only["batch_id"] for (only,) in outcomes] == ids
    assert len(emulator.requests) < 20


FIELDS = {
    "batch_id": "b",
    "is_new": False,
    "dli_conn_id": "other",
    "region": "eu-de",
    "project_id": "p",
    "poll_interval": 5.0,
    "deadline": 1_800_000_000.0,
    "max_unknown_time": 60.0,
    "limit": "execution_timeout",
    "auto_recovery": True,
    "driver_log": False,
    "cancel_on_kill": False,
    "started": 1_800_000_000.0,
    "looked": True,
    "silent_fail": False,
}


def test_serialize_gives_the_path_and_every_field_as_plain_json() -> None:
    path, fields = SparkBatchTrigger(**FIELDS).serialize()

    assert path == "airflow_provider_dli.triggers.spark.SparkBatchTrigger"
    assert fields == plain(fields) == FIELDS


def test_a_trigger_made_of_its_row_has_the_same_row() -> None:
    made = SparkBatchTrigger(**FIELDS)

    assert again(again(made)).serialize() == made.serialize()


def test_a_field_of_a_later_version_is_warned_of_and_left_aside(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = emulator.add_batch({}, "success")

    assert event(trigger(batch_id, added_later=1))["status"] == "ended"
    assert "Ignored unknown fields: added_later" in caplog.text
