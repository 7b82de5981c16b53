# SPDX-License-Identifier: Apache-2.0
"""Runs flows in the worker, with requests."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import default_user_agent
from urllib3.exceptions import HTTPError

from airflow_provider_dli.api.protocol.errors import TransportError
from airflow_provider_dli.api.protocol.wire import Flow, Request, Response, Send
from airflow_provider_dli.transport import failures
from airflow_provider_dli.transport.body import Body, accepted
from airflow_provider_dli.transport.connections import Adapter, under_way
from airflow_provider_dli.transport.environment import Environment, read
from airflow_provider_dli.transport.failures import UnreadableAnswerError
from airflow_provider_dli.transport.progress import Progress

T = TypeVar("T")

_PIECE = 64 * 1024
_CONNECTIONS = 10
_HEADERS = {"User-Agent": default_user_agent(), "Accept": "*/*"}


class BlockingTransport:
    """A connection pool. It repeats nothing and follows no redirects.

    `verify` is a boolean or the path of a CA bundle. This path and `proxy` take precedence over the
    environment, which is read at the first request to an origin. Timeouts are in seconds: to
    connect, between two bytes of an answer, and for a whole call; a call with an object has more
    time the more of it has moved. `max_answer_size` is in bytes, decompressed. Tests replace
    `sleep` and `monotonic`. `adapter` opens the connections.
    """

    def __init__(
        self,
        *,
        verify: bool | str = True,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 120.0,
        max_answer_size: int = 256 * 1024 * 1024,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        adapter: Adapter | None = None,
    ) -> None:
        self._verify = verify
        self._proxy = proxy
        self._timeout = (connect_timeout, read_timeout)
        self._total = total_timeout
        self._most = max_answer_size
        self._sleep = sleep
        self._monotonic = monotonic
        self._environments: dict[tuple[str, bool], Environment] = {}
        # Not a session: it handles cookies and redirects, and for every request reads the
        # environment and ~/.netrc, whose password would replace our signature.
        self._adapter = adapter or Adapter(_CONNECTIONS)

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end and returns its result."""
        try:
            step = next(flow)
            while True:
                response = None
                try:
                    if isinstance(step, Send):
                        response = self._send(step)
                    else:
                        self._pause(step.seconds)
                except TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(response)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            # Until it is closed, an interrupted flow blocks those that wait for it.
            flow.close()

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.close()

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def _send(self, send: Send) -> Response:
        progress = Progress(send, self._total, self._monotonic)
        request = send.request
        if progress.allowed <= 0:
            raise failures.out_of_time(request)
        try:
            with under_way(progress):
                return self._exchanged(request)
        except UnreadableAnswerError as error:
            raise failures.answer_lost(request, error) from None
        except (OSError, ValueError, HTTPError) as error:
            reason = _reason(error)
            problem = _problem(progress, error, reason)
            if isinstance(error, requests.ConnectionError):
                raise problem from error
        # Outside the handler, so that the library's error is not chained: its message may quote a
        # header or the password of a proxy.
        raise problem

    def _exchanged(self, request: Request) -> Response:
        answer = self._begun(request)
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = Body(request, answer.status_code, headers, self._most)
            for piece in answer.raw.stream(_PIECE, decode_content=False):
                body.add(piece)
            response = Response(answer.status_code, headers, body.whole())
        except BaseException:
            answer.close()
            raise
        answer.raw.release_conn()
        return response

    def _begun(self, request: Request) -> requests.Response:
        """Sends the request, and returns the answer as soon as its head is complete."""
        environment = self._environment(request)
        return self._adapter.send(
            _prepared(request),
            stream=True,
            timeout=self._timeout,
            verify=True if environment.verify is None else environment.verify,
            proxies=environment.proxies,
        )

    def _environment(self, request: Request) -> Environment:
        way = (request.origin, request.direct)
        found = self._environments.get(way)
        if found is None:
            found = self._environments[way] = read(request, self._verify, self._proxy)
        return found


def _prepared(request: Request) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = request.method
    # As it was signed: requests would encode it differently.
    prepared.url = request.url
    prepared.headers = CaseInsensitiveDict({**_HEADERS, **accepted(request), **request.headers})
    if request.body or request.method not in {"GET", "HEAD"}:
        prepared.headers["Content-Length"] = str(len(request.body))
    prepared.body = request.body or None
    return prepared


def _problem(progress: Progress, error: Exception, reason: object) -> TransportError:
    """Returns the error for one of the library, by how far the request got."""
    request = progress.send.request
    if progress.is_over or progress.is_sent:
        # urllib3 reports every failure behind a proxy as "Unable to connect to proxy".
        return failures.broken_off(progress, getattr(reason, "original_error", reason))
    if _is_distrust(error, reason):
        return failures.untrusted(request, reason)
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return failures.not_sent(request, reason)
    return failures.unusable_setup(request, error)


def _is_distrust(error: Exception, reason: object) -> bool:
    cause = reason.args[0] if isinstance(reason, Exception) and reason.args else None
    return isinstance(error, requests.exceptions.SSLError) and isinstance(
        cause, ssl.SSLCertVerificationError
    )


def _reason(error: Exception) -> object:
    """Returns the cause, without the address and query that the library's message repeats."""
    inner: Any = error.args[0] if error.args else error
    return getattr(inner, "reason", inner)
