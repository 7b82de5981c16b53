# SPDX-License-Identifier: Apache-2.0
"""Whether a package group may be used: the verdict on a group is the verdict on its members."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageState

ABSENT = "ABSENT"
"""Shown in place of a state for a package that the listing does not have."""


class Verdict(Enum):
    """What to do about a group: use it, wait, or give up."""

    READY = "ready"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict, and the state of each package by its name (`ABSENT` where there is none).

    `hint` is a sentence about a name that DLI does not know, without capital and full stop.
    """

    verdict: Verdict
    states: Mapping[str, str]
    group_failed: bool = False
    hint: str = ""

    def __str__(self) -> str:
        """Name every package that is not READY."""
        shown = [f"{name} is {state}" for name, state in self.states.items() if state != "READY"]
        if self.group_failed:
            shown.append("the group itself is FAILED")
        if not shown and not self.hint:
            shown.append("all packages are READY" if self.states else "no packages")
        return "; ".join(filter(None, [", ".join(shown), self.hint]))


def judge(group: PackageGroup | None, wanted: Collection[str] | None = None) -> Readiness:
    """Judge a group, or `None` for one that the listing does not have.

    With `wanted`, those packages count and no others; without it, all that the group has. Ready
    means that every one of them is READY: a group that is READY beside a package that is FAILED or
    absent is not ready, and a word that nobody knows is never a success.
    """
    packages = {package.name: package for package in (group.packages if group else ())}
    names = packages if wanted is None else wanted
    states = {name: _shown(packages.get(name)) for name in names}
    failed = {name for name, package in packages.items() if package.state is PackageState.FAILED}
    # A group that says FAILED fails what was asked for, unless another package explains it.
    group_failed = (
        group is not None
        and group.state is PackageState.FAILED
        and not failed.difference(states)
        and not failed.intersection(states)
    )
    if group_failed or failed.intersection(states):
        return Readiness(Verdict.FAILED, states, group_failed)
    ready = states and all(state == PackageState.READY for state in states.values())
    return Readiness(Verdict.READY if ready else Verdict.PENDING, states)


def _shown(package: Package | None) -> str:
    if package is None:
        return ABSENT
    if package.state is PackageState.UNKNOWN:
        return package.raw_state.strip() or PackageState.UNKNOWN.value
    return package.state.value
