# SPDX-License-Identifier: Apache-2.0
"""How a sensor ends: the table of mode, outcome and setting, for groups and for jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from conftest import connection
from fake_clock import FakeClock
from scenarios.modes import Eventful, again, deferred, event, once, resume

from airflow_provider_dli.api.protocol.errors import (
    EndpointError,
    NotSentError,
    PackageGroupLostError,
    PermissionDeniedError,
    ServiceError,
    SparkBatchLostError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.sensors.spark import SparkBatchSensor
from airflow_provider_dli.triggers.outcomes import ENDS, End, Outcome

MODES = ("poke", "reschedule", "deferrable")
SETTINGS = ("plain", "soft_fail", "never_fail", "silent_fail")
SENSORS = ("group", "job")
LATER = timedelta(seconds=60)


def nothing() -> None:
    """Happens where nothing does."""


@dataclass
class Sight:
    """One group and one job at an emulator, and a sensor that waits for one of them.

    In the worker its time is a fake; in the triggerer it is real, and short.
    """

    emulator: Emulator
    clock: FakeClock
    mode: str
    kind: str
    job: str = ""
    pokes: list[float] = field(default_factory=list)

    @property
    def is_deferred(self) -> bool:
        return self.mode == "deferrable"

    def seconds(self, seconds: float) -> float:
        """Return seconds of the worker; in the triggerer a hundredth of that."""
        return seconds / 100 if self.is_deferred else seconds

    def show(self, state: str) -> None:
        """Put group and job into a state, told by the word for both."""
        if not self.job:
            self.job = self.emulator.add_batch({}, "running")
        package = {"waiting": "UPLOADING", "done": "READY", "failed": "FAILED"}.get(state, state)
        job = {"waiting": "running", "done": "success", "failed": "dead"}.get(state, state)
        self.emulator.put_group("g", {"a.jar": package})
        self.emulator.set_batch_state(self.job, job)

    def sensor(self, **arguments: Any) -> Any:
        """Return the sensor as a new process has it."""
        mode: dict[str, Any] = {"deferrable": True} if self.is_deferred else {"mode": self.mode}
        defaults = {
            "task_id": "wait",
            "poke_interval": self.seconds(10),
            "timeout": self.seconds(3600),
            "max_unknown_time": self.seconds(20),
        }
        given = defaults | mode | arguments
        if self.kind == "group":
            return PackageGroupSensor(**{"group": "g"} | given)
        return SparkBatchSensor(**{"batch_id": self.job} | given)

    def run(self, later: Callable[[], None] = nothing, **arguments: Any) -> Any:
        """Run the task to its end; `later` comes after the first look."""
        if self.is_deferred:
            left = deferred(self.sensor(**arguments))
            later()
            return resume(self.sensor(**arguments), left, event(again(left.trigger)))
        act = once(lambda: True, later)
        if self.mode == "poke":
            sensor = self.sensor(**arguments)
            sensor.hook = DliHook(clock=Eventful(self.clock, act))
            return sensor.execute({})
        return self._rescheduled(act, arguments)

    def _rescheduled(self, act: Callable[[], bool], arguments: dict[str, Any]) -> Any:
        first: datetime | None = None
        while True:
            sensor = self.sensor(**arguments)
            sensor.hook = DliHook(clock=Eventful(self.clock, act))
            date = first
            run: Any = {"ti": SimpleNamespace(get_first_reschedule_date=lambda _, d=date: d)}
            began = self.clock.now()
            self.pokes.append(began)
            try:
                return sensor.execute(run)
            except Exception as error:
                if type(error).__name__ != "AirflowRescheduleException":
                    raise
                first = first or datetime.fromtimestamp(began, UTC)
                self.clock.sleep(sensor.poke_interval)
                act()


@pytest.fixture(params=SENSORS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MODES)
def sight(
    request: pytest.FixtureRequest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sight]:
    clock = FakeClock()
    options: dict[str, Any] = {} if request.param == "deferrable" else {"clock": clock.now}
    with running(**options) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        sight = Sight(emulator, clock, request.param, kind)
        sight.show("waiting")
        yield sight


def setting(name: str) -> dict[str, Any]:
    return {} if name == "plain" else {name: True}


FAULTS = {
    "refused": Fault("permission-denied", times=None),
    "out of reach": Fault("unavailable", times=None, retry_after=0.01),
}

SKIPPED, FAILED, LATE = AirflowSkipException, AirflowFailException, AirflowSensorTimeout
LOST = (PackageGroupLostError, SparkBatchLostError)
# What happens, and what the task raises: without a setting, and with each one. A wait that goes on
# ends with the timeout.
TABLE: dict[str, tuple[Any, Any, Any, Any]] = {
    "late": (LATE, SKIPPED, SKIPPED, LATE),
    "failed": (FAILED, SKIPPED, SKIPPED, FAILED),
    "unknown": (LOST, SKIPPED, SKIPPED, LATE),
    "refused": (PermissionDeniedError, PermissionDeniedError, SKIPPED, LATE),
    "out of reach": (ServiceError, ServiceError, SKIPPED, LATE),
    "wrong input": (FAILED, FAILED, FAILED, FAILED),
}


@pytest.mark.parametrize("when", ["at the first look", "later"])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("outcome", TABLE)
def test_an_outcome_ends_the_task_in_every_mode_as_the_table_says(
    sight: Sight, outcome: str, name: str, when: str
) -> None:
    expected = TABLE[outcome][SETTINGS.index(name)]
    limit = sight.seconds(120 if expected is LATE or outcome == "late" else 3600)
    arguments = setting(name) | {"timeout": limit}

    def happen() -> None:
        if outcome in FAULTS:
            sight.emulator.add_fault(FAULTS[outcome])
        elif outcome == "failed":
            sight.show("failed")
        elif outcome == "unknown":
            sight.show("PAUSED")

    if outcome == "wrong input":
        arguments["max_unknown_time"] = -1
    is_first = when == "at the first look"
    if is_first:
        happen()

    with pytest.raises(expected) as caught:
        sight.run(nothing if is_first else happen, **arguments)

    assert str(caught.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_success_is_one_with_every_setting(sight: Sight, name: str) -> None:
    result = sight.run(lambda: sight.show("done"), **setting(name))

    assert result["project_id"] == sight.emulator.project_id


@pytest.mark.parametrize("when", ["at the first look", "later"])
def test_an_outage_that_is_shorter_than_max_unknown_time_fails_nothing(
    sight: Sight, when: str
) -> None:
    def outage() -> None:
        sight.emulator.add_fault(Fault("unavailable", times=2, retry_after=0.01))
        sight.show("done")

    if when == "at the first look":
        outage()
        later = nothing
    else:
        later = outage

    assert sight.run(later, max_unknown_time=30)["region"] == "eu-west-101"


def test_max_unknown_time_holds_in_the_worker_to_the_second(sight: Sight) -> None:
    if sight.is_deferred:
        pytest.skip("there it takes no fake clock; the trigger's tests have it")
    began = sight.clock.now()

    with pytest.raises(ServiceError) as caught:
        sight.run(
            lambda: sight.emulator.add_fault(FAULTS["out of reach"]),
            max_unknown_time=300,
            poke_interval=60,
        )

    assert 300 <= sight.clock.now() - began <= 500
    assert "No look at" in caught.value.__notes__[0]


@pytest.mark.parametrize("name", ["refused", "out of reach"])
def test_silent_fail_ends_well_when_the_error_is_over(sight: Sight, name: str) -> None:
    """Also in the triggerer, where each error used to end the wait."""
    sight.emulator.add_fault(Fault(FAULTS[name].action, times=3, retry_after=0.01))
    sight.show("done")

    result = sight.run(silent_fail=True, max_unknown_time=sight.seconds(1))

    assert result["region"] == "eu-west-101"


@pytest.mark.parametrize("name", ["soft_fail", "never_fail"])
def test_a_skipped_task_says_why(sight: Sight, name: str) -> None:
    sight.show("failed")

    with pytest.raises(
        AirflowSkipException, match=rf"Skipped, because {name} is set: .*(FAILED|dead)"
    ):
        sight.run(**{name: True})


HTML = Fault("html", status=404, times=1, body="<html>gateway</html>")


def test_a_page_in_place_of_dli_fails_the_first_look_and_not_a_later_one(sight: Sight) -> None:
    sight.emulator.add_fault(HTML)
    with pytest.raises(EndpointError):
        sight.run()

    def page() -> None:
        sight.emulator.add_fault(HTML)
        sight.show("done")

    assert sight.run(page, max_unknown_time=30)["region"] == "eu-west-101"


class TestReschedule:
    """Where each poke is a process of its own."""

    @pytest.fixture
    def sight(
        self, kind: str, emulator: Emulator, clock: FakeClock, connect: Callable[..., None]
    ) -> Sight:
        connect()
        sight = Sight(emulator, clock, "reschedule", kind)
        sight.show("waiting")
        return sight

    def test_it_gives_its_slot_back_while_all_is_well(self, sight: Sight) -> None:
        began = sight.clock.now()

        sight.run(lambda: sight.show("done"))

        assert sight.pokes == [began, began + 10]

    def test_it_keeps_its_slot_while_dli_is_out_of_reach(self, sight: Sight) -> None:
        sight.emulator.add_fault(Fault("unavailable", times=4, retry_after=0.01))
        sight.show("done")

        sight.run(max_unknown_time=300)

        assert len(sight.pokes) == 1

    def test_its_timeout_counts_from_the_first_poke(self, sight: Sight) -> None:
        began = sight.clock.now()

        with pytest.raises(AirflowSensorTimeout):
            sight.run(timeout=35)

        assert sight.clock.now() - began == pytest.approx(40, abs=1)

    def test_trouble_does_not_move_its_timeout(self, sight: Sight) -> None:
        sight.emulator.add_fault(FAULTS["out of reach"])
        began = sight.clock.now()

        with pytest.raises(AirflowSensorTimeout):
            sight.run(timeout=35, max_unknown_time=3000)

        assert sight.clock.now() - began == pytest.approx(35, abs=1)


class TestPoke:
    """In one process of the worker."""

    @pytest.fixture
    def sight(
        self, kind: str, emulator: Emulator, clock: FakeClock, connect: Callable[..., None]
    ) -> Sight:
        connect()
        sight = Sight(emulator, clock, "poke", kind)
        sight.show("waiting")
        return sight

    def test_its_last_poke_is_at_the_timeout(self, sight: Sight) -> None:
        began = sight.clock.now()

        with pytest.raises(AirflowSensorTimeout):
            sight.run(timeout=25)

        assert sight.clock.now() - began == pytest.approx(25)
        assert len(sight.emulator.requests) == 4

    def test_what_is_done_at_the_last_poke_is_a_success(self, sight: Sight) -> None:
        def meanwhile() -> None:
            sight.show("done")

        assert sight.run(meanwhile, timeout=5)["region"] == "eu-west-101"

    def test_its_pauses_grow_with_exponential_backoff(self, sight: Sight) -> None:
        with pytest.raises(AirflowSensorTimeout):
            sight.run(timeout=600, exponential_backoff=True, max_wait=timedelta(seconds=100))

        assert sight.clock.slept == sorted(sight.clock.slept[:-1]) + sight.clock.slept[-1:]
        assert max(sight.clock.slept) == 100

    @pytest.mark.parametrize(
        ("settings", "raised"),
        [
            ({}, AirflowTaskTimeout),
            ({"soft_fail": True}, AirflowSkipException),
            ({"never_fail": True}, AirflowSkipException),
            ({"silent_fail": True}, AirflowTaskTimeout),
        ],
    )
    def test_the_execution_timeout_of_the_task_is_a_timeout_too(
        self, sight: Sight, settings: dict[str, Any], raised: type[BaseException]
    ) -> None:
        def expire() -> None:
            raise AirflowTaskTimeout("the task's time is over")

        with pytest.raises(raised):
            sight.run(expire, **settings)


def test_a_connection_that_is_wrong_fails_for_good_whatever_is_set(
    sight: Sight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", '{"conn_type": "dli", "extra": {"region": 7}}')

    for name in SETTINGS:
        with pytest.raises(AirflowFailException):
            sight.run(**setting(name))


def test_a_dli_that_never_was_reached_is_waited_for_as_long(
    sight: Sight, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint": "http://127.0.0.1:9", "project_id": "p", "region": "eu-west-101"}
    fields = sight.emulator.airflow_connection
    monkeypatch.setenv(
        "AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields | {"extra": fields["extra"] | extra})
    )

    with pytest.raises(NotSentError):
        sight.run()


@pytest.mark.parametrize("name", ["soft_fail", "never_fail"])
def test_a_trigger_that_broke_down_skips_the_task(kind: str, name: str) -> None:
    with pytest.raises(AirflowSkipException):
        unheard(kind, **{name: True})


@pytest.mark.parametrize("name", ["plain", "silent_fail"])
def test_a_trigger_that_broke_down_fails_the_task_and_is_tried_again(kind: str, name: str) -> None:
    with pytest.raises(AirflowException) as caught:
        unheard(kind, **setting(name))

    assert type(caught.value).__name__ == "TaskDeferralError"


def unheard(kind: str, **arguments: Any) -> Any:
    """Go on with a task whose trigger gave no event."""
    sensor = Sight(None, FakeClock(), "deferrable", kind, "b").sensor(**arguments)  # type: ignore[arg-type]
    return sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_an_end_for_every_setting(outcome: Outcome) -> None:
    assert all(isinstance(end, End) for end in ENDS[outcome])
    assert len(ENDS[outcome]) == len(SETTINGS)
