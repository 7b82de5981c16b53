# SPDX-License-Identifier: Apache-2.0
"""Which copy of a package DLI holds: what tells it from every other copy of the same package."""

from __future__ import annotations

from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageState

NAMELESS = ""
"""Stands for a copy that nothing tells from another one."""

# The time of an upload may move until it is over.
_OVER = (PackageState.READY, PackageState.FAILED)


def has_own_name(package: Package) -> bool:
    """Whether DLI calls this copy otherwise than the package, as every upload anew."""
    return package.underlying_name not in (None, "", package.name)


def copy_id(package: Package) -> str:
    """Return what tells a copy in a listing from every other one, or `NAMELESS`.

    It is DLI's own name of it, `<uuid>_<name>`. Where the service calls it like the package, it is
    the time of its upload, as soon as that is over.
    """
    if has_own_name(package):
        return str(package.underlying_name)
    if package.state in _OVER and package.update_time:
        return f"{package.name}@{package.create_time or 0}-{package.update_time}"
    return NAMELESS


def answered_id(package: Package | None) -> str:
    """Return the same for a package in the answer to an upload, whose times need not be right."""
    return str(package.underlying_name) if package and has_own_name(package) else NAMELESS


def copies_of(group: PackageGroup | None) -> dict[str, str]:
    """Return the copies that a listing shows, by the names of the packages."""
    return {package.name: copy_id(package) for package in (group.packages if group else ())}
