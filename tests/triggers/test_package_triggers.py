"""The triggers against the emulator, run on a loop as a triggerer runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from conftest import connection
from scenarios.modes import again, event, events, eventually, plain

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.triggers.packages import PackageGroupTrigger, PackageGroupUpdatedTrigger


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(upload_seconds=0) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _connected(connect: Callable[..., None]) -> None:
    connect()


def trigger(**fields: Any) -> PackageGroupTrigger:
    return PackageGroupTrigger(**{"group": "g", "poll_interval": 0.2} | fields)


def test_a_group_that_is_ready_gives_one_event(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})

    assert asyncio.run(events(trigger())) == [
        {"status": "ready", "states": {"a.jar": "READY", "b.jar": "READY"}}
    ]


def test_a_failure_gives_one_event_that_says_what_failed(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "FAILED"})

    (only,) = asyncio.run(events(trigger()))

    assert (only["status"], only["error"]) == ("failed", "PackageGroupFailedError")
    assert "a.jar is FAILED" in only["message"]


def test_only_the_packages_that_were_asked_for_count(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "UPLOADING"})

    assert event(trigger(packages=["a.jar"]))["states"] == {"a.jar": "READY"}


def test_packages_without_a_group_are_waited_for(emulator: Emulator) -> None:
    emulator.put_package("a.jar", "READY")
    emulator.put_package("b.jar", "UPLOADING")

    assert event(trigger(group=None, packages=["a.jar"]))["states"] == {"a.jar": "READY"}


def test_the_kind_is_asked_of_the_service(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"}, kind="jar")

    event(trigger(kind="jar"))

    assert emulator.requests[0].query == {"kind": "jar"}


FIELDS = {
    "group": "g",
    "packages": ["a.jar"],
    "kind": "jar",
    "dli_conn_id": "other",
    "region": "eu-de",
    "project_id": "p",
    "poll_interval": 5.0,
    "deadline": 1_800_000_000.0,
    "max_unknown_time": 60.0,
    "accepted": True,
    "limit": "execution_timeout",
    "looked": True,
    "silent_fail": False,
}


def test_serialize_gives_the_path_and_every_field_as_plain_json() -> None:
    made = PackageGroupTrigger(**FIELDS)

    path, fields = made.serialize()

    assert path == "airflow_provider_dli.triggers.packages.PackageGroupTrigger"
    assert fields == plain(fields) == FIELDS


def test_a_trigger_made_of_its_row_has_the_same_row() -> None:
    made = PackageGroupTrigger(**FIELDS)

    assert again(again(made)).serialize() == made.serialize()


def test_a_field_that_is_missing_has_its_default() -> None:
    _, fields = PackageGroupTrigger(group="g").serialize()

    assert fields == PackageGroupTrigger.fields | {"group": "g"}


def test_a_field_of_a_later_version_is_warned_of_and_left_aside(
    emulator: Emulator, task_log: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    assert event(trigger(added_later=1, other=None))["status"] == "ready"
    assert "Ignored unknown fields: added_later, other" in task_log() + caplog.text


def test_each_change_of_state_is_logged(
    emulator: Emulator, task_log: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    emulator.put_group("g", {"a.jar": "READY"})

    event(trigger())

    assert "Package a.jar: (new) -> READY" in task_log() + caplog.text


def test_a_trigger_that_is_cancelled_gives_no_event_and_asks_nothing_of_dli(
    emulator: Emulator,
) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    async def kill() -> list[TriggerEvent]:
        given: list[TriggerEvent] = []

        async def take() -> None:
            given.extend([each async for each in trigger().run()])

        running_trigger = asyncio.ensure_future(take())
        await eventually(lambda: emulator.requests)
        running_trigger.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_trigger
        # A connection that is just being read is read to its end.
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        return given

    assert asyncio.run(kill()) == []
    assert {record.method for record in emulator.requests} == {"GET"}


class Store:
    """What Airflow 3.3 gives the trigger of an asset."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = plain(value)


class StoreOfSeveralAssets:
    """Airflow cannot tell which of them is meant."""

    async def aget(self, key: str, default: Any = None) -> Any:
        raise ValueError("2 concrete inlets and outlets")

    async def aset(self, key: str, value: Any) -> None:
        raise ValueError("2 concrete inlets and outlets")


KEY = "dli-update-time-g"


