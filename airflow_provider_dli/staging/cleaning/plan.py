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

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import WireError
from airflow_provider_dli.staging.content import DIGITS, OLD_DIGITS, folder_of
from airflow_provider_dli.staging.records.known import Known
from airflow_provider_dli.staging.records.tasks import Record

T = TypeVar("T")

# The end of a staged object's key begins with a part of its digest, `NAME-<32 hex>/NAME`.
_HEX = f"[0-9a-f]{{{OLD_DIGITS}}}|[0-9a-f]{{{DIGITS}}}"
_DIGEST = re.compile(rf"-({_HEX})/")


@dataclass(frozen=True, slots=True)
class StagedBefore:
    """What an earlier run left: a group, or what a task staged without one (`group` is `None`).

    `key` tells it from others, `owner` staged it last, at the Unix time `staged_at`. `names` are
    its packages, `keys` the objects that it stands for, `records` the keys of all that is written
    down of it.
    """

    key: str
    group: str | None
    owner: str
    staged_at: float
    names: frozenset[str]
    keys: tuple[str, ...]
    records: tuple[str, ...]

    @classmethod
    def by_record(cls, record: Record) -> StagedBefore:
        """Take it from a single record."""
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
    def by_records(cls, group: str, known: Known) -> StagedBefore:
        """Take it from the records of a group."""
        parts = [(one.modified, one.owner) for one in known.held]
        parts += [(one.modified, one.owner) for one in known.open]
        if known.old is not None:
            parts.append((known.old.staged_at, known.old.owner))
        staged_at, owner = max(parts)
        members = known.members
        return cls(
            known.listed.folder.path,
            group,
            owner,
            staged_at,
            frozenset(member.name for member in members),
            tuple(dict.fromkeys(member.key for member in members if member.key)),
            # What was begun first: without its end it would look unfinished, not the other way.
            (
                *known.listed.begun,
                *known.listed.held,
                *([known.old.key] if known.old is not None else ()),
            ),
        )

    @property
    def family(self) -> object:
        """What it is a version of."""
        if self.group is None:
            return self.key.rpartition("/")[0]
        return self.owner, self.names


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
        """Return the job that uses the staged object under a key."""
        return _first(self.digests, _DIGEST.findall(key))

    def user_of_staged(self, staged: StagedBefore) -> str | None:
        """Return the job that uses a group, a package of it, or an object of it.

        A package without a group counts for every group that has one of that name.
        """
        return (
            _first(self.groups, [staged.group or ""])
            or _first(self.packages, staged.names)
            or next(filter(None, map(self.user_of, staged.keys)), None)
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
        """Return what both of two looks let go; `other` is the later one."""
        return Deletion(
            _both(self.keys, other.keys),
            _both(self.groups, other.groups),
            _both(self.records, other.records),
            other.kept,
        )


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
    staged: Sequence[StagedBefore],
    used: InUse,
    *,
    prefix: str,
    keep: Keep,
    after: timedelta | int,
    now: float,
    is_shared: bool = False,
) -> Deletion:
    """Decide what goes of the objects and the groups below a prefix. `now` is Unix seconds.

    With an age, what is older goes. With a count, so many versions stay of each package name, of
    what a task staged without a group, and of groups that one owner filled with packages of the
    same names. An object stays as long as something names it that stays. Other objects than staged
    ones are never touched. Where it is not known what a job uses, all stays. Where another project
    stages below the same prefix (`is_shared`), only objects go that something of this one names.
    """
    if used.unknown:
        return Deletion(kept=used.unknown)
    kept: list[str] = []
    gone = {
        one.key: one
        for one in _old_staged(staged, after, now)
        if not _stays(one, keep) and _is_free(one, used, kept)
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
            f"{unnamed} objects that no record of this project names: another project stages below "
            f"{folder_of(prefix) or 'the same bucket'} too"
        )
    groups = tuple(one.group for one in gone.values() if one.group is not None)
    records = tuple(key for one in gone.values() for key in one.records)
    return Deletion(tuple(keys), groups, records, tuple(kept))


def _stays(staged: StagedBefore, keep: Keep) -> bool:
    # Other groups may share an object with what is kept, and are not kept for that.
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
    name = "(?P<name>[A-Za-z0-9_!.-]+)"  # no package has another
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
