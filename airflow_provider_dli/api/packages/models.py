# SPDX-License-Identifier: Apache-2.0
"""What DLI's answers say: packages, package groups and the listing of them all.

The service types its answers loosely: booleans and times come as text, any field may be null or
missing, states come in any case. The models take all of that and keep what they do not know in
`extra`. A body that is no JSON object is an error, never an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from airflow_provider_dli.api.packages.similar import similar_names
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import WireError


class PackageState(StrEnum):
    """The state of a package or a group. `UNKNOWN` stands for any word not documented."""

    UPLOADING = "UPLOADING"
    READY = "READY"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


_STATES = {state.value: state for state in PackageState}


def state_of(raw_state: str) -> PackageState:
    """Read a state without regard to case: the documentation prints READY and uploading."""
    return _STATES.get(raw_state.strip().upper(), PackageState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Package:
    """One package. Times are Unix milliseconds, 0 where the service does not say.

    `group` is `None` for an ungrouped package; `raw_state` is the state as it was sent;
    `underlying_name` is the file's name on a queue, not an address; `extra` holds every field
    that is not one of these.
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
        """Read one package object."""
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
        """The state in its canonical form."""
        return state_of(self.raw_state)

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON, fit for XCom."""
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
    """A group and its packages; `name` is `None` for packages that belong to no group.

    `raw_state` is the group's own word. It is no verdict: a group may say READY beside a package
    that FAILED. See `readiness.judge`.
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
        """Read one group object, of a listing or of an upload into the group `requested`."""
        rest = dict(fields)
        name = lenient.take(rest, "group_name", lenient.text) or requested
        packages = [
            Package.from_wire(entry, name)
            for entry in lenient.objects("details", rest.pop("details", None))
        ]
        # A package that is only named, without details, is there, but in no state that is known.
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
        """The group's own state in its canonical form."""
        return state_of(self.raw_state)

    def package(self, name: str) -> Package | None:
        """Give the package of that name, or `None`."""
        return next((package for package in self.packages if package.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON, fit for XCom."""
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
    """A group that a listing does not have; `listed` returns the names of those that it has."""

    listed: Callable[[], Collection[str]] = tuple

    @cached_property
    def similar(self) -> tuple[str, ...]:
        """The names of groups that read most like this one's, the most similar first."""
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


# How the service begins a group. Reading the name from there spares decoding all the rest; a group
# that begins otherwise is decoded to find its name.
_NAME_FIRST = re.compile(rb'\{\s*"group_name"\s*:\s*"([^"\\]*)"')
_decode_head = msgspec.json.Decoder(_GroupHead).decode
_decode_listing = msgspec.json.Decoder(_ListingBody).decode


class PackageListing:
    """Everything the caller may see: groups, ungrouped packages and DLI's own modules.

    Groups are decoded when they are asked for: one account may have thousands of them and a
    wait wants one. Source: GET /v2.0/{project_id}/resources,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html
    """

    def __init__(self, body: bytes | bytearray) -> None:
        self._bytes = body
        try:
            self._body = _decode_listing(lenient.without_byte_order_mark(body))
        except lenient.UNREADABLE as error:
            lenient.answer_object(
                body
            )  # says better what is wrong with a body that is no JSON object
            raise WireError(f"the body is no listing: {error}") from error
        lenient.check_success(self._body.error_code, self._body.is_success)
        if self._body.groups is self._body.resources is self._body.modules is UNSET:
            raise WireError("the body has none of groups, resources and modules")

    @cached_property
    def _raw_groups(self) -> dict[bytes, Raw]:
        groups: dict[bytes, Raw] = {}
        for raw in self._body.groups or ():
            begins = _NAME_FIRST.match(raw)
            name = begins[1] if begins else _name_of(raw)
            if name is not None:
                groups[name] = raw
        return groups

    def group(self, name: str) -> PackageGroup | None:
        """Give the group of that name, or `None` when the caller sees none."""
        raw = self._raw(name)
        return None if raw is None else PackageGroup.from_wire(lenient.json_object(raw))

    def find(self, group: str | None) -> PackageGroup | None:
        """Returns a group, for `None` the packages that belong to none, as a wait looks for them.

        A group that is not there is an `AbsentGroup`, packages that are not there are `None`.
        """
        if group is None:
            return PackageGroup(None, packages=self.packages) if self.packages else None
        return self.group(group) or AbsentGroup(group, listed=lambda: self.group_names)

    def covers(self, group: str | None) -> bool:
        """Whether it tells of this group: it does of all, also that one is not there."""
        return True

    def fingerprint(self, group: str | None) -> int | None:
        """Give a number for what `find` would give: while it stays the same, so does the group.

        `None` where nothing is. Good in this process only.
        """
        if group is None:
            resources = self._body.resources
            return None if isinstance(resources, UnsetType) else hash(bytes(resources))
        raw = self._raw(group)
        return None if raw is None else hash(bytes(raw))

    def _raw(self, group: str) -> Raw | None:
        return self._raw_groups.get(group.encode(errors="replace"))

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of all groups, in the service's order."""
        return tuple(name.decode(errors="replace") for name in self._raw_groups)

    @property
    def groups(self) -> Iterator[PackageGroup]:
        """All groups, in the service's order, decoded one by one."""
        raw_groups = self._raw_groups.values()
        return (PackageGroup.from_wire(lenient.json_object(raw)) for raw in raw_groups)

    @cached_property
    def packages(self) -> tuple[Package, ...]:
        """The packages that belong to no group."""
        return tuple(map(Package.from_wire, lenient.objects("resources", self._body.resources)))

    @cached_property
    def modules(self) -> tuple[PackageGroup, ...]:
        """DLI's own modules; `module_name` names them. They are not yours to change."""
        return tuple(map(PackageGroup.from_wire, lenient.objects("modules", self._body.modules)))

    @property
    def total(self) -> int | None:
        """The number the service gives, or `None`: no published answer has it."""
        return lenient.number(self._body.total)

    @property
    def extra(self) -> dict[str, Any]:
        """Fields of the answer that are none of these."""
        known = {"groups", "resources", "modules", "total"}
        return {
            key: value
            for key, value in lenient.json_object(self._bytes).items()
            if key not in known
        }

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON, fit for XCom."""
        return {
            "packages": [package.as_dict() for package in self.packages],
            "groups": [group.as_dict() for group in self.groups],
            "modules": [module.as_dict() for module in self.modules],
            "total": self.total,
            "extra": self.extra,
        }


def _name_of(raw: Raw) -> bytes | None:
    try:
        name = lenient.text(_decode_head(raw).group_name)
    except lenient.UNREADABLE as error:
        if bytes(raw) == b"null":
            return None
        why = f"the body is no JSON, or an entry of groups is no group: {error}"
        raise WireError(why) from error
    return None if name is None else name.encode()
