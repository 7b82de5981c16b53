# SPDX-License-Identifier: Apache-2.0
"""Awaits flows in the triggerer, with aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from yarl import URL

from airflow_provider_dli.api.errors import (
    AnswerLostError,
    ConnectionSetupError,
    NotSentError,
    TransportError,
)
from airflow_provider_dli.api.wire import Flow, Request, Response, Send

T = TypeVar("T")


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
    ) -> None:
        self._verify = verify
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect_timeout, sock_read=read_timeout
        )
        self._session: aiohttp.ClientSession | None = None
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

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, request: Request) -> Response:
        try:
            session = await self._open()
            async with session.request(
                request.method,
                # As it was signed: yarl would quote it in its own way.
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body or None,
                proxy=_proxy(request.origin),
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _classify(request, error) from error
        except (OSError, ValueError) as error:
            # Raised before anything is sent; its words may quote a header or a proxy's password.
            raise _setup_error(request, error) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, headers, body)

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(_trust, self._verify)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context),
                    timeout=self._timeout,
                    # Otherwise ~/.netrc would replace our signature; see _proxy for the rest.
                    trust_env=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
            return self._session


def _trust(verify: bool | str) -> ssl.SSLContext:
    """Trust what requests would: the connection's bundle, the environment's, or certifi's."""
    environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    bundle = verify if isinstance(verify, str) else environment or certifi.where()
    if os.path.isdir(bundle):  # noqa: PTH112 - the ssl module takes the same text
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _proxy(origin: str) -> str | None:
    parts = urlsplit(origin)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(parts.netloc) else proxy


def _classify(request: Request, error: aiohttp.ClientError | TimeoutError) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ConnectionSetupError(
            f"{request.asked} was not sent: the certificate of {request.origin} is not trusted "
            f"({error.certificate_error}). "
            "Set ca_bundle in the connection to the CA that signed it."
        )
    if isinstance(error, aiohttp.InvalidURL):
        return _setup_error(request, error)
    in_vain = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
    )
    why = type(error).__name__ if isinstance(error, aiohttp.ClientHttpProxyError) else error
    if isinstance(error, in_vain):
        return NotSentError(
            f"{request.asked} was not sent: no connection to {request.origin} ({why}). "
            "Check endpoint, region, network and proxy."
        )
    return AnswerLostError(
        f"{request.asked} was sent to {request.origin}, but its answer was lost "
        f"({type(error).__name__}). The service may have carried it out."
    )


def _setup_error(request: Request, error: Exception) -> ConnectionSetupError:
    return ConnectionSetupError(
        f"{request.asked} was not sent: this machine's setup does not allow it "
        f"({type(error).__name__}). Check the proxy variables and the CA bundle of the environment."
    )
