# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for a Spark job, and cancels it when somebody ends its task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger

from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggers.base import (
    ConnectionWait,
    DliTrigger,
    TaskLog,
    event_of,
    loaded,
    task_log,
)
from airflow_provider_dli.triggers.interrupts import ctrl_c

if TYPE_CHECKING:
    from airflow.triggers.base import TriggerEvent

    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.jobs.driver_log import DriverLog
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.wait import JobWait
    from airflow_provider_dli.api.protocol.client import Client
    from airflow_provider_dli.api.protocol.wire import Flow
    from airflow_provider_dli.hooks.progress import JobProgress

LAST_READ = 20.0
"""Seconds for which the end of the driver's log is waited for at most: many may ask at once."""

VERIFY_FOR = 20.0
"""Seconds for which a cancelled job is looked at."""


KILL_TIME = 28.0
"""Seconds for which it is tried to cancel a job whose task was ended: Airflow gives thirty."""

CONNECT_PAUSE = 3.0
"""Seconds at most between two tries to read the connection meanwhile."""


class SparkBatchTrigger(DliTrigger, BaseTrigger):
    """Wait until a Spark job has ended; all waits of a triggerer on one account share their polls.

    It gives one event: a dictionary with ``batch_id`` and ``status`` ``ended`` and the job as
    ``batch``, or ``failed`` with what `restored` makes an
    error of. From Airflow 3.3 on it cancels the job when somebody marks or clears the task; the
    end of a triggerer cancels nothing.

    :param batch_id: id of the job
    :param is_new: this try submitted it; goes into the event
    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param deadline: Unix seconds at which the wait ends; survives a restart of the triggerer
    :param max_unknown_time: seconds for which DLI may be out of reach, the job be absent, or its
        state be a word that nobody knows
    :param limit: what the deadline comes from, ``timeout`` or ``execution_timeout``
    :param auto_recovery: the job is started again when its driver fails
    :param driver_log: write the driver's log into the task's while the job runs
    :param cancel_on_kill: cancel the job when somebody ends the task
    :param started: Unix seconds at which the try of the task began; goes into the event
    :param looked: the worker had a good answer of DLI before, so that an error which would fail
        the first look at once is waited out
    :param silent_fail: go on after an error that a poking sensor with ``silent_fail`` bears
    """

    fields: ClassVar[dict[str, Any]] = {
        "batch_id": None,
        "is_new": True,
        "dli_conn_id": "dli_default",
        "region": None,
        "project_id": None,
        "poll_interval": 10.0,
        "deadline": None,
        "max_unknown_time": MAX_UNKNOWN_TIME,
        "limit": "timeout",
        "auto_recovery": False,
        "driver_log": True,
        "cancel_on_kill": True,
        "started": None,
        "looked": False,
        "silent_fail": False,
    }
    last_read: ClassVar[float] = LAST_READ
    batch_id: Any
    is_new: Any
    poll_interval: Any
    deadline: Any
    max_unknown_time: Any
    limit: Any
    auto_recovery: Any
    driver_log: Any
    cancel_on_kill: Any
    started: Any
    looked: Any

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Give the one event."""
        await loaded()
        from airflow_provider_dli.hooks.progress import JobProgress

        now = steady()
        try:
            progress = JobProgress(task_log, now)
            wait = self._wait(progress)
            # One for the whole wait, also where the account changes: it knows what was read.
            lines = self._lines()
            ended = partial(self._until_ended, wait, progress, lines, now)
            act = partial(self._uninterrupted, ended, wait, now)
            batch = await self._in_spite_of_errors(act, wait, now)
        except DliError as error:
            outcome = {"status": "failed", "limit": self.limit, **error.as_dict()}
        else:
            outcome = {"status": "ended", "batch": batch.as_dict()}
        await TaskLog.written()
        kept = {"batch_id": self.batch_id, "is_new": self.is_new, "started": self.started}
        yield event_of({**kept, **outcome})

    async def _uninterrupted(
        self,
        act: Callable[[Account], Awaitable[SparkBatch]],
        wait: JobWait,
        now: Callable[[], float],
    ) -> SparkBatch:
        """Wait; Ctrl-C on `airflow dags test`, which runs the trigger itself, counts as a kill."""
        with ctrl_c(self) as is_pressed:
            try:
                return await self.on_account(act, wait, now)
            except asyncio.CancelledError:
                if is_pressed() and self.cancel_on_kill:
                    task_log.warning("Interrupted: Spark job %s is being cancelled.", self.batch_id)
                    await self.on_kill()
                raise

    def _lines(self) -> DriverLog | None:
        from airflow_provider_dli.api.jobs.driver_log import DriverLog

        if not self.driver_log:
            return None
        return DriverLog(self.batch_id, auto_recovery=bool(self.auto_recovery))

    def _wait(self, progress: JobProgress) -> JobWait:
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.jobs.wait import JobWait

        self.warn_of_unknown_fields()
        return JobWait(
            checks.stored_name("batch_id", self.batch_id),
            checks.boolean("auto_recovery", self.auto_recovery),
            observe=progress,
            deadline=None if self.deadline is None else checks.seconds("deadline", self.deadline),
            poll_interval=checks.seconds("poll_interval", self.poll_interval),
            max_unknown_time=checks.seconds("max_unknown_time", self.max_unknown_time),
            looked=bool(self.looked),
            trouble=progress.trouble,
        )

    async def _until_ended(
        self,
        wait: JobWait,
        progress: JobProgress,
        lines: DriverLog | None,
        now: Callable[[], float],
        account: Account,
    ) -> SparkBatch:
        from airflow_provider_dli.triggerer import sharing

        wait.project = account.project
        if lines is None:
            return await sharing.watch_job(account, wait, now=now)
        # The end of the log is read when the wait is over.
        async with sharing.keep_open(account):
            return await self._with_log(wait, progress, lines, now, account)

    async def _with_log(
        self,
        wait: JobWait,
        progress: JobProgress,
        lines: DriverLog,
        now: Callable[[], float],
        account: Account,
    ) -> SparkBatch:
        from airflow_provider_dli.triggerer import sharing

        def ask(client: Client) -> Flow[None]:
            return progress.follow(lines, client.once)

        read = partial(sharing.run_serially, account, ask)
        following = asyncio.ensure_future(self._follow(progress, read))
        try:
            batch = await sharing.watch_job(account, wait, now=now)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if progress.may_have_log:
            # Not as long for everybody: hundreds of events in one moment would hold up the loop.
            seconds = self.last_read * (1 - wait.jitter() / 2)
            try:
                async with asyncio.timeout(seconds):
                    await read()
            except TimeoutError:
                task_log.info("The end of the driver's log was not read in time; DLI has it.")
        return batch

    async def _follow(self, progress: JobProgress, read: Callable[[], Awaitable[None]]) -> None:
        from airflow_provider_dli.triggerer import sharing

        while True:
            await sharing.pause(self.poll_interval)
            if progress.may_have_log:
                await read()

    async def on_kill(self) -> None:
        """Cancel the job: somebody marked or cleared the task.

        Airflow 3.3 cancels this very method after a second, again and again, and calls it also on
        healthy jobs of a triggerer that stood still.
        """
        if self.cancel_on_kill:
            await _to_its_end(self._cancel())

    async def _cancel(self) -> None:
        await loaded()
        from airflow_provider_dli.triggers.ownership import is_still_deferred

        now = steady()
        end = now() + KILL_TIME
        if await is_still_deferred(getattr(self, "task_instance", None), self.batch_id):
            task_log.warning(
                "Spark job %s is not cancelled: its task is still deferred, so another triggerer "
                "waits for it.",
                self.batch_id,
            )
            return
        task_log.info(
            "The task was marked or cleared: Spark job %s, for which it waited, is cancelled.",
            self.batch_id,
        )
        connecting = ConnectionWait(
            deadline=end - VERIFY_FOR / 2,
            poll_interval=CONNECT_PAUSE,
            trouble=partial(task_log.warning, "%s It is tried again."),
        )
        try:
            last = await self.on_account(partial(self._cancelled, end, now), connecting, now)
        except DliError as error:
            task_log.warning("Spark job %s could not be cancelled: %s", self.batch_id, error)
        else:
            state = "unknown to DLI" if last is None else last.raw_state
            task_log.info("Spark job %s was cancelled, and is %s", self.batch_id, state)

    async def _cancelled(
        self, end: float, now: Callable[[], float], account: Account
    ) -> SparkBatch | None:
        from airflow_provider_dli.api.jobs.cancelling import cancel
        from airflow_provider_dli.triggerer import sharing

        seconds = min(VERIFY_FOR, end - now())
        return await sharing.run(
            account, lambda client: cancel(client, self.batch_id, seconds=seconds), now=now
        )


async def _to_its_end(act: Awaitable[None]) -> None:
    """Await something to its end, however often this is cancelled meanwhile."""
    task = asyncio.ensure_future(act)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    task.result()
