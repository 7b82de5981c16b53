# SPDX-License-Identifier: Apache-2.0
"""What the triggers have in common: fields that are declared once, and a log beside the loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.triggers.base import TriggerEvent

from airflow_provider_dli.api.protocol.errors import AuthenticationError, DliError, NotSentError
from airflow_provider_dli.api.protocol.wait import LAST_LOOK, Wait
from airflow_provider_dli.triggerer.loop import SharedAnswers

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.protocol.log import Log

T = TypeVar("T")

_log = logging.getLogger(__name__)

# One thread that writes log lines: on Airflow 3.3 each goes through a socket to the supervisor, and
# with hundreds of waits that would hold up the loop.
_pen = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dli-log")


AT_ONCE, PAUSE = 5, 0.001
"""Lines that the thread writes at once, and the seconds in which it then leaves the loop alone."""

_nothing = threading.Event()

# Handed over together: with thousands at once, each on its own would wake the thread each time.
_lines: deque[Callable[[], object]] = deque()
_is_writing = False
_handing_over = threading.Lock()


class TaskLog:
    """Logs in a thread, in the order of the lines and in the context of their task."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def info(self, event: Any, *args: Any) -> None:
        """Log a line."""
        _hand_over(self._log.info, event, args)

    def warning(self, event: Any, *args: Any) -> None:
        """Log a warning."""
        _hand_over(self._log.warning, event, args)

    @staticmethod
    async def written() -> None:
        """Wait until the lines so far are written."""
        await asyncio.get_running_loop().run_in_executor(_pen, int)


def _hand_over(write: Callable[..., object], event: Any, args: tuple[Any, ...]) -> None:
    global _is_writing
    with _handing_over:
        _lines.append(partial(contextvars.copy_context().run, write, event, *args))
        is_first, _is_writing = not _is_writing, True
    if is_first:
        _pen.submit(_write)


def _next_line() -> Callable[[], object] | None:
    global _is_writing
    with _handing_over:
        # Told under the lock: a line that comes now must not wait for the one after it.
        _is_writing = bool(_lines)
        return _lines.popleft() if _lines else None


def _write() -> None:
    for number in count(1):
        line = _next_line()
        if line is None:
            return
        try:
            line()
        except Exception:
            _log.debug("A line of the log could not be written.", exc_info=True)
        if number % AT_ONCE == 0:
            # Only one thread of Python works at a time: the loop has its turn.
            _nothing.wait(PAUSE)


task_log = TaskLog(_log)


def event_of(payload: dict[str, Any]) -> TriggerEvent:
    """Give the event that tells this."""
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow does not type it


# What a wait needs, from the small to the large. Airflow reads connections with asgiref.
_NEEDED = (
    "airflow_provider_dli.hooks.progress",
    "airflow_provider_dli.sensors.outcomes",
    "airflow_provider_dli.api.checks",
    "airflow_provider_dli.api.packages.wait",
    "airflow_provider_dli.api.jobs.driver_log",
    "airflow_provider_dli.api.jobs.wait",
    "airflow_provider_dli.api.jobs.cancelling",
    "airflow_provider_dli.triggers.ownership",
    "asgiref.sync",
    "aiohttp",
    "airflow_provider_dli.triggerer.sharing",
    "airflow_provider_dli.triggerer.accounts",
)
_loading: SharedAnswers[str, bool] = SharedAnswers()
_loaded = False


async def loaded() -> None:
    """Import what a wait needs, in a thread: on the loop it would hold up everybody else."""
    global _loaded
    if not _loaded:
        _loaded = await _loading.ask("modules", partial(asyncio.to_thread, _load))


def _load() -> bool:
    for name in _NEEDED:
        import_module(name)
    return True


class ConnectionWait(Wait):
    """For how long a connection may not be readable, where nothing else limits that."""

    @property
    def title(self) -> str:
        """What is waited for, in a sentence."""
        return "the connection"

    def timed_out(self) -> DliError:
        """Return what kept the connection from being read."""
        return self.last_error or DliError("There was no time to read the connection.")


class DliTrigger:
    """A trigger whose fields are declared once: taken by the constructor, given by `serialize`.

    A row that another version of this package wrote may have fields too many or too few.
    """

    fields: ClassVar[dict[str, Any]]
    dli_conn_id: str
    region: Any
    project_id: Any
    silent_fail: Any = False

    def __init__(self, **values: Any) -> None:
        super().__init__()
        for name, default in self.fields.items():
            setattr(self, name, values.get(name, default))
        self.unknown_fields = sorted(values.keys() - self.fields.keys())

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the path of the class and its fields, which are flat JSON and hold no secret."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.fields}

    def warn_of_unknown_fields(self) -> None:
        """Say in the log what another version wrote that this one does not know."""
        if self.unknown_fields:
            task_log.warning("Not known to this version: %s", ", ".join(self.unknown_fields))

    async def _in_spite_of_errors(
        self, act: Callable[[], Awaitable[T]], wait: Wait, now: Callable[[], float]
    ) -> T:
        """Await a wait; with `silent_fail` again after each error that such a sensor bears."""
        from airflow_provider_dli.sensors.outcomes import is_borne_silently
        from airflow_provider_dli.triggerer import sharing

        while True:
            try:
                return await act()
            except DliError as error:
                if not (self.silent_fail and is_borne_silently(error)):
                    raise
                task_log.warning("The wait goes on, since silent_fail is set: %s", error)
            wait.expire(now())
            left = math.inf if wait.deadline is None else wait.deadline - now()
            await sharing.pause(min(wait.poll_interval, left))

    async def account(self) -> Account:
        """Read the connection.

        Raises `InputError` where it is wrong, and `NotSentError` where it could not be read.
        """
        from airflow_provider_dli.triggerer.accounts import account_of

        return await account_of(self.dli_conn_id, self.region, self.project_id)

    async def on_account(
        self, act: Callable[[Account], Awaitable[T]], wait: Wait, now: Callable[[], float]
    ) -> T:
        """Do what an account is needed for, anew when the connection says something else by now.

        A connection that cannot be read is trouble that may pass, and `wait` tells for how long.
        """
        account = await self._account(wait, now)
        while True:
            try:
                return await act(account)
            except AuthenticationError:
                refused, account = account, await self._account(wait, now)
                if account.source == refused.source:
                    raise

    async def _account(self, wait: Wait, now: Callable[[], float]) -> Account:
        from airflow_provider_dli.triggerer import sharing
        from airflow_provider_dli.triggerer.accounts import unreadable

        while True:
            seconds = max(wait.max_unknown_time, LAST_LOOK)
            if wait.deadline is not None:
                seconds = min(seconds, max(wait.deadline - now(), LAST_LOOK))
            try:
                async with asyncio.timeout(seconds):
                    return await self.account()
            except TimeoutError:
                error = unreadable(self.dli_conn_id, "no answer")
            except NotSentError as failure:
                error = failure
            wait.on_error(error, now())
            await sharing.pause(wait.next_look(now()) - now())
