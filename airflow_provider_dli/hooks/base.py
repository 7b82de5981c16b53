# SPDX-License-Identifier: Apache-2.0
"""What all hooks on a connection of type `dli` share: the account, the client, the transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.identity import Identity
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.api.protocol.pace import Pace, pace_of
from airflow_provider_dli.connection import account_from
from airflow_provider_dli.transport.clock import Clock, SystemClock

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.doctor.findings import Report
    from airflow_provider_dli.api.protocol.wire import Flow
    from airflow_provider_dli.transport.blocking import BlockingTransport

T = TypeVar("T")

_READ_AGAIN = 0.4
"""Seconds until a connection that could not be read is tried again."""


class DliBaseHook(BaseHook):
    """A hook for one account. Nothing is looked up or connected before a method is called.

    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param clock: source of time and sleep; tests may pass their own
    """

    # What is made on first use is kept without a lock. A `cached_property` holds one before Python
    # 3.12, and a task that is killed must not wait for code that it interrupted.

    conn_name_attr = "dli_conn_id"
    default_conn_name = checks.DEFAULT_CONN_ID
    conn_type = "dli"
    hook_name = "Data Lake Insight (DLI)"

    def __init__(
        self,
        dli_conn_id: str | None = default_conn_name,
        *,
        region: str | None = None,
        project_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.dli_conn_id = checks.conn_id(dli_conn_id)
        self._region = region
        self._project_id = project_id
        self._clock = clock or SystemClock()
        self._account: Account | None = None
        self._made: dict[str, Any] = {}

    @property
    def account(self) -> Account:
        """The connection as it was read: address, project, region, cloud."""
        return self._account or self._read_account()

    def _read_account(self) -> Account:
        """Reads the connection, also if it was read before: its keys may have changed."""
        connection = self.get_connection(self.dli_conn_id)
        account = account_from(connection, region=self._region, project_id=self._project_id)
        for secret in account.source.secrets:
            mask_secret(secret)
        self._account = account
        return account

    @property
    def knows_account(self) -> bool:
        """Whether the connection was read. Before that, no request can have been sent."""
        return self._account is not None

    @property
    def project_id(self) -> str:
        """The project id of the connection, or the one that was looked up for the region."""
        return self.account.project_id or self._run(self._client.find_project())

    def now(self) -> float:
        """Returns the Unix time of the hook's clock."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Sleeps by the hook's clock."""
        self._clock.sleep(seconds)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """Returns what is made on first use; threads that make it at once share the first one."""
        made: T | None = self._made.get(name)
        return self._made.setdefault(name, make()) if made is None else made

    @property
    def _client(self) -> Client:
        return self._once("client", self._new_client)

    def _new_client(self) -> Client:
        return Client(
            self.account,
            now=self._clock.now,
            pace=pace_of(self.account),
            log=self.log,
            reread=self._read_account,
            learn=mask_secret,
        )

    def _run(self, flow: Flow[T]) -> T:
        return self._once("transport", self._new_transport).run(flow)

    def _new_transport(self) -> BlockingTransport:
        # Imported here so that a DAG file that imports the hook does not load requests.
        from airflow_provider_dli.transport.blocking import BlockingTransport

        return BlockingTransport(**self.account.network, sleep=self._clock.sleep)

    def test_connection(self) -> tuple[bool, str]:
        """Returns whether the connection works, for the *Test* button of Airflow's UI.

        The text names what was reached and as whom, or the first check that failed and what to do.
        """
        with self:
            report = self.diagnose()
        return report.is_well, report.summary

    def diagnose(self) -> Report:
        """Checks connection, address, TLS, clock, credential, project and permission, in order.

        Problems with any of them are in the report; they are not raised.
        """
        # Imported here since DAGs do not need it.
        from airflow_provider_dli.api.doctor.causes import Cause
        from airflow_provider_dli.api.doctor.diagnosis import diagnose
        from airflow_provider_dli.api.doctor.findings import unreadable

        try:
            account = self.account
        except InputError as error:
            return unreadable(self.dli_conn_id, Cause.CONNECTION_WRONG, f"{error}.")
        except AirflowNotFoundException:
            asked = f"It was asked for {self.dli_conn_id!r}."
            return unreadable(self.dli_conn_id, Cause.CONNECTION_MISSING, asked)
        except Exception as error:
            # A secrets backend may raise anything, and its text may quote what it read.
            kind = f"It raised {type(error).__name__}."
            return unreadable(self.dli_conn_id, Cause.CONNECTION_UNREADABLE, kind)
        return self._run(diagnose(account, self._clock.now, mask_secret))

    def apart(self, network_timeout: float | None = None, *, within: float = 0.0) -> Self:
        """Returns a hook on the same account to use after code that uses this one was interrupted.

        That code may have stopped anywhere, even while it held a lock. So the new hook has its own
        connections, pace and credential, and waits for no lock of this one. It starts with what
        this hook knows. If the connection was not read yet, raises whatever reading it raises.

        :param network_timeout: seconds to connect and between two bytes of an answer; ``None`` for
            the values of the connection
        :param within: seconds for which to retry reading the connection if a secrets backend fails
        """
        other = type(self)(
            self.dli_conn_id,
            region=self._region,
            project_id=self._project_id,
            clock=self._clock,
        )
        account = self._account or self._account_within(within)
        if network_timeout is not None:
            account = replace(
                account, connect_timeout=network_timeout, read_timeout=network_timeout
            )
        known: Client | None = self._made.get("client")
        other._account = account
        other._made["client"] = Client(
            account,
            now=self._clock.now,
            pace=Pace(),
            reread=other._read_account,
            # No `learn`: the secrets masker asks through the supervisor, as the interrupted code
            # may have done. None of the client's messages shows a secret.
            own_identity=known.identity.copy() if known else Identity(account.source),
        )
        return other

    def _account_within(self, seconds: float) -> Account:
        end = self._clock.now() + seconds
        while True:
            try:
                return self._read_account()
            except DliError:
                raise  # a value of the connection is wrong, and reading it again does not help
            except Exception:
                # A secrets backend may raise anything.
                if self._clock.now() + _READ_AGAIN > end:
                    raise
            self._clock.sleep(_READ_AGAIN)

    def close(self) -> None:
        """Closes the connections. The next method opens new ones."""
        transport = self._made.pop("transport", None)
        if transport is not None:
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
