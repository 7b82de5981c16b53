# SPDX-License-Identifier: Apache-2.0
"""What operators and sensors share: the connection, its hook, and the limits of a wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import DliError, InputError

if TYPE_CHECKING:
    from airflow_provider_dli.hooks.dli import DliHook

GRACE = timedelta(minutes=2)
"""How long after its deadline a deferred task waits for an event. After that, no triggerer runs."""


@contextmanager
def no_retry_of_wrong_input() -> Iterator[None]:
    """Fails the task without a retry when its input is wrong: the next try would fail the same way.

    Decorates `execute` and `execute_complete`, or wraps a block inside of them.
    """
    try:
        yield
    except InputError as error:
        raise AirflowFailException(str(error)) from error


class DliTask(BaseOperator):
    """A task on a connection of type ``dli``; the base of all operators and sensors.

    :meta private:
    """

    def __init__(
        self, *, dli_conn_id: str, region: str | None, project_id: str | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    @property
    def connection_arguments(self) -> dict[str, Any]:
        """The arguments by which hooks and triggers use the connection of the task."""
        return {
            "dli_conn_id": self.dli_conn_id,
            "region": self.region,
            "project_id": self.project_id,
        }

    @cached_property
    def hook(self) -> DliHook:
        """The hook on the task's connection."""
        # Imported when the task runs, so that parsing a DAG loads no client.
        from airflow_provider_dli.hooks.dli import DliHook

        return DliHook(**self.connection_arguments)

    def project_and_region(self) -> dict[str, str | None]:
        """Returns `project_id` and `region` for the XCom value of a task that has succeeded.

        A field that cannot be looked up is `None`, with a warning: it must not fail a success.
        """
        return {
            "project_id": self._look_up("project_id", lambda: self.hook.project_id),
            "region": self._look_up("region", lambda: self.hook.account.region),
        }

    def _look_up(self, field: str, read: Callable[[], str | None]) -> str | None:
        try:
            return read()
        except DliError as error:
            reason = str(error)
        except Exception as error:
            # A secrets backend may raise anything, and its message may quote what it read.
            reason = f"the connection cannot be read ({type(error).__name__})."
        self.log.warning("The XCom value has no %s, because the look-up failed: %s", field, reason)
        return None


class TimeLimits:
    """When a wait that begins at `now` has to end: by its own timeout or by the task's.

    Airflow does not enforce `execution_timeout` while a task is deferred, so the wait does.
    `started` is the Unix time at which the task began; `execution_timeout` counts from then, and
    `timeout` from `now`. `deadline` and `backstop` are `None` when there is no limit.
    """

    def __init__(
        self,
        execution_timeout: timedelta | None,
        timeout: float | None,
        *,
        now: float,
        started: float,
    ) -> None:
        task = execution_timeout.total_seconds() if execution_timeout else float("inf")
        left = max(task - (now - started), 0.0)
        own = float("inf") if timeout is None else timeout
        seconds = min(left, own)
        is_endless = seconds == float("inf")
        self.limit = "execution_timeout" if left < own else "timeout"
        self.deadline = None if is_endless else now + seconds
        self.backstop = None if is_endless else timedelta(seconds=seconds) + GRACE

    @property
    def trigger_arguments(self) -> dict[str, Any]:
        """The arguments of a trigger that ends its wait in time."""
        return {"deadline": self.deadline, "limit": self.limit}


class WaitOperator(DliTask):
    """An operator that starts something and waits for it, in the worker or in the triggerer.

    :meta private:
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool,
        poll_interval: float,
        timeout: float | None,
        max_unknown_time: float,
        deferrable: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable

    def check_wait_arguments(self, *, may_be_endless: bool = False) -> None:
        """Raises `InputError` when an argument of the wait is wrong."""
        for field in ("wait_for_completion", "deferrable"):
            checks.boolean(field, getattr(self, field))
        for field in ("poll_interval", "max_unknown_time"):
            checks.seconds(field, getattr(self, field))
        if not (may_be_endless and self.timeout is None):
            checks.seconds("timeout", self.timeout)

    def time_limits(self, started: float) -> TimeLimits:
        """Returns the limits of a wait that begins now, in a task that began at `started`."""
        now = self.hook.now()
        return TimeLimits(self.execution_timeout, self.timeout, now=now, started=started)

    def trigger_arguments(self, limits: TimeLimits) -> dict[str, Any]:
        """Returns the arguments that the triggers of all waits take from the operator."""
        return {
            **self.connection_arguments,
            **limits.trigger_arguments,
            "poll_interval": self.poll_interval,
            "max_unknown_time": self.max_unknown_time,
            "looked": True,
        }
