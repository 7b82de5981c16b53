# SPDX-License-Identifier: Apache-2.0
"""A time by which a flow has to end, with every call and every pause in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from airflow_provider_dli.api.protocol.errors import NotSentError, TransportError
from airflow_provider_dli.api.protocol.wire import Flow, Send, Sleep

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time in seconds on the clock that `now` reads."""

    at: float
    now: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, now: Callable[[], float]) -> Deadline:
        """Returns the deadline that is so many seconds from now."""
        return cls(now() + seconds, now)

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.at - self.now()

    def cut(self, flow: Flow[T]) -> Flow[T]:
        """Runs a flow in which no call and no pause outlasts the deadline.

        A call gets the time that is left. A pause that would outlast the deadline, or a call for
        which no time is left, raises `NotSentError` in the flow.
        """
        try:
            step = next(flow)
            while True:
                try:
                    response = yield self._in_time(step)
                except TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(response)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    def _in_time(self, step: Send | Sleep) -> Send | Sleep:
        left = self.left
        if isinstance(step, Send):
            is_short = step.limit is not None and step.limit < left
            return step if is_short else replace(step, limit=left)
        if step.seconds > left:
            raise NotSentError(f"No time is left for a pause of {step.seconds:.1f} s.")
        return step
