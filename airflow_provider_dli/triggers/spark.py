# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for a Spark job, and cancels the job when somebody ends its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggers.base import WaitTrigger, load_modules
from airflow_provider_dli.triggers.ended_task import is_still_deferred, noting_ctrl_c, uncancelled
from airflow_provider_dli.triggers.events import ended_event
from airflow_provider_dli.triggers.task_log import task_log

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.jobs.driver_log import DriverLog
    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.wait import JobWait
    from airflow_provider_dli.api.protocol.client import Client
    from airflow_provider_dli.api.protocol.wire import Flow
    from airflow_provider_dli.hooks.progress import JobProgress

LAST_READ = 20.0
"""Seconds that reading the end of the driver's log may take: many waits may end at once."""

KILL_TIME = 28.0
"""Seconds for `on_kill` to cancel a job and to look at it: Airflow allows thirty."""

CANCEL_TIME = 10.0
"""Seconds of these that are left for the cancel when the connection could not be read before."""

CONNECT_PAUSE = 3.0
"""Seconds at most between two tries to read the connection meanwhile."""


class SparkBatchTrigger(WaitTrigger):
    """Waits until a Spark job has ended; all waits of a triggerer on one account share their polls.

    It yields one event: a dictionary with ``batch_id`` and ``status`` ``ended`` and the job as
    ``batch``, or ``failed`` with the error. From Airflow 3.3 on it cancels the job when somebody
    marks or clears the task; the end of a triggerer cancels nothing.

    :param batch_id: id of the job
    :param is_new: this try submitted it; repeated in the event
    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param deadline: Unix seconds at which the wait ends; survives a restart of the triggerer
    :param max_unknown_time: seconds for which DLI may be unavailable, the job be absent, or its
        state be unknown
    :param limit: where the deadline comes from, ``timeout`` or ``execution_timeout``
    :param auto_recovery: DLI restarts the job when its driver fails
    :param driver_log: write the driver's log into the task's while the job runs
    :param cancel_on_kill: cancel the job when somebody ends the task
    :param started: Unix seconds at which the try of the task began; repeated in the event
    :param looked: the worker had an answer of DLI before, so that an error which would otherwise
        fail the first look is waited out
    :param silent_fail: continue after an error that a poking sensor with ``silent_fail`` ignores
    """

    batch_id: str = ""
    is_new: bool = True
    auto_recovery: bool = False
    driver_log: bool = True
    cancel_on_kill: bool = True
    started: float | None = None

    last_read: ClassVar[float] = LAST_READ

    def _event_fields(self) -> dict[str, Any]:
        return {"batch_id": self.batch_id, "is_new": self.is_new, "started": self.started}

    async def _wait(self, now: Callable[[], float]) -> dict[str, Any]:
        from airflow_provider_dli.api.jobs.driver_log import DriverLog
        from airflow_provider_dli.api.jobs.wait import JobWait
        from airflow_provider_dli.hooks.progress import JobProgress
        from airflow_provider_dli.triggers.account import wait_on_account

        progress = JobProgress(task_log, now)
        wait = JobWait(
            checks.stored_name("batch_id", self.batch_id),
            checks.boolean("auto_recovery", self.auto_recovery),
            observe=progress,
            trouble=progress.trouble,
            **self._wait_arguments(),
        )
        # One for the whole wait, also where the account changes: it knows what was read.
        recovers = wait.auto_recovery
        lines = DriverLog(wait.batch_id, auto_recovery=recovers) if self.driver_log else None
        watch = partial(self._watch, wait, progress, lines, now)
        with noting_ctrl_c(self) as was_pressed:
            try:
                return ended_event(await wait_on_account(self, watch, wait, now))
            except asyncio.CancelledError:
                if was_pressed() and self.cancel_on_kill:
                    task_log.warning("Interrupted: cancelling Spark job %s.", self.batch_id)
                    await self.on_kill()
                raise

    async def _watch(
        self,
        wait: JobWait,
        progress: JobProgress,
        lines: DriverLog | None,
        now: Callable[[], float],
        account: Account,
    ) -> SparkBatch:
        """Returns the job when it has ended; follows its log meanwhile, and to the end."""
        from airflow_provider_dli.triggerer import sharing

        wait.project = account.project
        if lines is None:
            return await sharing.watch_job(account, wait, now=now)

        def follow(client: Client) -> Flow[None]:
            return progress.follow(lines, client.once)

        async def read() -> None:
            if progress.may_have_log:
                await sharing.run_serially(account, follow)

        async def read_repeatedly() -> None:
            while True:
                await sharing.pause(self.poll_interval)
                await read()

        # The connections are needed once more when the wait is over.
        async with sharing.keep_open(account):
            following = asyncio.ensure_future(read_repeatedly())
            try:
                batch = await sharing.watch_job(account, wait, now=now)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            # Not the same for every wait: hundreds of events at once would hold up the loop.
            seconds = self.last_read * (1 - wait.jitter() / 2)
            try:
                async with asyncio.timeout(seconds):
                    await read()
            except TimeoutError:
                task_log.info("Could not read the end of the driver log in time. DLI has it.")
        return batch

    async def on_kill(self) -> None:
        """Cancel the job: somebody marked or cleared the task.

        Airflow 3.3 cancels this method itself after a second, again and again, and calls it also
        for running jobs of a triggerer that was blocked.
        """
        if self.cancel_on_kill:
            await uncancelled(self._cancel_job())

    async def _cancel_job(self) -> None:
        await load_modules()
        from airflow_provider_dli.api.jobs.cancelling import cancel
        from airflow_provider_dli.triggerer import sharing
        from airflow_provider_dli.triggers.account import ConnectionWait, with_account

        now = steady()
        end = now() + KILL_TIME
        if await is_still_deferred(getattr(self, "task_instance", None), self.batch_id):
            task_log.warning(
                "Not cancelling Spark job %s: its task is still deferred, so another triggerer "
                "waits for it.",
                self.batch_id,
            )
            return
        task_log.info("The task was marked or cleared: cancelling Spark job %s.", self.batch_id)

        async def cancel_on(account: Account) -> SparkBatch | None:
            flow = partial(cancel, batch_id=self.batch_id, seconds=end - now())
            return await sharing.run(account, flow, now=now)

        connecting = ConnectionWait(
            deadline=end - CANCEL_TIME,
            poll_interval=CONNECT_PAUSE,
            trouble=partial(task_log.warning, "%s Trying again."),
        )
        try:
            last = await with_account(self, cancel_on, connecting, now)
        except DliError as error:
            task_log.warning("Could not cancel Spark job %s: %s", self.batch_id, error)
        else:
            state = "unknown to DLI" if last is None else last.raw_state
            task_log.info("Cancelled Spark job %s; its state is %s", self.batch_id, state)
