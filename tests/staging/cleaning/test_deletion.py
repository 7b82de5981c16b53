# SPDX-License-Identifier: Apache-2.0
"""What may go of earlier runs is old enough, staged by us, and used by nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.staging.cleaning.deletion import (
    Deletion,
    InUse,
    Keep,
    StagedBefore,
    in_use,
    plan_deletion,
)
from airflow_provider_dli.staging.records.tasks import Member, Record

DAY = 24 * 3600.0
NOW = 1000 * DAY
WEEK = timedelta(days=7)
# Of both lengths: version 0.1 had shorter ones.
DIGESTS = [f"{number:0{12 if number % 2 else 32}x}" for number in range(20)]


def key(name: str = "a.jar", version: int = 0, prefix: str = "spark/") -> str:
    return f"{prefix}{name}-{DIGESTS[version]}/{name}"


def stored(at: str, days: float = 30) -> StoredObject:
    return StoredObject(at, 1, "etag", NOW - days * DAY)


def recorded(group: str | None, *keys: str, days: float = 30, owner: str = "dag d") -> StagedBefore:
    members = {at.rpartition("/")[2]: at for at in keys}
    record = Record(
        f".staged/{group or f'{owner}/{days}'}.json",
        group,
        owner,
        NOW - days * DAY,
        {name: Member(name, "content", owner, at) for name, at in members.items()},
    )
    return StagedBefore.from_record(record)


def job(state: str = "running", **request: Any) -> SparkBatch:
    return SparkBatch.from_wire({"id": "7", "state": state, "req_body": json.dumps(request)})


def planned(
    objects: list[StoredObject] | None = None,
    records: list[StagedBefore] | None = None,
    used: InUse | None = None,
    *,
    after: timedelta | int = WEEK,
    prefix: str = "spark",
    keep: Keep | None = None,
    is_shared: bool = False,
) -> Deletion:
    return plan_deletion(
        objects or [],
        records or [],
        used or InUse(),
        prefix=prefix,
        keep=keep or Keep(),
        after=after,
        now=NOW,
        is_shared=is_shared,
    )


# by age


def test_an_object_goes_when_it_is_older_than_the_age() -> None:
    objects = [stored(key(version=1), days=8), stored(key(version=2), days=7)]

    assert planned(objects).keys == (key(version=1),)


def test_a_group_goes_with_its_record_when_that_is_older_than_the_age() -> None:
    old, young = recorded("old", key(), days=8), recorded("young", key("b.jar"), days=7)

    deletion = planned([], [old, young])

    assert (deletion.groups, deletion.records) == (("old",), (old.key,))


def test_the_record_of_a_task_without_a_group_goes_alone() -> None:
    record = recorded(None, key())

    deletion = planned([stored(key())], [record])

    assert deletion == Deletion(keys=(key(),), records=(record.key,))


def test_an_old_object_stays_while_a_young_record_names_it() -> None:
    assert not planned([stored(key())], [recorded("g", key(), days=1)])


def test_a_young_object_stays_when_its_old_record_goes() -> None:
    deletion = planned([stored(key(), days=1)], [recorded("g", key())])

    assert (deletion.keys, deletion.groups) == ((), ("g",))


# by count


def test_so_many_versions_of_each_name_stay() -> None:
    objects = [stored(key("a.jar", n), days=n) for n in range(4)]
    objects += [stored(key("b.jar", 9), days=99)]

    deletion = planned(objects, after=2)

    assert deletion.keys == (key("a.jar", 2), key("a.jar", 3))


def test_so_many_groups_of_one_owner_stay() -> None:
    records = [recorded(f"words-{n}", key(version=n), days=n) for n in range(4)]

    deletion = planned([], records, after=3)

    assert (deletion.groups, deletion.records) == (("words-3",), (records[3].key,))


def test_groups_of_other_packages_are_no_versions_of_each_other() -> None:
    records = [recorded("words", key("words.jar")), recorded("numbers", key("numbers.jar"))]

    assert not planned([], records, after=1)


def test_groups_of_other_owners_are_no_versions_of_each_other() -> None:
    records = [recorded("one", key(), owner="dag 1"), recorded("two", key(), owner="dag 2")]

    assert not planned([], records, after=1)


def test_what_a_task_staged_last_without_a_group_stays() -> None:
    records = [recorded(None, key(), owner=f"dag {n}", days=99) for n in range(3)]

    assert not planned([stored(key(), days=99)], records, after=1)


def test_so_many_versions_of_what_a_task_staged_without_a_group_stay() -> None:
    records = [recorded(None, key(version=n), days=n) for n in range(3)]

    deletion = planned([stored(key(version=n), days=n) for n in range(3)], records, after=2)

    assert (deletion.records, deletion.keys) == ((records[2].key,), (key(version=2),))


def test_an_object_beyond_the_count_stays_while_a_record_names_it() -> None:
    objects = [stored(key(version=n), days=n) for n in range(3)]

    deletion = planned(objects, [recorded("g", key(version=2))], after=1)

    assert deletion.keys == (key(version=1),)


# what is never touched


@pytest.mark.parametrize(
    "foreign",
    [
        "spark/a.jar-0123456789abcdef/a.jar",
        "spark/data.csv",
        "spark/a.jar/a.jar",
        "spark/a.jar-000000000000/b.jar",
        "spark/a.jar-00000000000/a.jar",
        "spark/a.jar-00000000000G/a.jar",
        "spark/a.jar-000000000000/a.jar/part-0",
        "spark/a.jar-000000000000/",
        "spark/a\u202fb.jar-000000000000/a\u202fb.jar",
        "spark/a b.jar-000000000000/a b.jar",
        "spark//a.jar-000000000000/a.jar",
        "spark/../a.jar-000000000000/a.jar",
        "spark/deeper/a.jar-000000000000/a.jar",
        "spark/.staged/groups/p/g.json",
        "spark2/a.jar-000000000000/a.jar",
        "other/a.jar-000000000000/a.jar",
        "a.jar-000000000000/a.jar",
        "my/spark/a.jar-000000000000/a.jar",
    ],
)
@pytest.mark.parametrize("after", [timedelta(seconds=1), 1])
def test_an_object_that_is_not_named_like_a_staged_one_stays(
    foreign: str, after: timedelta | int
) -> None:
    objects = [stored(key(), days=0), stored(foreign, days=999)]

    assert not planned(objects, after=after)


@pytest.mark.parametrize(("prefix", "folder"), [("", ""), ("a.b/c/", "a.b/c/"), ("/x", "x/")])
def test_only_the_prefix_counts(prefix: str, folder: str) -> None:
    wanted = key(prefix=folder)

    deletion = planned([stored(wanted), stored(key(prefix="aXb/c/"))], prefix=prefix)

    assert deletion.keys == (wanted,)


def test_versions_below_another_prefix_do_not_count() -> None:
    objects = [stored(key(version=1)), stored(key(version=2, prefix="other/"), days=1)]

    assert not planned(objects, after=1)


def test_what_this_run_staged_stays() -> None:
    keep = Keep(frozenset([key()]), frozenset(["g"]))

    assert not planned([stored(key())], [recorded("g", key(version=1))], keep=keep)


def test_what_this_run_staged_without_a_group_stays() -> None:
    keep = Keep(frozenset([key(), key("b.jar")]))

    assert not planned([stored(key())], [recorded(None, key(), key("b.jar"))], keep=keep)


@pytest.mark.parametrize("group", ["old", None])
def test_what_shares_an_object_with_this_run_does_not_stay_for_that(group: str | None) -> None:
    shared, own = key("shared.zip"), key("own.jar")
    keep = Keep(frozenset([shared]), frozenset(["mine"]))

    deletion = planned([stored(shared), stored(own)], [recorded(group, shared, own)], keep=keep)

    assert (deletion.keys, len(deletion.records)) == ((own,), 1)


def test_beside_another_project_only_objects_go_that_a_record_of_this_one_names() -> None:
    own, unnamed = key("own.jar"), key("unnamed.jar")

    deletion = planned([stored(own), stored(unnamed)], [recorded(None, own)], is_shared=True)

    assert deletion.keys == (own,)
    assert deletion.kept == (
        "1 objects that no record of this project names, since another project stages below "
        "spark/ too",
    )


# what jobs use


@pytest.mark.parametrize("state", ["starting", "running", "recovering", "Nobody Knows", ""])
def test_what_an_active_job_uses_stays(state: str) -> None:
    used = in_use([job(state, file=f"obs://bucket/{key()}", groups=[{"name": "g"}])])

    deletion = planned([stored(key())], [recorded("g", key("b.jar"))], used)

    assert not deletion
    assert deletion.kept == (
        f"package group 'g': batch job 7 ({state}) uses it",
        f"object {key()}: batch job 7 ({state}) uses it",
    )


@pytest.mark.parametrize("state", ["success", "Dead"])
def test_what_only_jobs_use_that_have_ended_may_go(state: str) -> None:
    used = in_use([job(state, file=f"obs://bucket/{key()}"), SparkBatch("8", raw_state=state)])

    assert planned([stored(key())], [], used).keys == (key(),)


@pytest.mark.parametrize(
    "request_body",
    [
        {"file": f"obs://bucket/{key()}"},
        {"jars": ["b.jar", f"obs://bucket/{key()}"]},
        {"pyFiles": [f"https://bucket.obs.eu-de.otc.t-systems.com/{key()}"]},
        {"python_files": [f"obs://bucket/{key()}"]},
        {"files": [f"https://obs.eu-de.otc.t-systems.com/bucket/{key()}"]},
        {"resources": [{"name": f"obs://bucket/{key()}", "type": "jar"}]},
        {"archives": [f"obs://bucket/{key()}#alias"]},
        {"args": ["--with", f"obs://bucket/x,s3a://bucket/{key()}"]},
        {"conf": {"spark.jars": f"obs://bucket/{key()}"}},
    ],
    ids=str,
)
def test_an_object_is_in_use_wherever_the_request_names_it(request_body: dict[str, Any]) -> None:
    other = stored(key(version=1))

    assert planned([stored(key()), other], [], in_use([job(**request_body)])).keys == (other.key,)


def test_an_object_is_in_use_also_where_its_name_is_percent_encoded() -> None:
    used = in_use([job(jars=[f"https://b.obs.r.example.com/{key('a%21b.jar')}"])])

    assert not planned([stored(key("a!b.jar"))], [], used)


@pytest.mark.parametrize(
    "request_body",
    [
        {"groups": [{"name": "g"}]},
        {"groups": [{"name": "g", "resources": [{"name": "x.jar", "type": "jar"}]}]},
        {"file": "g/main.jar"},
        {"jars": ["g/a.jar"]},
        {"pyFiles": ["g/a.py"]},
        {"python_files": ["g/a.py"]},
        {"files": ["g/a.txt"]},
        {"resources": [{"name": "g/a.txt"}]},
        {"jars": ["a.jar"]},
        {"jars": [f"obs://bucket/{key()}"]},
    ],
    ids=str,
)
def test_a_group_is_in_use_by_its_name_or_one_of_its_packages(request_body: dict[str, Any]) -> None:
    records = [recorded("g", key()), recorded("h", key("h.jar", 5))]

    assert planned([], records, in_use([job(**request_body)])).groups == ("h",)


def test_the_record_of_a_task_stays_while_a_job_uses_an_object_of_it() -> None:
    record = recorded(None, key(), key("b.jar", 1))
    used = in_use([job(file=f"obs://bucket/{key()}")])

    deletion = planned([stored(key()), stored(key("b.jar", 1))], [record], used)

    assert not deletion
    assert deletion.kept == (f"record {record.key}: batch job 7 (running) uses it",)


def test_another_package_of_a_group_in_use_does_not_make_all_groups_in_use() -> None:
    used = in_use([job(groups=[{"name": "other", "resources": [{"name": "a.jar"}]}])])

    assert planned([], [recorded("g", key())], used).groups == ("g",)


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (
            SparkBatch("7", raw_state="running"),
            "everything, since DLI does not show what batch job 7 (running) uses",
        ),
        (
            job(groups=["g", {}]),
            "everything, since what batch job 7 (running) uses cannot be read: an entry of groups "
            "has no name",
        ),
    ],
)
def test_all_stays_when_it_is_not_known_what_an_active_job_uses(
    batch: SparkBatch, why: str
) -> None:
    used = in_use([job(), batch])

    assert planned([stored(key())], [recorded("g")], used) == Deletion(kept=(why,))


# the rest


def test_two_looks_agree_on_what_both_let_go() -> None:
    first = Deletion(("a", "b"), ("g", "h"), ("r", "s"), ("early",))
    second = Deletion(("b", "c"), ("h",), ("s",), ("late",))

    assert first.agreed(second) == Deletion(("b",), ("h",), ("s",), ("late",))


@pytest.mark.parametrize("some", [{"keys": ("a",)}, {"groups": ("a",)}, {"records": ("a",)}])
def test_a_deletion_is_true_when_anything_goes(some: dict[str, tuple[str, ...]]) -> None:
    assert Deletion(**some)


def test_reasons_alone_delete_nothing() -> None:
    assert not Deletion(kept=("why",))
