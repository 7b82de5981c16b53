# SPDX-License-Identifier: Apache-2.0
"""Whether a package group may be used, which depends on its packages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageState

ABSENT = "ABSENT"
"""The state shown for a package that the listing lacks."""


class Verdict(Enum):
    """Whether to use a group, to wait for it, or to give up."""

    READY = "ready"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict, and the state of each package by its name.

    `group_failed` means that the group is FAILED and no package explains it. `hint` is a clause
    about a name that DLI does not know.
    """

    verdict: Verdict
    states: Mapping[str, str]
    group_failed: bool = False
    hint: str = ""

    def __str__(self) -> str:
        """Returns a list of the packages that are not READY."""
        shown = [f"{name} is {state}" for name, state in self.states.items() if state != "READY"]
        if self.group_failed:
            shown.append("the group itself is FAILED")
        if not shown and not self.hint:
            shown.append("all packages are READY" if self.states else "no packages")
        return "; ".join(filter(None, [", ".join(shown), self.hint]))


def judge(group: PackageGroup | None, wanted: Collection[str] | None = None) -> Readiness:
    """Returns the readiness of a group, `None` for a group that the listing lacks.

    Only the packages in `wanted` count, or all packages of the group without it. All of them have
    to be READY: the group's own state may be READY while a package is FAILED or absent, and an
    undocumented state is never a success.
    """
    packages = {package.name: package for package in (group.packages if group else ())}
    names = packages if wanted is None else wanted
    states = {name: _state(packages.get(name)) for name in names}
    failed = {name for name, package in packages.items() if package.state is PackageState.FAILED}
    # A FAILED group fails the wanted packages, unless another package explains it.
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


def _state(package: Package | None) -> str:
    if package is None:
        return ABSENT
    if package.state is PackageState.UNKNOWN:
        return package.raw_state.strip() or PackageState.UNKNOWN.value
    return package.state.value
