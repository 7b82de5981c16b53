# SPDX-License-Identifier: Apache-2.0
"""Runs flows in the triggerer, with aiohttp."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import aiohttp
import certifi
from yarl import URL

from airflow_provider_dli.api.protocol.errors import TransportError
from airflow_provider_dli.api.protocol.locks import ProcessLock
from airflow_provider_dli.api.protocol.wire import Flow, Request, Response, Send
from airflow_provider_dli.transport import failures
from airflow_provider_dli.transport.body import Body, accepted
from airflow_provider_dli.transport.environment import Environment, read
from airflow_provider_dli.transport.failures import UnreadableAnswerError
from airflow_provider_dli.transport.progress import Progress

T = TypeVar("T")
_Trust: TypeAlias = ssl.SSLContext | bool

_LONGEST_HEADER = 64 * 1024
"""The limit of http.client in the worker, in bytes: an IAM token may have 32 KB."""

_one_at_a_time = ProcessLock()


class AsyncTransport:
    """A connection pool of one event loop. It repeats nothing and follows no redirects.

    It has the same settings as the blocking transport, and reads proxies and CA bundle from the
    same places. CA files are read in a thread, so nothing blocks the loop.
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
    ) -> None:
        self._verify = verify
        self._proxy = proxy
        self._total = total_timeout
        self._most = max_answer_size
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            # `sock_connect` and `sock_read` do not cover the CONNECT request to a proxy.
            connect=connect_timeout + read_timeout,
            sock_connect=connect_timeout,
            sock_read=read_timeout,
        )
        self._session: aiohttp.ClientSession | None = None
        self._environments: dict[tuple[str, bool], tuple[Environment, _Trust]] = {}
        self._opening = asyncio.Lock()

    async def run(
        self, flow: Flow[T], pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> T:
        """Runs a flow to its end and returns its result; `pause` waits for a number of seconds."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Send):
                    try:
                        response = await self._send(step)
                    except TransportError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
                else:
                    await pause(step.seconds)
                    step = next(flow)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            # Until it is closed, an interrupted flow blocks those that wait for it.
            flow.close()

    async def close(self) -> None:
        """Closes the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, send: Send) -> Response:
        progress = Progress(send, self._total, asyncio.get_running_loop().time)
        request = send.request
        if progress.allowed <= 0:
            raise failures.out_of_time(request)
        try:
            async with asyncio.timeout(progress.allowed) as limit:
                try:
                    return await self._exchanged(progress, limit)
                except aiohttp.ClientConnectorCertificateError:
                    if not await self._is_renewed(request):
                        raise
                return await self._exchanged(progress, limit)
        except aiohttp.ClientConnectorCertificateError as error:
            problem: TransportError = failures.untrusted(request, error.certificate_error)
        except (aiohttp.ClientError, OSError, ValueError, UnreadableAnswerError) as error:
            problem = _problem(progress, error)
            if isinstance(error, aiohttp.ClientConnectionError | TimeoutError):
                raise problem from error
        # Outside the handlers, so that the library's error is not chained: its message may quote a
        # header or the password of a proxy. One of them quotes all headers.
        raise problem

    async def _exchanged(self, progress: Progress, limit: asyncio.Timeout) -> Response:
        request = progress.send.request
        session, environment, trust = await self._open(request)
        async with session.request(
            request.method,
            # As it was signed: yarl would encode it differently.
            URL(request.url, encoded=True),
            headers={**accepted(request), **request.headers},
            data=_body(request),
            # A signature may cover it, even if there is none.
            skip_auto_headers=["Content-Type"],
            proxy=environment.proxy,
            ssl=trust,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = Body(request, answer.status, headers, self._most)
            async for piece in answer.content.iter_any():
                body.add(piece)
                _count(progress, len(piece), limit)
        return Response(answer.status, headers, body.whole())

    async def _open(self, request: Request) -> tuple[aiohttp.ClientSession, Environment, _Trust]:
        async with self._opening:
            way = (request.origin, request.direct)
            if way not in self._environments:
                self._environments[way] = await self._read_environment(request)
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    timeout=self._timeout,
                    # Otherwise ~/.netrc would replace our signature; proxies are given above.
                    trust_env=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    max_line_size=_LONGEST_HEADER,
                    max_field_size=_LONGEST_HEADER,
                    trace_configs=[_tracing()],
                )
                # Only flows repeat. aiohttp has no public switch; its own test client does this.
                self._session._retry_connection = False
            return self._session, *self._environments[way]

    async def _is_renewed(self, request: Request) -> bool:
        """Reads the CA bundle again; returns whether it has changed."""
        way = (request.origin, request.direct)
        known = self._environments.get(way)
        fresh = self._environments[way] = await self._read_environment(request)
        return known is None or fresh[1] is not known[1]

    async def _read_environment(self, request: Request) -> tuple[Environment, _Trust]:
        # In a thread: it reads files.
        return await asyncio.to_thread(_surroundings, request, self._verify, self._proxy)


