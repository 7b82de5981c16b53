# SPDX-License-Identifier: Apache-2.0
"""Requests, answers and calls, and what a flow may ask of the transport that runs it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.answers import RequestContext
    from airflow_provider_dli.api.protocol.errors import AnswerError, WireError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def encode(text: str) -> str:
    """Percent-encodes all but RFC 3986's unreserved characters, as the signature requires."""
    return quote(text, safe="~")


Query: TypeAlias = tuple[tuple[str, str | None], ...]
"""Names and values; a name without a value (`None`) is sent without `=`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete: `path` and `query_string` are exactly what is sent.

    `direct` means that it bypasses every proxy; `is_bulk`, that it or its answer has an object as
    its body, which may take long, be large, and is not encoded. `subject` replaces the path in
    messages where that alone is not clear.
    """

    method: str
    origin: str
    path: str
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    direct: bool = False
    is_bulk: bool = False
    subject: str = ""

    @property
    def query_string(self) -> str:
        """The query, sorted and encoded: what is sent and what is signed cannot differ."""
        return "&".join(
            encode(name) if value is None else f"{encode(name)}={encode(value)}"
            for name, value in sorted(self.query, key=lambda pair: (pair[0], pair[1] or ""))
        )

    @property
    def target(self) -> str:
        """Path and query."""
        query = self.query_string
        return f"{self.path}?{query}" if query else self.path

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.origin}{self.target}"

    @property
    def asked(self) -> str:
        """Verb and path, for messages; never query values."""
        return f"{self.method} {self.subject or self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | bytearray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A request to a service that is not sent yet, with the parser of its answer.

    The service completes the path: for DLI it is the part after `/v2.0/{project_id}`, for OBS
    bucket and key. `repeatable` means that sending it twice does no more than sending it once;
    `answers_secrets`, that no message may quote the answer; `is_urgent`, that it is sent at once,
    also where the service asked for fewer calls; `is_bulk`, the same as for a `Request`.
    `to_error` makes the error of an answer that is not a success, or that its parser refused with
    a `WireError`; without it, the answer is read as one of DLI.
    """

    method: str
    path: str
    parse: Callable[[Response], T_co]
    query: Query = ()
    body: bytes = field(default=b"", repr=False)
    repeatable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    answers_secrets: bool = False
    is_urgent: bool = False
    is_bulk: bool = False
    to_error: Callable[[RequestContext, Response, WireError | None], AnswerError] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Asks the transport to send a request and to send its `Response` into the flow.

    If no complete answer is received the transport throws a `TransportError` into it instead.
    `limit` is the most seconds that the call may take, if that is less than the transport allows.
    """

    request: Request
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Asks the transport to wait for a number of seconds."""

    seconds: float


Flow: TypeAlias = Generator[Send | Sleep, Response | None, T]
"""A piece of protocol that does no I/O itself: the worker runs it blocking, a loop awaits it."""


class Run(Protocol):
    """Runs a flow on a transport."""

    def __call__(self, flow: Flow[T]) -> T:
        """Returns the result of the flow."""
        ...


def send(request: Request, limit: float | None = None) -> Flow[Response]:
    """Sends one request; returns its answer, or raises a `TransportError`.

    `limit` is the most seconds that it may take.
    """
    response = yield Send(request, limit)
    if response is None:
        raise TypeError(f"the transport returned no answer to {request.asked}")
    return response


def sleep(seconds: float) -> Flow[None]:
    """Waits for `seconds`."""
    yield Sleep(seconds)
