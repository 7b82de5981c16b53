# SPDX-License-Identifier: Apache-2.0
"""What can be set when an emulator is started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an emulator is started with; every value has a default.

    `clock` gives unix seconds and is asked for every timestamp, timeline and signature check;
    `latency` and a hanging fault take real time. `users` are the IAM users that exist: the first
    one owns what is uploaded. Without `security_token` the key pair counts as a permanent one.
    With `obs_endpoint` every object of an upload is looked up there, else all of them exist.
    """

    access_key: str = "EMULATORACCESSKEY"
    secret_key: str = "emulator-secret-key-which-opens-nothing"  # noqa: S105 - it opens nothing
    security_token: str | None = None
    auth_token: str = "emulator-auth-token"  # noqa: S105 - it opens nothing
    project_ids: Sequence[str] = ("0123456789abcdef0123456789abcdef",)
    users: Sequence[str] = ("emulator-user", "emulator-user-2")
    upload_seconds: float = 3.0
    latency: float = 0.0
    obs_endpoint: str | None = None
    clock: Clock = time.time

    def __post_init__(self) -> None:
        for name in ("project_ids", "users"):
            if isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a list of at least one name")
        for name in ("upload_seconds", "latency"):
            seconds(name, getattr(self, name))


class Options(TypedDict, total=False):
    """The same as keywords: what `running` takes."""

    access_key: str
    secret_key: str
    security_token: str | None
    auth_token: str
    project_ids: Sequence[str]
    users: Sequence[str]
    upload_seconds: float
    latency: float
    obs_endpoint: str | None
    clock: Clock


def seconds(name: str, value: object) -> float:
    """The value as seconds; ValueError naming the field when it is none."""
    # A bool is an int in Python, but not a number of seconds.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError(f"{name} must be a number of seconds from 0 on, not {value!r}")
