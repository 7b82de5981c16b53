# SPDX-License-Identifier: Apache-2.0
"""Asks OBS: where, as whom, how often, and whether an answer is a success."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from airflow_provider_dli.api.answers import Asked, server_time
from airflow_provider_dli.api.errors import (
    AuthenticationError,
    DliError,
    InputError,
    PermissionDeniedError,
    UnusableAnswerError,
    WireError,
)
from airflow_provider_dli.api.log import Log
from airflow_provider_dli.api.objects import ObsRequest, refused
from airflow_provider_dli.api.retry import DEFAULT_RETRY, Retry
from airflow_provider_dli.api.wire import Response, send

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.access.auth import AccessKey, Lease
    from airflow_provider_dli.store.signatory import Signatory
    from airflow_provider_dli.transport.bulk import BulkTransport
    from airflow_provider_dli.transport.clock import Clock

T = TypeVar("T")

_log: Log = logging.getLogger(__name__)

_SLICE = 0.5
"""Seconds after which a pause looks whether it is still wanted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: what the vendor's client made of its XML, and the answer itself."""

    body: Any
    response: Response
    asked: Asked

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by their names in lower case."""
        return self.response.headers

    def check(self, expected: str) -> None:
        """Raise where the answer is not the XML that it should be."""
        if not expected:
            return
        body = self.response.body
        if b"<Error>" in body:
            raise refused(self.asked, self.response)
        if self.body is None or f"<{expected}".encode() not in body:
            raise self.unusable(f"it is no {expected}")

    def unusable(self, why: str) -> UnusableAnswerError:
        """Give the error for a success that is none."""
        return UnusableAnswerError(
            f"{self.asked.what} was answered with HTTP {self.response.status}, but {why}",
            status=self.response.status,
            caller=self.asked.caller,
            remedy="Check that the endpoint is that of OBS and that no proxy answers in its place.",
        )

    def read(self, reader: Callable[[], T]) -> T:
        """Give what a reader makes of the answer."""
        try:
            return reader()
        except WireError as error:
            raise self.unusable(str(error)) from error


@dataclass(frozen=True, slots=True)
class ObsCaller:
    """Sends requests to OBS until they have an answer. Safe to use from several threads."""

    signatory: Signatory
    transport: BulkTransport
    clock: Clock
    retry: Retry = DEFAULT_RETRY
    log: Log = _log

    def once(self) -> ObsCaller:
        """Give a caller that repeats nothing."""
        return replace(self, retry=Retry(attempts=1))

    def perform(
        self, bucket: str, key: str, ask: Callable[[Any], Any], *, expected: str = ""
    ) -> Reply:
        """Let `ask` call a method of the vendor's client, until there is an answer to it.

        All that is asked of OBS here may be repeated. `expected` names the XML that the answer has
        to be, since a success may also begin as one and end as an error. Raises what `api.errors`
        has for everything that is no success.
        """
        started, attempt = self.clock.now(), 0
        while True:
            attempt += 1
            try:
                reply = self._vouched(bucket, key, ask)
                reply.check(expected)
                return reply
            except DliError as error:
                failure = error
            elapsed = self.clock.now() - started
            pause = self.retry.pause(failure, attempt=attempt, elapsed=elapsed, repeatable=True)
            if pause is None:
                raise failure
            self.log.warning("%s", self.retry.announced(f"OBS {bucket}", failure, pause, attempt))
            if not self._rested(pause):
                raise failure

    def _rested(self, seconds: float) -> bool:
        """Wait, unless all is broken off meanwhile."""
        while seconds > 0 and not self.transport.is_broken_off:
            self.clock.sleep(min(seconds, _SLICE))
            seconds -= _SLICE
        return not self.transport.is_broken_off

    def _vouched(self, bucket: str, key: str, ask: Callable[[Any], Any]) -> Reply:
        """Ask with the keys, and once more after each refusal that can be mended."""
        lease = self.signatory.lease()
        tried: set[str] = set()
        while True:
            skew = self.signatory.skew.seconds
            attempt = _Attempt(self, lease, bucket, key)
            try:
                return attempt.carry_out(ask, self.clock.now() + skew)
            except (AuthenticationError, PermissionDeniedError) as error:
                # The answer to a HEAD says nothing but 403.
                if isinstance(error, PermissionDeniedError) and error.code:
                    raise
                ahead = None if attempt.time is None else attempt.time - self.clock.now()
                if "clock" not in tried and self.signatory.skew.explains(ahead, skew):
                    tried.add("clock")
                    continue
                fresh = self.signatory.mended(lease, tried)
                if fresh is None:
                    raise
                lease = fresh


class _Attempt:
    """One request, signed with one lease of keys; `time` is the service's own, once it answered."""

    def __init__(self, caller: ObsCaller, lease: Lease, bucket: str, key: str) -> None:
        self.time: float | None = None
        self._caller = caller
        self._account = caller.signatory.account
        self._secrets = (*lease.credential.secrets, *caller.signatory.source.secrets)
        self._lease = lease
        self._bucket = bucket
        self._key = key
        self._answered: tuple[Response, Asked] | None = None

    def carry_out(self, ask: Callable[[Any], Any], at: float) -> Reply:
        endpoint = endpoint_of(self._account)
        composer = _composer()(
            # Whatever the account has, its signatory gives keys.
            cast("AccessKey", self._lease.credential),
            endpoint,
            path_style=is_path_style(endpoint, self._bucket),
            region=self._account.region,
            now=at,
            exchange=self._exchange,
        )
        try:
            body = ask(composer).body
        except DliError:
            raise
        except Exception as error:  # the vendor's client raises nothing narrower
            why = f"nobody can read it ({type(error).__name__})"
            raise self._reply(None).unusable(why) from error
        return self._reply(body)

    def _reply(self, body: Any) -> Reply:
        if self._answered is None:
            raise TypeError("the vendor's client could not make a request of it")
        return Reply(body, *self._answered)

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        origin = bucket_origin(endpoint_of(self._account), self._bucket)
        request = ObsRequest(method, origin, path, (), headers, body, is_bulk=True)
        response = self._caller.transport.run(send(request))
        self.time = server_time(response)
        signature = headers.get("Authorization", "").rpartition(":")[2]
        asked = Asked(
            f"{method} {self._bucket}/{self._key}".rstrip("/"),
            self._caller.clock.now(),
            f"{self._account.caller}, OBS at {self._account.obs_origin}",
            (*self._secrets, signature),
        )
        if not 200 <= response.status < 300:
            raise refused(asked, response)
        self._answered = response, asked
        return response


def endpoint_of(account: Account) -> str:
    """Give the address of OBS; raises `InputError` where nothing says it."""
    if account.obs_origin is None:
        field = f"connection {account.conn_id!r}: obs_endpoint"
        raise InputError(field, None, "give it, or cloud and region, of which it follows")
    return account.obs_origin


def is_path_style(endpoint: str, bucket: str) -> bool:
    """Whether the bucket goes into the path, not before the host.

    So it does with hosts that are none of OBS's own, and where a bucket has a dot in its name: no
    certificate of OBS is for two names before its host.
    """
    parts = urlsplit(endpoint)
    is_dotted = "." in bucket and parts.scheme == "https"
    return is_dotted or not (parts.hostname or "").startswith("obs.")


def bucket_origin(endpoint: str, bucket: str) -> str:
    """Give the address at which a bucket is asked."""
    if is_path_style(endpoint, bucket):
        return endpoint
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}"


def _composer() -> Any:
    # Imported here, since it needs an extra.
    try:
        from airflow_provider_dli.store.composer import Composer
    except ImportError as error:
        raise ImportError(
            "ObsHook needs the vendor's client of OBS: pip install 'airflow-provider-dli[obs]'"
        ) from error
    return Composer
