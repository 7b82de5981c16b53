# SPDX-License-Identifier: Apache-2.0
"""What a task staged without a group, and what version 0.1 wrote down of groups.

A record is a small JSON object in the bucket: `PREFIX/.staged/tasks/PROJECT/TASK/HASH.json` for
objects that no group holds, where the hash stands for all that it says. Version 0.1 wrote
`PREFIX/.staged/tasks/TASK.json`, and `PREFIX/.staged/groups/PROJECT/GROUP.json` for a group. What
is written down of groups by now is in `uploads`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from airflow_provider_dli.api.packages.models import Package
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.records.uploads import FOLDER, unreadable


@dataclass(frozen=True, slots=True)
class Member:
    """One package as it was staged.

    `content` tells its bytes apart: the hex SHA-256 of a file, the ETag of an object that was taken
    from where it lies. `key` is the object's key, `None` where it lies in another bucket. `owner`
    staged it. `underlying_name` is DLI's own name of the copy that it made; while it is not
    `confirmed` by a listing, it may still be that of an older copy.
    """

    name: str
    content: str
    owner: str
    key: str | None = None
    underlying_name: str | None = None
    confirmed: bool = False

    def may_be(self, package: Package) -> bool:
        """Whether DLI's package may still be the copy that was made of this member."""
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

    def encoded(self) -> bytes:
        """Return it as JSON."""
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
        raise unreadable(key, error) from error
    members = {member.name: member for member in stored.members}
    return Record(key, stored.group, stored.owner, stored.staged_at, members)


def group_key(prefix: str, project_id: str, group: str) -> str:
    """Return the key that version 0.1 gave to a group's record."""
    return _below(prefix, f"groups/{project_id}/{group}.json")


def task_folder(prefix: str, project_id: str, name: str) -> str:
    """Return what the keys of all records begin with that a task wrote of objects alone."""
    return _below(prefix, f"tasks/{project_id}/{quote(name, safe='')}/")


def task_key(folder: str, members: Iterable[Member]) -> str:
    """Return the key of the record of these members: others have another one."""
    lines = sorted(f"{member.name}\t{member.key}\t{member.content}" for member in members)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{folder}{digest[:32]}.json"


def old_task_key(prefix: str, name: str) -> str:
    """Return the key that version 0.1 gave to the record of a task: without its project."""
    return _below(prefix, f"tasks/{quote(name, safe='')}.json")


def folder(prefix: str) -> str:
    """Return what the keys of all records below a prefix begin with."""
    return _below(prefix, "")


def _below(prefix: str, rest: str) -> str:
    return f"{folder_of(prefix)}{FOLDER}/{rest}"
