# SPDX-License-Identifier: Apache-2.0
"""Where staged packages go in a job: into groups if the engine takes them, else as paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs import spark_job
from airflow_provider_dli.api.jobs.engines import find_engine
from airflow_provider_dli.api.packages.calls import kind_of
from airflow_provider_dli.api.packages.models import PackageState, state_of
from airflow_provider_dli.api.protocol.errors import InputError

_LISTS = {kind: field for field, kind in spark_job.TYPES.items()}
_SHAPE = (
    "use what StagePackagesOperator or UploadPackageGroupOperator returned, or a list of that: "
    '{"group": …, "packages": [{"name": …, "path": …}]}'
)


def with_packages(fields: Mapping[str, Any], packages: object) -> dict[str, Any]:
    """Returns the fields of a `SparkJob` with the staged packages filled in.

    `packages` is what staging or uploading returned: one result, a list of them, or `None`.
    Packages of a group go into `groups` if the engine takes groups. All others go into `jars`,
    `py_files` and `files`, by their suffixes, as `obs://` paths. `file` and these lists may name a
    package: it goes there then, and nowhere else. Their other entries stay, in front.

    Raises `InputError` for a result that cannot be read, a package of a group that is not READY, a
    name that several packages have, and a name that the engine does not take and no package has.
    """
    fields = {field: checks.given(field, value) for field, value in fields.items()}
    staged = tuple(dict.fromkeys(_packages(checks.given("packages", packages))))
    if not staged:
        return fields
    placing = _Placing(staged, fields.get("spark_version"))
    filled = dict(fields)
    if fields.get("file") is not None:
        filled["file"] = placing.main_file(fields["file"])
    for field in spark_job.TYPES:
        filled[field] = placing.named_in(field, fields.get(field) or ())
    for package in placing.unnamed():
        filled[_LISTS[package.kind]].append(package.in_obs)
    for field in spark_job.TYPES:
        filled[field] = list(dict.fromkeys(filled[field])) or fields.get(field)
    filled["groups"] = placing.groups(fields.get("groups") or ()) or fields.get("groups")
    return filled


@dataclass(frozen=True, slots=True)
class _Package:
    """One staged package; `path` is empty if the result has none."""

    name: str
    group: str | None
    kind: str
    path: str
    state: str | None

    @property
    def in_obs(self) -> str:
        """Its `obs://` path."""
        if not self.path:
            rule = "its path in OBS is not known, and this job cannot use its group: stage it"
            raise InputError("packages", self.name, rule)
        if spark_job.is_in_obs(self.path):
            return spark_job.file_path("packages", self.path)
        bucket, key = checks.obs_location(self.path, "packages")
        return f"obs://{bucket}/{key}"

    @property
    def in_group(self) -> str:
        """Its name with its group; raises `InputError` unless it is READY."""
        if self.state is not None and state_of(self.state) is not PackageState.READY:
            rule = (
                f"it is {self.state or 'in no state'} in group {self.group}, and the job would "
                "fail: wait for it, with wait_for_completion=True or a PackageGroupSensor"
            )
            raise InputError("packages", self.name, rule)
        return f"{self.group}/{self.name}"


class _Placing:
    """Decides where in a job each package goes, and keeps track of the ones that are placed."""

    def __init__(self, staged: Sequence[_Package], spark_version: Any) -> None:
        self._staged = staged
        self._version = spark_version
        # The engine of an image without a version is not known. All engines take paths.
        self._by_group = spark_version is not None and find_engine(spark_version).takes_groups
        self._placed: set[_Package] = set()
        self._grouped: dict[_Package, str] = {}

    def main_file(self, value: object) -> str:
        """Returns the main file, as the job has to name it if it is a package."""
        named = spark_job.file_path("file", value)
        package = self._find("file", named)
        return named if package is None else self._place_of(package)

    def named_in(self, field: str, value: object) -> list[str]:
        """Returns the entries of a list, without the packages that go into `groups`."""
        kept = []
        for entry in spark_job.file_paths(field, value):
            package = self._find(field, entry)
            if package is None:
                kept.append(entry)
            elif self._goes_by_group(package):
                self._grouped.setdefault(package, spark_job.TYPES[field])
            else:
                kept.append(package.in_obs)
        return kept

    def unnamed(self) -> Iterator[_Package]:
        """Yields the packages that are not placed yet and go as paths."""
        for package in self._staged:
            if package in self._placed:
                continue
            if self._goes_by_group(package):
                self._grouped[package] = package.kind
            else:
                yield package

    def groups(self, value: object) -> list[dict[str, Any]]:
        """Returns the groups with their packages; one that is used as a whole stays so."""
        given = [spark_job.group(entry) for entry in spark_job.entries("groups", value)]
        groups = {group["name"]: group for group in given}
        for package, kind in self._grouped.items():
            group, _, name = package.in_group.partition("/")
            members = groups.setdefault(group, {"name": group, "resources": []}).get("resources")
            if members is not None and name not in [member["name"] for member in members]:
                members.append({"name": name, "type": kind})
        return list(groups.values())

    def _place_of(self, package: _Package) -> str:
        return package.in_group if self._goes_by_group(package) else package.in_obs

    def _goes_by_group(self, package: _Package) -> bool:
        return self._by_group and package.group is not None

    def _find(self, field: str, named: str) -> _Package | None:
        """Returns the package of this name; `None` if the name stays as it is."""
        if spark_job.is_in_obs(named):
            self._placed |= {one for one in self._staged if one.path and one.in_obs == named}
            return None
        found = [one for one in self._staged if named in (one.name, f"{one.group}/{one.name}")]
        places = dict.fromkeys(map(self._place_of, found))
        if len(places) > 1:
            rule = f"several packages have this name, {' and '.join(places)}: use one of these"
            raise InputError(field, named, rule)
        if not found and self._version is not None and not self._by_group:
            names = ", ".join(package.name for package in self._staged)
            rule = (
                f"it is none of the packages ({names}), and Spark {self._version} takes files "
                "as obs:// paths only: name one of these, or use obs://bucket/key"
            )
            raise InputError(field, named, rule)
        self._placed |= set(found)
        return found[0] if found else None


def _packages(value: object) -> Iterator[_Package]:
    if value is None:
        return
    results = [value] if isinstance(value, Mapping) else _list(value)
    for result in results:
        if not isinstance(result, Mapping):
            raise InputError("packages", result, _SHAPE)
        for entry in _list(result.get("packages")):
            yield _package(result, entry)


def _list(value: object) -> list[Any]:
    try:
        return spark_job.entries("packages", value)
    except InputError:
        raise InputError("packages", value, _SHAPE) from None


def _package(result: Mapping[str, Any], entry: object) -> _Package:
    if not isinstance(entry, Mapping):
        raise InputError("packages", entry, _SHAPE)
    group = entry.get("group") or result.get("group")
    name = checks.stored_name("packages", entry.get("name"))
    path, state = entry.get("obs_path") or entry.get("path") or "", entry.get("state")
    for text in (group, path, state):
        if not isinstance(text, str | None):
            raise InputError("packages", entry, _SHAPE)
    return _Package(name, group, _type(name, result.get("kind")), path, state)


def _type(name: str, declared: object) -> str:
    # A mixed group has the kind "file" too, so the kind counts only if the suffix decides nothing.
    kind = kind_of(name)
    return declared if kind == "file" and isinstance(declared, str) and declared in _LISTS else kind
