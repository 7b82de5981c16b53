# SPDX-License-Identifier: Apache-2.0
"""An event loop whose time passes at once, and a shared poll whose looks need no network."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Collection, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.api.protocol.wire import Flow
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.triggerer.poll import SharedPoll

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing would ever happen"
        self.now += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs on a loop that begins at 0 and never sleeps."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def at(seconds: float) -> None:
    """Continues at a time of the loop."""
    await asyncio.sleep(seconds - now())


@dataclass
class Groups:
    """A snapshot in which every group that was asked for has one package in the same state."""

    state: str

    def covers(self, key: str) -> bool:
        return True

    def fingerprint(self, key: str) -> Hashable:
        return self.state

    def find(self, key: str) -> PackageGroup:
        return PackageGroup(key, packages=(Package("a.jar", raw_state=self.state),))


@dataclass
class Looks:
    """Notes the time of each look and what it asks for."""

    state: str = "UPLOADING"
    takes: float = 0.0
    failures: list[DliError] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    asked: list[set[str]] = field(default_factory=list)

    def look(self, keys: Collection[str]) -> Flow[Groups]:
        yield from ()
        self.times.append(now())
        self.asked.append(set(keys))
        if self.failures:
            raise self.failures.pop(0)
        return Groups(self.state)

    async def run(self, flow: Flow[T], pause: Any) -> T:
        """Answers after a while, whatever happens meanwhile: a transport."""
        result = await AsyncTransport().run(flow, pause)
        await asyncio.sleep(self.takes)
        return result


def poll_of(looks: Looks, **changes: Any) -> SharedPoll[Any, Any]:
    options: dict[str, Any] = {"clock": now, "jitter": lambda: 0.5} | changes
    return SharedPoll(looks, looks.look, **options)  # type: ignore[arg-type]  # it acts as a transport
