# SPDX-License-Identifier: Apache-2.0
"""What hooks on a connection of type `dli` have in common: account, client and transport."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

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
"""Seconds until a connection is read again that could not be read."""


class DliBaseHook(BaseHook):
    """One account of the cloud. Nothing is looked up or connected before a method is called.

    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param clock: tells the time and sleeps; a test may give its own
    """

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

    @cached_property
    def account(self) -> Account:
        """The connection as it was read: address, project, region, cloud."""
        return self._read_account()

    def _read_account(self) -> Account:
        connection = self.get_connection(self.dli_conn_id)
        account = account_from(connection, region=self._region, project_id=self._project_id)
        for secret in account.source.secrets:
            mask_secret(secret)
        return account

    @property
    def knows_account(self) -> bool:
        """Whether the connection was read: before that nothing can have been asked of DLI."""
        return "account" in self.__dict__

    @property
    def project_id(self) -> str:
        """The id of the project: of the connection, or looked up by the region."""
        return self.account.project_id or self._run(self._client.find_project())

    def now(self) -> float:
        """Give the Unix time by the hook's clock."""
        return self._clock.now()

    def _account_by_now(self) -> Account:
        """Read the connection again: somebody may have changed the keys."""
        account = self.__dict__["account"] = self._read_account()
        return account

    @cached_property
    def _client(self) -> Client:
        return Client(
            self.account,
            now=self._clock.now,
            pace=pace_of(self.account),
            log=self.log,
            reread=self._account_by_now,
            learn=mask_secret,
        )

    @cached_property
    def _transport(self) -> BlockingTransport:
        return self._new_transport()

    def _new_transport(self) -> BlockingTransport:
        # Imported here, so that a DAG file that imports the hook does not load requests.
        from airflow_provider_dli.transport.blocking import BlockingTransport

        return BlockingTransport(
            **self.account.network,
            sleep=self._clock.sleep,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection works, for the button of Airflow's UI.

        The text is what was reached as whom, or the first check that failed and what to do.
        """
        with self:
            report = self.diagnose()
        return report.is_well, report.summary

    def diagnose(self) -> Report:
        """Check connection, address, TLS, clock, credential, project and permission, in this order.

        Raises nothing for what is wrong with them: the report says it.
        """
        # Imported here, since DAGs do not need it.
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
            # A secrets backend may raise anything, in words that quote what it read.
            kind = f"It raised {type(error).__name__}."
            return unreadable(self.dli_conn_id, Cause.CONNECTION_UNREADABLE, kind)
        return self._run(diagnose(account, self._clock.now, mask_secret))

    def apart(self, network_timeout: float | None = None, *, within: float = 0.0) -> Self:
        """Returns a hook on the same account for when the code that uses this one was broken off.

        That code may be in the middle of anything: the other hook has connections, turns and a
        credential of its own, and waits for no lock that this one takes. It begins with what is
        known here. Where the connection was not read yet, raises what reading it raises.

        :param network_timeout: seconds to connect and between two bytes of an answer; ``None`` for
            those of the connection
        :param within: seconds for which to read the connection again and again, where a secrets
            backend fails
        """
        other = type(self)(
            self.dli_conn_id,
            region=self._region,
            project_id=self._project_id,
            clock=self._clock,
        )
        # Not `self.account` and `self._client`: before Python 3.12 all that is cached like them
        # waits for one lock.
        account = self.__dict__.get("account") or self._account_within(within)
        if network_timeout is not None:
            account = replace(
                account, connect_timeout=network_timeout, read_timeout=network_timeout
            )
        known = self.__dict__.get("_client")
        other.__dict__["account"] = account
        other.__dict__["_client"] = Client(
            account,
            now=self._clock.now,
            pace=Pace(),
            reread=other._account_by_now,
            # Nobody is told of secrets: the masker asks through the supervisor, as may the code
            # that was broken off. No message of the client shows them.
            own_identity=known.identity.copy() if known else Identity(account.source),
        )
        other.__dict__["_transport"] = other._new_transport()
        return other

    def _account_within(self, seconds: float) -> Account:
        end = self._clock.now() + seconds
        while True:
            try:
                return self._read_account()
            except DliError:
                raise  # what the connection says is wrong, and stays so
            except Exception:
                # A secrets backend may raise anything.
                if self._clock.now() + _READ_AGAIN > end:
                    raise
            self._clock.sleep(_READ_AGAIN)

    def close(self) -> None:
        """Close the connections; the next method opens new ones."""
        transport = self.__dict__.pop("_transport", None)
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

    def _run(self, flow: Flow[T]) -> T:
        return self._transport.run(flow)
