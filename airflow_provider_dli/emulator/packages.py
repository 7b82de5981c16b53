# SPDX-License-Identifier: Apache-2.0
"""Packages and groups as DLI stores and prints them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.timelines import FAILED, READY, UPLOADING, Timeline


@dataclass(slots=True, kw_only=True)
class Package:
    """A package; times are in Unix seconds.

    `source` is the object it was created from, obs://BUCKET/KEY; empty without an upload.
    """

    name: str
    kind: str
    owner: str
    created: float
    updated: float
    underlying_name: str
    source: str
    timeline: Timeline
    tags: dict[str, str] = field(default_factory=dict)

    def state(self, now: float) -> str | None:
        """Returns the state at a time; None if the package is gone."""
        state = self.timeline[0][1]
        for after, then in self.timeline[1:]:
            if now >= self.updated + after:
                state = then
        return state

    def matches(self, kind: str | None, tags: dict[str, str | None]) -> bool:
        """Whether the package matches the filters of a listing."""
        if kind is not None and kind != self.kind:
            return False
        return all(
            key in self.tags and value in (None, self.tags[key]) for key, value in tags.items()
        )


# Existing packages by name, each with its state.
Shown: TypeAlias = dict[str, tuple[Package, str]]


@dataclass(slots=True, kw_only=True)
class Group:
    """A group; it does not exist for callers if it has no packages."""

    name: str
    owner: str
    created: float
    updated: float
    packages: dict[str, Package] = field(default_factory=dict)

    def exists(self, now: float) -> bool:
        """Whether any package exists at a time."""
        return any(package.state(now) is not None for package in self.packages.values())


@dataclass(slots=True)
class Project:
    """The packages of a project. A name may be used in several groups and outside of them."""

    packages: dict[str, Package] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)


def shown(packages: dict[str, Package], now: float) -> Shown:
    """Returns the packages that a caller sees at a time."""
    states = ((name, package, package.state(now)) for name, package in packages.items())
    return {name: (package, state) for name, package, state in states if state is not None}


def group_status(states: Iterable[str]) -> str:
    """Returns the status of a group with members in these states.

    Undocumented. Inferred: busy while any member is busy, failed if any member is, else ready.
    """
    states = list(states)
    for status in (UPLOADING, FAILED):
        if status in states:
            return status
    # A state that only the timeline of a user defines.
    return next((state for state in states if state != READY), READY)


def package_json(package: Package, state: str) -> JsonObject:
    """Returns a package as listings print it."""
    return {
        "create_time": milliseconds(package.created),
        "update_time": milliseconds(package.updated),
        "resource_type": package.kind,
        "resource_name": package.name,
        "status": state,
        "underlying_name": package.underlying_name,
        "owner": package.owner,
    }


def group_json(group: Group, members: Shown, status: str) -> JsonObject:
    """Returns a group with these members as a listing prints it."""
    return {
        "group_name": group.name,
        "status": status,
        "resources": list(members),
        "details": [package_json(package, state) for package, state in members.values()],
        "create_time": milliseconds(group.created),
        "update_time": milliseconds(group.updated),
        "owner": group.owner,
    }


def milliseconds(seconds: float) -> int:
    """Returns a Unix time as DLI prints it, in milliseconds."""
    return round(seconds * 1000)
