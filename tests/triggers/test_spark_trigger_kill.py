"""Somebody ends a deferred task: what the trigger does with the job, as Airflow 3.3 leads it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import connection
from eventually import HANG, eventually
from scenarios.jobs import cancels, looks

from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggers.spark import SparkBatchTrigger
from airflow_provider_dli.triggers.task_log import task_log

needs_airflow_3 = pytest.mark.skipif(
    version("apache-airflow").startswith("2."), reason="Airflow 2 tells a trigger nothing"
)
TASK = SimpleNamespace(dag_id="dag", task_id="run", run_id="r", map_index=3)


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


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def trigger(batch_id: str, **fields: Any) -> SparkBatchTrigger:
    return SparkBatchTrigger(batch_id=batch_id, **{"poll_interval": 0.1} | fields)


async def killed(trigger: SparkBatchTrigger, *, impatience: float = 0.0) -> None:
    """End a trigger that waits as Airflow does: cancel it, and let `on_kill` act.

    Airflow repeats the cancel until the trigger has gone; here all `impatience` seconds.
    """

    async def wait() -> None:
        try:
            async for _ in trigger.run():
                pytest.fail("it gave an event")
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(trigger.on_kill(), timeout=30)
            raise

    others = asyncio.all_tasks()
    waiting = asyncio.ensure_future(wait())
    await eventually(lambda: len(asyncio.all_tasks() - others) > 1)
    while not waiting.done():
        waiting.cancel()
        await asyncio.wait([waiting], timeout=impatience or None)
    assert waiting.cancelled()
    # What outlives the trigger.
    await eventually(lambda: asyncio.all_tasks() <= others)
    await task_log.written()


def test_the_job_is_cancelled_once(dli: Emulator, batch_id: str) -> None:
    asyncio.run(killed(trigger(batch_id)))

    assert cancels(dli) == 1
    assert dli.batches()[batch_id]["state"] == "dead"


def test_the_log_of_the_task_says_what_became_of_it(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(killed(trigger(batch_id)))

    assert f"Cancelled Spark job {batch_id}; its state is dead" in caplog.text


def test_a_job_that_is_to_be_left_is_left(dli: Emulator, batch_id: str) -> None:
    asyncio.run(killed(trigger(batch_id, cancel_on_kill=False)))

    assert cancels(dli) == 0
    assert dli.batches()[batch_id]["state"] == "running"


def test_the_cancel_comes_to_its_end_although_airflow_cancels_it_again_and_again(
    dli: Emulator, batch_id: str
) -> None:
    dli.add_fault(Fault("hang", seconds=0.8, method="DELETE"))

    asyncio.run(killed(trigger(batch_id), impatience=0.1))

    assert cancels(dli) == 1
    assert dli.batches()[batch_id]["state"] == "dead"


def test_so_does_the_look_at_what_came_of_it(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    dli.add_fault(Fault(method="DELETE", body={"msg": "deleted"}))

    async def kill() -> None:
        dying = asyncio.ensure_future(killed(trigger(batch_id), impatience=0.1))
        await eventually(lambda: cancels(dli))
        seen = len(looks(dli))
        await eventually(lambda: len(looks(dli)) > seen)
        dli.set_batch_state(batch_id, "dead")
        await dying

    asyncio.run(kill())

    assert f"Cancelled Spark job {batch_id}; its state is dead" in caplog.text


def test_many_jobs_are_cancelled_once_each(dli: Emulator) -> None:
    ids = [dli.add_batch({}, "running") for _ in range(20)]
    dli.add_fault(Fault("hang", seconds=0.3, method="DELETE", times=None))

    async def kill() -> None:
        ends = [asyncio.ensure_future(_killed_among(trigger(one))) for one in ids]
        await asyncio.gather(*ends)

    asyncio.run(kill())

    assert cancels(dli) == len(ids)
    assert {dli.batches()[one]["state"] for one in ids} == {"dead"}


async def _killed_among(one: SparkBatchTrigger) -> None:
    await asyncio.wait_for(one.on_kill(), timeout=HANG)


@pytest.mark.parametrize("state", ["success", "dead"])
def test_a_job_that_has_ended_meanwhile_is_no_trouble(
    dli: Emulator, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = dli.add_batch({}, state)

    asyncio.run(trigger(batch_id).on_kill())

    assert f"Cancelled Spark job {batch_id}; its state is {state}" in said(caplog)


def test_a_job_that_is_gone_is_no_trouble(dli: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(trigger("0a324461-d9d9-45da-a52a-3b3c7a3d809e").on_kill())

    assert "its state is unknown to DLI" in said(caplog)


def test_a_job_that_cannot_be_cancelled_is_told_of(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    dli.add_fault(Fault("forbidden", method="DELETE"))

    asyncio.run(trigger(batch_id).on_kill())

    assert f"Could not cancel Spark job {batch_id}: DELETE" in said(caplog)


def test_a_triggerer_that_ends_in_the_middle_of_a_cancel_is_not_held_up(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    dli.add_fault(Fault("hang", method="DELETE"))

    async def end() -> None:
        asyncio.ensure_future(trigger(batch_id).on_kill())  # noqa: RUF006 - the loop ends it
        await eventually(lambda: cancels(dli) or dli.faults.as_json()[0]["hit"])

    asyncio.run(end())

    # It was not waited for: nothing came of the cancel yet.
    assert "could not" not in said(caplog).lower()


# Whether the task still waits


class Airflow:
    """What the triggerer can ask of Airflow's server."""

    def __init__(self, state: str | None, batch_id: object) -> None:
        self.state = state
        self.batch_id = batch_id

    def send(self, message: Any) -> Any:
        from airflow.sdk.execution_time import comms

        if isinstance(message, comms.GetTaskStates):
            assert message.task_ids == [TASK.task_id]
            # As it names a mapped task.
            return comms.TaskStatesResult(task_states={TASK.run_id: {"run_3": self.state}})
        assert message.key == "batch_id"
        assert message.map_index == TASK.map_index
        return comms.XComResult(key=message.key, value=self.batch_id)


