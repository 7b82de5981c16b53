# SPDX-License-Identifier: Apache-2.0
"""What staging writes down is true whatever happens meanwhile, and costs few requests."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from conftest import connection
from fake_clock import FakeClock
from faults.relay import Relay, relay, whole

from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.protocol.errors import PackageGroupExistsError
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.operators.staging import StagePackagesOperator
from airflow_provider_dli.staging.records.tasks import Member, Record
from airflow_provider_dli.staging.stager import FRESH

PROJECT, OTHER_PROJECT = "0123456789abcdef" * 2, "fedcba9876543210" * 2

Stage = Callable[..., StagePackagesOperator]


class TaskInstance:
    """What a task has of its instance."""

    map_index = -1

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep nothing."""


class Killed(BaseException):
    """Ends a process at once."""


class Meanwhile(DliHook):
    """A hook that has something happen before an upload is sent, or after it was answered."""

    def __init__(
        self,
        clock: FakeClock,
        *,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(clock=clock)
        self.before = before
        self.after = after

    def upload_package_group(self, *arguments: Any, **options: Any) -> PackageGroup:
        self.before()
        answer = super().upload_package_group(*arguments, **options)
        self.after()
        return answer


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    # The bucket's own clock is not ours.
    clock.time = time.time()
    return clock


@pytest.fixture
def store(object_store: str) -> Iterator[Relay]:
    """Returns the object store, with a list of what it was asked."""
    with relay(object_store, whole, to=lambda _: False) as store:
        yield store


@pytest.fixture
def emulator(object_store: str, clock: FakeClock) -> Iterator[Emulator]:
    with running(
        obs_endpoint=object_store,
        clock=clock.now,
        project_ids=[PROJECT, OTHER_PROJECT],
        # So small a file is there at the first look.
        upload_seconds=0.5,
    ) as emulator:
        yield emulator


@pytest.fixture
def stage(
    emulator: Emulator,
    store: Relay,
    tmp_path: Path,
    bucket: str,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """Makes a task that stages a JAR of this version, of a DAG of this name."""
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator, obs_endpoint=store.origin))

    def make(
        version: int = 1, dag: str = "daily", name: str = "stats.jar", **arguments: Any
    ) -> StagePackagesOperator:
        folder = tmp_path / str(version)
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"PK%d" % version)
        given = {"sources": [str(folder / name)], "bucket": bucket, "prefix": "p", "group": "g"}
        task = StagePackagesOperator(task_id=f"stage_{name}", **given | arguments)
        task.hook, task.obs_hook = DliHook(clock=clock), ObsHook(clock=clock)
        task.dag = DAG(dag, schedule=None)
        return task

    return make


def run(task: StagePackagesOperator) -> dict[str, Any]:
    return task.execute({"ti": TaskInstance()})


def given(emulator: Emulator) -> list[str]:
    """Return the objects that DLI was given, in this order."""
    return [
        path
        for record in emulator.requests
        if record.method == "POST" and record.path.endswith("/resources")
        for path in record.body["paths"]
    ]


def requests(emulator: Emulator, store: Relay) -> list[str]:
    """Return all requests so far, and forget them."""
    both = [f"{one.method} {one.path}" for one in emulator.requests] + store.passed
    emulator.clear_requests()
    store.passed.clear()
    return both


# how many requests it takes


def test_a_file_for_a_new_group_takes_eight_requests(
    stage: Stage, emulator: Emulator, store: Relay
) -> None:
    run(stage())

    assert len(requests(emulator, store)) == 8


def test_a_group_that_holds_the_file_takes_two_requests(
    stage: Stage, emulator: Emulator, store: Relay
) -> None:
    run(stage())
    requests(emulator, store)

    assert run(stage())["uploaded"] is False
    assert len(requests(emulator, store)) == 2


def test_a_file_without_a_group_takes_three_requests(
    stage: Stage, emulator: Emulator, store: Relay
) -> None:
    run(stage(target="obs"))

    assert len(requests(emulator, store)) == 3


