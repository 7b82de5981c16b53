# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire, and what a flow may ask of the transport that runs it."""

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
    """Percent-encode everything but RFC 3986's unreserved characters, as the signature asks."""
    return quote(text, safe="~")


Query: TypeAlias = tuple[tuple[str, str | None], ...]
"""Names and values; one without a value (`None`) has no `=` either."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete: `path` and `query_string` are exactly what is sent.

    `direct` says that it goes past every proxy; `is_bulk`, that it or its answer carries an
    object, which may take long and be large, and goes as it is. `subject` is what it is about,
    where the path alone does not tell.
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
        """Sorted and encoded, so that the sent query and the signed query cannot differ."""
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
        """What was asked, for messages: verb and path, never query values."""
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

    The path is what an account or a source of credentials completes: for DLI, the part behind
    `/v2.0/{project_id}`, for OBS, bucket and key. `repeatable` says that sending it twice
    does no more than sending it once; `answers_secrets`, that no message may quote the answer;
    `is_urgent`, that it waits for nobody, also where the service asked for fewer calls; `is_bulk`,
    what it says of a `Request`. `refused` makes the error of an answer that is no success, or of
    one that its parser refused, and why; without it, the answer is read as DLI's.
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
    refused: Callable[[RequestContext, Response, WireError | None], AnswerError] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Asks the transport to send a request and give back its `Response`.

    When no whole answer came the transport throws a `TransportError` into the flow instead. `limit`
    is the most seconds that the call may take, where the transport itself would allow it more.
    """

    request: Request
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Asks the transport to wait for a number of seconds."""

    seconds: float


Flow: TypeAlias = Generator[Send | Sleep, Response | None, T]
"""A piece of protocol that waits for nobody: the worker runs it blocking, a loop awaits it."""


class Run(Protocol):
    """Carries out a flow."""

    def __call__(self, flow: Flow[T]) -> T:
        """Return its result."""
        ...


def send(request: Request, limit: float | None = None) -> Flow[Response]:
    """Send one request; returns its answer or raises a `TransportError`.

    `limit` is the most seconds that it may take.
    """
    response = yield Send(request, limit)
    if response is None:
        raise TypeError(f"the transport gave nothing back for {request.asked}")
    return response


def sleep(seconds: float) -> Flow[None]:
    """Wait for `seconds`."""
    yield Sleep(seconds)
