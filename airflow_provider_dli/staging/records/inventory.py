# SPDX-License-Identifier: Apache-2.0
"""All that is written down below a prefix: by which project, of which groups and tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.staging.cleaning.plan import StagedBefore
from airflow_provider_dli.staging.records import tasks as task_records
from airflow_provider_dli.staging.records.known import Known
from airflow_provider_dli.staging.records.tasks import Record
from airflow_provider_dli.staging.records.uploads import Folder, Listed, read_begun, read_held

_KEY = re.compile(
    r"groups/(?P<project>[^/]+)/(?P<group>[^/]+?)(/(begun|held|part)-[^/]+|)\.json"
    r"|tasks/(?P<by>[^/]+)/(?P<task>[^/]+)/[^/]+\.json"
    r"|.+\.json"
)

Groups = Mapping[tuple[str, str], Known]


@dataclass(frozen=True, slots=True)
class Inventory:
    """The records of groups by project and name, those of tasks with their projects.

    The records of tasks that 0.1 wrote do not tell their project: it is `None`. `unreadable` says
    which records cannot be read, and what follows.
    """

    groups: Groups
    tasks: tuple[tuple[str | None, Record], ...]
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, prefix: str, bodies: Mapping[StoredObject, bytes]) -> Inventory:
        """Read all records below a prefix."""
        folders: defaultdict[tuple[str, str], dict[StoredObject, bytes]] = defaultdict(dict)
        tasks, unreadable = [], []
        groups: dict[tuple[str, str], Known] = {}
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
                groups[project, group] = _known(Folder.of(prefix, project, group), parts)
            except DliError as error:
                unreadable.append(f"everything. {error}")
        return cls(groups, tuple(tasks), tuple(unreadable))

    def group(self, project: str, name: str) -> Known:
        """Return what is known of a group of a project."""
        return self.groups[project, name]

    def of_project(self, project: str) -> tuple[StagedBefore, ...]:
        """Return what a project staged."""
        return (
            *(
                StagedBefore.by_records(group, known)
                for (by, group), known in self.groups.items()
                if by == project
            ),
            *(StagedBefore.by_record(record) for by, record in self.tasks if by == project),
        )

    def keys_of_others(self, project: str) -> frozenset[str]:
        """Return the keys of objects that others than this project named, or perhaps did."""
        named = [known.members for (by, _), known in self.groups.items() if by != project]
        named += [tuple(one.members.values()) for by, one in self.tasks if by != project]
        return frozenset(member.key for members in named for member in members if member.key)

    def has_others(self, project: str) -> bool:
        """Whether another project stages below the same prefix."""
        projects = {by for by, _ in self.groups} | {by for by, _ in self.tasks}
        return bool(projects - {project, None})


def is_record(prefix: str, key: str) -> bool:
    """Whether a key is one that records have."""
    return _match(prefix, key) is not None


def _match(prefix: str, key: str) -> re.Match[str] | None:
    folder = task_records.folder(prefix)
    return _KEY.fullmatch(key.removeprefix(folder)) if key.startswith(folder) else None


def _known(folder: Folder, parts: Mapping[StoredObject, bytes]) -> Known:
    listed = Listed.of(folder, parts)
    bodies = {one.key: body for one, body in parts.items()}
    old = bodies.get(folder.old_key)
    return Known(
        listed,
        tuple(read_held(listed.objects[key], bodies[key]) for key in listed.held),
        tuple(read_begun(listed.objects[key], bodies[key]) for key in listed.open),
        None if old is None else task_records.decoded(folder.old_key, old),
    )
