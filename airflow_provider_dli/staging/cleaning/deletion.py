# SPDX-License-Identifier: Apache-2.0
"""Decides what to delete of what earlier runs staged; `clean` carries it out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import WireError
from airflow_provider_dli.staging.content import DIGITS, OLD_DIGITS, folder_of
from airflow_provider_dli.staging.records.comparison import GroupRecords
from airflow_provider_dli.staging.records.tasks import Record

T = TypeVar("T")

# The key of a staged object ends with a part of its digest and its name, `NAME-<32 hex>/NAME`.
_HEX = f"[0-9a-f]{{{OLD_DIGITS}}}|[0-9a-f]{{{DIGITS}}}"
_DIGEST = re.compile(rf"-({_HEX})/")


@dataclass(frozen=True, slots=True)
class StagedBefore:
    """What an earlier run staged: a group, or what a task staged without one (`group` is `None`).

    `key` identifies it, `owner` staged it last, at the Unix time `staged_at`. `names` are its
    packages, `keys` the keys of its objects, `records` the keys of its records.
    """

    key: str
    group: str | None
    owner: str
    staged_at: float
    names: frozenset[str]
    keys: tuple[str, ...]
    records: tuple[str, ...]

    @classmethod
    def from_record(cls, record: Record) -> StagedBefore:
        """Returns what a single record describes."""
        return cls(
            record.key,
            record.group,
            record.owner,
            record.staged_at,
            frozenset(record.members),
            record.keys,
            (record.key,),
        )

    @classmethod
    def from_group(cls, group: str, records: GroupRecords) -> StagedBefore:
        """Returns what the records of a group describe."""
        staged = [(one.modified, one.owner) for one in records.held]
        staged += [(one.modified, one.owner) for one in records.open]
        if records.old is not None:
            staged.append((records.old.staged_at, records.old.owner))
        staged_at, owner = max(staged)
        members = records.members
        return cls(
            records.listed.folder.path,
            group,
            owner,
            staged_at,
            frozenset(member.name for member in members),
            tuple(dict.fromkeys(member.key for member in members if member.key)),
            # Begun uploads first: without the record of its end, an upload would look unfinished.
            (
                *records.listed.begun,
                *records.listed.held,
                *([records.old.key] if records.old is not None else ()),
            ),
        )

    @property
    def family(self) -> object:
        """What all versions of it have in common."""
        if self.group is None:
            return self.key.rpartition("/")[0]
        return self.owner, self.names


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept whatever its age: objects by their keys, package groups by their names."""

    keys: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class InUse:
    """What active jobs use, each with the job.

    `digests` are those in the keys of staged objects, `groups` names of groups, `packages` names
    without a group. `unknown` are the reasons why it is not known what is in use.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def user_of(self, key: str) -> str | None:
        """Returns the job that uses the staged object with a key."""
        return _first(self.digests, _DIGEST.findall(key))

    def user_of_staged(self, staged: StagedBefore) -> str | None:
        """Returns the job that uses a group, a package of it, or an object of it.

        A package without a group counts for every group that has one of that name.
        """
        return (
            _first(self.groups, [staged.group or ""])
            or _first(self.packages, staged.names)
            or next(filter(None, map(self.user_of, staged.keys)), None)
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """What can be deleted: keys of objects, names of groups, and keys of their records.

    `kept` says what is kept although it is old enough, and why.
    """

    keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.groups or self.records)

    def agreed(self, other: Deletion) -> Deletion:
        """Returns what both plans delete; `other` is the later one."""
        return Deletion(
            _both(self.keys, other.keys),
            _both(self.groups, other.groups),
            _both(self.records, other.records),
            other.kept,
        )


def in_use(batches: Iterable[SparkBatch]) -> InUse:
    """Returns what active jobs use, by the requests that submitted them.

    Objects count wherever a request names them, even in an argument. They are recognised by the
    digest in their keys, so bucket and spelling, `obs://` or `https://`, do not matter.
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
            unknown.append(f"everything, since DLI does not show what {job} uses")
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


def plan_deletion(
    objects: Iterable[StoredObject],
    staged: Sequence[StagedBefore],
    used: InUse,
    *,
    prefix: str,
    keep: Keep,
    after: timedelta | int,
    now: float,
    is_shared: bool = False,
) -> Deletion:
    """Decides which objects and groups below a prefix to delete. `now` is in Unix seconds.

    With an age, older ones are deleted. With a count, that many versions are kept of each package
    name, of what a task staged without a group, and of groups to which one owner uploaded packages
    of the same names. An object is kept as long as anything that is kept names it. Only staged
    objects are ever deleted. If it is not known what a job uses, everything is kept. If another
    project stages below the same prefix (`is_shared`), only objects that records of this project
    name are deleted.
    """
    if used.unknown:
        return Deletion(kept=used.unknown)
    kept: list[str] = []
    gone = {
        one.key: one
        for one in _old_staged(staged, after, now)
        if not _is_kept(one, keep) and _is_free(one, used, kept)
    }
    named = keep.keys.union(*(one.keys for one in staged if one.key not in gone))
    own = frozenset[str]().union(*(one.keys for one in staged))
    keys, unnamed = [], 0
    for key in _old_objects(objects, prefix, after, now):
        if key in named:
            continue
        if is_shared and key not in own:
            unnamed += 1
        elif (user := used.user_of(key)) is not None:
            kept.append(f"object {key}: {user} uses it")
        else:
            keys.append(key)
    if unnamed:
        kept.append(
            f"{unnamed} objects that no record of this project names, since another project stages "
            f"below {folder_of(prefix) or 'the same bucket'} too"
        )
    groups = tuple(one.group for one in gone.values() if one.group is not None)
    records = tuple(key for one in gone.values() for key in one.records)
    return Deletion(tuple(keys), groups, records, tuple(kept))


def _is_kept(staged: StagedBefore, keep: Keep) -> bool:
    # Sharing an object with what is kept is no reason to keep another group.
    return staged.group in keep.groups if staged.group else keep.keys.issuperset(staged.keys)


def _is_free(staged: StagedBefore, used: InUse, kept: list[str]) -> bool:
    user = used.user_of_staged(staged)
    if user is not None:
        what = f"record {staged.key}" if staged.group is None else f"package group {staged.group!r}"
        kept.append(f"{what}: {user} uses it")
    return user is None


def _old_staged(
    staged: Iterable[StagedBefore], after: timedelta | int, now: float
) -> Iterable[StagedBefore]:
    if isinstance(after, timedelta):
        return [one for one in staged if now - one.staged_at > after.total_seconds()]
    return _beyond(after, staged, lambda one: one.family, lambda one: (one.staged_at, one.key))


def _old_objects(
    objects: Iterable[StoredObject], prefix: str, after: timedelta | int, now: float
) -> Iterable[str]:
    name = "(?P<name>[A-Za-z0-9_!.-]+)"  # packages have no other names
    pattern = re.compile(rf"{re.escape(folder_of(prefix))}{name}-({_HEX})/(?P=name)")
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
    """Returns all entries but the newest `count` of each family."""
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
