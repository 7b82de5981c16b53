# SPDX-License-Identifier: Apache-2.0
"""What staging wrote down of a group, since DLI tells nothing of what its packages hold.

A record is a small JSON object in the bucket, `PREFIX/.staged/groups/PROJECT/GROUP.json` for a
package group and `PREFIX/.staged/tasks/NAME.json` for objects that no group holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import msgspec

from airflow_provider_dli.api.errors import DliError
from airflow_provider_dli.api.models import Package, PackageGroup
from airflow_provider_dli.staging.content import folder_of

FOLDER = ".staged"
"""The folder of the records, below the prefix."""


@dataclass(frozen=True, slots=True)
class Member:
    """One package as it was staged.

    `content` tells its bytes apart: the hex SHA-256 of a file, the ETag of an object that was taken
    from where it lies. `key` is the object's key, `None` where it lies in another bucket. `owner`
    staged it. `underlying_name` is DLI's own name of the copy that it made; while it is not
    `confirmed` by a listing in which the package was READY, it may still be that of an older copy.
    """

    name: str
    content: str
    owner: str
    key: str | None = None
    underlying_name: str | None = None
    confirmed: bool = False

    def may_be(self, package: Package) -> bool:
        """Say whether DLI's package is still the copy that was made of this member."""
        return not self.confirmed or self.underlying_name == package.underlying_name


@dataclass(frozen=True, slots=True)
class Record:
    """What was staged as one group, or by one task; read from the bucket or to be written there.

    `key` is where the record lies, `owner` who staged last, at the Unix time `staged_at`; `group`
    is `None` for objects that no group holds.
    """

    key: str
    group: str | None
    owner: str
    staged_at: float
    members: Mapping[str, Member] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the objects that it stands for."""
        return tuple(member.key for member in self.members.values() if member.key)

    def joined(self, members: Iterable[Member], owner: str, now: float) -> Record:
        """Give the record with these members added, or put in the place of those of their names."""
        new = {member.name: member for member in members}
        return replace(self, owner=owner, staged_at=now, members={**self.members, **new})

    def answered(self, answer: PackageGroup) -> Record:
        """Give the record with what an upload's answer calls the copies that DLI makes."""
        return self._named(answer, [p.name for p in answer.packages], is_ready=False)

    def confirmed(self, group: PackageGroup, names: Iterable[str]) -> Record:
        """Give the record with what DLI calls its copies, now that these packages are READY."""
        return self._named(group, names, is_ready=True)

    def _named(self, group: PackageGroup, names: Iterable[str], *, is_ready: bool) -> Record:
        called = {package.name: package.underlying_name for package in group.packages}
        members = dict(self.members)
        for name in members.keys() & set(names):
            members[name] = replace(
                members[name], underlying_name=called.get(name), confirmed=is_ready
            )
        return replace(self, members=members)

    def encoded(self) -> bytes:
        """Give it as JSON."""
        plain = {
            "group": self.group,
            "owner": self.owner,
            "staged_at": self.staged_at,
            "members": list(self.members.values()),
        }
        return msgspec.json.format(msgspec.json.encode(plain))


class _Stored(msgspec.Struct):
    group: str | None
    owner: str
    staged_at: float
    members: list[Member]


def decoded(key: str, body: bytes) -> Record:
    """Read a record; raises `DliError` for one that somebody else wrote, or that is damaged."""
    try:
        stored = msgspec.json.decode(body, type=_Stored)
    except msgspec.DecodeError as error:
        raise DliError(
            f"The record {key} of what was staged cannot be read ({error}). Delete it, and what it "
            "stands for counts as filled by somebody else."
        ) from error
    members = {member.name: member for member in stored.members}
    return Record(key, stored.group, stored.owner, stored.staged_at, members)


def group_key(prefix: str, project_id: str, group: str) -> str:
    """Give the key of a group's record."""
    return _below(prefix, f"groups/{project_id}/{group}.json")


def task_key(prefix: str, name: str) -> str:
    """Give the key of the record of what a task staged without a group."""
    return _below(prefix, f"tasks/{quote(name, safe='')}.json")


def folder(prefix: str) -> str:
    """Give what the keys of all records below a prefix begin with."""
    return _below(prefix, "")


def _below(prefix: str, rest: str) -> str:
    return f"{folder_of(prefix)}{FOLDER}/{rest}"
