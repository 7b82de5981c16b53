# SPDX-License-Identifier: Apache-2.0
"""What earlier runs left behind and nothing uses any more: decided here, deleted elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from airflow_provider_dli.api.errors import InputError, WireError
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.models import PackageGroup
from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.records import Record

T = TypeVar("T")

# The end of a staged object's key begins with a part of its digest, `NAME-<12 hex>/NAME`.
_DIGEST = re.compile(r"-([0-9a-f]{12})/")


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays whatever its age: objects by their keys, package groups by their names."""

    keys: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class InUse:
    """What jobs that have not ended use, each with the job.

    `digests` are those in the keys of staged objects, `groups` names of groups, `packages` names
    without a group. `unknown` says why it is not known what is in use.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def user_of(self, key: str) -> str | None:
        """Give the job that uses the staged object under a key."""
        return _first(self.digests, _DIGEST.findall(key))

    def user_of_record(self, record: Record) -> str | None:
        """Give the job that uses a group, a package of it, or an object that a record names.

        A package without a group counts for every group that has one of that name.
        """
        return (
            _first(self.groups, [record.group or ""])
            or _first(self.packages, record.members)
            or next(filter(None, map(self.user_of, record.keys)), None)
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """What may go: keys of objects, names of groups, and keys of the records of what goes.

    `kept` says what stays although its time is over, and why.
    """

    keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.groups or self.records)

    def agreed(self, other: Deletion) -> Deletion:
        """Give what both of two looks let go; `other` is the later one."""
        return Deletion(
            _both(self.keys, other.keys),
            _both(self.groups, other.groups),
            _both(self.records, other.records),
            other.kept,
        )


def check_after(after: object) -> timedelta | int:
    """Give `after` when it is an age of at least an hour or a count of at least one.

    What is staged again unchanged is written down only now and then, so that no age may be shorter.
    """
    if isinstance(after, timedelta) and after >= timedelta(hours=1):
        return after
    if isinstance(after, int) and not isinstance(after, bool) and after > 0:
        return after
    rule = "give a timedelta of an hour or more (older goes) or a number from 1 on (so many stay)"
    raise InputError("delete_after", after, rule)


def in_use(batches: Iterable[SparkBatch]) -> InUse:
    """Read from the requests of jobs that have not ended what they use.

    Objects count wherever a request names them, be it as an argument: by the digest in their keys,
    so that bucket and spelling, `obs://` or `https://`, do not matter.
    """
    digests: dict[str, str] = {}
    groups: dict[str, str] = {}
    packages: dict[str, str] = {}
    unknown = []
    for batch in batches:
        if batch.is_terminal:
            continue
        job = f"batch job {batch.id} ({batch.raw_state})"
        if batch.request is None:
            unknown.append(f"everything, since {job} does not tell what it uses")
            continue
        try:
            grouped, single = batch.named_groups, batch.named_packages
        except WireError as error:
            unknown.append(f"everything, since what {job} uses cannot be read: {error}")
            continue
        groups |= dict.fromkeys(grouped, job)
        packages |= dict.fromkeys(single, job)
        text = unquote(msgspec.json.encode(batch.request).decode())
        digests |= dict.fromkeys(_DIGEST.findall(text), job)
    return InUse(digests, groups, packages, tuple(unknown))


def plan(
    objects: Iterable[StoredObject],
    records: Sequence[Record],
    used: InUse,
    *,
    prefix: str,
    keep: Keep,
    after: timedelta | int,
    now: float,
) -> Deletion:
    """Decide what goes of the objects and the groups below a prefix. `now` is Unix seconds.

    With an age, what is older goes. With a count, so many versions stay of each package name, and
    of groups that one owner filled with packages of the same names; what a task staged without a
    group is its newest version already. An object stays as long as a record names it that stays.
    Other objects than staged ones are never touched. Where it is not known what a job uses, all
    stays.
    """
    if used.unknown:
        return Deletion(kept=used.unknown)
    kept: list[str] = []
    gone = {
        record.key: record
        for record in _old_records(records, after, now)
        if not _stays(record, keep) and _is_free(record, used, kept)
    }
    named = keep.keys.union(*(record.keys for record in records if record.key not in gone))
    keys = []
    for key in _old_objects(objects, prefix, after, now):
        if key in named:
            continue
        if (user := used.user_of(key)) is not None:
            kept.append(f"object {key}: {user} uses it")
        else:
            keys.append(key)
    groups = tuple(record.group for record in gone.values() if record.group is not None)
    return Deletion(tuple(keys), groups, tuple(gone), tuple(kept))


def described(record: Record, group: PackageGroup) -> tuple[str, ...]:
    """Give the packages of a group that are those of its record.

    One of the same name that somebody else uploaded since has another name on DLI's side; it is
    known once the record's was confirmed.
    """
    return tuple(
        package.name
        for package in group.packages
        if (member := record.members.get(package.name)) is not None and member.may_be(package)
    )


def _stays(record: Record, keep: Keep) -> bool:
    # Other groups may share an object with what is kept, and are not kept for that.
    return record.group in keep.groups if record.group else keep.keys.issuperset(record.keys)


def _is_free(record: Record, used: InUse, kept: list[str]) -> bool:
    user = used.user_of_record(record)
    if user is not None:
        what = f"record {record.key}" if record.group is None else f"package group {record.group!r}"
        kept.append(f"{what}: {user} uses it")
    return user is None


def _old_records(records: Iterable[Record], after: timedelta | int, now: float) -> Iterable[Record]:
    if isinstance(after, timedelta):
        return [record for record in records if now - record.staged_at > after.total_seconds()]
    return _beyond(
        after,
        [record for record in records if record.group is not None],
        lambda record: (record.owner, frozenset(record.members)),
        lambda record: (record.staged_at, record.key),
    )


def _old_objects(
    objects: Iterable[StoredObject], prefix: str, after: timedelta | int, now: float
) -> Iterable[str]:
    name = "(?P<name>[A-Za-z0-9_!.-]+)"  # no package has another
    pattern = re.compile(rf"{re.escape(folder_of(prefix))}{name}-[0-9a-f]{{12}}/(?P=name)")
    staged = [
        (found["name"], one) for one in objects if (found := pattern.fullmatch(one.key)) is not None
    ]
    if isinstance(after, timedelta):
        return [one.key for _, one in staged if now - one.modified > after.total_seconds()]
    old = _beyond(after, staged, lambda pair: pair[0], lambda pair: (pair[1].modified, pair[1].key))
    return [one.key for _, one in old]


def _beyond(
    count: int,
    entries: Iterable[T],
    family: Callable[[T], object],
    age: Callable[[T], tuple[float, str]],
) -> list[T]:
    """Give, of each family, all but the newest so many."""
    families: defaultdict[object, list[T]] = defaultdict(list)
    for entry in entries:
        families[family(entry)].append(entry)
    return [
        entry
        for versions in families.values()
        for entry in sorted(versions, key=age, reverse=True)[count:]
    ]


def _both(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    also = set(other)
    return tuple(entry for entry in one if entry in also)


def _first(users: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((users[name] for name in names if name in users), None)
