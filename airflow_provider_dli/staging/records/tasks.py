# SPDX-License-Identifier: Apache-2.0
"""The records of tasks that stage without a group, and the records of version 0.1.

A record is a small JSON object in the bucket: `PREFIX/.staged/tasks/PROJECT/TASK/HASH.json` for
objects that belong to no group, where the hash covers the whole content. Version 0.1 wrote
`PREFIX/.staged/tasks/TASK.json`, and `PREFIX/.staged/groups/PROJECT/GROUP.json` for a group. The
current records of groups are in `groups`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from airflow_provider_dli.api.packages.models import Package
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.records.groups import RECORDS, unreadable


@dataclass(frozen=True, slots=True)
class Member:
    """One package as it was staged.

    `content` identifies the bytes: the hex SHA-256 of a file, or the ETag of an object that is
    used from where it is. `key` is the object's key, `None` if it is in another bucket. `owner`
    staged it. `underlying_name` is DLI's own name of the copy that it made; unless it is
    `confirmed` by a listing, it may still be that of an older copy.
    """

    name: str
    content: str
    owner: str
    key: str | None = None
    underlying_name: str | None = None
    confirmed: bool = False

    def may_be(self, package: Package) -> bool:
        """Whether DLI's package may still be the copy of this member."""
        return not self.confirmed or self.underlying_name == package.underlying_name


@dataclass(frozen=True, slots=True)
class Record:
    """What was staged as one group, or by one task.

    `key` is the key of the record, `owner` who staged last, at the Unix time `staged_at`; `group`
    is `None` for objects that belong to no group.
    """

    key: str
    group: str | None
    owner: str
    staged_at: float
    members: Mapping[str, Member] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the objects that it describes."""
        return tuple(member.key for member in self.members.values() if member.key)

    def encoded(self) -> bytes:
        """Returns the record as JSON."""
        members = list(self.members.values())
        stored = _Stored(self.group, self.owner, self.staged_at, members)
        return msgspec.json.format(msgspec.json.encode(stored))


class _Stored(msgspec.Struct):
    group: str | None
    owner: str
    staged_at: float
    members: list[Member]


def decoded(key: str, body: bytes) -> Record:
    """Reads a record; raises `DliError` for a damaged or foreign one."""
    try:
        stored = msgspec.json.decode(body, type=_Stored)
    except msgspec.DecodeError as error:
        raise unreadable(key, error) from error
    members = {member.name: member for member in stored.members}
    return Record(key, stored.group, stored.owner, stored.staged_at, members)


def task_folder(prefix: str, project_id: str, name: str) -> str:
    """Returns the folder of all records of a task that stages without a group."""
    return f"{records_folder(prefix)}tasks/{project_id}/{quote(name, safe='')}/"


def task_key(folder: str, members: Iterable[Member]) -> str:
    """Returns the key of the record of exactly these members."""
    lines = sorted(f"{member.name}\t{member.key}\t{member.content}" for member in members)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{folder}{digest[:32]}.json"


def records_folder(prefix: str) -> str:
    """Returns the folder of all records below a prefix."""
    return f"{folder_of(prefix)}{RECORDS}/"
