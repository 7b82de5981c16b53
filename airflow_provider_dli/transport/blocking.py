# SPDX-License-Identifier: Apache-2.0
"""Runs flows in the worker, with requests."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from airflow_provider_dli.api.errors import TransportError
from airflow_provider_dli.api.wire import Flow, Request, Response, Send
from airflow_provider_dli.transport import failures
from airflow_provider_dli.transport.environment import Environment, read

T = TypeVar("T")


class BlockingTransport:
    """One connection pool. Nothing is repeated here and no redirect is followed.

    `verify` is a boolean or the path of a CA bundle, which wins over the environment's; so does
    `proxy`. The environment counts as it is at the first request to an origin. Timeouts are
    seconds; `sleep` may be a test's clock.
    """

    def __init__(
        self,
        *,
        verify: bool | str = True,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._verify = verify
        self._proxy = proxy
        self._timeout = (connect_timeout, read_timeout)
        self._sleep = sleep
        self._session = requests.Session()
        # Otherwise requests reads the environment for every request, and ~/.netrc, whose password
        # would replace our signature.
        self._session.trust_env = False
        self._environments: dict[tuple[str, bool], Environment] = {}

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and give its result."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Send):
                    try:
                        response = self._send(step.request)
                    except TransportError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
                else:
                    self._sleep(step.seconds)
                    step = next(flow)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            # One that is broken off holds a place that others wait for, until it is closed.
            flow.close()

    def _send(self, request: Request) -> Response:
        with self._begin(request) as answer:
            try:
                body = answer.content
            except (OSError, HTTPError) as error:
                raise failures.answer_lost(request, _reason(error)) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, body)

    def _begin(self, request: Request) -> requests.Response:
        """Send, and give the answer as soon as its headers are there."""
        try:
            environment = self._environment(request)
            return self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body or None,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                proxies=environment.proxies,
                verify=environment.verify,
            )
        except requests.ConnectionError as error:
            raise _classify(request, error) from error
        except requests.Timeout as error:
            raise failures.answer_lost(request, _reason(error)) from error
        except (OSError, ValueError) as error:
            problem = failures.unusable_setup(request, error)
        # Raised before anything is sent. Outside of the handler, so that it does not carry the
        # library's error along.
        raise problem

    def _environment(self, request: Request) -> Environment:
        way = (request.origin, request.direct)
        found = self._environments.get(way)
        if found is None:
            found = self._environments[way] = read(request, self._verify, self._proxy)
        return found

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _classify(request: Request, error: requests.ConnectionError) -> TransportError:
    reason = _reason(error)
    if isinstance(error, requests.exceptions.SSLError) and isinstance(
        reason.args[0] if isinstance(reason, Exception) and reason.args else None,
        ssl.SSLCertVerificationError,
    ):
        return failures.untrusted(request, reason)
    in_vain = (
        requests.ConnectTimeout,
        requests.exceptions.SSLError,
        requests.exceptions.ProxyError,
    )
    if isinstance(error, in_vain) or isinstance(reason, NewConnectionError):
        return failures.not_sent(request, reason)
    return failures.answer_lost(request, reason)


def _reason(error: Exception) -> object:
    """Give the cause without the address that the library's own message repeats, query and all."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", inner)
