# SPDX-License-Identifier: Apache-2.0
"""Resolves the packages of a batch job: whether they exist, and where they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_dli.emulator.checks import StoredObject, invalid
from airflow_provider_dli.emulator.jobs.requests import FILE_LISTS, is_in_obs, named_files
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.packages import Package
from airflow_provider_dli.emulator.service import PackageService

_LIST_OF_KIND = {"jar": "jars", "pyFile": "pyFiles", "file": "files", "modelFile": "files"}


@dataclass(frozen=True, slots=True)
class JobPackages:
    """The packages of a project, as named by the fields of a job."""

    service: PackageService
    project_id: str

    def resolve(self, fields: JsonObject) -> JsonObject:
        """Returns the fields with the location of each file, without `groups` and `resources`.

        Raises RefusedError if a package does not exist. It is documented that a package of
        `groups` may have any type; the answer for a missing one is inferred from the general
        table. A name without a group means a package outside of all groups.
        """
        found = {name: [self._place(one) for one in fields.get(name, ())] for name in FILE_LISTS}
        for kind, place in [*self._resources(fields), *self._groups(fields)]:
            found[_LIST_OF_KIND[kind]].append(place)
        others = {name: fields[name] for name in fields if name not in ("groups", "resources")}
        lists = {name: list(dict.fromkeys(places)) for name, places in found.items() if places}
        return {**others, **lists, "file": self._place(fields["file"])}

    def _resources(self, fields: JsonObject) -> Iterator[tuple[str, str]]:
        for entry in fields.get("resources", ()):
            name, kind = entry["name"], entry.get("type")
            if is_in_obs(name):
                yield kind or "file", name
            else:
                package = self._find(name)
                yield kind or package.kind, _place(package, name)

    def _groups(self, fields: JsonObject) -> Iterator[tuple[str, str]]:
        for group in fields.get("groups", ()):
            members = self.service.members(self.project_id, group["name"])
            # A group without resources means all of its packages, as in the vendor's Go client.
            for entry in group.get("resources") or [{"name": name} for name in members]:
                name = f"{group['name']}/{entry['name']}"
                package = self._find(name)
                yield entry.get("type") or package.kind, _place(package, name)

    def _place(self, name: str) -> str:
        return name if is_in_obs(name) else _place(self._find(name), name)

    def _find(self, name: str) -> Package:
        # The name of a group may have dots, but no slash.
        group, slash, package = name.partition("/")
        return self.service.package(
            self.project_id, *((package, group) if slash else (group, None))
        )


def named_objects(fields: JsonObject) -> list[StoredObject]:
    """Returns the objects in OBS that a job names; raises RefusedError for an invalid path."""
    return [_object(name) for name in named_files(fields) if is_in_obs(name)]


def _object(path: str) -> StoredObject:
    bucket, _, key = path.removeprefix("obs://").partition("/")
    if not bucket or not key:
        raise invalid(f"{path!r} leads to no object in OBS")
    return StoredObject(bucket, key, key.rpartition("/")[2])


def _place(package: Package, name: str) -> str:
    return package.source or name
