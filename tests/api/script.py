# SPDX-License-Identifier: Apache-2.0
"""A transport whose answers are written down beforehand, and answers for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import Any, TypeAlias, TypeVar

from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import AnswerLostError, NotSentError, TransportError
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Flow, Request, Response, Sleep

T = TypeVar("T")
Answer: TypeAlias = Response | TransportError | Callable[[], Response]

LOST = AnswerLostError("the answer was lost")
NOT_SENT = NotSentError("nobody there")
BUSY = Response(503, {}, b'{"error_code": "DLI.0999", "error_msg": "busy"}')
THROTTLED = Response(429, {}, b'{"error_code": "APIG.0308", "error_msg": "too many"}')
DENIED = Response(400, {}, b'{"error_code": "DLI.0003", "error_msg": "denied"}')
REFUSED = Response(400, {}, b'{"error_code": "DLI.0001", "error_msg": "wrong"}')
MISSING = Response(404, {}, b'{"error_code": "DLI.0023", "error_msg": "not there"}')
HTML = Response(200, {}, b"<html>busy</html>")
DONE = Response(200, {}, b"")
SHOWN = Response(200, {}, b'{"resource_name": "a.jar", "status": "READY"}')
EMPTY = Response(200, {}, b'{"groups": [], "resources": []}')


class Script:
    """A transport whose answers are written down beforehand."""

    def __init__(self, clock: FakeClock, answers: Iterable[Answer]) -> None:
        self.sent: list[Request] = []
        self.limits: list[float | None] = []
        self._clock = clock
        self._answers: Iterator[Answer] = iter(answers)

    def run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    self._clock.sleep(step.seconds)
                    step = next(flow)
                    continue
                self.sent.append(step.request)
                self.limits.append(step.limit)
                try:
                    response = self._answer(next(self._answers))
                except TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    @property
    def asked(self) -> list[str]:
        """What was sent: verb and the last part of the address."""
        return [f"{request.method} {request.url.rsplit('/', 1)[-1]}" for request in self.sent]

    def _answer(self, answer: Answer) -> Response:
        if isinstance(answer, TransportError):
            raise type(answer)(str(answer))
        return answer if isinstance(answer, Response) else answer()


def client(clock: FakeClock, jitter: float = 0.0, **policy: Any) -> Client:
    account = Account("https://dli.test", "p1", AccessKey("AK", "SK"), conn_id="c")
    return Client(account, Retry(jitter=lambda: jitter, **policy), clock.now)


def listed(
    group: str | None = "tools", *, state: str = "READY", date: float | None = None, **states: str
) -> Response:
    """List packages in their states; `a` stands for `a.jar`."""
    details = [{"resource_name": f"{name}.jar", "status": said} for name, said in states.items()]
    return _listing(group, state, details, date)


def updated(
    times: dict[str, float | None], *, group: str | None = "tools", date: float | None
) -> Response:
    """List packages with the Unix times of their last update."""
    details = [
        {
            "resource_name": name,
            "status": "READY",
            "update_time": None if time is None else int(time * 1000),
        }
        for name, time in times.items()
    ]
    return _listing(group, "READY", details, date)


def _listing(
    group: str | None, state: str, details: list[dict[str, Any]], date: float | None
) -> Response:
    named = {"group_name": group, "status": state, "details": details}
    body = {"resources": details, "groups": []} if group is None else {"groups": [named]}
    headers = {} if date is None else {"date": formatdate(date, usegmt=True)}
    return Response(200, headers, json.dumps(body).encode())


def slow(clock: FakeClock, answer: Response | TransportError) -> Callable[[], Response]:
    """Return what answers half a minute after the request."""

    def answer_late() -> Response:
        clock.time += 30
        if isinstance(answer, TransportError):
            raise answer
        return answer

    return answer_late


# perform


class Late(FakeClock):
    """Wakes a little later than it was asked to."""

    def __init__(self, late: float) -> None:
        super().__init__()
        self._late = late

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.time += self._late


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: Any, *args: Any) -> None:
        self.lines.append(event % args)

    warning = info


def ready_after(clock: FakeClock, began: float, seconds: float) -> str:
    return "READY" if clock.now() - began >= seconds else "UPLOADING"
