# SPDX-License-Identifier: Apache-2.0
"""The identity of a caller: its current credential, and what follows when that is refused."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from airflow_provider_dli.api.access.auth import Credential, Lease
from airflow_provider_dli.api.protocol.answers import (
    RequestContext,
    interpret,
    plausible_time,
    server_time,
)
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    NotSentError,
    PermissionDeniedError,
)
from airflow_provider_dli.api.protocol.locks import ProcessLock
from airflow_provider_dli.api.protocol.wire import Call, Flow, Request, send, sleep

T = TypeVar("T")

MARGIN = 300.0
"""Seconds before its expiry at which a credential is renewed, at most a tenth of its lifetime. The
metadata service has a new one ten minutes before."""

PAUSE = 30.0
"""Seconds until the next try after a failed renewal, while the credential is still valid."""

MAX_SKEW = 600.0
"""Seconds by which the clocks must differ before a refusal is attributed to them; the service
itself accepts 15 minutes."""

_log = logging.getLogger(__name__)
_SERVER_TIME = re.compile(r"server time: ?(\d{8}T\d{6}Z)")
_BUSY = 0.05


class Source(Protocol):
    """Where credentials come from. Hashable: equal sources share what they fetched."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in logs or errors."""
        ...

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Fetches a credential; `now` returns Unix seconds."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class _Fetch:
    """A fetch in progress, in the process `pid`."""

    pid: int


class Skew:
    """The seconds that a service is ahead of this machine's clock, shared by all threads."""

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self.seconds = 0.0

    def explains(self, ahead: float | None, assumed: float, service: str) -> bool:
        """Whether a signature failed because of the clock; if so, remembers the difference.

        :param ahead: seconds that the service reports to be ahead, `None` if it reports no time
        :param assumed: seconds that the signature was made with
        :param service: name of the service for the log
        """
        if ahead is None or abs(ahead - assumed) <= MAX_SKEW:
            return False
        with self._lock:
            if abs(ahead - self.seconds) > MAX_SKEW:  # else another flow has found out
                self.seconds = ahead
                _log.warning(
                    "This machine's clock is %.0f s %s that of %s, which refused the signature. "
                    "The request is signed again with the service's time. Set the clock.",
                    abs(ahead),
                    "behind" if ahead > 0 else "ahead of",
                    service,
                )
        return True


Authorise = Callable[[Credential, Request, float], Request]
"""Adds a credential to a request, at a Unix time."""


def _by_itself(credential: Credential, request: Request, at: float) -> Request:
    return credential.authorise(request, at)


