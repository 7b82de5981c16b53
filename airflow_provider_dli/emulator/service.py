# SPDX-License-Identifier: Apache-2.0
"""The package groups of DLI without HTTP: what is stored, and what each call does.

Chapter of the API reference: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0166.html
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence

from airflow_provider_dli.emulator.checks import OwnerChange, Upload
from airflow_provider_dli.emulator.messages import JsonObject, RefusedError
from airflow_provider_dli.emulator.packages import (
    Group,
    Package,
    Project,
    Shown,
    group_json,
    group_status,
    package_json,
    shown,
)
from airflow_provider_dli.emulator.timelines import Timeline, Timelines

# The system module of the documented example; such modules belong to no project.
_MODULE = {
    "module_name": "gatk",
    "status": "READY",
    "resources": ["gatk.jar", "tika-core-1.18.jar", "s3fs-2.2.2.jar"],
    "create_time": 1521532893736,
    "update_time": 1521552364503,
}


class PackageService:
    """The package groups of all projects. Safe to use from several threads."""

    def __init__(
        self, clock: Callable[[], float], users: Sequence[str], timelines: Timelines
    ) -> None:
        self._clock = clock
        self._users = users
        self._timelines = timelines
        self._projects: dict[str, Project] = {}
        self._lock = threading.RLock()

    def upload(self, project_id: str, upload: Upload) -> JsonObject:
        """POST /resources and its variants for one kind: stores packages, replacing them by name.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0130.html

        The documentation is contradictory about uploads into an existing group. By the pages of the
        console and the example of the listing they add to it, package by package.
        """
        batch = uuid.uuid4()
        sources = {item.name: f"obs://{item.bucket}/{item.key}" for item in upload.objects}
        with self._lock:
            for name in upload.names:
                self._store(
                    project_id,
                    upload.group,
                    name,
                    kind=upload.kind,
                    tags=upload.tags,
                    underlying_name=f"{batch}_{name}",
                    source=sources[name],
                    timeline=self._timelines.choose(name, upload.group, is_async=upload.is_async),
                )
            if upload.group is None:
                return {"resource_names": upload.names}
            return self._uploaded(project_id, upload.group, upload)

    def listing(
        self,
        project_id: str,
        kind: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> JsonObject:
        """GET /resources. As in all examples there is no `total`, although the table has it.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html

        The effect of filters on groups is undocumented: here a group has the members that match,
        and is left out if none does.
        """
        wanted = dict(tags or {})
        now = self._clock()
        with self._lock:
            project = self._project(project_id)
            return {
                "resources": [
                    package_json(package, state)
                    for package, state in shown(project.packages, now).values()
                    if package.matches(kind, wanted)
                ],
                "groups": [
                    entry
                    for group in project.groups.values()
                    if (entry := _group_entry(group, now, kind, wanted))["resources"]
                ],
                "modules": [] if wanted or kind not in (None, "jar") else [dict(_MODULE)],
            }

    def show(self, project_id: str, name: str, group: str | None) -> JsonObject:
        """GET /resources/{resource_name}: a package, in a group or outside of all.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0172.html

        No error is documented for a missing package; the general table gives DLI.0002 with 400.
        """
        with self._lock:
            package, state = self._existing(project_id, name, group)
            # Only this example prints the state of a package in progress in lower case.
            return package_json(package, "uploading" if state == "UPLOADING" else state)

    def package(self, project_id: str, name: str, group: str | None) -> Package:
        """Returns a package that a job names; raises RefusedError if it does not exist."""
        with self._lock:
            return self._existing(project_id, name, group)[0]

    def members(self, project_id: str, group: str) -> Sequence[str]:
        """Returns the names of a group's packages; raises RefusedError if there are none."""
        with self._lock:
            found = self._project(project_id).groups.get(group)
            members = {} if found is None else shown(found.packages, self._clock())
            if not members:
                raise RefusedError(400, "DLI.0002", _absent(None, group))
            return list(members)

    def delete(self, project_id: str, name: str, group: str | None) -> None:
        """DELETE /resources/{resource_name}.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0173.html

        Whether a group disappears with its last package is undocumented; here it does.
        """
        with self._lock:
            if self._find(project_id, name, group) is None:
                raise RefusedError(404, "DLI.0023", _absent(name, group))
            project = self._project(project_id)
            if group is None:
                del project.packages[name]
                return
            del project.groups[group].packages[name]
            if not project.groups[group].exists(self._clock()):
                del project.groups[group]

    def change_owner(self, project_id: str, change: OwnerChange) -> JsonObject:
        """PUT /resources/owner: of a group (not of its packages) or of one package.

        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0253.html

        The page documents only the error 404, so a missing package or group gets it as well.
        """
        if change.new_owner not in self._users:
            raise RefusedError(404, "DLI.0002", f"No such user. userName:{change.new_owner}.")
        with self._lock:
            target = self._owned(project_id, change)
            if target is None:
                raise RefusedError(404, "DLI.0002", _absent(change.name, change.group))
            target.owner = change.new_owner
        # A Boolean in the table, text in the example.
        return {"is_success": "true", "message": ""}

    def put(
        self, project_id: str, group: str | None, name: str, kind: str, timeline: Timeline
    ) -> None:
        """Stores a package without an upload."""
        with self._lock:
            self._store(
                project_id,
                group,
                name,
                kind=kind,
                tags={},
                underlying_name=f"{uuid.uuid4()}_{name}",
                source="",
                timeline=timeline,
            )

    def project_ids(self) -> Sequence[str]:
        """Returns the projects that were ever used."""
        with self._lock:
            return list(self._projects)

    def clear(self) -> None:
        """Removes everything."""
        with self._lock:
            self._projects.clear()

    def _project(self, project_id: str) -> Project:
        return self._projects.setdefault(project_id, Project())

    def _store(
        self,
        project_id: str,
        group_name: str | None,
        name: str,
        *,
        kind: str,
        tags: dict[str, str],
        underlying_name: str,
        source: str,
        timeline: Timeline,
    ) -> None:
        now = self._clock()
        # Looked up before the shelf, which may replace a group that has disappeared.
        old = (self._find(project_id, name, group_name) or (None, ""))[0]
        shelf = self._shelf(project_id, group_name, now)
        shelf[name] = Package(
            name=name,
            kind=kind,
            owner=old.owner if old else self._users[0],
            created=old.created if old else now,
            updated=now,
            underlying_name=underlying_name,
            source=source,
            timeline=timeline,
            tags=tags or (old.tags if old else {}),
        )

    def _shelf(self, project_id: str, group_name: str | None, now: float) -> dict[str, Package]:
        project = self._project(project_id)
        if group_name is None:
            return project.packages
        group = project.groups.get(group_name)
        if group is None or not group.exists(now):
            group = Group(name=group_name, owner=self._users[0], created=now, updated=now)
            project.groups[group_name] = group
        group.updated = now
        return group.packages

    def _find(self, project_id: str, name: str, group: str | None) -> tuple[Package, str] | None:
        project = self._project(project_id)
        if group is None:
            package = project.packages.get(name)
        else:
            package = project.groups[group].packages.get(name) if group in project.groups else None
        state = None if package is None else package.state(self._clock())
        return None if package is None or state is None else (package, state)

    def _existing(self, project_id: str, name: str, group: str | None) -> tuple[Package, str]:
        found = self._find(project_id, name, group)
        if found is None:
            raise RefusedError(400, "DLI.0002", _absent(name, group))
        return found

    def _owned(self, project_id: str, change: OwnerChange) -> Group | Package | None:
        if change.name is not None:
            found = self._find(project_id, change.name, change.group)
            return None if found is None else found[0]
        group = self._project(project_id).groups.get(change.group or "")
        return group if group and group.exists(self._clock()) else None

    def _uploaded(self, project_id: str, group_name: str, upload: Upload) -> JsonObject:
        group = self._project(project_id).groups[group_name]
        members = shown(group.packages, self._clock())
        sent = {name: members[name] for name in upload.names if name in members}
        answer = group_json(group, sent, _status(members))
        del answer["owner"]
        for entry in answer["details"]:
            del entry["owner"]
            if upload.is_async:
                # As in the example of an asynchronous upload.
                entry["create_time"] = entry["update_time"] = 0
        return answer if upload.is_async else {**answer, "is_async": False}


def _group_entry(
    group: Group, now: float, kind: str | None, tags: dict[str, str | None]
) -> JsonObject:
    members = shown(group.packages, now)
    matching = {
        name: (package, state)
        for name, (package, state) in members.items()
        if package.matches(kind, tags)
    }
    return group_json(group, matching, _status(members))


def _status(members: Shown) -> str:
    return group_status(state for _, state in members.values())


def _absent(name: str | None, group: str | None) -> str:
    # The texts are not documented.
    if name is None:
        return f"The group {group} does not exist."
    place = "" if group is None else f" in the group {group}"
    return f"The resource {name} does not exist{place}."
