# SPDX-License-Identifier: Apache-2.0
"""All records below a prefix, by the projects, groups and tasks that they belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.staging.cleaning.deletion import StagedBefore
from airflow_provider_dli.staging.records import tasks as task_records
from airflow_provider_dli.staging.records.comparison import GroupRecords
from airflow_provider_dli.staging.records.groups import (
    RecordFolder,
    RecordListing,
    read_begun,
    read_held,
)
from airflow_provider_dli.staging.records.tasks import Record

_KEY = re.compile(
    r"groups/(?P<project>[^/]+)/(?P<group>[^/]+?)(/(begun|held|part)-[^/]+|)\.json"
    r"|tasks/(?P<by>[^/]+)/(?P<task>[^/]+)/[^/]+\.json"
    r"|.+\.json"
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The records of groups by project and name, and those of tasks with their projects.

    The project is `None` for the records of tasks that 0.1 wrote. `unreadable` says which records
    cannot be read, and what follows from that.
    """

    groups: Mapping[tuple[str, str], GroupRecords]
    tasks: tuple[tuple[str | None, Record], ...]
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, prefix: str, bodies: Mapping[StoredObject, bytes]) -> Inventory:
        """Reads all records below a prefix."""
        folders: defaultdict[tuple[str, str], dict[StoredObject, bytes]] = defaultdict(dict)
        tasks, unreadable = [], []
        groups: dict[tuple[str, str], GroupRecords] = {}
        for one, body in bodies.items():
            found = _match(prefix, one.key)
            if found is not None and found["group"]:
                folders[found["project"], found["group"]][one] = body
                continue
            try:
                record = task_records.decoded(one.key, body)
            except DliError as error:
                unreadable.append(f"everything. {error}")
            else:
                tasks.append((found["by"] if found else None, record))
        for (project, group), parts in folders.items():
            try:
                folder = RecordFolder.of(prefix, project, group)
                groups[project, group] = _group_records(folder, parts)
            except DliError as error:
                unreadable.append(f"everything. {error}")
        return cls(groups, tuple(tasks), tuple(unreadable))

    def group(self, project: str, name: str) -> GroupRecords:
        """Returns the records of a group of a project."""
        return self.groups[project, name]

    def of_project(self, project: str) -> tuple[StagedBefore, ...]:
        """Returns what a project staged."""
        return (
            *(
                StagedBefore.from_group(group, records)
                for (by, group), records in self.groups.items()
                if by == project
            ),
            *(StagedBefore.from_record(record) for by, record in self.tasks if by == project),
        )

    def keys_of_others(self, project: str) -> frozenset[str]:
        """Returns the keys of objects that records of other, or unknown, projects name."""
        named = [records.members for (by, _), records in self.groups.items() if by != project]
        named += [tuple(one.members.values()) for by, one in self.tasks if by != project]
        return frozenset(member.key for members in named for member in members if member.key)

    def has_others(self, project: str) -> bool:
        """Whether another project stages below the same prefix."""
        projects = {by for by, _ in self.groups} | {by for by, _ in self.tasks}
        return bool(projects - {project, None})


def is_record(prefix: str, key: str) -> bool:
    """Whether a key has the form of a record's key."""
    return _match(prefix, key) is not None


def _match(prefix: str, key: str) -> re.Match[str] | None:
    folder = task_records.records_folder(prefix)
    return _KEY.fullmatch(key.removeprefix(folder)) if key.startswith(folder) else None


def _group_records(folder: RecordFolder, parts: Mapping[StoredObject, bytes]) -> GroupRecords:
    listed = RecordListing.of(folder, parts)
    bodies = {one.key: body for one, body in parts.items()}
    old = bodies.get(folder.old_key)
    return GroupRecords(
        listed,
        tuple(read_held(listed.objects[key], bodies[key]) for key in listed.held),
        tuple(read_begun(listed.objects[key], bodies[key]) for key in listed.open),
        None if old is None else task_records.decoded(folder.old_key, old),
    )
