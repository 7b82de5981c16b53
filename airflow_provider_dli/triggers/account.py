# SPDX-License-Identifier: Apache-2.0
"""The account of a trigger's connection, which is read again where that may help."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.protocol.errors import AuthenticationError, DliError, NotSentError
from airflow_provider_dli.api.protocol.wait import LAST_LOOK, Wait
from airflow_provider_dli.triggerer import sharing
from airflow_provider_dli.triggerer.accounts import account_of, unreadable
from airflow_provider_dli.triggers.outcomes import is_ignored_silently
from airflow_provider_dli.triggers.task_log import task_log

if TYPE_CHECKING:
    from airflow_provider_dli.triggers.base import DliTrigger, WaitTrigger

T = TypeVar("T")


class ConnectionWait(Wait):
    """How long a connection may be unreadable, where no other wait limits that."""

    @property
    def title(self) -> str:
        """What is waited for, in a sentence."""
        return "the connection"

    def timed_out(self) -> DliError:
        """Returns the error that kept the connection from being read."""
        return self.last_error or DliError("There was no time to read the connection.")


async def wait_on_account(
    trigger: WaitTrigger,
    use: Callable[[Account], Awaitable[T]],
    wait: Wait,
    now: Callable[[], float],
) -> T:
    """Returns what `use` returns for the trigger's account.

    With `silent_fail` it is repeated after each error that such a sensor ignores.
    """
    while True:
        try:
            return await with_account(trigger, use, wait, now)
        except DliError as error:
            if not (trigger.silent_fail and is_ignored_silently(error)):
                raise
            task_log.warning("The wait continues, since silent_fail is set: %s", error)
        wait.expire(now())
        left = math.inf if wait.deadline is None else wait.deadline - now()
        await sharing.pause(min(wait.poll_interval, left))


async def with_account(
    trigger: DliTrigger,
    use: Callable[[Account], Awaitable[T]],
    wait: Wait,
    now: Callable[[], float],
) -> T:
    """Returns what `use` returns for the trigger's account.

    When DLI refuses the credential, the connection is read again, and `use` is repeated if that has
    changed. `wait` decides for how long the connection may be unreadable.
    """
    account = await _read_account(trigger, wait, now)
    while True:
        try:
            return await use(account)
        except AuthenticationError:
            refused, account = account, await _read_account(trigger, wait, now)
            if account.source == refused.source:
                raise


async def _read_account(trigger: DliTrigger, wait: Wait, now: Callable[[], float]) -> Account:
    while True:
        seconds = max(wait.max_unknown_time, LAST_LOOK)
        if wait.deadline is not None:
            seconds = min(seconds, max(wait.deadline - now(), LAST_LOOK))
        try:
            async with asyncio.timeout(seconds):
                return await account_of(trigger.dli_conn_id, trigger.region, trigger.project_id)
        except TimeoutError:
            error = unreadable(trigger.dli_conn_id, "no answer")
        except NotSentError as failure:
            error = failure
        wait.on_error(error, now())
        await sharing.pause(wait.next_look(now()) - now())
