# SPDX-License-Identifier: Apache-2.0
"""Awaits flows in the triggerer, with aiohttp."""

from __future__ import annotations

import asyncio
import ssl
import threading
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import certifi
from yarl import URL

from airflow_provider_dli.api.errors import TransportError
from airflow_provider_dli.api.wire import Flow, Request, Response, Send
from airflow_provider_dli.transport import failures
from airflow_provider_dli.transport.environment import Environment, read

T = TypeVar("T")

# A server may announce more than there is memory.
_LONGEST_PLACE = 32 * 1024 * 1024

_one_at_a_time = threading.Lock()


class AsyncTransport:
    """One connection pool of one event loop. Nothing is repeated here and no redirect is followed.

    Takes the same settings as the blocking transport and finds proxies and CA bundle in the same
    places. Nothing here blocks the loop: CA files are read in a thread.
    """

    def __init__(
        self,
        *,
        verify: bool | str = True,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        proxy: str | None = None,
    ) -> None:
        self._verify = verify
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            # `sock_connect` and `sock_read` leave out what a proxy says to CONNECT.
            connect=connect_timeout + read_timeout,
            sock_connect=connect_timeout,
            sock_read=read_timeout,
        )
        self._session: aiohttp.ClientSession | None = None
        self._environments: dict[tuple[str, bool], tuple[Environment, ssl.SSLContext | bool]] = {}
        self._opening = asyncio.Lock()

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and give its result."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Send):
                    try:
                        response = await self._send(step.request)
                    except TransportError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
                else:
                    await asyncio.sleep(step.seconds)
                    step = next(flow)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            # One that is broken off holds a place that others wait for, until it is closed.
            flow.close()

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, request: Request) -> Response:
        try:
            session, environment, trust = await self._open(request)
            async with session.request(
                request.method,
                # As it was signed: yarl would quote it in its own way.
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body or None,
                proxy=environment.proxy,
                ssl=trust,
                allow_redirects=False,
            ) as answer:
                body = await _read(answer)
        except aiohttp.ClientHttpProxyError as error:
            problem: TransportError = failures.not_sent(
                request, f"the proxy answered {error.status}"
            )
        except aiohttp.ClientResponseError as error:
            problem = failures.answer_lost(request, type(error).__name__)
        except aiohttp.ClientConnectorCertificateError as error:
            problem = failures.untrusted(request, error.certificate_error)
        except ValueError as error:
            problem = failures.unusable_setup(request, error)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _classify(request, error) from error
        except OSError as error:
            problem = failures.unusable_setup(request, error)
        else:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, headers, body)
        # Outside of the handlers, so that it does not carry the library's error along: the words
        # of that one may quote a header or a proxy's password. One of them quotes all headers.
        raise problem

    async def _open(
        self, request: Request
    ) -> tuple[aiohttp.ClientSession, Environment, ssl.SSLContext | bool]:
        async with self._opening:
            way = (request.origin, request.direct)
            if way not in self._environments:
                self._environments[way] = await asyncio.to_thread(
                    _surroundings, request, self._verify, self._proxy
                )
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    timeout=self._timeout,
                    # Otherwise ~/.netrc would replace our signature; proxies are given above.
                    trust_env=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
                # Only flows repeat. aiohttp has no public switch; its own test client does this.
                self._session._retry_connection = False
            return self._session, *self._environments[way]


async def _read(answer: aiohttp.ClientResponse) -> bytearray:
    """Read a body into its place: `answer.read()` holds it twice, and joins it on the loop."""
    body = bytearray(min(answer.content_length or 0, _LONGEST_PLACE))
    size = 0
    async for piece in answer.content.iter_any():
        body[size : size + len(piece)] = piece
        size += len(piece)
    del body[size:]
    return body


def _surroundings(
    request: Request, verify: bool | str, proxy_given: str | None
) -> tuple[Environment, ssl.SSLContext | bool]:
    """Read proxy and CA bundle for an origin; reads files, so it runs in a thread."""
    environment = read(request, verify, proxy_given)
    if environment.proxy:
        proxy = urlsplit(environment.proxy)
        if proxy.scheme not in {"http", "https"} or not proxy.hostname:
            raise ValueError("the proxy is no address of an HTTP proxy")
    if environment.verify is False or not request.origin.startswith("https:"):
        return environment, environment.verify is not False
    named = environment.verify
    bundle = Path(named) if isinstance(named, str) else Path(certifi.where())
    with _one_at_a_time:
        return environment, _trusting(bundle, bundle.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _trusting(bundle: Path, changed: int) -> ssl.SSLContext:
    """Trust the CAs of a file or folder; read once for all accounts, until it changes."""
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _classify(request: Request, error: aiohttp.ClientError | TimeoutError) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        # The cause alone: aiohttp's own sentence shows its objects.
        return failures.not_sent(request, getattr(error, "os_error", error))
    return failures.answer_lost(request, type(error).__name__)
