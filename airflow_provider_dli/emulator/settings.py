# SPDX-License-Identifier: Apache-2.0
"""The settings of an emulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, get_args

Clock: TypeAlias = Callable[[], float]
# "v2" requires a session token, "v1" has none, "no-agency" has no key.
Metadata: TypeAlias = Literal["v2", "v1", "no-agency"]

Spark: TypeAlias = Literal["local"]

DEFAULT_REGION = "eu-west-101"
DAY = 24 * 60 * 60.0
# How long a successful job was kept in 2021:
# https://github.com/huaweicloudDocs/dli, cn.zh-cn/用户指南/创建Spark作业.md
RETENTION = 6 * 60 * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings that an emulator is started with; all have defaults.

    `clock` returns Unix seconds for timestamps, timelines and signatures; `clock_offset` is how far
    the emulator's clock is ahead of it. `latency` and hanging faults take real time. `users` are
    the IAM users: the first one owns what is uploaded, and each signs in with `password` and the
    name of the `account`. `project_names` maps ids of `project_ids` to names; by default the first
    has the name of the region, eu-west-101. Nothing is allowed in `forbidden_projects`. Without
    `security_token` the key pair is permanent. An IAM token is valid for `token_seconds`, a
    temporary key for at most `key_seconds`. With `obs_endpoint` the objects of uploads and batch
    jobs are looked up there; without it all of them exist. A batch job takes `batch_seconds`, and
    is kept for `batch_retention` seconds after its success; None = forever. `spark="local"` runs
    batch jobs on this machine; without it they follow a timeline.
    """

    access_key: str = "EMULATORACCESSKEY"
    secret_key: str = "emulator-secret-key-which-opens-nothing"  # noqa: S105 - it opens nothing
    security_token: str | None = None
    auth_token: str = "emulator-auth-token"  # noqa: S105 - it opens nothing
    account: str = "emulator-account"
    account_id: str = "fedcba9876543210fedcba9876543210"
    users: Sequence[str] = ("emulator-user", "emulator-user-2")
    password: str = "emulator-password"  # noqa: S105 - it opens nothing
    project_ids: Sequence[str] = ("0123456789abcdef0123456789abcdef",)
    project_names: Mapping[str, str] = field(default_factory=dict)
    forbidden_projects: Sequence[str] = ()
    agencies: Sequence[str] = ("emulator-agency",)
    metadata: Metadata = "v2"
    token_seconds: float = DAY
    key_seconds: float = DAY
    upload_seconds: float = 3.0
    batch_seconds: float = 3.0
    batch_retention: float | None = RETENTION
    spark: Spark | None = None
    latency: float = 0.0
    obs_endpoint: str | None = None
    clock: Clock = time.time
    clock_offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("project_ids", "users"):
            if isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a list of at least one name")
        for name in ("token_seconds", "key_seconds", "upload_seconds", "batch_seconds", "latency"):
            seconds(name, getattr(self, name))
        seconds_or_never("batch_retention", self.batch_retention)
        # The only one that may be negative.
        seconds("clock_offset", abs(self.clock_offset))
        if self.metadata not in get_args(Metadata):
            raise ValueError(f"metadata must be v2, v1 or no-agency, not {self.metadata!r}")
        self._check_spark()
        self._check_projects()

    def _check_spark(self) -> None:
        if self.spark not in (None, *get_args(Spark)):
            raise ValueError(f"spark must be local, not {self.spark!r}")
        if self.spark is not None and self.obs_endpoint is None:
            raise ValueError("spark needs an obs_endpoint, from which jobs take their files")

    def _check_projects(self) -> None:
        for name in ("project_names", "forbidden_projects"):
            for project_id in getattr(self, name):
                if project_id not in self.project_ids:
                    raise ValueError(f"{name} must name projects of project_ids, not {project_id}")

    def now(self) -> float:
        """Returns the time of the emulator in Unix seconds."""
        return self.clock() + self.clock_offset

    @property
    def region(self) -> str:
        """The region of the emulator: that of the first project."""
        return self.region_of(self.project_ids[0])

    def project_name(self, project_id: str) -> str:
        """Returns the name of a project.

        The main project of a region has its name, any other is named REGION_NAME:
        https://docs.otc.t-systems.com/identity-access-management/api-ref/apis/project_management/creating_a_project.html
        """
        if project_id in self.project_names:
            return self.project_names[project_id]
        number = list(self.project_ids).index(project_id) + 1
        return DEFAULT_REGION if number == 1 else f"{self.region}_{number}"

    def region_of(self, project_id: str) -> str:
        """Returns the region of a project."""
        return self.project_name(project_id).partition("_")[0]


class Options(TypedDict, total=False):
    """The same settings as keyword arguments of `running`."""

    access_key: str
    secret_key: str
    security_token: str | None
    auth_token: str
    account: str
    account_id: str
    users: Sequence[str]
    password: str
    project_ids: Sequence[str]
    project_names: Mapping[str, str]
    forbidden_projects: Sequence[str]
    agencies: Sequence[str]
    metadata: Metadata
    token_seconds: float
    key_seconds: float
    upload_seconds: float
    batch_seconds: float
    batch_retention: float | None
    spark: Spark | None
    latency: float
    obs_endpoint: str | None
    clock: Clock
    clock_offset: float


def seconds(name: str, value: object) -> float:
    """Returns a value as seconds; raises ValueError with the name of the field."""
    # A bool is an int in Python, but not a number of seconds.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError(f"{name} must be a number of seconds from 0 on, not {value!r}")


def seconds_or_never(name: str, value: object) -> float | None:
    """Returns a value as seconds, or None for a time that never comes."""
    return None if value is None else seconds(name, value)
