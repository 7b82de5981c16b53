# SPDX-License-Identifier: Apache-2.0
"""What is to be staged, and what came of it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.packages.calls import IfExists, Tags
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.staging.cleaning.plan import check_after
from airflow_provider_dli.staging.records.filling import Upload
from airflow_provider_dli.staging.records.tasks import Member
from airflow_provider_dli.staging.records.uploads import Content

Target = Literal["group", "obs"]
OnConflict = Literal["fail", "replace", "version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingPlan:
    """What is to be staged; wrong values are refused when it is made.

    `base` is the folder of relative sources. `owner` says who stages: groups that another owner
    filled are not overwritten unasked. `task` names the record of what no group holds. With the
    target `obs` the group does not count.
    """

    sources: Sequence[Any]
    bucket: str
    owner: str
    task: str
    prefix: str = ""
    group: str | None = None
    kind: str | None = None
    target: Target = "group"
    is_async: bool = True
    tags: Tags | None = None
    if_exists: IfExists = "replace"
    on_conflict: OnConflict = "fail"
    force: bool = False
    base: Path = field(default_factory=Path)
    delete_after: timedelta | int | None = None
    delete_dry_run: bool = True
    python_version: str | None = None
    spark_version: str | None = None

    def __post_init__(self) -> None:
        for name in ("group", "kind", "tags", "delete_after", "python_version", "spark_version"):
            object.__setattr__(self, name, checks.given(name, getattr(self, name)))
        for name, choices in (
            ("target", Target),
            ("if_exists", IfExists),
            ("on_conflict", OnConflict),
        ):
            checks.choice(name, getattr(self, name), get_args(choices))
        for name in ("is_async", "force", "delete_dry_run"):
            checks.boolean(name, getattr(self, name))
        if self.delete_after is not None:
            check_after(self.delete_after)
        checks.bucket(self.bucket)
        checks.prefix(self.prefix)
        if self.kind is not None:
            checks.kind(self.kind)
        if self.tags is not None:
            checks.tags(self.tags)
        if self.target == "group":
            checks.group(self.group)


@dataclass(frozen=True, slots=True)
class StagedPackage:
    """One package and where it lies.

    `path` is the object's HTTPS address, which uploads to groups take, `obs_path` the one that
    jobs take. `size` is bytes. `sha256` is known of files, and of objects that were staged before.
    `sent` says that this run sent its bytes.
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
    """What came of an order; of a dry run, what would come of it.

    `uploaded` says that DLI was given the packages, by which `upload`; `found` is the group as DLI
    told it last.
    """

    order: StagingPlan
    group: str | None
    kind: str
    packages: tuple[StagedPackage, ...]
    uploaded: bool = False
    found: PackageGroup | None = None
    upload: Upload | None = None

    def sending(self, keys: Container[str]) -> StagingResult:
        """Return it with these objects as those whose bytes are sent."""
        packages = tuple(replace(package, sent=package.key in keys) for package in self.packages)
        return replace(self, packages=packages)

    @property
    def bytes_sent(self) -> int:
        """How many bytes of packages went to OBS."""
        return sum(package.size for package in self.packages if package.sent)

    @property
    def contents(self) -> tuple[Content, ...]:
        """What each package of a group is to hold."""
        return tuple(Content(one.name, one.content, one.key) for one in self.packages)

    @property
    def members(self) -> dict[str, Member]:
        """The packages as the record of a task keeps them, by their names."""
        owner = self.order.owner
        return {
            package.name: Member(package.name, package.content, owner, package.key)
            for package in self.packages
        }

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON, without what only staging itself needs."""
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
