# SPDX-License-Identifier: Apache-2.0
"""The hook on DLI: packages and Spark jobs, with one method for each thing a DAG author does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access import consoles
from airflow_provider_dli.api.jobs import calls as job_calls
from airflow_provider_dli.api.jobs.calls import VERIFY_FOR
from airflow_provider_dli.api.jobs.cancelling import active_of, cancel_all
from airflow_provider_dli.api.jobs.causes import explain
from airflow_provider_dli.api.jobs.driver_log import DriverLog, last_lines
from airflow_provider_dli.api.jobs.models import BatchLog, SparkBatch
from airflow_provider_dli.api.jobs.submission import Submission, SubmitRequest, submit
from airflow_provider_dli.api.jobs.wait import JobWait
from airflow_provider_dli.api.packages import calls, flows
from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageListing
from airflow_provider_dli.api.packages.readiness import ABSENT, Verdict, judge
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.errors import (
    DliError,
    InputError,
    PackageGroupExistsError,
    SparkBatchFailedError,
)
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME, Subscriber
from airflow_provider_dli.api.protocol.wire import Call, Flow
from airflow_provider_dli.hooks.base import DliBaseHook
from airflow_provider_dli.hooks.progress import GroupProgress, JobProgress

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.spark_job import SparkJob

F = TypeVar("F")

_LOST_ANSWER = (
    "The submission got no usable answer. The job is looked up by its name, and not submitted "
    "again: %s"
)


class DliHook(DliBaseHook):
    """Packages and Spark jobs of Data Lake Insight on Huawei Cloud or Open Telekom Cloud.

    Nothing is looked up or connected before the first method is called. Methods raise
    ``InputError`` for invalid values before any request is sent, and the other errors of
    ``airflow_provider_dli.exceptions`` for what came back.

    .. code-block:: python

        @task
        def show(group: str) -> dict:
            found = DliHook().get_package_group(group)
            return found.as_dict() if found else {}

    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param clock: source of time and sleep; tests may pass their own
    """

    # In this class, since Airflow does not look for these two in a base class.
    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Returns the form for Airflow before 3.2; later versions read the provider's info."""
        from airflow_provider_dli.connection_form import widgets

        return widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Returns labels and hidden fields for Airflow before 3.2."""
        from airflow_provider_dli.connection_form import behaviour

        return behaviour()

    def upload_package_group(
        self,
        paths: Sequence[str],
        group: str | None = None,
        kind: str = "file",
        is_async: bool = True,
        tags: calls.Tags | None = None,
        *,
        if_exists: calls.IfExists = "replace",
    ) -> PackageGroup:
        """Uploads OBS objects as packages in one call, into a group or without one.

        Does not wait: see :meth:`wait_until_ready`. If the answer is lost, the listing is read
        before the upload is sent again.

        :param paths: OBS objects, ``https://bucket.obs.region.host/key`` or ``obs://bucket/key``
        :param group: name of the group; ``None`` uploads packages that belong to no group
        :param kind: ``jar``, ``pyFile``, ``file`` (also for a mixture) or ``modelFile``
        :param is_async: have DLI answer at once and continue the upload in the background
        :param tags: ``{"key": "value"}`` or ``[{"key": …, "value": …}]``
        :param if_exists: ``replace`` always uploads; ``skip`` does not if every package exists and
            none is FAILED; ``fail`` raises ``PackageGroupExistsError`` if the group, or a package
            without a group, exists
        """
        checks.choice("if_exists", if_exists, get_args(calls.IfExists))
        account = self.account
        call = calls.upload(
            paths,
            kind,
            group=group,
            is_async=is_async,
            tags=tags,
            cloud=account.cloud,
            region=account.region,
        )
        return self._upload(call, paths, group, if_exists)

    def upload_jars(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Uploads JAR packages into a group, synchronously (``POST …/resources/jars``)."""
        return self._upload_typed(paths, "jar", group)

    def upload_pyfiles(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Uploads Python packages into a group, synchronously (``POST …/resources/pyfiles``)."""
        return self._upload_typed(paths, "pyFile", group)

    def upload_files(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Uploads plain files into a group, synchronously (``POST …/resources/files``)."""
        return self._upload_typed(paths, "file", group)

    def _upload_typed(self, paths: Sequence[str], kind: str, group: str) -> PackageGroup:
        account = self.account
        call = calls.upload_typed(paths, kind, group, cloud=account.cloud, region=account.region)
        return self._upload(call, paths, group, "replace")

    def _upload(
        self,
        call: Call[PackageGroup],
        paths: Sequence[str],
        group: str | None,
        if_exists: calls.IfExists,
    ) -> PackageGroup:
        urls = self.package_names(paths)
        where = "the packages without a group" if group is None else f"package group {group!r}"
        found = None if if_exists == "replace" else self._run(flows.find(self._client, group, urls))
        if found is not None and found.packages:
            if if_exists == "fail":
                raise PackageGroupExistsError(
                    f"{where} exists already ({judge(found)}) and if_exists is 'fail': "
                    "use another name, or 'replace' or 'skip', or delete it first"
                )
            readiness = judge(found, urls)
            if readiness.verdict is not Verdict.FAILED and ABSENT not in readiness.states.values():
                self.log.info("Not uploaded, %s has: %s", where, ", ".join(urls))
                return found
        self.log.info(
            "Uploading to %s of project %s: %s", where, self.project_id, ", ".join(urls.values())
        )
        return self._run(flows.upload(self._client, call, group, tuple(urls)))

    def wait_until_ready(
        self,
        group: str | None,
        packages: Sequence[str],
        *,
        poll_interval: float = 10.0,
        timeout: float = 1800.0,
        max_unknown_time: float = MAX_UNKNOWN_TIME,
    ) -> PackageGroup:
        """Waits until every one of `packages` is READY, and returns the group.

        Raises ``PackageGroupFailedError`` for a package that is FAILED, missing or deleted, and
        ``PackageGroupTimeoutError`` when the time is up.

        :param group: name of the group; ``None`` for packages that belong to no group
        :param packages: names of the packages, as :meth:`package_names` returns them
        :param poll_interval: seconds between two polls; the first ones come sooner
        :param timeout: seconds
        :param max_unknown_time: seconds for which the listing may be unreachable, a package absent,
            or its state unknown
        """
        names = checks.package_names(packages)
        progress = self.state_log()
        wait = GroupWait(
            group,
            names,
            deadline=self._clock.now() + checks.seconds("timeout", timeout),
            poll_interval=checks.seconds("poll_interval", poll_interval),
            max_unknown_time=checks.seconds("max_unknown_time", max_unknown_time),
            accepted=True,
            looked=self._client.has_answered,
            observe=progress,
            trouble=progress.trouble,
        )
        ready = self._run(flows.until_ready(self._client, wait))
        self.log.info("READY after %.1f s: %s", progress.seconds, ", ".join(packages))
        return ready

    def package_names(self, paths: Sequence[str]) -> dict[str, str]:
        """Returns the package name of each OBS object, with the HTTPS address of the object."""
        urls = checks.paths(paths, self.account.cloud, self.account.region)
        return {checks.package_name(url): url for url in urls}

    def list_packages(self, kind: str | None = None, tags: str | None = None) -> PackageListing:
        """Lists every group and package that this user may see, of one kind or all.

        :param tags: text for the service's tag filter, whose format is not documented
        """
        return self._run(self._client.perform(calls.listing(kind, tags)))

    def get_package(self, name: str, group: str | None = None) -> Package:
        """Returns one package, of a group or of none; raises ``NotFoundError`` if it is absent."""
        return self._run(self._client.perform(calls.show(name, group)))

    def get_package_group(self, group: str, kind: str | None = None) -> PackageGroup | None:
        """Returns a group, with its packages of one kind or all; ``None`` if it is absent.

        DLI has no call for one group: this reads the listing of all packages.
        """
        return self._run(flows.find(self._client, checks.stored_name("group", group), kind=kind))

    def delete_package(self, name: str, group: str | None = None) -> None:
        """Deletes one package, of a group or of none; raises ``NotFoundError`` if it is absent."""
        self._run(flows.delete(self._client, name, group))

    def delete_package_group(
        self, group: str, packages: Collection[str] | None = None
    ) -> tuple[str, ...]:
        """Deletes a group's packages one by one and returns the names that were deleted.

        Absent packages, or an absent group, count as deleted.

        :param packages: names of the packages to delete; ``None`` for all
        """
        if isinstance(packages, str):
            raise InputError("packages", packages, "give a list of package names")
        checks.stored_name("group", group)
        # Kept, since an iterator can be read only once.
        names = packages if packages is None else tuple(packages)
        for name in names or ():
            checks.stored_name("packages", name)
        deleted = self._run(flows.delete_group(self._client, group, names))
        self.log.info("Deleted of package group %r: %s", group, ", ".join(deleted) or "nothing")
        return deleted

    def change_package_owner(
        self, new_owner: str, group: str | None = None, name: str | None = None
    ) -> None:
        """Transfers a group, a package of it, or one without a group to another IAM user."""
        self._run(self._client.perform(calls.change_owner(new_owner, group, name)))

    def submit_batch(
        self,
        job: SparkJob,
        *,
        is_first: bool = True,
        known_id: str | None = None,
        earlier: Sequence[str] = (),
    ) -> Submission:
        """Submits a Spark job, or reconnects to the active job of its name; does not wait.

        The name must be unique to the job: an active job of that name is taken for this one. If the
        answer is lost, the job is looked up by its name; the submission is never sent again
        blindly. Raises ``SparkBatchAmbiguousError`` if several jobs of the name are active, and
        ``SparkBatchLostError`` if it cannot be known whether the job was submitted.

        :param job: the job to run, with a name
        :param is_first: no job of this name can have been submitted before; if false, a job of the
            name that succeeded is reconnected to as well
        :param known_id: id of the job that was submitted before, if known
        :param earlier: other names under which the job may have been submitted
        """
        if not job.name:
            raise InputError("name", job.name, "give the job a name of its own")
        today = datetime.fromtimestamp(self.now(), UTC).date()
        for warning in job.warnings_on(self.account.cloud, today):
            self.log.warning(warning)
        on_lost = partial(self.log.warning, _LOST_ANSWER)
        request = SubmitRequest(job.as_wire(), is_first, known_id, tuple(earlier), on_lost)
        # Looked up first: once the job is submitted nothing may fail before the caller has its id.
        project_id = self.project_id
        submitted = self._run(submit(self._client, request))
        self.log.info(
            "%s Spark job %s (%s) on queue %s of project %s",
            "Submitted" if submitted.is_new else "Reconnected to",
            submitted.batch.id,
            job.name,
            submitted.batch.queue or job.queue,
            project_id,
        )
        return submitted

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
        """Waits until a job has ended, successfully or not, and returns it.

        Raises ``SparkBatchTimeoutError`` when the time is up, and ``SparkBatchLostError`` for a job
        that DLI no longer knows.

        :param batch_id: id of the job
        :param poll_interval: seconds between two polls; the first ones come sooner
        :param timeout: seconds; ``None`` for no limit
        :param max_unknown_time: seconds for which DLI may be unreachable, the job absent, or its
            state unknown
        :param auto_recovery: DLI restarts the job when its driver fails
        :param driver_log: whether to write the driver's log to the task log while the job runs, or
            a function that is called with each of its lines
        """
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

        return self._run(self._client.wait_for(wait, job_calls.show(batch_id), follow))

    def list_batches(
        self, *, name: str | None = None, queue: str | None = None, state: str | None = None
    ) -> tuple[SparkBatch, ...]:
        """Lists Spark jobs, including those that have ended, for as long as DLI keeps them.

        With arguments only jobs of that name, queue or state, such as ``running``.
        """
        return self._run(job_calls.every(self._client.perform, name=name, queue=queue, state=state))

    def get_batch(self, batch_id: str) -> SparkBatch:
        """Returns one Spark job, with the request that submitted it."""
        return self._run(self._client.perform(job_calls.show(batch_id)))

    def get_batch_log(
        self,
        batch_id: str,
        *,
        start: int | None = None,
        size: int | None = None,
        index: int | None = None,
    ) -> BatchLog:
        """Returns lines of the log of a job's driver; by default the last 100.

        :param batch_id: id of the job
        :param start: number of the first line, counted from 0
        :param size: maximum number of lines
        :param index: which run of the driver, counted from 0, if the job was restarted
        """
        call = job_calls.log(batch_id, start=start, size=size, index=index)
        return self._run(self._client.perform(call))

    def read_batch_log(self, log: DriverLog) -> list[str]:
        """Returns the new lines of a driver's log; ``DriverLog(batch_id)`` keeps what was read."""
        return self._run(log.read(self._client.perform))

    def explain_batch(self, batch: SparkBatch) -> SparkBatchFailedError:
        """Returns the error for a job that failed, with the cause as its driver's log shows it."""
        lines: list[str] = []
        page = None
        try:
            page = consoles.job_page(self.account, batch.id)
            lines = self._run(last_lines(self._client.perform, batch.id))
        except Exception as error:
            # A secrets backend may raise anything, and its text may quote what it read.
            reason = error if isinstance(error, DliError) else type(error).__name__
            self.log.warning("The log of Spark job %s cannot be read: %s", batch.id, reason)
        return explain(batch.id, batch.raw_state, lines, page)

    def cancel_batch(self, batch_id: str, *, seconds: float = VERIFY_FOR) -> SparkBatch | None:
        """Cancels a job and waits for it to end; returns it as last seen, ``None`` if absent.

        A job that has already ended, or that DLI does not know, counts as cancelled. The returned
        job may still be active after ``seconds``: check its state.
        """
        last = self.cancel_batches([batch_id], seconds=seconds)[batch_id]
        if isinstance(last, DliError):
            raise last
        return last

    def cancel_batches(
        self, batch_ids: Sequence[str], *, seconds: float = VERIFY_FOR
    ) -> dict[str, SparkBatch | DliError | None]:
        """Cancels several jobs, then waits for all of them to end.

        Returns for each id the job as :meth:`cancel_batch` does, or why it could not be cancelled
        or looked up. One that cannot does not stop the others.

        :param seconds: how long to wait, for all of them together
        """
        outcomes = self._run(cancel_all(self._client, batch_ids, seconds=seconds))
        for batch_id, last in outcomes.items():
            if last is None:
                self.log.info("Spark job %s: DLI does not know it, so nothing runs", batch_id)
            elif isinstance(last, DliError):
                continue
            elif last.is_terminal:
                self.log.info("Spark job %s has ended: %s", batch_id, last.raw_state)
            else:
                self.log.warning(
                    "Spark job %s was cancelled, but %.0f s later it is still %s",
                    batch_id,
                    seconds,
                    last.raw_state or "in no state",
                )
        return outcomes

    def cancel_batches_named(
        self, *names: str, seconds: float = VERIFY_FOR, late: float = 0.0
    ) -> list[str]:
        """Cancels the active jobs with these names, and returns the ids of those that still run.

        If one of them could not be cancelled, raises the reason after all were tried.

        :param names: names of jobs, each unique to its job
        :param seconds: how long to wait, for all of them together
        :param late: seconds for which to look for a job that is just being submitted
        """
        active = self._run(active_of(self._client, names, seconds=late))
        running = []
        for last in self.cancel_batches(active, seconds=seconds).values():
            if isinstance(last, DliError):
                raise last
            if last is not None and not last.is_terminal:
                running.append(last.id)
        return running

    def look_for(self, wait: Subscriber[Any, F], call: Call[F | None]) -> F | None:
        """Polls once for a wait; returns its result if it is over, ``None`` if it goes on."""
        flow = self._client.look_for(wait, call)
        return self._run(flow)

    def state_log(self) -> GroupProgress:
        """Returns an observer that logs each change of a package's state, for code that polls."""
        return GroupProgress(self.log, self._clock.now)

    def batch_progress(self) -> JobProgress:
        """Returns an observer that logs each change of a job's state, for code that polls."""
        return JobProgress(self.log, self._clock.now)
