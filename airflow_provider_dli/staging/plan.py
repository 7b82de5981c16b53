# SPDX-License-Identifier: Apache-2.0
"""What is to be staged: each option declared once, for the operator and for the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.fields import declared, optional, table_of
from airflow_provider_dli.api.protocol.errors import InputError

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.calls import Tags

Target = Literal["group", "obs"]
OnConflict = Literal["fail", "replace", "version"]


def check_delete_after(after: object) -> timedelta | int:
    """Returns `after` if it is an age of at least an hour, or a number of at least one.

    Staging the same again renews its record only now and then, so that an age must not be shorter.
    """
    if isinstance(after, timedelta) and after >= timedelta(hours=1):
        return after
    if isinstance(after, int) and not isinstance(after, bool) and after > 0:
        return after
    rule = "use a timedelta of at least an hour, or the number of versions to keep, at least 1"
    raise InputError("delete_after", after, rule)


def _of_value(check: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    return lambda _, value: check(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingPlan:
    """What is to be staged; raises `InputError` for wrong values.

    `base` is the folder of relative sources. `owner` is who stages: a group that another owner
    filled is overwritten only with `on_conflict`. `task` names the record of packages without a
    group. With the target `obs`, the group has no effect.
    """

    sources: Sequence[Any] = field(
        metadata=declared(
            "files, globs, folders of Python code (each becomes a zip), wheels and "
            "``requirements*.txt`` (their pure-Python dependencies become a zip), "
            "``ObjectStoragePath``, and objects in OBS, ``obs://bucket/key`` or ``https://…``. "
            "Relative paths start at the folder of the DAG file",
            is_json=True,
        )
    )
    bucket: str = field(
        metadata=declared(
            "bucket of OBS, in the region of the connection",
            _of_value(checks.bucket),
            is_option=True,
        )
    )
    prefix: str = optional(
        "folder in the bucket", _of_value(checks.prefix), default="", is_option=True
    )
    # The name is checked with the target: a plan for `obs` has no use for it.
    group: str | None = optional(
        "name of the package group; has no effect with target ``obs``", is_option=True
    )
    kind: str | None = optional(
        "``jar``, ``pyFile``, ``file`` or ``modelFile``; by default decided by the suffixes, a "
        "mixture is ``file``",
        choices=checks.KINDS,
        is_option=True,
    )
    target: Target = optional(
        "``group``, or ``obs`` for engines that take no groups: Spark 3.3.1 and later",
        default="group",
        choices=get_args(Target),
        is_option=True,
    )
    spark_version: str | None = optional(
        "the engine of the job; logs a warning if it does not take groups", is_option=True
    )
    python_version: str | None = optional(
        "Python version of the engine, such as ``3.9``, for which dependencies are chosen; by "
        "default the one that runs the staging",
        is_option=True,
    )
    if_exists: checks.IfExists = optional(
        "for a group in which the same DAG staged other bytes before: ``replace``, ``skip`` (keep "
        "it if it has every package) or ``fail``",
        default="replace",
        choices=get_args(checks.IfExists),
        is_option=True,
    )
    on_conflict: OnConflict = optional(
        "for a group that somebody else filled with other bytes: ``fail``, ``replace``, or "
        "``version``, which appends a hash of the content to the name",
        default="fail",
        choices=get_args(OnConflict),
        is_option=True,
    )
    force: bool = optional(
        "send and upload even if the same bytes are there already",
        checks.boolean,
        default=False,
        is_templated=False,
        is_option=True,
    )
    delete_after: timedelta | int | None = optional(
        "remove what earlier runs left below the prefix and nothing uses any more: older than a "
        "``timedelta``, or all but this number of the newest versions. Never removes what an "
        "active job uses",
        _of_value(check_delete_after),
        is_templated=False,
    )
    delete_dry_run: bool = optional(
        "only log what would be removed", checks.boolean, default=True, is_templated=False
    )
    is_async: bool = optional(
        "DLI answers at once and uploads in the background",
        checks.boolean,
        default=True,
        is_templated=False,
    )
    tags: Tags | None = optional(
        '``{"key": "value"}`` or ``[{"key": …, "value": …}]`` for the packages',
        _of_value(checks.tags),
        is_json=True,
    )
    owner: str
    task: str
    base: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if option.default is None and not option.is_required:
                value = checks.given(name, value)
                object.__setattr__(self, name, value)
                if value is None:
                    continue
            option.read(value)
        if self.target == "group":
            checks.group(self.group)


OPTIONS = table_of(StagingPlan)
