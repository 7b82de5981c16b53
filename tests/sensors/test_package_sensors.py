"""The sensor against the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout
from conftest import connection
from fake_clock import FakeClock
from scenarios.modes import again, deferred, event, resume

from airflow_provider_dli.api.protocol.errors import InputError, PackageGroupFailedError
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor


def sensor(hook: DliHook, **arguments: Any) -> PackageGroupSensor:
    sensor = PackageGroupSensor(task_id="staged", **{"group": "g"} | arguments)
    sensor.hook = hook
    return sensor


@pytest.mark.parametrize(
    ("packages", "there", "done"),
    [
        (None, {}, False),
        (None, {"a.jar": "READY"}, True),
        (None, {"a.jar": "READY", "b.jar": "UPLOADING"}, False),
        (["a.jar"], {"a.jar": "READY", "b.jar": "FAILED"}, True),
        (["a.jar", "b.jar"], {"a.jar": "READY"}, False),
        (["a.jar"], {"a.jar": "PAUSED"}, False),
    ],
)
def test_it_is_done_when_all_that_was_asked_for_is_ready(
    hook: DliHook, emulator: Emulator, packages: list[str] | None, there: dict[str, str], done: bool
) -> None:
    emulator.put_group("g", there)

    assert bool(sensor(hook, packages=packages).poke({})) is done


def test_a_failed_package_fails_the_task_and_is_named(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "FAILED"})

    with pytest.raises(AirflowFailException, match=r"b\.jar is FAILED") as caught:
        sensor(hook).poke({})
    assert isinstance(caught.value.__cause__, PackageGroupFailedError)


def test_an_absent_group_is_waited_for(hook: DliHook) -> None:
    assert not sensor(hook).poke({})


def test_the_result_names_group_project_region_and_packages(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    assert sensor(hook, poke_interval=0.01).execute({}) == {
        "group": "g",
        "project_id": emulator.project_id,
        "region": "eu-west-101",
        "packages": [{"name": "a.jar", "state": "READY"}],
    }


def test_the_kind_is_asked_of_the_service(hook: DliHook, emulator: Emulator) -> None:
    sensor(hook, kind="jar").poke({})

    assert emulator.requests[0].query == {"kind": "jar"}


def test_in_poke_mode_its_timeout_ends_it(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    with pytest.raises(AirflowSensorTimeout):
        sensor(hook, poke_interval=0.01, timeout=0.05).execute({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": ""}, "group is ''"),
        ({"packages": "a.jar"}, r"packages is 'a\.jar'"),
        ({"packages": []}, r"packages is \[\]"),
        ({"kind": "JAR"}, "kind is 'JAR'"),
    ],
)
def test_wrong_input_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message) as caught:
        sensor(hook, **arguments).execute({})
    assert isinstance(caught.value.__cause__, InputError)

    assert emulator.requests == []


class Lazy(Sequence[str]):
    """Stands for what Airflow makes of a mapped task's output, each item of which it asks for."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self.read = 0

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: Any) -> Any:
        self.read += 1
        return self._names[place]


KINDS: list[Callable[[list[str]], Any]] = [
    list,
    tuple,
    set,
    Lazy,
    lambda names: dict.fromkeys(names).keys(),
    lambda names: (name for name in names),
]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_its_packages_are_any_sequence_of_names(
    hook: DliHook, emulator: Emulator, make: Callable[[list[str]], Any], mode: str
) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})

    result = sensor(
        hook, packages=make(["a.jar", "b.jar"]), deferrable=mode == "deferrable"
    ).execute({})

    assert sorted(package["name"] for package in result["packages"]) == ["a.jar", "b.jar"]


@pytest.mark.parametrize("make", KINDS)
def test_the_trigger_is_given_a_plain_list_of_them(
    hook: DliHook, make: Callable[[list[str]], Any]
) -> None:
    left = deferred(sensor(hook, packages=make(["a.jar"]), deferrable=True))

    assert left.trigger.serialize()[1]["packages"] == ["a.jar"]


def test_a_lazy_sequence_is_read_once(hook: DliHook, emulator: Emulator, clock: FakeClock) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})
    names = Lazy(["a.jar"])

    with pytest.raises(AirflowSensorTimeout):
        sensor(hook, packages=names, poke_interval=10, timeout=100).execute({})

    assert names.read <= 2  # the item, and that there is no other


WORDS = r"group 'word-stat' does not exist yet in project 0123456789abcdef0123456789abcdef"
LIKE = r" \(similar names there: 'word-stats', 'word-stats-2'\)"


def strange(emulator: Emulator) -> None:
    for name in ("word-stats", "word-stats-2", "other"):
        emulator.put_group(name, {"a.jar": "READY"})


def test_the_first_look_says_that_the_group_does_not_exist_and_which_do(
    hook: DliHook, emulator: Emulator, logged: Callable[[str], str]
) -> None:
    strange(emulator)

    assert not sensor(hook, group="word-stat").poke({})

    text = logged("does not exist yet")
    assert "The " + WORDS in text
    assert "similar names there: 'word-stats', 'word-stats-2'" in text
    assert len(emulator.requests) == 1


def test_the_log_says_it_again_while_it_waits(
    hook: DliHook, emulator: Emulator, logged: Callable[[str], str]
) -> None:
    strange(emulator)

    with pytest.raises(AirflowSensorTimeout, match=WORDS + LIKE):
        sensor(hook, group="word-stat", poke_interval=60, timeout=190).execute({})

    assert logged("does not exist yet").count("does not exist yet") >= 4


def test_a_deferred_sensor_says_it_in_its_timeout(
    monkeypatch: pytest.MonkeyPatch, logged: Callable[[str], str]
) -> None:
    with running() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        strange(emulator)
        waiting = PackageGroupSensor(
            task_id="staged", group="word-stat", poke_interval=0.1, timeout=0.3, deferrable=True
        )
        left = deferred(waiting)

        with pytest.raises(AirflowSensorTimeout, match=WORDS + LIKE):
            resume(waiting, left, event(again(left.trigger)))

    assert "The " + WORDS in logged("does not exist yet")


def test_a_package_that_the_group_lacks_is_named_with_those_that_it_has(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.put_group("g", {"word-stats-1.0.jar": "READY", "other.py": "READY"})

    with pytest.raises(
        AirflowSensorTimeout,
        match=r"the group has no word-stats\.jar yet \(similar names there: 'word-stats-1\.0\.ja",
    ):
        sensor(hook, packages=["word-stats.jar"], timeout=5, poke_interval=1).execute({})


def test_a_success_is_one_also_where_the_project_cannot_be_looked_up(
    hook: DliHook, emulator: Emulator, connect: Callable[..., None]
) -> None:
    connect(project_id=None, iam_endpoint=emulator.url)
    waiting = sensor(hook)
    emulator.add_fault(Fault("unavailable", path="/v3/projects", times=None))

    event = {"status": "ready", "states": {"a.jar": "READY"}}

    assert waiting.execute_complete({}, event)["project_id"] is None
