# SPDX-License-Identifier: Apache-2.0
"""The sensor for Spark jobs against the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from fake_clock import FakeClock
from scenarios.modes import again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import (
    InputError,
    SparkBatchFailedError,
    SparkBatchLostError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.spark import SparkBatchSensor

ABSENT = "0a324461-d9d9-45da-a52a-3b3c7a3d809e"


def sensor(hook: DliHook | None, batch_id: str, **arguments: Any) -> SparkBatchSensor:
    sensor = SparkBatchSensor(
        task_id="ended", batch_id=batch_id, **{"poke_interval": 0.01} | arguments
    )
    if hook is not None:
        sensor.hook = hook
    return sensor


@pytest.mark.parametrize(
    ("state", "done"),
    [
        ("starting", False),
        ("running", False),
        ("recovering", False),
        ("PAUSED", False),
        ("success", True),
        (" Success", True),
    ],
)
def test_it_is_done_when_the_job_has_succeeded(
    hook: DliHook, emulator: Emulator, state: str, done: bool
) -> None:
    batch_id = emulator.add_batch({}, state)

    assert bool(sensor(hook, batch_id).poke({})) is done


def test_a_dead_job_fails_the_task_for_good_and_says_why(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "dead")
    emulator.write_batch_log(batch_id, ["KeyError", "java.lang.OutOfMemoryError: Java heap space"])

    with pytest.raises(
        AirflowFailException, match=f"(?s){batch_id} is dead.*driver ran out of memory.*KeyError"
    ) as caught:
        sensor(hook, batch_id).poke({})
    assert isinstance(caught.value.__cause__, SparkBatchFailedError)


def test_a_job_that_dli_does_not_know_is_lost_after_a_while_and_the_project_is_named(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    began = clock.now()

    with pytest.raises(
        SparkBatchLostError, match=f"DLI does not know it in project {emulator.project_id}, for 300"
    ):
        sensor(hook, ABSENT, poke_interval=60).execute({})

    assert 300 <= clock.now() - began < 400


def test_so_is_it_named_when_time_is_up_before(hook: DliHook, emulator: Emulator) -> None:
    with pytest.raises(
        AirflowSensorTimeout, match=f"DLI does not know it in project {emulator.project_id}"
    ):
        sensor(hook, ABSENT, poke_interval=60, timeout=90).execute({})


def test_the_result_is_what_xcom_keeps_of_a_job(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"name": "job", "queue": "q"}, "Success")

    assert sensor(hook, batch_id).execute({}) == {
        "batch_id": batch_id,
        "name": "job",
        "state": "success",
        "queue": "q",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
    }


def test_in_poke_mode_its_timeout_ends_it_and_the_job_goes_on(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")

    with pytest.raises(AirflowSensorTimeout):
        sensor(hook, batch_id, timeout=0.05).execute({})

    assert {record.method for record in emulator.requests} == {"GET"}
    assert emulator.batches()[batch_id]["state"] == "running"


def test_in_reschedule_mode_it_gives_its_slot_back_between_two_looks(
    hook: DliHook, emulator: Emulator
) -> None:
    batch_id = emulator.add_batch({}, "running")
    run: Any = {"ti": SimpleNamespace(get_first_reschedule_date=lambda _: None)}

    with pytest.raises(AirflowException) as caught:
        sensor(hook, batch_id, mode="reschedule").execute(run)
    assert type(caught.value).__name__ == "AirflowRescheduleException"
    emulator.set_batch_state(batch_id, "success")

    assert sensor(hook, batch_id, mode="reschedule").execute(run)["state"] == "success"


@pytest.mark.parametrize("state", ["dead", "running"])
def test_with_soft_fail_a_dead_job_and_a_timeout_skip_the_task(
    hook: DliHook, emulator: Emulator, state: str
) -> None:
    batch_id = emulator.add_batch({}, state)

    with pytest.raises(AirflowSkipException):
        sensor(hook, batch_id, timeout=0.05, soft_fail=True).execute({})


def test_a_blip_is_no_failure(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({}, "success")
    emulator.add_fault(Fault("unavailable", times=2))

    assert sensor(hook, batch_id).execute({})


def test_each_change_of_state_is_logged_once(
    hook: DliHook, emulator: Emulator, task_log: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    batch_id = emulator.add_batch({}, "running")
    waiting = sensor(hook, batch_id)

    waiting.poke({})
    waiting.poke({})

    assert (caplog.text.count("(new) -> running") or task_log().count("(new) -> running")) == 1


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_job_that_may_be_started_again_is_dead_only_at_a_second_look(
    hook: DliHook, emulator: Emulator, clock: FakeClock, mode: str
) -> None:
    """In both modes in one process: what a rescheduled look saw would be forgotten."""
    batch_id = emulator.add_batch({}, "dead")
    waiting = sensor(hook, batch_id, auto_recovery=True, mode=mode, poke_interval=60)
    run: Any = {"ti": SimpleNamespace(get_first_reschedule_date=lambda _: None)}
    began = clock.now()

    with pytest.raises(AirflowFailException):
        waiting.execute(run)

    assert 30 <= clock.now() - began <= 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_id": ""}, "batch_id is ''"),
        ({"batch_id": None}, "batch_id is missing"),
        ({"auto_recovery": "maybe"}, "auto_recovery is 'maybe'"),
        ({"driver_log": "maybe"}, "driver_log is 'maybe'"),
        ({"deferrable": "maybe"}, "deferrable is 'maybe'"),
        ({"deferrable": True, "poke_interval": 0}, "poke_interval is 0"),
        ({"deferrable": True, "max_unknown_time": -1}, "max_unknown_time is -1"),
    ],
)
def test_wrong_input_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message) as caught:
        sensor(hook, **{"batch_id": "b"} | arguments).execute({})
    assert isinstance(caught.value.__cause__, InputError)

    assert emulator.requests == []


class TestDeferred:
    """In the triggerer, where time is real."""

    @pytest.fixture
    def emulator(self) -> Any:
        with running() as emulator:
            yield emulator

    @pytest.fixture(autouse=True)
    def _connected(self, connect: Callable[..., None]) -> None:
        connect()

    def waiting(self, batch_id: str, **arguments: Any) -> SparkBatchSensor:
        return sensor(None, batch_id, **{"deferrable": True, "poke_interval": 0.1} | arguments)

    def test_a_job_that_has_ended_defers_nobody(self, emulator: Emulator) -> None:
        batch_id = emulator.add_batch({}, "success")

        assert self.waiting(batch_id).execute({})["batch_id"] == batch_id

    def test_it_goes_on_when_the_job_has_succeeded(self, emulator: Emulator) -> None:
        batch_id = emulator.add_batch({"name": "job"}, "running")
        waiting = self.waiting(batch_id)
        left = deferred(waiting)
        emulator.set_batch_state(batch_id, "success")

        result = resume(waiting, left, event(again(left.trigger)))

        assert (result["batch_id"], result["name"], result["state"]) == (batch_id, "job", "success")
        assert result["project_id"] == emulator.project_id

    @pytest.mark.parametrize(
        ("soft_fail", "kind"), [(False, AirflowFailException), (True, AirflowSkipException)]
    )
    def test_a_dead_job_fails_or_skips_the_task(
        self, emulator: Emulator, soft_fail: bool, kind: type[AirflowException]
    ) -> None:
        batch_id = emulator.add_batch({}, "running")
        waiting = self.waiting(batch_id, soft_fail=soft_fail)
        left = deferred(waiting)
        emulator.set_batch_state(batch_id, "dead")

        with pytest.raises(kind):
            resume(waiting, left, event(again(left.trigger)))

    @pytest.mark.parametrize(
        ("soft_fail", "kind"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)]
    )
    def test_its_timeout_is_that_of_a_sensor(
        self, emulator: Emulator, soft_fail: bool, kind: type[AirflowException]
    ) -> None:
        batch_id = emulator.add_batch({}, "running")
        waiting = self.waiting(batch_id, timeout=0.3, soft_fail=soft_fail)
        left = deferred(waiting)

        with pytest.raises(kind):
            resume(waiting, left, event(again(left.trigger)))

        assert emulator.batches()[batch_id]["state"] == "running"

    def test_the_execution_timeout_of_the_task_holds(self, emulator: Emulator) -> None:
        waiting = self.waiting(
            emulator.add_batch({}, "running"), execution_timeout=timedelta(seconds=0.3)
        )
        left = deferred(waiting)

        with pytest.raises(AirflowTaskTimeout, match="had not ended by"):
            resume(waiting, left, event(again(left.trigger)))

    @pytest.mark.parametrize("action", ["unavailable", "not-found"])
    def test_the_first_look_endures_what_later_ones_do(
        self, emulator: Emulator, action: str
    ) -> None:
        batch_id = emulator.add_batch({}, "running")
        # The first look in the worker is tried again, as each call there is; too slow for here.
        emulator.add_fault(Fault(action, times=None, retry_after=0.01))

        with pytest.raises(TaskDeferred):
            self.waiting(batch_id).execute({})

    def test_a_job_that_nobody_knows_is_lost(self, emulator: Emulator) -> None:
        waiting = self.waiting(ABSENT, max_unknown_time=0.2)
        left = deferred(waiting)

        with pytest.raises(SparkBatchLostError, match="DLI does not know it"):
            resume(waiting, left, event(again(left.trigger)))

    def test_the_job_of_somebody_else_is_never_cancelled(self, emulator: Emulator) -> None:
        left = deferred(self.waiting(emulator.add_batch({}, "running")))

        assert left.trigger.cancel_on_kill is False

    def test_the_trigger_is_told_what_the_sensor_was(self, emulator: Emulator) -> None:
        batch_id = emulator.add_batch({}, "running")
        waiting = self.waiting(
            batch_id,
            timeout=600,
            max_unknown_time=60,
            auto_recovery=True,
            driver_log=True,
            region="eu-west-101",
            project_id=emulator.project_id,
        )

        _, fields = deferred(waiting).trigger.serialize()

        del fields["deadline"]
        assert fields == {
            "batch_id": batch_id,
            "is_new": True,
            "dli_conn_id": "dli_default",
            "region": "eu-west-101",
            "project_id": emulator.project_id,
            "poll_interval": 0.1,
            "max_unknown_time": 60,
            "limit": "timeout",
            "auto_recovery": True,
            "driver_log": True,
            "cancel_on_kill": False,
            "started": None,
            "looked": True,
            "silent_fail": False,
        }
