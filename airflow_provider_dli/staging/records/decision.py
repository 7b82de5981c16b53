# SPDX-License-Identifier: Apache-2.0
"""Whether a group is to be uploaded: it has these bytes already, older ones, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_provider_dli.api.packages.models import PackageGroup, PackageState
from airflow_provider_dli.staging.records.known import Known


class GroupContent(Enum):
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

    holds: GroupContent
    is_whole: bool
    because: Mapping[str, str]

    def __str__(self) -> str:
        """Name the packages."""
        return ", ".join(f"{name} ({who})" for name, who in self.because.items())


SAME = Comparison(GroupContent.SAME, True, {})
UNKNOWN_OWNER = "unknown"


def compare(
    found: PackageGroup | None, known: Known, wanted: Mapping[str, str], owner: str
) -> Comparison:
    """Compare a group, as DLI lists it and as the records describe it, with what is wanted.

    A package that is FAILED counts as missing. `wanted` are contents by the names of the packages,
    to be staged by `owner`.
    """
    packages = {package.name: package for package in (found.packages if found else ())}
    origins = {name: known.origin(package) for name, package in packages.items()}
    there = [
        name
        for name in wanted
        if name in packages and packages[name].state is not PackageState.FAILED
    ]
    same = {name for name in there if origins[name].content == wanted[name]}
    if same.issuperset(wanted):
        return SAME
    is_whole = len(there) == len(wanted)
    foreign = {
        name: origin.owner or UNKNOWN_OWNER
        for name, origin in origins.items()
        if name not in same and origin.owner != owner
    }
    if foreign:
        return Comparison(GroupContent.FOREIGN, is_whole, foreign)
    # An upload that was interrupted is begun again, not judged.
    older = {
        name: owner
        for name in there
        if name not in same and wanted[name] not in origins[name].begun
    }
    return Comparison(GroupContent.OLDER if older else GroupContent.LESS, is_whole, older)


def versioned(group: str, version: str) -> str:
    """Return a group's name with a version at its end, not longer than DLI allows."""
    return f"{group[: 63 - len(version)]}-{version}"
