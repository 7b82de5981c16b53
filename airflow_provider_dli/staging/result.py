# SPDX-License-Identifier: Apache-2.0
"""What staging has done, or a dry run would do."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.staging.plan import StagingPlan
from airflow_provider_dli.staging.records.filling import Upload
from airflow_provider_dli.staging.records.tasks import Member
from airflow_provider_dli.staging.records.uploads import Content


@dataclass(frozen=True, slots=True)
class StagedPackage:
    """One package and its object in OBS.

    `path` is the object's HTTPS address, which uploads to groups take; `obs_path` is the address
    that jobs take. `size` is in bytes. `sha256` is known for files, and for objects that were
    staged before. `sent` is true if this run sent the bytes.
    """

    name: str
    path: str
    obs_path: str
    size: int
    sha256: str | None
    content: str
    key: str | None
    sent: bool = False


@dataclass(frozen=True, slots=True)
class StagingResult:
    """What staging has done, or a dry run would do.

    `uploaded` is true if the packages were uploaded to DLI, with `upload`. `found` is the last
    known state of the group.
    """

    order: StagingPlan
    group: str | None
    kind: str
    packages: tuple[StagedPackage, ...]
    uploaded: bool = False
    found: PackageGroup | None = None
    upload: Upload | None = None

    def sending(self, keys: Container[str]) -> StagingResult:
        """Returns the result with these objects as the ones that are sent."""
        packages = tuple(replace(package, sent=package.key in keys) for package in self.packages)
        return replace(self, packages=packages)

    @property
    def bytes_sent(self) -> int:
        """The number of bytes sent to OBS."""
        return sum(package.size for package in self.packages if package.sent)

    @property
    def contents(self) -> tuple[Content, ...]:
        """The content that each package of the group shall have."""
        return tuple(Content(one.name, one.content, one.key) for one in self.packages)

    @property
    def members(self) -> dict[str, Member]:
        """The packages by their names, as in the record of a task."""
        owner = self.order.owner
        return {
            package.name: Member(package.name, package.content, owner, package.key)
            for package in self.packages
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as plain JSON, without what only staging itself needs."""
        return {
            "group": self.group,
            "kind": self.kind,
            "target": self.order.target,
            "uploaded": self.uploaded,
            "bytes_sent": self.bytes_sent,
            "packages": [
                {
                    "name": package.name,
                    "path": package.path,
                    "obs_path": package.obs_path,
                    "size": package.size,
                    "sha256": package.sha256,
                    "sent": package.sent,
                }
                for package in self.packages
            ],
        }
