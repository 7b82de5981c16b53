# SPDX-License-Identifier: Apache-2.0
"""Who signs for OBS: the keys of an account as they are now, and what follows their refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import Lease, Token
from airflow_provider_dli.api.access.identity import Identity, Source, identity_of
from airflow_provider_dli.api.access.skew import Skew
from airflow_provider_dli.api.access.sources import Password, TokenKeys
from airflow_provider_dli.api.errors import AuthenticationError, InputError
from airflow_provider_dli.api.locks import ProcessLock
from airflow_provider_dli.api.wire import Flow

T = TypeVar("T")


class Run(Protocol):
    """Carries out a flow."""

    def __call__(self, flow: Flow[T]) -> T:
        """Give its result."""
        ...


class Signatory:
    """One caller of OBS for all threads of a hook; only one of them fetches at a time.

    `run` carries out what asks for credentials, `now` gives Unix seconds, `reread` the account as
    it is by now; `learn` is told what no log may show.
    """

    def __init__(
        self,
        account: Account,
        *,
        run: Run,
        now: Callable[[], float],
        reread: Callable[[], Account],
        learn: Callable[[str], None],
    ) -> None:
        self._run = run
        self._now = now
        self._reread = reread
        self._learn = learn
        self._lock = ProcessLock()
        self._lease: Lease | None = None
        self.skew = Skew("OBS")
        self._be(account)

    def _be(self, account: Account) -> None:
        source = _signing(account)
        self.account, self.source = account, source
        self._identity: Identity = identity_of(source)

    def lease(self) -> Lease:
        """Give the keys, fetched if need be; raises as `Identity.lease` does."""
        with self._lock:
            return self._current()

    def mended(self, refused: Lease, tried: set[str]) -> Lease | None:
        """Give other keys after a refusal, if there are some by now, and note what was tried."""
        with self._lock:
            if "fetched" not in tried:
                tried.add("fetched")
                fresh = self._renewed(refused)
                if fresh is not None:
                    return self._known(fresh)
            if "reread" not in tried and self._is_reread():
                tried.add("reread")
                return self._current()
        return None

    def _current(self) -> Lease:
        try:
            lease = self._run(self._identity.lease(self._now))
        except AuthenticationError:
            if not self._is_reread():
                raise
            lease = self._run(self._identity.lease(self._now))
        return self._known(lease)

    def _renewed(self, refused: Lease) -> Lease | None:
        try:
            return self._run(self._identity.renewed(refused, self._now))
        except AuthenticationError:
            if not self._is_reread():
                raise
            return self._current()

    def _known(self, lease: Lease) -> Lease:
        if lease is not self._lease:
            self._lease = lease
            for secret in lease.credential.secrets:
                self._learn(secret)
        return lease

    def _is_reread(self) -> bool:
        """Whether the connection says something else by now."""
        account = self._reread()
        if account.source == self.account.source:
            return False
        self._be(account)
        return True


def _signing(account: Account) -> Source:
    """Give where keys come from: OBS takes no tokens."""
    if not isinstance(account.source, Password | Token):
        return account.source
    if account.iam_origin is None:
        rule = "a token cannot sign for OBS; give it, or cloud and region, so that IAM gives keys"
        raise InputError(f"connection {account.conn_id!r}: iam_endpoint", None, rule)
    return TokenKeys(account.iam_origin, account.source)