@contextmanager
def served(server: object) -> Iterator[None]:
    """Make what asks Airflow's server ask this one."""
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    with set_supervisor_comms(server):  # type: ignore[arg-type]
        yield


def ended(dli: Emulator, batch_id: str, server: object) -> bool:
    """Returns whether `on_kill` cancels the job when Airflow's server answers like this."""
    one = trigger(batch_id)
    one.task_instance = TASK  # type: ignore[assignment]
    with served(server):
        asyncio.run(one.on_kill())
    return cancels(dli) == 1


@needs_airflow_3
def test_a_task_that_is_still_deferred_keeps_its_job(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A triggerer that stood still lost its triggers to another one."""
    assert not ended(dli, batch_id, Airflow("deferred", batch_id))
    assert "its task is still deferred" in said(caplog)


@needs_airflow_3
@pytest.mark.parametrize("state", ["failed", "success", "running", "scheduled", None])
def test_a_task_that_somebody_ended_loses_its_job(
    dli: Emulator, batch_id: str, state: str | None
) -> None:
    assert ended(dli, batch_id, Airflow(state, batch_id))


@needs_airflow_3
@pytest.mark.parametrize("other", ["another", None])
def test_a_task_that_was_cleared_and_waits_for_another_job_loses_this_one(
    dli: Emulator, batch_id: str, other: str | None
) -> None:
    assert ended(dli, batch_id, Airflow("deferred", other))


@needs_airflow_3
def test_a_task_of_which_airflow_tells_nothing_loses_its_job(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent:
        def send(self, message: Any) -> Any:
            raise ConnectionResetError("no Airflow")

    assert ended(dli, batch_id, Silent())
    assert "Could not read the state of the task from Airflow: ConnectionResetError" in said(caplog)


@needs_airflow_3
def test_a_task_that_airflow_does_not_find_is_no_cause_for_a_warning(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """So it answers for one that was cleared."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    class NotFound:
        def send(self, message: Any) -> Any:
            detail = {"status_code": 404, "message": "Not Found"}
            raise AirflowRuntimeError(
                ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)
            )

    assert ended(dli, batch_id, NotFound())
    said(caplog)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_the_log_says_why_the_job_is_cancelled(
    dli: Emulator, batch_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(trigger(batch_id).on_kill())

    assert f"The task was marked or cleared: cancelling Spark job {batch_id}" in said(caplog)


def said(caplog: pytest.LogCaptureFixture) -> str:
    """Returns the log, also what a thread writes."""
    asyncio.run(task_log.written())
    return caplog.text