def test_a_file_without_a_group_that_is_there_takes_one_request(
    stage: Stage, emulator: Emulator, store: Relay
) -> None:
    run(stage(target="obs"))
    requests(emulator, store)

    assert run(stage(target="obs"))["bytes_sent"] == 0
    assert len(requests(emulator, store)) == 1


@pytest.mark.parametrize("target", ["group", "obs"])
def test_two_hundred_files_that_are_there_take_two_requests_at_most_in_one_page(
    stage: Stage, emulator: Emulator, store: Relay, tmp_path: Path, target: str
) -> None:
    for number in range(200):
        (tmp_path / f"lib{number}.jar").write_bytes(b"%d" % number)
    arguments = {"sources": [str(tmp_path / "lib*.jar")], "target": target}
    run(stage(**arguments))
    requests(emulator, store)

    again = run(stage(**arguments))

    assert (again["bytes_sent"], again["uploaded"]) == (0, False)
    assert len(requests(emulator, store)) == (2 if target == "group" else 1)


# what happens at the same time


def test_what_another_run_uploads_before_the_record_is_written_is_not_taken_for_ours(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    held_up = stage(2)
    held_up.hook = Meanwhile(clock, after=lambda: run(stage(1)))
    run(held_up)

    for version in (2, 1, 2):
        run(stage(version))
        digest = hashlib.sha256(b"PK%d" % version).hexdigest()[:32]
        assert digest in given(emulator)[-1]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_of_two_dags_that_fill_a_group_at_the_same_time_one_fails_at_least(
    stage: Stage, clock: FakeClock, moment: str
) -> None:
    ended = []

    def tried(task: StagePackagesOperator) -> None:
        try:
            run(task)
        except PackageGroupExistsError as error:
            ended.append(str(error))
        else:
            ended.append("well")

    first = stage(1, dag="one")
    first.hook = Meanwhile(clock, **{moment: lambda: tried(stage(2, dag="two"))})
    tried(first)

    assert len(ended) == 2
    assert ended != ["well", "well"]
    assert any("stats.jar (dag " in end for end in ended)


def test_a_group_that_somebody_fills_while_files_are_sent_is_not_overwritten(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    class Slow(ObsHook):
        """Takes its time to send, while another DAG fills the group."""

        def upload_files(self, *arguments: Any) -> None:
            super().upload_files(*arguments)
            run(stage(2, dag="two"))
            clock.sleep(61)

    first = stage(1, dag="one")
    first.obs_hook = Slow(clock=clock)
    with pytest.raises(PackageGroupExistsError, match=r"stats\.jar \(dag two\)"):
        run(first)

    assert len(given(emulator)) == 1


@pytest.mark.parametrize("target", ["group", "obs"])
@pytest.mark.parametrize(("age", "writes"), [(FRESH - 60, 0), (FRESH + 100, 1)])
def test_a_record_that_is_still_true_is_renewed_once_it_is_no_longer_fresh(
    stage: Stage, clock: FakeClock, store: Relay, target: str, age: float, writes: int
) -> None:
    run(stage(target=target))
    clock.sleep(age)
    store.passed.clear()

    run(stage(target=target))

    assert len([one for one in store.passed if one.startswith("PUT ")]) == writes


def test_a_record_is_fresh_for_ten_minutes() -> None:
    """A shorter age than `delete_after` allows, and longer than a task that runs every minute."""
    assert FRESH == 600.0


def test_a_task_that_fills_the_group_between_wait_and_record_is_not_lost(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    first = stage()
    first.hook = Meanwhile(clock, after=lambda: run(stage(name="other.jar")))
    run(first)

    for version in (1, 2):
        assert run(stage(version, name="other.jar"))["uploaded"] is (version == 2)
    assert run(stage())["uploaded"] is False


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_was_killed_at_its_upload_is_gone_on_with(
    stage: Stage, clock: FakeClock, emulator: Emulator, moment: str
) -> None:
    def killed() -> None:
        raise Killed

    first = stage()
    first.hook = Meanwhile(clock, **{moment: killed})
    with pytest.raises(Killed):
        run(first)

    assert run(stage())["uploaded"] is True
    assert run(stage())["uploaded"] is False


def test_a_copy_that_the_answer_does_not_name_yet_is_known_by_the_listing(
    stage: Stage, clock: FakeClock, emulator: Emulator
) -> None:
    run(stage(1))
    before = DliHook(clock=clock).get_package_group("g")
    assert before is not None

    class Late(DliHook):
        """Has an answer that still shows the copy from before."""

        def upload_package_group(self, *arguments: Any, **options: Any) -> PackageGroup:
            answer = super().upload_package_group(*arguments, **options)
            return replace(answer, packages=before.packages, raw_state="UPLOADING")

    late = stage(2, wait_for_completion=False)
    late.hook = Late(clock=clock)
    run(late)

    assert run(stage(2))["uploaded"] is False
    assert run(stage(1))["uploaded"] is True


def test_uploads_leave_no_records_behind_but_of_the_last_one(stage: Stage, bucket: str) -> None:
    for version in (1, 2, 2, 3):
        run(stage(version, force=True))

    assert len(list(ObsHook().list_objects(bucket, "p/.staged/"))) == 1


# what 0.1 left


def test_an_object_and_a_record_of_0_1_are_of_use_still(
    stage: Stage, emulator: Emulator, bucket: str, clock: FakeClock
) -> None:
    sha256 = hashlib.sha256(b"PK1").hexdigest()
    key = f"p/stats.jar-{sha256[:12]}/stats.jar"
    at = f"p/.staged/groups/{emulator.project_id}/g.json"
    emulator.put_group("g", {"stats.jar": "READY"})
    copy = emulator.groups()["g"]["details"][0]["underlying_name"]
    member = Member("stats.jar", sha256, "dag daily", key, copy, confirmed=True)
    obs = ObsHook(clock=clock)
    obs.write_object(bucket, key, b"PK1")
    record = Record(at, "g", "dag daily", clock.now(), {"stats.jar": member})
    obs.write_object(bucket, at, record.encoded())

    for _ in range(2):
        result = run(stage(on_conflict="fail"))
        assert (result["uploaded"], result["bytes_sent"]) == (False, 0)
        assert result["packages"][0]["obs_path"] == f"obs://{bucket}/{key}"
    assert run(stage(2))["uploaded"] is True


def test_an_object_of_0_1_with_other_bytes_is_not_taken(
    stage: Stage, bucket: str, clock: FakeClock
) -> None:
    key = f"p/stats.jar-{hashlib.sha256(b'PK1').hexdigest()[:12]}/stats.jar"
    ObsHook(clock=clock).write_object(bucket, key, b"XX1")

    assert run(stage(target="obs"))["bytes_sent"] == 3


# what is removed


@pytest.mark.parametrize("target", ["obs", "group"])
def test_what_another_project_staged_below_the_same_prefix_is_not_removed(
    stage: Stage, bucket: str, clock: FakeClock, target: str
) -> None:
    for version in (1, 2):
        other = stage(version, target=target)
        other.project_id = OTHER_PROJECT
        other.hook = DliHook(clock=clock, project_id=OTHER_PROJECT)
        run(other)
    there = {one.key for one in ObsHook().list_objects(bucket)}
    clock.sleep(90 * 24 * 3600)

    run(stage(3, group="mine", delete_after=timedelta(days=30), delete_dry_run=False))

    assert there <= {one.key for one in ObsHook().list_objects(bucket)}


def test_what_0_1_staged_for_a_task_is_not_removed(
    stage: Stage, bucket: str, clock: FakeClock
) -> None:
    key = f"p/stats.jar-{'0' * 12}/stats.jar"
    at = "p/.staged/tasks/daily.stage.json"
    record = Record(at, None, "dag", 0.0, {"stats.jar": Member("stats.jar", "c", "dag", key)})
    obs = ObsHook(clock=clock)
    obs.write_object(bucket, key, b"theirs")
    obs.write_object(bucket, at, record.encoded())
    clock.sleep(90 * 24 * 3600)

    run(stage(3, delete_after=timedelta(days=30), delete_dry_run=False))

    assert {key, at} <= {one.key for one in obs.list_objects(bucket)}
