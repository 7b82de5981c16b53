# SPDX-License-Identifier: Apache-2.0
"""Who calls: a source of credentials, what it gave last, and what is done when that is refused."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from airflow_provider_dli.api.access.auth import Credential, Lease
from airflow_provider_dli.api.access.skew import Skew
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
"""Seconds before its end at which a credential is fetched anew. The metadata service has a new one
ten minutes before; of a short life it is a tenth."""

PAUSE = 30.0
"""Seconds until the next try, where a fetch failed and the credential at hand is still good."""

_SERVER_TIME = re.compile(r"server time: ?(\d{8}T\d{6}Z)")
_BUSY = 0.05


class Source(Protocol):
    """Where a credential comes from. Hashable: equal sources share what they fetched."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        ...

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Get a credential; `now` gives Unix seconds."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class _Fetch:
    """A fetch that is going on, in this process."""

    pid: int


Authorise = Callable[[Credential, Request, float], Request]
"""Puts a credential on a request, at a Unix time."""


def _by_itself(credential: Credential, request: Request, at: float) -> Request:
    return credential.authorise(request, at)


class Identity:
    """One caller, the same for all threads and event loops of a process.

    The credential is fetched when it is wanted first and again shortly before it ends, once for all
    who wait for it.
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
        """Returns another identity that knows what this one does.

        Takes no lock and waits for no fetch: whoever began one may have been broken off.
        """
        other = Identity(self.source)
        other.projects.update(self.projects)
        other._lease, other._renew_at = self._lease, self._renew_at
        other._skew.seconds = self._skew.seconds
        return other

    def lease(self, now: Callable[[], float]) -> Flow[Lease]:
        """Give the credential, fetched if need be.

        Raises `NotSentError` where it cannot be fetched for now, `AuthenticationError` where the
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
            # Also where this was broken off at any point since the claim: others wait for it.
            if self._fetch is mine:
                self._fetch = None

    def _claim(self, at: float, mine: _Fetch) -> tuple[Lease | None, bool]:
        """Give what is good enough at this time, and whether the caller has to fetch the next."""
        with self._lock:
            held = self._lease
            if held is not None and at < self._renew_at:
                return held, False
            # A fetch that a forked process inherited is not going on there.
            is_free = self._fetch is None or self._fetch.pid != mine.pid
            if is_free:
                self._fetch = mine
            return held if held is not None and at < held.expires else None, is_free

    def _fetched(self, held: Lease | None, now: Callable[[], float]) -> Flow[Lease]:
        try:
            fresh = yield from self.source.fetch(now)
        except DliError as error:
            if held is not None:
                # Not again at every call: each would wait for a source that is out of reach.
                self._renew_at = self._at(now) + PAUSE
                return held
            if not error.is_transient:
                raise
            raise NotSentError(f"There is no credential to ask with: {error}") from error
        with self._lock:
            left = max(fresh.expires - self._at(now), 0)
            self._lease, self._renew_at = fresh, fresh.expires - min(MARGIN, left / 10)
        return fresh

    def _at(self, now: Callable[[], float]) -> float:
        """Give the time on the service's clock, as far as that is known."""
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
        """Send a call with the credential, and once more after a refusal that can be mended.

        That is a clock that differs from the service's, and a credential that can be fetched anew.
        A refused call was not carried out, so that any may be sent again. `service` is its name for
        the log, `authorise` puts the credential on the request.
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
        """Give what comes in place of a refused credential, if anything does.

        Raises as `lease` does.
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
    """Whether a call was refused, or may have been, for who asked and not for what.

    The answer to a HEAD says nothing but 403.
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
    """Read the gateway's own time out of its refusal of an expired signature."""
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
        refusal.add_note(f"The credential was said to be valid until {until}.")


_identities: WeakValueDictionary[Source, Identity] = WeakValueDictionary()
_lock = ProcessLock()


def identity_of(source: Source) -> Identity:
    """Give the identity of a source, the same to everybody in this process."""
    with _lock:
        found = _identities.get(source)
        if found is None:
            found = _identities[source] = Identity(source)
        return found
