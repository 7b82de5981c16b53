# SPDX-License-Identifier: Apache-2.0
"""Whether a group is to be uploaded: it has these bytes already, older ones, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_provider_dli.api.models import Package, PackageGroup, PackageState
from airflow_provider_dli.staging.records import Member, Record


class Holds(Enum):
    """What a group holds, compared with what is to be staged."""

    SAME = "the same bytes"
    LESS = "not all of the packages"
    OLDER = "other bytes that the same owner staged"
    FOREIGN = "bytes that somebody else put there"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a group holds, and the packages that say so, each with who put it there.

    `is_whole` says that it has every wanted package, whatever the bytes.
    """

    holds: Holds
    is_whole: bool
    because: Mapping[str, str]

    def __str__(self) -> str:
        """Name the packages."""
        return ", ".join(f"{name} ({who})" for name, who in self.because.items())


def compare(
    found: PackageGroup | None, record: Record | None, wanted: Mapping[str, Member]
) -> Comparison:
    """Compare a group, as DLI lists it and as the record describes it, with the wanted members.

    A package that is FAILED counts as missing. All wanted members have the same owner.
    """
    packages = {package.name: package for package in (found.packages if found else ())}
    known = record.members if record else {}
    there = [
        name
        for name in wanted
        if name in packages and packages[name].state is not PackageState.FAILED
    ]
    same = {name for name in there if _is(packages[name], known.get(name), wanted[name])}
    if same.issuperset(wanted):
        return Comparison(Holds.SAME, True, {})
    owner = next(iter(wanted.values())).owner
    whose = {
        name: _whose(package, known.get(name))
        for name, package in packages.items()
        if name not in same
    }
    is_whole = len(there) == len(wanted)
    foreign = {name: who or "unknown" for name, who in whose.items() if who != owner}
    if foreign:
        return Comparison(Holds.FOREIGN, is_whole, foreign)
    # An upload that was interrupted is begun again, not judged.
    older = {
        name: owner
        for name in there
        if name not in same and not _is_begun(known[name], wanted[name])
    }
    return Comparison(Holds.OLDER if older else Holds.LESS, is_whole, older)


def versioned(group: str, version: str) -> str:
    """Give a group's name with a version at its end, not longer than DLI allows."""
    return f"{group[: 63 - len(version)]}-{version}"


def _is(package: Package, member: Member | None, wanted: Member) -> bool:
    return (
        member is not None
        and member.content == wanted.content
        and member.underlying_name == package.underlying_name
    )


def _is_begun(member: Member, wanted: Member) -> bool:
    return member.content == wanted.content and not member.confirmed


def _whose(package: Package, member: Member | None) -> str | None:
    """Say who put a package there, `None` where the record does not know."""
    return member.owner if member is not None and member.may_be(package) else None
