# SPDX-License-Identifier: Apache-2.0
"""What the tests of watches share: a loop that has to be empty at its end, and a watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventually import HANG

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.protocol.errors import DliError, PackageGroupTimeoutError
from airflow_provider_dli.emulator import Emulator
from airflow_provider_dli.triggerer import sharing

T = TypeVar("T")


def account_of(emulator: Emulator) -> Account:
    key = AccessKey(emulator.access_key, emulator.secret_key)
    return Account(emulator.url, emulator.project_id, key, conn_id="dli_default", read_timeout=5.0)


def run(main: Coroutine[Any, Any, T], *, seconds: float = HANG) -> T:
    """Run on a loop of its own; all that was begun has to be over at the end."""

    async def cleanly() -> T:
        async with asyncio.timeout(seconds):
            result = await main
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others
        assert not sharing._accounts.get(asyncio.get_running_loop())
        return result

    return asyncio.run(cleanly())


@dataclass
class Recorder:
    """A watcher that writes down what it is told, and is content when `until` says so."""

    key: str | None = "g"
    poll_interval: float = 0.5
    deadline: float | None = None
    settled: bool = True
    is_open: bool = True
    first_look: float = 0.0
    until: Callable[[list[str]], bool] = lambda _: False
    raises: dict[str, Exception] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    looks_planned: int = 0

    def next_look(self, now: float) -> float:
        self.looks_planned += 1
        if self.looks_planned == 1:
            return now + self.first_look
        self._raise("next_look")
        return now + self.poll_interval

    def on_result(self, found: PackageGroup | None, now: float) -> PackageGroup | None:
        return self._note("see", found or PackageGroup(self.key))

    def on_unchanged(self, now: float) -> PackageGroup | None:
        return self._note("on_unchanged", PackageGroup(self.key))

    def on_error(self, error: DliError, now: float) -> PackageGroup | None:
        return self._note(f"miss {type(error).__name__}", PackageGroup(self.key))

    def expire(self, now: float) -> None:
        self._note("expire", None)
        raise PackageGroupTimeoutError("time is up")

    def _note(self, what: str, found: PackageGroup | None) -> PackageGroup | None:
        self.told.append(what)
        self._raise(what.split()[0])
        return found if self.until(self.told) else None

    def _raise(self, what: str) -> None:
        if what in self.raises:
            raise self.raises[what]


def after(looks: int) -> Callable[[list[str]], bool]:
    return lambda told: len(told) >= looks
