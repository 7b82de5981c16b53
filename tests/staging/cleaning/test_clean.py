# SPDX-License-Identifier: Apache-2.0
"""Cleaning deletes what earlier runs left: of the emulator's groups, and of a bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.staging.cleaning.clean import clean
from airflow_provider_dli.staging.cleaning.deletion import Deletion, Keep
from airflow_provider_dli.staging.records.groups import Begun, Content, Fact, Held, RecordFolder
from airflow_provider_dli.staging.records.tasks import (
    Member,
    Record,
    task_folder,
    task_key,
)

DAY = 24 * 3600.0
WEEK = timedelta(days=7)

TaskLog = Callable[[], str]


@dataclass
class Bucket:
    """A bucket in memory: keys, bytes, and when they were written."""

    clock: FakeClock
    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    before_read: list[Callable[[str], object]] = field(default_factory=list)
    before_second_listing: list[Callable[[], object]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def put(self, key: str, body: bytes = b"", days: float = 0.0) -> None:
        self.objects[key] = (body, self.clock.now() - days * DAY)

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        while self.log and self.before_second_listing:
            self.before_second_listing.pop()()
        self.log.append(f"list {bucket} {prefix}")
        for key, (body, modified) in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield StoredObject(key, len(body), "etag", modified)

    def read_object(self, bucket: str, key: str) -> bytes:
        self.read.append(key)
        while self.before_read:
            self.before_read.pop()(key)
        if key not in self.objects:
            raise NotFoundError("no such key", status=404)
        return self.objects[key][0]

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> None:
        self.log.append(f"delete {bucket} {' '.join(keys)}")
        for key in keys:
            self.objects.pop(key, None)


@dataclass
class Stage:
    """What earlier runs left, and the cleaning of it."""

    hook: DliHook
    emulator: Emulator
    bucket: Bucket

    def staged(
        self, group: str | None, name: str, version: int = 0, *, days: float = 30
    ) -> tuple[str, str]:
        """Have an object, the group with it and the record: the keys of object and record."""
        key = f"spark/{name}-{version:032x}/{name}"
        self.bucket.put(key, b"content", days)
        underlying = None
        if group is not None:
            self.emulator.put_group(group, {name: "READY"})
            underlying = self.underlying_name(group)
        member = Member(name, "content", "dag d", key, underlying, confirmed=True)
        return key, self.record(group, member, days=days)

    def underlying_name(self, group: str) -> str:
        return str(self.emulator.groups()[group]["details"][0]["underlying_name"])

    def record(
        self, group: str | None, *members: Member, days: float = 30, project_id: str | None = None
    ) -> str:
        project_id = project_id or self.emulator.project_id
        at = (
            RecordFolder.of("spark", project_id, group).old_key
            if group
            else task_key(task_folder("spark", project_id, "d.t"), members)
        )
        since = self.hook.now() - days * DAY
        record = Record(at, group, "dag d", since, {member.name: member for member in members})
        self.bucket.put(at, record.encoded(), days)
        return at

    def held(self, upload: str, group: str, copy: str, key: str, *, days: float) -> str:
        """Write down what DLI was seen to hold of an upload, and that this was begun."""
        folder = RecordFolder.of("spark", self.emulator.project_id, group)
        begun = Begun(upload, "dag d", (Content("a.jar", upload, key),), {})
        held = Held(upload, "dag d", (Fact("a.jar", upload, key, copy),))
        self.bucket.put(folder.begun_key(upload), begun.encoded(), days)
        self.bucket.put(folder.held_key(held), held.encoded(), days)
        return folder.held_key(held)

    def clean(self, after: timedelta | int = WEEK, **changes: Any) -> Deletion:
        options = {"keep": Keep(), "dry_run": False} | changes
        return clean(self.hook, self.bucket, "bucket", "spark", after, **options)

    @property
    def left(self) -> set[str]:
        return set(self.bucket.objects)

    def sent(self) -> list[str]:
        prefix = f"/v2.0/{self.emulator.project_id}"
        return [f"{r.method} {r.path.removeprefix(prefix)}" for r in self.emulator.requests]


@pytest.fixture
def stage(hook: DliHook, emulator: Emulator, clock: FakeClock) -> Stage:
    return Stage(hook, emulator, Bucket(clock))


def test_objects_groups_and_records_that_are_old_are_deleted(stage: Stage) -> None:
    object_key, record_key = stage.staged("old", "a.jar")
    kept = stage.staged("new", "b.jar", days=1)

    deletion = stage.clean()

    assert deletion == Deletion((object_key,), ("old",), (record_key,))
    assert list(stage.emulator.groups()) == ["new"]
    assert stage.left == set(kept)


def test_the_newest_versions_stay(stage: Stage) -> None:
    for number in range(3):
        stage.staged(f"words-{number}", "a.jar", number, days=10 - number)

    stage.clean(2)

    assert list(stage.emulator.groups()) == ["words-1", "words-2"]
    assert len(stage.left) == 4


def test_groups_go_before_their_records_and_records_before_objects(stage: Stage) -> None:
    object_key, record_key = stage.staged("old", "a.jar")

    stage.clean()

    assert stage.bucket.log[-2:] == [f"delete bucket {record_key}", f"delete bucket {object_key}"]
    assert stage.sent()[-2:] == ["GET /resources", "DELETE /resources/a.jar"]


def test_a_dry_run_says_what_would_be_deleted_and_deletes_nothing(
    stage: Stage, task_log: TaskLog
) -> None:
    object_key, record_key = stage.staged("old", "a.jar")

    deletion = stage.clean(dry_run=True)

    logged = task_log()
    assert deletion.groups == ("old",)
    assert "Would delete package group 'old'" in logged
    assert f"Would delete obs://bucket/{record_key}" in logged
    assert f"Would delete obs://bucket/{object_key}" in logged
    assert stage.left == {object_key, record_key}
    assert stage.sent() == ["GET /batches"]


def test_a_dry_run_is_the_default(stage: Stage) -> None:
    stage.staged("old", "a.jar")

    clean(stage.hook, stage.bucket, "bucket", "spark", WEEK, keep=Keep())

    assert "old" in stage.emulator.groups()


def test_it_says_so_when_there_is_nothing_to_delete(stage: Stage, task_log: TaskLog) -> None:
    assert not stage.clean()

    assert "Nothing to delete in obs://bucket/spark/" in task_log()


def test_only_the_prefix_is_listed(stage: Stage) -> None:
    stage.clean()
    clean(stage.hook, stage.bucket, "bucket", "/a/b/", WEEK, keep=Keep())
    clean(stage.hook, stage.bucket, "bucket", "", WEEK, keep=Keep())

    assert stage.bucket.log == ["list bucket spark/", "list bucket a/b/", "list bucket "]


# what stays


def test_what_this_run_staged_stays(stage: Stage) -> None:
    object_key, _ = stage.staged("mine", "a.jar")

    assert not stage.clean(keep=Keep(frozenset([object_key]), frozenset(["mine"])))


def test_what_a_running_job_uses_stays_until_it_ends(stage: Stage, task_log: TaskLog) -> None:
    stage.staged("old", "a.jar")
    batch_id = stage.emulator.add_batch({"file": "old/a.jar"}, "running")

    while_it_runs = stage.clean()
    stage.emulator.set_batch_state(batch_id, "success")
    after_its_end = stage.clean()

    assert f"Kept: package group 'old': batch job {batch_id} (running) uses it" in task_log()
    assert (while_it_runs.groups, after_its_end.groups) == ((), ("old",))


def test_a_job_in_a_state_that_nobody_knows_is_active(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.add_batch({"groups": [{"name": "old"}]}, "hibernating")

    assert not stage.clean()


def test_an_active_job_behind_many_that_ended_is_seen(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.add_batch({"groups": [{"name": "old"}]}, "running")
    for _ in range(120):
        stage.emulator.add_batch({}, "dead")

    assert not stage.clean()


def test_a_job_is_asked_for_its_request_where_the_listing_does_not_tell(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.add_batch({"groups": [{"name": "old"}]}, listed=False)
    stage.emulator.add_batch({}, "dead", listed=False)

    assert not stage.clean()
    assert len(stage.sent()) == 2


@pytest.mark.parametrize("request_body", [None, "{"])
def test_all_stays_when_an_active_job_does_not_tell_what_it_uses(
    stage: Stage, request_body: str | None, task_log: TaskLog
) -> None:
    stage.staged("old", "a.jar")
    batch_id = stage.emulator.add_batch(request_body)

    assert not stage.clean()
    assert f"Kept: everything, since DLI does not show what batch job {batch_id}" in task_log()


def test_all_stays_when_a_job_is_gone_before_it_tells_what_it_uses(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.add_batch({}, listed=False)
    stage.emulator.add_fault(Fault("not-found", path="/batches/*"))

    assert not stage.clean()


def test_a_job_that_begins_meanwhile_keeps_what_it_uses(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.staged("older", "b.jar")
    stage.bucket.before_second_listing.append(
        lambda: stage.emulator.add_batch({"file": "old/a.jar"}, "starting")
    )

    assert stage.clean().groups == ("older",)
    assert "old" in stage.emulator.groups()


def test_a_record_that_is_gone_meanwhile_counts_for_nothing(stage: Stage) -> None:
    object_key, record_key = stage.staged("g", "a.jar", days=1)
    stage.bucket.before_read.append(stage.bucket.objects.pop)

    assert not stage.clean()
    assert stage.left == {object_key}
    assert record_key not in stage.left


def test_all_stays_when_a_record_cannot_be_read(stage: Stage, task_log: TaskLog) -> None:
    stage.staged("old", "a.jar")
    stage.bucket.put("spark/.staged/tasks/x.json", b"{")

    assert not stage.clean()
    assert "Kept: everything. The staging record spark/.staged/tasks/x.json" in task_log()


def test_what_somebody_else_put_among_the_records_is_let_be(stage: Stage) -> None:
    stage.bucket.put("spark/.staged/README", b"hands off", days=99)

    stage.clean()

    assert stage.left == {"spark/.staged/README"}


def test_what_another_project_recorded_stays(stage: Stage) -> None:
    stage.emulator.put_group("old", {"a.jar": "READY"})
    key = f"spark/a.jar-{0:012x}/a.jar"
    stage.bucket.put(key, days=30)
    record = stage.record("old", Member("a.jar", "c", "dag d", key), project_id="another")

    assert not stage.clean()
    assert stage.left == {key, record}


def test_a_package_that_somebody_else_put_into_the_group_stays(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.put_group("old", {"theirs.jar": "READY"})

    stage.clean()

    assert stage.emulator.groups()["old"]["resources"] == ["theirs.jar"]


def test_a_package_that_somebody_else_uploaded_since_stays(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.put_group("old", {"a.jar": "READY"})

    stage.clean()

    assert stage.emulator.groups()["old"]["resources"] == ["a.jar"]


def test_a_group_that_is_gone_already_counts_as_deleted(stage: Stage) -> None:
    stage.staged("old", "a.jar")
    stage.hook.delete_package("a.jar", "old")

    assert stage.clean().groups == ("old",)
    assert stage.left == set()


def test_a_record_of_a_task_without_a_group_goes_with_its_objects(stage: Stage) -> None:
    stage.staged(None, "a.jar")

    stage.clean()

    assert stage.left == set()


@pytest.mark.parametrize("group", [None, "theirs"])
def test_what_another_project_staged_stays(stage: Stage, group: str | None) -> None:
    key = f"spark/a.jar-{0:032x}/a.jar"
    stage.bucket.put(key, days=90)
    record = stage.record(group, Member("a.jar", "c", "dag b", key), days=90, project_id="another")

    assert not stage.clean()
    assert stage.left == {key, record}


def test_what_0_1_wrote_down_of_a_task_stays_since_it_does_not_tell_its_project(
    stage: Stage,
) -> None:
    key = f"spark/a.jar-{0:012x}/a.jar"
    stage.bucket.put(key, days=90)
    at = "spark/.staged/tasks/dag.task.json"
    member = Member("a.jar", "c", "dag", key)
    stage.bucket.put(at, Record(at, None, "dag", 0.0, {"a.jar": member}).encoded(), 90)

    assert not stage.clean()
    assert stage.left == {key, at}


def test_a_group_goes_with_all_that_was_written_down_of_it(stage: Stage) -> None:
    stage.emulator.put_group("old", {"a.jar": "READY"})
    key = f"spark/a.jar-{1:032x}/a.jar"
    stage.bucket.put(key, days=30)
    stage.held("1", "old", stage.underlying_name("old"), key, days=30)

    deletion = stage.clean()

    assert (deletion.groups, stage.left, stage.emulator.groups()) == (("old",), set(), {})


def test_a_group_that_was_of_use_again_stays(stage: Stage) -> None:
    stage.emulator.put_group("g", {"a.jar": "READY"})
    stage.held("1", "g", stage.underlying_name("g"), "spark/a.jar", days=1)

    assert not stage.clean()


def test_a_package_of_a_copy_that_no_record_knows_stays_with_its_group(stage: Stage) -> None:
    stage.emulator.put_group("old", {"a.jar": "READY"})
    before = stage.underlying_name("old")
    stage.emulator.put_group("old", {"a.jar": "READY"})
    folder = RecordFolder.of("spark", stage.emulator.project_id, "old")
    held = Held("1", "dag d", (Fact("a.jar", "1", None, before),))
    stage.bucket.put(folder.held_key(held), held.encoded(), 30)

    stage.clean()

    assert "old" in stage.emulator.groups()


def test_records_of_copies_that_dli_holds_no_longer_go_and_the_others_stay(stage: Stage) -> None:
    stage.emulator.put_group("g", {"a.jar": "READY"})
    stage.held("1", "g", "older", "spark/a.jar", days=3)
    kept = stage.held("2", "g", stage.underlying_name("g"), "spark/a.jar", days=2)
    begun = RecordFolder.of("spark", stage.emulator.project_id, "g").begun_key("2")

    stage.clean()

    assert stage.left == {kept, begun}


def test_records_of_the_last_day_stay_whatever_dli_holds(stage: Stage) -> None:
    stage.emulator.put_group("g", {"a.jar": "READY"})
    stage.held("1", "g", "older", "spark/a.jar", days=0.9)
    stage.held("2", "g", stage.underlying_name("g"), "spark/a.jar", days=0.5)

    assert not stage.clean()
    assert len(stage.left) == 4


def test_what_was_begun_stays_while_a_copy_may_come_from_it(stage: Stage) -> None:
    stage.emulator.put_group("g", {"a.jar": "READY"})
    folder = RecordFolder.of("spark", stage.emulator.project_id, "g")
    for upload in ("1", "2"):
        begun = Begun(upload, "dag d", (Content("a.jar", upload),), {})
        stage.bucket.put(folder.begun_key(upload), begun.encoded(), 3)

    assert not stage.clean()


def test_records_that_both_looks_read_are_read_once(stage: Stage) -> None:
    _, record_key = stage.staged("old", "a.jar")

    stage.clean()

    assert stage.bucket.read == [record_key]


# what goes wrong


@pytest.mark.parametrize("after", [0, -1, True, timedelta(0), timedelta(days=-1), "7"])
def test_a_wrong_limit_is_refused_before_any_request(stage: Stage, after: Any) -> None:
    with pytest.raises(InputError, match="delete_after"):
        stage.clean(after)

    assert (stage.sent(), stage.bucket.log) == ([], [])


@pytest.mark.parametrize("fault", ["forbidden", "permission-denied"])
def test_without_the_right_to_list_jobs_nothing_is_deleted_and_the_error_says_why(
    stage: Stage, fault: str, task_log: TaskLog
) -> None:
    before = stage.staged("old", "a.jar")
    stage.emulator.add_fault(Fault(fault, path="/batches", times=None))

    with pytest.raises(PermissionDeniedError) as failed:
        stage.clean()

    why = (
        "Nothing was deleted in obs://bucket/spark/: cleaning must know what Spark batch jobs use, "
        "and needs the permission to list them (dli:jobs:list)."
    )
    assert failed.value.__notes__ == [why]
    assert why in task_log()
    assert stage.left == set(before)
    assert "old" in stage.emulator.groups()


@pytest.mark.parametrize("fault", ["html", "empty-object", "malformed-json"])
def test_an_answer_that_is_no_listing_is_not_taken_for_no_jobs(stage: Stage, fault: str) -> None:
    stage.staged("old", "a.jar")
    stage.emulator.add_fault(Fault(fault, path="/batches", times=None))

    with pytest.raises(UnusableAnswerError):
        stage.clean()

    assert "old" in stage.emulator.groups()


def test_when_the_second_look_fails_nothing_is_deleted(stage: Stage) -> None:
    before = stage.staged("old", "a.jar")
    stage.emulator.add_fault(Fault("forbidden", path="/batches", skip=1))

    with pytest.raises(PermissionDeniedError):
        stage.clean()

    assert stage.left == set(before)
    assert "old" in stage.emulator.groups()


def test_what_a_failure_left_is_deleted_next_time(stage: Stage) -> None:
    before = stage.staged("old", "a.jar")
    stage.emulator.add_fault(Fault("forbidden", method="DELETE"))

    with pytest.raises(DliError):
        stage.clean()
    left_by_failure = stage.left
    stage.clean()

    assert (left_by_failure, stage.left, stage.emulator.groups()) == (set(before), set(), {})


@pytest.mark.parametrize("dry_run", [True, False])
def test_it_cleans_a_bucket_of_a_real_server(
    stage: Stage,
    connect: Callable[..., None],
    clock: FakeClock,
    object_store: str,
    bucket: str,
    dry_run: bool,
) -> None:
    connect(obs_endpoint=object_store)
    clock.time = time.time() + 8 * DAY
    old = stage.staged("old", "a.jar", 1)
    kept = [*stage.staged("new", "a.jar", 2, days=1), *stage.staged("used", "b.jar", 3)]
    foreign = ["spark/data.csv", "spark2/a.jar-000000000001/a.jar"]
    stage.emulator.add_batch({"jars": [f"obs://{bucket}/{kept[2]}"]})
    with ObsHook(clock=clock) as obs:
        for key in [*old, *kept, *foreign]:
            obs.write_object(bucket, key, stage.bucket.objects.get(key, (b"", 0))[0])

        deletion = clean(stage.hook, obs, bucket, "spark", WEEK, keep=Keep(), dry_run=dry_run)

        left = {one.key for one in obs.list_objects(bucket)}
    assert deletion.groups == ("old",)
    assert left == {*kept, *foreign, *(old if dry_run else ())}
    assert set(stage.emulator.groups()) == {"new", "used", *(["old"] if dry_run else ())}
