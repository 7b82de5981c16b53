# SPDX-License-Identifier: Apache-2.0
"""The Spark jobs of one account: submit, look, read the log, wait, cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME
from airflow_provider_dli.hooks.base import DliBaseHook
from airflow_provider_dli.hooks.progress import JobProgress

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.driver_log import DriverLog
    from airflow_provider_dli.api.jobs.models import BatchLog, SparkBatch
    from airflow_provider_dli.api.jobs.spark_job import SparkJob
    from airflow_provider_dli.api.jobs.submission import Submission
    from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError
    from airflow_provider_dli.api.protocol.wire import Flow

VERIFY_FOR = 60.0
"""Seconds for which a cancelled job is looked at, until it has ended."""


class DliBatchHook(DliBaseHook):
    """Spark batch jobs of Data Lake Insight; a part of ``DliHook``.

    :meta private:
    """

    def submit_batch(
        self,
        job: SparkJob,
        *,
        is_first: bool = True,
        known_id: str | None = None,
        earlier: Sequence[str] = (),
    ) -> Submission:
        """Submit a Spark job, or take over the one that bears its name; does not wait.

        The name has to be the job's own: an active job of that name is taken for this one. When the
        answer is lost the job is looked for by its name; the submission is never sent again
        blindly. Raises ``SparkBatchAmbiguousError`` where several jobs of the name are active, and
        ``SparkBatchLostError`` where nobody can tell whether it was submitted.

        :param job: what is to run, with a name
        :param is_first: no job of this name can have been submitted before; otherwise one that
            succeeded is taken over, too
        :param known_id: id of the job that was submitted before, where it is known
        :param earlier: other names under which the job may have been submitted
        """
        from airflow_provider_dli.api.jobs.submission import SubmitRequest, submit

        if not job.name:
            raise InputError("name", job.name, "give the job a name of its own")
        for warning in self._warnings(job):
            self.log.warning(warning)
        wanted = SubmitRequest(job.as_wire(), is_first, known_id, tuple(earlier), self._look_for)
        # Looked up first: once the job is submitted nothing may fail before the caller has its id.
        project_id = self.project_id
        done = self._run(submit(self._client, wanted))
        self.log.info(
            "%s Spark job %s (%s) on queue %s of project %s",
            "Submitted" if done.is_new else "Reconnected to",
            done.batch.id,
            job.name,
            done.batch.queue or job.queue,
            project_id,
        )
        return done

    def _warnings(self, job: SparkJob) -> tuple[str, ...]:
        today = datetime.fromtimestamp(self.now(), UTC).date()
        ended = job.engine and job.engine.support_warning(self.account.cloud, today)
        return (*job.warnings, ended) if ended else job.warnings

    def _look_for(self, lost: DliError) -> None:
        self.log.warning(
            "The submission had no usable answer; the job is looked for by its name, and not "
            "submitted again: %s",
            lost,
        )

    def wait_for_batch(
        self,
        batch_id: str,
        *,
        poll_interval: float = 10.0,
        timeout: float | None = None,
        max_unknown_time: float = MAX_UNKNOWN_TIME,
        auto_recovery: bool = False,
        driver_log: Callable[[str], object] | bool = True,
    ) -> SparkBatch:
        """Wait until a job has ended, well or not, and give it.

        Raises ``SparkBatchTimeoutError`` when time is up, and ``SparkBatchLostError`` for a job
        that nobody knows any more.

        :param batch_id: id of the job
        :param poll_interval: seconds between two looks; the first ones come sooner
        :param timeout: seconds; ``None`` for no end
        :param max_unknown_time: seconds for which DLI may be out of reach, the job be absent, or
            its state be a word that nobody knows
        :param auto_recovery: the job is started again when its driver fails
        :param driver_log: write the driver's log into this one while the job runs, or give what
            takes each of its lines
        """
        from airflow_provider_dli.api.jobs.driver_log import DriverLog
        from airflow_provider_dli.api.jobs.wait import JobWait

        progress = self.batch_progress()
        until = None if timeout is None else self._clock.now() + checks.seconds("timeout", timeout)
        wait = JobWait(
            batch_id,
            auto_recovery,
            project=self.account.project,
            observe=progress,
            deadline=until,
            poll_interval=checks.seconds("poll_interval", poll_interval),
            max_unknown_time=checks.seconds("max_unknown_time", max_unknown_time),
            looked=self._client.has_answered,
            trouble=progress.trouble,
        )
        lines = DriverLog(batch_id, auto_recovery=auto_recovery) if driver_log else None
        take = driver_log if callable(driver_log) else None

        def follow() -> Flow[None]:
            if lines is not None and progress.may_have_log:
                yield from progress.follow(lines, self._client.once, take)

        return self._run(self._client.wait_for(wait, calls.show(batch_id), follow))

    def batch_progress(self) -> JobProgress:
        """Give an observer that logs each change of a job's state, for code that polls itself."""
        return JobProgress(self.log, self._clock.now)

    def list_batches(
        self, *, name: str | None = None, queue: str | None = None, state: str | None = None
    ) -> tuple[SparkBatch, ...]:
        """List Spark jobs, also those that have ended, as long as DLI keeps them.

        :param name: only jobs of this name
        :param queue: only jobs of this queue
        :param state: only jobs that the service has in this state, such as ``running``
        """
        return self._run(calls.every(self._client.perform, name=name, queue=queue, state=state))

    def get_batch(self, batch_id: str) -> SparkBatch:
        """Show one Spark job, with what it was submitted with.

        :param batch_id: id of the job, as the listing gives it
        """
        return self._run(self._client.perform(calls.show(batch_id)))

    def get_batch_log(
        self,
        batch_id: str,
        *,
        start: int | None = None,
        size: int | None = None,
        index: int | None = None,
    ) -> BatchLog:
        """Read the log of a job's driver; the last 100 lines where nothing else is asked for.

        :param batch_id: id of the job
        :param start: number of the first line, from 0 on
        :param size: how many lines at most
        :param index: which run of the driver, from 0 on, of a job that was started again
        """
        call = calls.log(batch_id, start=start, size=size, index=index)
        return self._run(self._client.perform(call))

    def read_batch_log(self, log: DriverLog) -> list[str]:
        """Read what is new in the log of a job's driver, through all its runs; empty for nothing.

        :param log: ``DriverLog(batch_id)``, which knows what was read before
        """
        return self._run(log.read(self._client.perform))

    def explain_batch(self, batch: SparkBatch) -> SparkBatchFailedError:
        """Say why a job is dead, as far as the log of its driver tells; raises nothing for that.

        :param batch: a job that has ended without success
        """
        from airflow_provider_dli.api.access import consoles
        from airflow_provider_dli.api.jobs.driver_log import last_lines
        from airflow_provider_dli.api.jobs.symptoms import explain

        lines: list[str] = []
        page = None
        try:
            page = consoles.job_page(self.account, batch.id)
            lines = self._run(last_lines(self._client.perform, batch.id))
        except DliError as error:
            self.log.warning("The log of Spark job %s cannot be read: %s", batch.id, error)
        except Exception as unreadable:
            # A secrets backend may raise anything, in words that quote what it read.
            kind = type(unreadable).__name__
            self.log.warning("The connection cannot be read for the log of the job (%s).", kind)
        return explain(batch.id, batch.raw_state, lines, page)

    def cancel_batch(self, batch_id: str, *, seconds: float = VERIFY_FOR) -> SparkBatch | None:
        """Cancel a job and look until it has ended; gives the last look, ``None`` when absent.

        A job that has ended already, or that DLI does not know, counts as done. What is given may
        still be active after ``seconds``: look at its state.

        :param batch_id: id of the job
        :param seconds: how long to look
        """
        last = self.cancel_batches([batch_id], seconds=seconds)[batch_id]
        if isinstance(last, DliError):
            raise last
        return last

    def cancel_batches(
        self, batch_ids: Sequence[str], *, seconds: float = VERIFY_FOR
    ) -> dict[str, SparkBatch | DliError | None]:
        """Cancel several jobs, all before the first look, then look until each has ended.

        Returns for each id the last look at the job as :meth:`cancel_batch` does, or why it could
        not be cancelled or looked at; one that cannot keeps nobody from the others.

        :param batch_ids: ids of the jobs
        :param seconds: how long to look, at all of them together
        """
        from airflow_provider_dli.api.jobs.cancelling import cancel_all

        outcomes = self._run(cancel_all(self._client, batch_ids, seconds=seconds))
        for batch_id, outcome in outcomes.items():
            if not isinstance(outcome, DliError):
                self._log_cancel(batch_id, outcome, seconds)
        return outcomes

    def _log_cancel(self, batch_id: str, last: SparkBatch | None, seconds: float) -> None:
        if last is None:
            self.log.info("Spark job %s: DLI does not know it, so nothing runs", batch_id)
        elif last.is_terminal:
            self.log.info("Spark job %s has ended: %s", batch_id, last.raw_state)
        else:
            self.log.warning(
                "Spark job %s was cancelled, but %.0f s later it is still %s",
                batch_id,
                seconds,
                last.raw_state or "in no state",
            )

    def cancel_batches_named(
        self, *names: str, seconds: float = VERIFY_FOR, late: float = 0.0
    ) -> list[str]:
        """Cancel the active jobs of some names, and give the ids of those that still run.

        Raises why one of them could not be cancelled, when all were asked to be.

        :param names: names of jobs, each the job's own
        :param seconds: how long to look, at all of them together
        :param late: for how many seconds to look for one that is only just being submitted
        """
        from airflow_provider_dli.api.jobs.cancelling import active_of

        active = self._run(active_of(self._client, names, seconds=late))
        running = []
        for last in self.cancel_batches(active, seconds=seconds).values():
            if isinstance(last, DliError):
                raise last
            if last is not None and not last.is_terminal:
                running.append(last.id)
        return running
