# SPDX-License-Identifier: Apache-2.0
"""What hooks on a connection of type `dli` have in common: account, client and transport."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.api.flows import Client
from airflow_provider_dli.api.pace import pace_of
from airflow_provider_dli.connection import account_from
from airflow_provider_dli.transport.clock import Clock, SystemClock

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.doctor.findings import Report
    from airflow_provider_dli.api.wire import Flow
    from airflow_provider_dli.transport.blocking import BlockingTransport

T = TypeVar("T")


class DliBaseHook(BaseHook):
    """One account of the cloud. Nothing is looked up or connected before a method is called.

    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param clock: tells the time and sleeps; a test may give its own
    """

    conn_name_attr = "dli_conn_id"
    default_conn_name = "dli_default"
    conn_type = "dli"
    hook_name = "Data Lake Insight (DLI)"

    def __init__(
        self,
        dli_conn_id: str = default_conn_name,
        *,
        region: str | None = None,
        project_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.dli_conn_id = dli_conn_id
        self._region = region
        self._project_id = project_id
        self._clock = clock or SystemClock()

    @cached_property
    def account(self) -> Account:
        """The connection as it was read: address, project, region, cloud."""
        connection = self.get_connection(self.dli_conn_id)
        account = account_from(connection, region=self._region, project_id=self._project_id)
        for secret in account.source.secrets:
            mask_secret(secret)
        return account

    @property
    def project_id(self) -> str:
        """The id of the project: of the connection, or looked up by the region."""
        return self.account.project_id or self._run(self._client.find_project())

    def now(self) -> float:
        """Give the Unix time by the hook's clock."""
        return self._clock.now()

    def _account_by_now(self) -> Account:
        """Read the connection again: somebody may have changed the keys."""
        self.__dict__.pop("account", None)
        return self.account

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

    def apart(self, network_timeout: float | None = None) -> Self:
        """Give a hook on the same account with connections of its own.

        :param network_timeout: seconds to connect and between two bytes of an answer; ``None`` for
            those of the connection
        """
        other = type(self)(
            self.dli_conn_id,
            region=self._region,
            project_id=self._project_id,
            clock=self._clock,
        )
        account = self.account
        if network_timeout is not None:
            account = replace(
                account, connect_timeout=network_timeout, read_timeout=network_timeout
            )
        other.__dict__["account"] = account
        # What the client here has learned need not be told again: whoever is told may be waiting
        # for the very code that was broken off.
        reread = other._account_by_now
        other.__dict__["_client"] = replace(self._client, account=account, reread=reread)
        return other

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
