"""Worker and triggerer as one thing that carries out flows, with pauses that take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from eventually import eventually
from fake_clock import FakeClock

from airflow_provider_dli.api.protocol.wire import Flow, Sleep
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.blocking import BlockingTransport

T = TypeVar("T")


class Transport(Protocol):
    def run(self, flow: Flow[T]) -> T: ...

    def close(self) -> None: ...


class Asynchronous:
    """The asynchronous transport on a loop of its own, as a test may call it."""

    def __init__(self, **settings: Any) -> None:
        self.runner = asyncio.Runner()

        async def make() -> AsyncTransport:
            return AsyncTransport(**settings)

        self.transport = self.runner.run(make())

    def run(self, flow: Flow[T]) -> T:
        return self.runner.run(self.transport.run(flow))

    def close(self) -> None:
        self.runner.run(self.transport.close())
        self.runner.run(_all_closed())
        self.runner.close()


async def _all_closed() -> None:
    """Wait until the loop has closed what is closing: with TLS that takes some turns."""
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    # The loop itself has one, by which threads wake it.
    await eventually(lambda: len(selector.get_map()) <= 1)


KINDS: dict[str, type[Any]] = {"blocking": BlockingTransport, "asynchronous": Asynchronous}


class World:
    """One of the transports, and a clock on which pauses pass."""

    def __init__(self, transport: Transport, clock: FakeClock) -> None:
        self._transport = transport
        self._clock = clock

    def run(self, flow: Flow[T]) -> T:
        return self._transport.run(self._hastened(flow))

    def _hastened(self, flow: Flow[T]) -> Flow[T]:
        step = next(flow)
        while True:
            try:
                if isinstance(step, Sleep):
                    self._clock.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    response = yield step
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(response)
            except StopIteration as end:
                result: T = end.value
                return result


@contextmanager
def world(kind: str, clock: FakeClock, **settings: Any) -> Iterator[World]:
    transport = KINDS[kind](**settings)
    try:
        yield World(transport, clock)
    finally:
        transport.close()