def _tracing() -> aiohttp.TraceConfig:
    """Returns the hook that notes when aiohttp sends the first byte of a request."""

    async def leaves(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        progress: Progress = context.trace_request_ctx
        # aiohttp checks for such a header only after this.
        if any(set("\r\n\0") & set(value) for value in progress.send.request.headers.values()):
            raise ValueError("a header with a line break")
        progress.is_sent = True
        progress.moved += len(progress.send.request.body)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(leaves)
    return tracing


def _body(request: Request) -> bytes | io.BytesIO | None:
    # aiohttp sends a stream in pieces, between which the event loop runs.
    is_large = request.is_bulk and request.body
    return io.BytesIO(request.body) if is_large else request.body or None


def _count(progress: Progress, size: int, limit: asyncio.Timeout) -> None:
    """Counts received bytes; each gives the answer with an object more time."""
    progress.moved += size
    if progress.send.request.is_bulk:
        limit.reschedule(asyncio.get_running_loop().time() + progress.left)


def _surroundings(
    request: Request, verify: bool | str, proxy_given: str | None
) -> tuple[Environment, _Trust]:
    """Reads proxy and CA bundle for an origin."""
    environment = read(request, verify, proxy_given)
    if environment.proxy:
        proxy = urlsplit(environment.proxy)
        if proxy.scheme not in {"http", "https"} or not proxy.hostname:
            raise ValueError("the proxy is not the address of an HTTP proxy")
    if environment.verify is False or not request.origin.startswith("https:"):
        return environment, environment.verify is not False
    named = environment.verify
    bundle = Path(named) if isinstance(named, str) else Path(certifi.where())
    with _one_at_a_time:
        return environment, _trusting(bundle, _changed(bundle))


def _changed(bundle: Path) -> int:
    """Returns the modification time of a file, or the latest in a folder, in nanoseconds."""
    files = [bundle, *bundle.iterdir()] if bundle.is_dir() else [bundle]
    return max(file.stat().st_mtime_ns for file in files)


@lru_cache(maxsize=16)
def _trusting(bundle: Path, changed: int) -> ssl.SSLContext:
    """Returns a context with the CAs of a file or folder, cached until it changes."""
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _problem(progress: Progress, error: Exception) -> TransportError:
    """Returns the error for one of the library, by how far the request got."""
    request = progress.send.request
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return failures.not_sent(request, f"the proxy answered {error.status}")
    if isinstance(error, UnreadableAnswerError):
        return failures.answer_lost(request, error)
    if progress.is_over or progress.is_sent:
        return failures.broken_off(progress, _reason(error))
    if isinstance(error, aiohttp.ClientError | TimeoutError) and not isinstance(error, ValueError):
        return failures.not_sent(request, _reason(error))
    return failures.unusable_setup(request, error)


def _reason(error: Exception) -> object:
    # Only the cause: aiohttp's message shows its objects, and what it reads may be secret.
    return getattr(error, "os_error", None) or type(error).__name__
