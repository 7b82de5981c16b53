# SPDX-License-Identifier: Apache-2.0
"""From staged packages to the fields of a job: groups where the engine takes them, else paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs import engines
from airflow_provider_dli.api.jobs import fields as job_fields
from airflow_provider_dli.api.packages.calls import kind_of
from airflow_provider_dli.api.packages.models import PackageState, state_of
from airflow_provider_dli.api.protocol.errors import InputError

_LISTS = {kind: field for field, kind in job_fields.TYPES.items()}
_SHAPE = (
    "give what StagePackagesOperator or UploadPackageGroupOperator returned, or a list of that: "
    '{"group": …, "packages": [{"name": …, "path": …}]}'
)


def with_packages(fields: Mapping[str, Any], packages: object) -> dict[str, Any]:
    """Give the fields of a `SparkJob` with staged packages filled in.

    `packages` is what staging or uploading returned: one, a list of them, or `None`. Packages of a
    group go into `groups` where the engine takes groups; all others into `jars`, `py_files` and
    `files`, by their suffixes, as `obs://` paths. `file` and these lists may name a package alone:
    it takes that place then, and no other. What else they hold stays, in front.

    Raises `InputError` for what cannot be read, a package of a group that is not READY, a name that
    several packages bear, and a name that the engine does not take and no package bears.
    """
    fields = {field: checks.given(field, value) for field, value in fields.items()}
    staged = tuple(dict.fromkeys(_packages(checks.given("packages", packages))))
    if not staged:
        return fields
    placing = _Placing(staged, fields.get("spark_version"))
    filled = dict(fields)
    if fields.get("file") is not None:
        filled["file"] = placing.main_file(fields["file"])
    for field in job_fields.TYPES:
        filled[field] = placing.named_in(field, fields.get(field) or ())
    for package in placing.unnamed():
        filled[_LISTS[package.kind]].append(package.in_obs)
    for field in job_fields.TYPES:
        filled[field] = list(dict.fromkeys(filled[field])) or fields.get(field)
    filled["groups"] = placing.groups(fields.get("groups") or ()) or fields.get("groups")
    return filled


@dataclass(frozen=True, slots=True)
class _Package:
    """One package that was staged; `path` is empty where nobody says where it lies."""

    name: str
    group: str | None
    kind: str
    path: str
    state: str | None

    @property
    def in_obs(self) -> str:
        """Where it lies, as jobs take it."""
        if not self.path:
            rule = "where it lies in OBS is not known, and this job can use no group: stage it"
            raise InputError("packages", self.name, rule)
        if job_fields.is_in_obs(self.path):
            return job_fields.place("packages", self.path)
        bucket, key = checks.obs_location(self.path, "packages")
        return f"obs://{bucket}/{key}"

    @property
    def in_group(self) -> str:
        """Its name with its group; only what is READY can be used by it."""
        if self.state is not None and state_of(self.state) is not PackageState.READY:
            rule = (
                f"it is {self.state or 'in no state'} in group {self.group}, and the job would "
                "fail: wait for it, with wait_for_completion=True or a PackageGroupSensor"
            )
            raise InputError("packages", self.name, rule)
        return f"{self.group}/{self.name}"


class _Placing:
    """Says where in a job each package goes, and remembers which have their place."""

    def __init__(self, staged: Sequence[_Package], spark_version: Any) -> None:
        self._staged = staged
        self._version = spark_version
        # Of an image without a version nobody knows the engine; paths are taken by all of them.
        self._by_group = spark_version is not None and engines.takes_groups(spark_version)
        self._placed: set[_Package] = set()
        self._grouped: dict[_Package, str] = {}

    def main_file(self, value: object) -> str:
        """Give the main file: a package's place where it names one."""
        named = job_fields.place("file", value)
        package = self._found("file", named)
        return named if package is None else self._place_of(package)

    def named_in(self, field: str, value: object) -> list[str]:
        """Give the entries of a list; packages that go by their group are none of them."""
        kept = []
        for entry in job_fields.places(field, value):
            package = self._found(field, entry)
            if package is None:
                kept.append(entry)
            elif self._goes_by_group(package):
                self._grouped.setdefault(package, job_fields.TYPES[field])
            else:
                kept.append(package.in_obs)
        return kept

    def unnamed(self) -> Iterator[_Package]:
        """Give the packages that have no place yet and go by their paths."""
        for package in self._staged:
            if package in self._placed:
                continue
            if self._goes_by_group(package):
                self._grouped[package] = package.kind
            else:
                yield package

    def groups(self, value: object) -> list[dict[str, Any]]:
        """Give the groups, with the packages that go by them; one that goes whole stays so."""
        given = [job_fields.group(entry) for entry in job_fields.entries("groups", value)]
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

    def _found(self, field: str, named: str) -> _Package | None:
        """Find the package that is meant; `None` where what is named stays as it is."""
        if job_fields.is_in_obs(named):
            self._placed |= {one for one in self._staged if one.path and one.in_obs == named}
            return None
        found = [one for one in self._staged if named in (one.name, f"{one.group}/{one.name}")]
        places = dict.fromkeys(map(self._place_of, found))
        if len(places) > 1:
            rule = f"several packages bear this name, {' and '.join(places)}: give one of these"
            raise InputError(field, named, rule)
        if not found and self._version is not None and not self._by_group:
            names = ", ".join(package.name for package in self._staged)
            rule = (
                f"it is none of the packages ({names}), and Spark {self._version} takes files as "
                "obs:// paths only: name one of these, or give obs://bucket/key"
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
        return job_fields.entries("packages", value)
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
    # The kind of a group is "file" also for a mixture, so it counts where the suffix says nothing.
    kind = kind_of(name)
    return declared if kind == "file" and isinstance(declared, str) and declared in _LISTS else kind
