# SPDX-License-Identifier: Apache-2.0
"""Packages, package groups and their listing, as DLI's answers have them.

DLI types its answers loosely: booleans and times come as text, any field may be null or missing,
states come in any case. The models accept all of that, and keep unknown fields in `extra`. A body
that is not a JSON object is an error, never an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import filterfalse
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from airflow_provider_dli.api.packages.similar import similar_names
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import WireError


class PackageState(StrEnum):
    """The state of a package or a group; `UNKNOWN` for a word that is not documented."""

    UPLOADING = "UPLOADING"
    READY = "READY"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


_STATES = {state.value: state for state in PackageState}


def state_of(raw_state: str) -> PackageState:
    """Returns a state, regardless of case: the documentation has READY and uploading."""
    return _STATES.get(raw_state.strip().upper(), PackageState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Package:
    """One package. Times are Unix milliseconds, or 0 where DLI does not know them.

    `group` is `None` for an ungrouped package, `raw_state` is the state as it was sent,
    `underlying_name` is the file's name on a queue, not an address, and `extra` has all other
    fields.
    """

    name: str
    group: str | None = None
    kind: str | None = None
    raw_state: str = ""
    create_time: int | None = None
    update_time: int | None = None
    underlying_name: str | None = None
    owner: str | None = None
    is_async: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any], group: str | None = None) -> Package:
        """Returns the package of a JSON object."""
        rest = dict(fields)
        return cls(
            name=lenient.take(rest, "resource_name", lenient.text) or "",
            group=group,
            kind=lenient.take(rest, "resource_type", lenient.text),
            raw_state=lenient.take(rest, "status", lenient.text) or "",
            create_time=lenient.take(rest, "create_time", lenient.number),
            update_time=lenient.take(rest, "update_time", lenient.number),
            underlying_name=lenient.take(rest, "underlying_name", lenient.text),
            owner=lenient.take(rest, "owner", lenient.text),
            is_async=lenient.take(rest, "is_async", lenient.boolean),
            extra=rest,
        )

    @property
    def state(self) -> PackageState:
        """The documented state that `raw_state` stands for."""
        return state_of(self.raw_state)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON for XCom."""
        return {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "state": self.state.value,
            "raw_state": self.raw_state,
            "create_time": self.create_time,
            "update_time": self.update_time,
            "underlying_name": self.underlying_name,
            "owner": self.owner,
            "is_async": self.is_async,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class PackageGroup:
    """A group and its packages; `name` is `None` for packages without a group.

    `raw_state` is the group's own state, which may be READY while a package is FAILED. To find out
    whether the group may be used, call `readiness.judge`.
    """

    name: str | None
    raw_state: str = ""
    packages: tuple[Package, ...] = ()
    create_time: int | None = None
    update_time: int | None = None
    is_async: bool | None = None
    owner: str | None = None
    description: str | None = None
    module_name: str | None = None
    module_type: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any], requested: str | None = None) -> PackageGroup:
        """Returns the group of a JSON object, of a listing or of an upload into `requested`."""
        rest = dict(fields)
        name = lenient.take(rest, "group_name", lenient.text) or requested
        packages = [
            Package.from_wire(entry, name)
            for entry in lenient.objects("details", rest.pop("details", None))
        ]
        # A package without details is there, but its state is unknown.
        detailed = {package.name for package in packages}
        names = filter(
            None, map(lenient.text, lenient.entries("resources", rest.pop("resources", None)))
        )
        packages += [Package(name=listed, group=name) for listed in names if listed not in detailed]
        return cls(
            name=name,
            raw_state=lenient.take(rest, "status", lenient.text) or "",
            packages=tuple(packages),
            create_time=lenient.take(rest, "create_time", lenient.number),
            update_time=lenient.take(rest, "update_time", lenient.number),
            is_async=lenient.take(rest, "is_async", lenient.boolean),
            owner=lenient.take(rest, "owner", lenient.text),
            description=lenient.take(rest, "description", lenient.text),
            module_name=lenient.take(rest, "module_name", lenient.text),
            module_type=lenient.take(rest, "module_type", lenient.text),
            extra=rest,
        )

    @property
    def state(self) -> PackageState:
        """The documented state that `raw_state` stands for."""
        return state_of(self.raw_state)

    def package(self, name: str) -> Package | None:
        """Returns the package of that name, or `None`."""
        return next((package for package in self.packages if package.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON for XCom."""
        return {
            "name": self.name,
            "state": self.state.value,
            "raw_state": self.raw_state,
            "packages": [package.as_dict() for package in self.packages],
            "create_time": self.create_time,
            "update_time": self.update_time,
            "is_async": self.is_async,
            "owner": self.owner,
            "description": self.description,
            "module_name": self.module_name,
            "module_type": self.module_type,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True)
class AbsentGroup(PackageGroup):
    """A group that a listing lacks; `listed` returns the names of the groups that it has."""

    listed: Callable[[], Collection[str]] = tuple

    @cached_property
    def similar(self) -> tuple[str, ...]:
        """The most similar names of groups, best first."""
        return similar_names(self.name or "", self.listed())


class _ListingBody(msgspec.Struct):
    groups: list[Raw] | UnsetType | None = UNSET
    resources: Raw | UnsetType = UNSET
    modules: Raw | UnsetType = UNSET
    total: Any = None
    error_code: Any = None
    is_success: Any = None


class _GroupHead(msgspec.Struct):
    group_name: Any = None


# How DLI begins a group. Other groups are decoded to find their names.
_NAME_FIRST = re.compile(rb'\{\s*+"group_name"\s*+:\s*+"([^"\\]*+)"')
_decode_head = msgspec.json.Decoder(_GroupHead).decode
_decode_listing = msgspec.json.Decoder(_ListingBody).decode


class PackageListing:
    """All that the caller may see: groups, ungrouped packages, and DLI's own modules.

    Groups are decoded on demand: an account may have thousands of them, and a wait needs one.
    Source: GET /v2.0/{project_id}/resources,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html
    """

    def __init__(self, body: bytes | bytearray) -> None:
        self._bytes = body
        self._index: dict[bytes, Raw] | None = None
        try:
            self._body = _decode_listing(lenient.without_byte_order_mark(body))
        except lenient.UNREADABLE as error:
            lenient.answer_object(body)  # raises a better message if it is not a JSON object
            raise WireError(f"the body is not a listing: {error}") from error
        lenient.check_success(self._body.error_code, self._body.is_success)
        if self._body.groups is self._body.resources is self._body.modules is UNSET:
            raise WireError("the body has none of groups, resources and modules")

    @property
    def _raw_groups(self) -> dict[bytes, Raw]:
        if self._index is None:
            self._index = _by_name(self._body.groups or [])
        return self._index

    def _raw_group(self, name: bytes) -> Raw | None:
        if self._index is not None:
            return self._index.get(name)
        # To pass over all others is faster than an index of which one name is needed.
        is_other = re.compile(_NAME_FIRST.pattern.replace(b"(", b'(?!%b")(' % re.escape(name)))
        return _by_name([*filterfalse(is_other.match, self._body.groups or [])]).get(name)

    def group(self, name: str) -> PackageGroup | None:
        """Returns the group of that name, or `None` if the caller sees none."""
        raw = self._raw_group(name.encode(errors="replace"))
        return None if raw is None else PackageGroup.from_wire(lenient.json_object(raw))

    def find(self, group: str | None) -> PackageGroup | None:
        """Returns a group, or for `None` the packages without a group, as a wait needs them.

        A missing group is an `AbsentGroup`; `None` means that there are no such packages.
        """
        if group is None:
            return PackageGroup(None, packages=self.packages) if self.packages else None
        return self.group(group) or AbsentGroup(group, listed=lambda: self.group_names)

    def covers(self, group: str | None) -> bool:
        """Whether the listing shows this group: it shows all, and also which are missing."""
        return True

    def fingerprint(self, group: str | None) -> int | None:
        """Returns a number that changes when the result of `find` does, `None` for nothing.

        It is valid in this process only.
        """
        if group is None:
            raw = self._body.resources
        else:
            raw = self._raw_groups.get(group.encode(errors="replace"), UNSET)
        return None if raw is UNSET else hash(bytes(raw))

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of all groups, in DLI's order."""
        return tuple(name.decode(errors="replace") for name in self._raw_groups)

    @property
    def groups(self) -> Iterator[PackageGroup]:
        """All groups, in DLI's order, decoded one by one."""
        raw_groups = self._raw_groups.values()
        return (PackageGroup.from_wire(lenient.json_object(raw)) for raw in raw_groups)

    @cached_property
    def packages(self) -> tuple[Package, ...]:
        """The packages without a group."""
        return tuple(map(Package.from_wire, lenient.objects("resources", self._body.resources)))

    @cached_property
    def modules(self) -> tuple[PackageGroup, ...]:
        """DLI's own modules, which have a `module_name`. Users cannot change them."""
        return tuple(map(PackageGroup.from_wire, lenient.objects("modules", self._body.modules)))

    @property
    def total(self) -> int | None:
        """The number of entries, or `None`: no published answer has it."""
        return lenient.number(self._body.total)

    @property
    def extra(self) -> dict[str, Any]:
        """All other fields of the answer."""
        known = {"groups", "resources", "modules", "total"}
        return {
            key: value
            for key, value in lenient.json_object(self._bytes).items()
            if key not in known
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON for XCom."""
        return {
            "packages": [package.as_dict() for package in self.packages],
            "groups": [group.as_dict() for group in self.groups],
            "modules": [module.as_dict() for module in self.modules],
            "total": self.total,
            "extra": self.extra,
        }


def _by_name(groups: list[Raw]) -> dict[bytes, Raw]:
    return {
        name: raw
        for begin, raw in zip(map(_NAME_FIRST.match, groups), groups, strict=True)
        if (name := begin[1] if begin else _name_of(raw)) is not None
    }


def _name_of(raw: Raw) -> bytes | None:
    try:
        name = lenient.text(_decode_head(raw).group_name)
    except lenient.UNREADABLE as error:
        if bytes(raw) == b"null":
            return None
        why = f"the body is not JSON, or an entry of groups is not a group: {error}"
        raise WireError(why) from error
    return None if name is None else name.encode()