class Identity:
    """One caller, shared by all threads and event loops of a process.

    The credential is fetched when it is first needed, and again shortly before it expires: once
    for all flows that wait for it.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.projects: dict[tuple[str, str], str] = {}
        self._lock = ProcessLock()
        self._lease: Lease | None = None
        self._renew_at = math.inf
        self._fetch: _Fetch | None = None
        self._skew = Skew()

    def copy(self) -> Identity:
        """Returns an independent identity with the same credential, projects and clock.

        Takes no lock and waits for no fetch, since the code that holds them may be interrupted.
        """
        other = Identity(self.source)
        other.projects.update(self.projects)
        other._lease, other._renew_at = self._lease, self._renew_at
        other._skew.seconds = self._skew.seconds
        return other

    def lease(self, now: Callable[[], float]) -> Flow[Lease]:
        """Returns a valid credential, which is fetched if necessary.

        Raises `NotSentError` if it cannot be fetched at the moment, `AuthenticationError` if the
        source refuses.
        """
        mine = _Fetch(os.getpid())
        try:
            while True:
                held, is_mine_to_fetch = self._claim(self._at(now), mine)
                if is_mine_to_fetch:
                    return (yield from self._fetched(held, now))
                if held is not None:
                    return held
                yield from sleep(_BUSY)
        finally:
            # Also after an interruption at any point since the claim: other flows wait for it.
            if self._fetch is mine:
                self._fetch = None

    def _claim(self, at: float, mine: _Fetch) -> tuple[Lease | None, bool]:
        """Returns the credential if it is valid, and whether the caller has to fetch a new one."""
        with self._lock:
            held = self._lease
            if held is not None and at < self._renew_at:
                return held, False
            # A fetch that a forked process inherited makes no progress there.
            is_free = self._fetch is None or self._fetch.pid != mine.pid
            if is_free:
                self._fetch = mine
            return held if held is not None and at < held.expires else None, is_free

    def _fetched(self, held: Lease | None, now: Callable[[], float]) -> Flow[Lease]:
        try:
            fresh = yield from self.source.fetch(now)
        except DliError as error:
            if held is not None:
                # Not at every call: each would wait for an unreachable source.
                self._renew_at = self._at(now) + PAUSE
                return held
            if not error.is_transient:
                raise
            raise NotSentError(f"Could not fetch a credential: {error}") from error
        with self._lock:
            left = max(fresh.expires - self._at(now), 0)
            self._lease, self._renew_at = fresh, fresh.expires - min(MARGIN, left / 10)
        return fresh

    def _at(self, now: Callable[[], float]) -> float:
        """Returns the time by the service's clock, as far as its offset is known."""
        return now() + self._skew.seconds

    def exchange(
        self,
        call: Call[T],
        unsigned: Request,
        now: Callable[[], float],
        caller: str = "",
        *,
        service: str = "the service",
        authorise: Authorise = _by_itself,
    ) -> Flow[T]:
        """Sends a call with the credential, and repeats it after a refusal that can be fixed.

        Two refusals can: for a clock that differs from the service's, and for a credential that
        the source can renew. Each is fixed once. A refused call was not carried out, so any call
        may be repeated. `service` is the name for the log, `authorise` adds the credential.
        """
        may_set_clock = may_renew = True
        lease = yield from self.lease(now)
        while True:
            skew = self._skew.seconds
            request = authorise(lease.credential, unsigned, now() + skew)
            response = yield from send(request)
            try:
                context = request_context(lease, self.source, request, now(), caller)
                return interpret(call, context, response)
            except (AuthenticationError, PermissionDeniedError) as error:
                if not is_of_credential(error, call):
                    raise
                # Named nowhere else: its traceback would keep this identity alive.
                theirs = plausible_time(_named_time(error.message)) or server_time(response)
                ahead = None if theirs is None else theirs - now()
                is_signed = lease.credential.is_signing
                if may_set_clock and is_signed and self._skew.explains(ahead, skew, service):
                    may_set_clock = False
                    continue
                fresh = (yield from self.renewed(lease, now)) if may_renew else None
                may_renew = False
                if fresh is None:
                    _add_expiry(error, lease)
                    raise
                lease = fresh

    def renewed(self, refused: Lease, now: Callable[[], float]) -> Flow[Lease | None]:
        """Replaces a refused credential; returns `None` if the source has no other.

        Raises the same errors as `lease`.
        """
        with self._lock:
            if self._lease is refused:
                self._lease = None
        try:
            fresh = yield from self.lease(now)
        except AuthenticationError as error:
            _add_expiry(error, refused)
            raise
        return None if fresh.credential == refused.credential else fresh


def is_of_credential(error: DliError, call: Call[Any]) -> bool:
    """Whether a call was or may have been refused because of the credential.

    The answer to a HEAD has no body, so its 403 may mean either.
    """
    if isinstance(error, PermissionDeniedError):
        return call.method == "HEAD" and not error.code
    return isinstance(error, AuthenticationError)


def request_context(
    lease: Lease, source: Source, request: Request, now: float, caller: str = ""
) -> RequestContext:
    """Returns what messages say about a request, with the secrets that an answer may repeat."""
    # A gateway that repeats what it was sent repeats the signature as well. It follows `Signature=`
    # in two of the forms, and `OBS key:` in the third.
    value = request.headers.get("Authorization", "").rpartition("Signature=")[2]
    signature = value.rpartition(":")[2] if value.startswith("OBS ") else value
    secrets = (*lease.credential.secrets, *source.secrets, signature)
    return RequestContext(request.asked, now, caller, secrets)


def _named_time(message: str) -> float | None:
    """Returns the gateway's time from its message about an expired signature."""
    found = _SERVER_TIME.search(message)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _add_expiry(refusal: DliError, lease: Lease) -> None:
    if lease.expires < math.inf:
        until = datetime.fromtimestamp(lease.expires, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        refusal.add_note(f"The credential was issued as valid until {until}.")


_identities: WeakValueDictionary[Source, Identity] = WeakValueDictionary()
_lock = ProcessLock()


def identity_of(source: Source) -> Identity:
    """Returns the identity of a source, one for the whole process."""
    with _lock:
        found = _identities.get(source)
        if found is None:
            found = _identities[source] = Identity(source)
        return found
