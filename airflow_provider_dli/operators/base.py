# SPDX-License-Identifier: Apache-2.0
"""What the operators and sensors have in common: the hook on their connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

if TYPE_CHECKING:
    from airflow_provider_dli.api.protocol.log import Log
    from airflow_provider_dli.hooks.dli import DliHook


@contextmanager
def no_retry_of_wrong_input() -> Iterator[None]:
    """End the task without a retry where its input is wrong: the next try would fail alike.

    Decorates `execute` and `execute_complete`, or is a block inside of them.
    """
    from airflow_provider_dli.api.protocol.errors import InputError

    try:
        yield
    except InputError as error:
        raise AirflowFailException(str(error)) from error


class DliHookMixin:
    """Gives a task with ``dli_conn_id``, ``region`` and ``project_id`` its hook."""

    dli_conn_id: str
    region: str | None
    project_id: str | None

    @cached_property
    def hook(self) -> DliHook:
        """The hook on the task's connection."""
        # Imported when it runs, so that parsing a DAG loads no client.
        from airflow_provider_dli.hooks.dli import DliHook

        return DliHook(self.dli_conn_id, region=self.region, project_id=self.project_id)

    def project_and_region(self, log: Log) -> dict[str, str | None]:
        """Returns `project_id` and `region` for the XCom value of a task that has succeeded.

        A success is known by then, and must not fail over a field: what cannot be looked up is
        `None`, with a warning.
        """
        return {
            "project_id": _looked_up("project_id", lambda: self.hook.project_id, log),
            "region": _looked_up("region", lambda: self.hook.account.region, log),
        }


def _looked_up(field: str, look: Callable[[], str | None], log: Log) -> str | None:
    from airflow_provider_dli.api.protocol.errors import DliError

    try:
        return look()
    except DliError as error:
        reason = str(error)
    except Exception as error:
        # A secrets backend may raise anything, in words that quote what it read.
        reason = f"the connection cannot be read ({type(error).__name__})."
    log.warning("The task goes on without its %s, since the look-up failed: %s", field, reason)
    return None