class Hasty(PackageGroupUpdatedTrigger):
    """Takes an event for delivered sooner, so that no test waits for that."""

    delivery = 0.05


class Watched:
    """A trigger of an asset that runs while a test goes on."""

    def __init__(self, store: Any = None, **fields: Any) -> None:
        self.trigger = Hasty(**{"group": "g", "poll_interval": 0.1} | fields)
        if store is not None:
            self.trigger.asset_state_store = store
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> Watched:
        async def take() -> None:
            stream: AsyncIterator[TriggerEvent] = self.trigger.run()
            async for each in stream:
                self.events.append(plain(each.payload))

        self.task = asyncio.ensure_future(take())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        # A connection that is just being read is read to its end.
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    async def looks(self, emulator: Emulator, more: int = 1) -> None:
        """Wait until it has looked again and acted on what it saw."""
        wanted = len(emulator.requests) + more
        await eventually(lambda: len(emulator.requests) >= wanted or self.task.done())
        if self.task.done():
            await self.task
        # What a look has shown is taken in before the next one is sent.
        await eventually(lambda: len(emulator.requests) > wanted or self.task.done())


def test_a_group_that_is_ready_when_the_watch_begins_is_no_news(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched() as watched:
            await watched.looks(emulator, 2)
            return watched.events

    assert asyncio.run(main()) == []


def test_each_later_update_is_one_event(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched() as watched:
            await watched.looks(emulator)
            for _ in range(2):
                emulator.put_group("g", {"a.jar": "READY"})
                await watched.looks(emulator)
            return watched.events

    first, second = asyncio.run(main())
    assert set(first) == {"group", "update_time", "states"}
    assert (first["group"], first["states"]) == ("g", {"a.jar": "READY"})
    assert second["update_time"] > first["update_time"] > 0


def test_a_group_that_becomes_ready_for_the_first_time_is_news(emulator: Emulator) -> None:
    async def main() -> list[dict[str, Any]]:
        async with Watched() as watched:
            await watched.looks(emulator)
            emulator.put_group("g", {"a.jar": "UPLOADING"})
            await watched.looks(emulator)
            assert watched.events == []
            emulator.put_group("g", {"a.jar": "READY"})
            await watched.looks(emulator)
            return watched.events

    assert len(asyncio.run(main())) == 1


@pytest.mark.parametrize("action", ["unavailable", "reset", "token-expired", "html"])
def test_a_watch_survives_trouble(
    emulator: Emulator,
    task_log: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    action: str,
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched() as watched:
            await watched.looks(emulator)
            emulator.add_fault(Fault(action, times=1))
            await watched.looks(emulator)
            emulator.put_group("g", {"a.jar": "READY"})
            await watched.looks(emulator)
            return watched.events

    assert len(asyncio.run(main())) == 1
    assert "The wait continues after an error" in task_log() + caplog.text


def test_a_watch_goes_on_when_the_connection_is_mended(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched() as watched:
            await watched.looks(emulator)
            emulator.rotate_keys("NEWACCESSKEY", "new-secret-key")
            await watched.looks(emulator, 2)
            assert not watched.task.done()
            monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
            emulator.put_group("g", {"a.jar": "READY"})
            await eventually(lambda: watched.events)
            return watched.events

    assert len(asyncio.run(main())) == 1


def test_the_time_of_an_event_is_remembered(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    store = Store()

    async def main() -> list[dict[str, Any]]:
        async with Watched(store) as watched:
            await watched.looks(emulator)
            before = dict(store.values)
            emulator.put_group("g", {"a.jar": "READY"})
            await eventually(lambda: store.values != before)
            return watched.events

    (only,) = asyncio.run(main())
    assert store.values == {KEY: only["update_time"]}


@pytest.mark.parametrize("steps_on", [False, True], ids=["killed with it", "killed after it"])
def test_an_event_of_which_nobody_knows_whether_it_was_stored_is_given_again(
    emulator: Emulator, steps_on: bool
) -> None:
    """Airflow takes an event at once, but stores it later."""
    emulator.put_group("g", {"a.jar": "READY"})
    before = round((time.time() - 60) * 1000)
    store = Store(**{KEY: before})

    async def first_event() -> Any:
        trigger = PackageGroupUpdatedTrigger(group="g", poll_interval=0.1)
        trigger.asset_state_store = store  # type: ignore[assignment]
        stream = trigger.run()
        event = await anext(stream)
        if steps_on:
            following = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await stream.aclose()
        return plain(event.payload)

    first, second = asyncio.run(first_event()), asyncio.run(first_event())
    assert first == second
    assert store.values == {KEY: before}


def test_a_memory_that_fails_does_not_end_the_watch(
    emulator: Emulator, task_log: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Store):
        async def aset(self, key: str, value: Any) -> None:
            raise ConnectionResetError("password")

    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched(Broken()) as watched:
            await watched.looks(emulator)
            for count in (1, 2):
                emulator.put_group("g", {"a.jar": "READY"})
                await eventually(lambda count=count: len(watched.events) >= count)
            return watched.events

    assert len(asyncio.run(main())) == 2
    log = task_log() + caplog.text
    assert "Could not store the update time of g: ConnectionResetError" in log
    assert "password" not in log


def test_what_happened_while_no_triggerer_ran_is_news_later(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    before = round((time.time() - 60) * 1000)

    async def main() -> list[dict[str, Any]]:
        async with Watched(Store(**{KEY: before})) as watched:
            await watched.looks(emulator)
            return watched.events

    assert len(asyncio.run(main())) == 1


def test_what_a_watch_began_with_is_remembered_too(emulator: Emulator) -> None:
    """Otherwise an update is lost that comes while the triggerer is restarted."""
    emulator.put_group("g", {"a.jar": "READY"})
    store = Store()

    async def main() -> list[dict[str, Any]]:
        async with Watched(store) as watched:
            await watched.looks(emulator)
        emulator.put_group("g", {"a.jar": "READY"})
        async with Watched(store) as watched:
            await watched.looks(emulator)
            return watched.events

    assert len(asyncio.run(main())) == 1


@pytest.mark.parametrize("remembered", ["soon", {"a": 1}, None])
def test_a_memory_that_is_no_time_is_none(emulator: Emulator, remembered: Any) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched(Store(**{KEY: remembered})) as watched:
            await watched.looks(emulator)
            return watched.events

    assert asyncio.run(main()) == []


def test_a_trigger_of_several_assets_works_without_a_memory(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    async def main() -> list[dict[str, Any]]:
        async with Watched(StoreOfSeveralAssets()) as watched:
            await watched.looks(emulator)
            emulator.put_group("g", {"a.jar": "READY"})
            await watched.looks(emulator)
            return watched.events

    assert len(asyncio.run(main())) == 1


def test_some_packages_may_be_watched(emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "FAILED"})

    async def main() -> list[dict[str, Any]]:
        async with Watched(packages=["a.jar"]) as watched:
            await watched.looks(emulator)
            emulator.put_group("g", {"a.jar": "READY"})
            await watched.looks(emulator)
            return watched.events

    (only,) = asyncio.run(main())
    assert only["states"] == {"a.jar": "READY"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group": None}, "group is missing"),
        ({"packages": "a.jar"}, r"packages is 'a\.jar'"),
        ({"poll_interval": 0}, "poll_interval is 0"),
    ],
)
def test_a_watch_that_makes_no_sense_says_so(fields: dict[str, Any], message: str) -> None:
    async def main() -> None:
        async with Watched(**fields) as watched:
            await watched.task

    with pytest.raises(InputError, match=message):
        asyncio.run(main())


def test_the_row_of_a_watch_is_stable() -> None:
    """Airflow tells watches apart by path and fields."""
    made = PackageGroupUpdatedTrigger(group="g", packages=["a.jar"])

    path, fields = made.serialize()

    assert path == "airflow_provider_dli.triggers.packages.PackageGroupUpdatedTrigger"
    assert again(made).serialize() == (path, plain(fields))


def test_the_fields_of_a_watch_keep_their_order() -> None:
    """The text of the row, by which Airflow tells watches apart, depends on it."""
    _, fields = PackageGroupUpdatedTrigger(group="g").serialize()

    assert list(fields.items()) == [
        ("group", "g"),
        ("packages", None),
        ("kind", None),
        ("dli_conn_id", "dli_default"),
        ("region", None),
        ("project_id", None),
        ("poll_interval", 60.0),
    ]


def test_a_field_that_a_subclass_adds_is_in_its_row() -> None:
    class Labelled(PackageGroupTrigger):
        label: str = "none"

    _, fields = Labelled(group="g", label="mine").serialize()

    assert fields == PackageGroupTrigger.fields | {"group": "g", "label": "mine"}
