# SPDX-License-Identifier: Apache-2.0
"""What a plan staged, or would stage."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.staging.plan import StagingPlan
from airflow_provider_dli.staging.records.groups import Content
from airflow_provider_dli.staging.records.tasks import Member
from airflow_provider_dli.staging.records.upload_flow import Upload


@dataclass(frozen=True, slots=True)
class StagedPackage:
    """One package and its object.

    `path` is the object's HTTPS address, which uploads to groups take, `obs_path` the one that
    jobs take. `size` is in bytes. `sha256` is known of files, and of objects that were staged
    before. `sent` if this run sent its bytes.
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
    """What a plan staged or, after a dry run, would stage.

    `uploaded` if the packages were uploaded to DLI, by `upload`; `found` is the group as DLI showed
    it last.
    """

    plan: StagingPlan
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
        """The size of the packages that are sent to OBS."""
        return sum(package.size for package in self.packages if package.sent)

    @property
    def contents(self) -> tuple[Content, ...]:
        """What each package of a group is to contain."""
        return tuple(Content(one.name, one.content, one.key) for one in self.packages)

    @property
    def members(self) -> dict[str, Member]:
        """The packages as the record of a task keeps them, by their names."""
        owner = self.plan.owner
        return {one.name: Member(one.name, one.content, owner, one.key) for one in self.packages}

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON, without what only staging itself needs."""
        shown = ("name", "path", "obs_path", "size", "sha256", "sent")
        return {
            "group": self.group,
            "kind": self.kind,
            "target": self.plan.target,
            "uploaded": self.uploaded,
            "bytes_sent": self.bytes_sent,
            "packages": [
                {name: getattr(package, name) for name in shown} for package in self.packages
            ],
        }
