# SPDX-License-Identifier: Apache-2.0
"""Sources that fetch credentials: a password, the agency of a machine, another account's agency.

Keys and tokens of a connection are sources of themselves: see `AccessKey` and `Token`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_provider_dli.api.access import iam
from airflow_provider_dli.api.access.auth import AccessKey, Lease
from airflow_provider_dli.api.access.identity import Identity, Source, identity_of
from airflow_provider_dli.api.protocol.answers import RequestContext, interpret
from airflow_provider_dli.api.protocol.errors import AnswerError, AnswerLostError
from airflow_provider_dli.api.protocol.wire import Call, Flow, send

T = TypeVar("T")

METADATA = "http://169.254.169.254"
"""The address of the metadata service on every machine of the cloud."""

SESSION_LIMIT = 3.0
"""Seconds to wait for a session with the metadata service, which is on the same machine. In a
container the answer may never arrive, since it may not pass another hop; requests without a session
still work there."""

_NO_SESSIONS = {404, 405, 503}
_SESSION_NEEDED = {401, 403}


@dataclass(frozen=True, slots=True)
class Password:
    """Name and password of an IAM user, exchanged for a token for one project.

    `origin` is the address of IAM. The project is selected by its id, or else by its name.
    """

    origin: str
    user: str
    password: str = field(repr=False)
    account: str
    project_id: str | None = None
    project_name: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password."""
        return (self.password,)

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Fetches a token."""
        if self.project_id is not None:
            project = {"id": self.project_id}
        else:
            project = {"name": self.project_name or ""}
        call = iam.token(self.user, self.password, self.account, project)
        return (yield from _ask(call, self.origin, now, self.secrets))


@dataclass(frozen=True, slots=True)
class Metadata:
    """The agency bound to this machine, whose metadata service issues temporary keys."""

    origin: str = METADATA
    secrets = ()

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Fetches keys, within a session if the service supports sessions and answers in time."""
        session, lost = yield from self._session(now)
        secrets = (session,) if session else ()
        call = iam.metadata_key(session)
        try:
            return (yield from _ask(call, self.origin, now, secrets, direct=True))
        except AnswerError as error:
            if lost is None or error.status not in _SESSION_NEEDED:
                raise
            # Sessions are required, and another try may get one.
            raise lost from error

    def _session(self, now: Callable[[], float]) -> Flow[tuple[str | None, AnswerLostError | None]]:
        """Returns a session, or the error that leaves open whether sessions are supported."""
        call = iam.metadata_session()
        try:
            session = yield from _ask(call, self.origin, now, direct=True, limit=SESSION_LIMIT)
        except AnswerLostError as error:
            return None, error
        except AnswerError as error:
            if error.status not in _NO_SESSIONS:
                raise
            return None, None
        return session, None


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency that `account` created for the account of the keys; IAM issues temporary keys.

    `origin` is the address of IAM, `seconds` the lifetime of the keys: 900 to 86,400.
    """

    origin: str
    keys: AccessKey
    agency: str
    account: str
    seconds: int = 3600
    # Kept here, so that the offset of the clock is still known at the next fetch.
    _caller: Identity = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_caller", identity_of(self.keys))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys."""
        return self.keys.secrets

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Fetches keys for the agency."""
        call = iam.agency_key(self.agency, self.account, self.seconds)
        asked = iam.request(call, self.origin)
        return (yield from self._caller.exchange(call, asked, now, f"address {self.origin}"))


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Temporary keys for a token, for services that accept only signatures, such as OBS.

    `origin` is the address of IAM, `tokens` the source of the token, `seconds` the lifetime of the
    keys.
    """

    origin: str
    tokens: Source
    seconds: int = 3600
    # Kept here, so that it is the token that calls to DLI use.
    _caller: Identity = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_caller", identity_of(self.tokens))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of the token's source."""
        return self.tokens.secrets

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        """Exchanges the token for keys."""
        call = iam.token_key(self.seconds)
        asked = iam.request(call, self.origin)
        return (yield from self._caller.exchange(call, asked, now, f"address {self.origin}"))


def _ask(
    call: Call[T],
    origin: str,
    now: Callable[[], float],
    secrets: tuple[str, ...] = (),
    *,
    direct: bool = False,
    limit: float | None = None,
) -> Flow[T]:
    asked = iam.request(call, origin, direct=direct)
    response = yield from send(asked, limit)
    return interpret(
        call, RequestContext(asked.asked, now(), f"address {origin}", secrets), response
    )
