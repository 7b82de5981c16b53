# SPDX-License-Identifier: Apache-2.0
"""Operators for Spark jobs: run one and follow it to its end, cancel some."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow.providers.common.compat.sdk import BaseOperator
from airflow.providers.common.compat.sdk import conf as airflow_conf

from airflow_provider_dli.api.jobs.spark_job import FIELDS
from airflow_provider_dli.links.spark import (
    GROUP_LINK,
    JOB_LINK,
    UI_LINK,
    PackageGroupLink,
    SparkJobLink,
    SparkUiLink,
    keep_links,
)
from airflow_provider_dli.operators.base import DliHookMixin, no_retry_of_wrong_input
from airflow_provider_dli.operators.cancels import failure_of_cancels
from airflow_provider_dli.operators.following import FollowingOperator
from airflow_provider_dli.operators.job_owner import JobMemory
from airflow_provider_dli.operators.responsible import Policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.names import Owner
    from airflow_provider_dli.api.jobs.spark_job import SparkJob
    from airflow_provider_dli.api.jobs.submission import Submission
    from airflow_provider_dli.hooks.dli import DliHook

OnClear = Literal["resubmit", "reattach"]

# Fields of a job by the operator's parameters; `name` begins the name that the task gives its job.
_JOB = {field.operator_name: name for name, field in FIELDS.items() if name != "name"}
# What a template makes of an XCom value that nobody pushed.
_NO_JOB = {"", "None", "null", "[]"}


class SparkBatchOperator(FollowingOperator):
    """Run a Spark job on DLI: submit exactly one, and follow it to its end.

    The job's name is made of DAG, task, run, map index and how often the task was cleared. Before
    it submits, and after an answer that was lost, the task looks for the job by that name: a retry
    reconnects to the job that runs, or takes the result of the one that ended well. A job that is
    dead counts as none. Nothing is submitted blindly a second time.

    .. code-block:: python

        SparkBatchOperator(
            task_id="count",
            file="word_count.py",
            args=["obs://my-bucket/in.txt", "obs://my-bucket/out-{{ ds_nodash }}"],
            queue_name="spark",
            packages=stage.output,
            spark_version="3.3.1",
            execution_agency_urn="dli_spark",
        )

    The XCom value holds ``batch_id``, ``name``, ``state``, ``queue``, ``project_id`` and
    ``region``; from the submission on the task also has the XCom value ``batch_id``.

    :param file: the main file, ``.py`` or ``.jar``: an object ``obs://bucket/key``, the name of one
        of the ``packages``, or ``group/package`` before Spark 3.3 (templated)
    :param class_name: the main class of a JAR (templated)
    :param args: arguments of the application (templated)
    :param queue_name: general-purpose queue of DLI on which the job runs; ``queue`` is Airflow's
        own, of its workers (templated)
    :param packages: what staging operators returned, one or a list: groups where the engine takes
        them (before Spark 3.3), ``obs://`` paths where it does not (templated)
    :param spark_version: the engine, such as ``3.3.1`` (templated)
    :param name: what the job's name begins with, the same in every try: a job is found by it. Two
        Airflows that share a project need different ones. ``None`` for the ids of DAG and task
        (templated)
    :param sc_type: ``A``, ``B`` or ``C``: 8, 16 or 32 vCPU in all (templated)
    :param jars: more JARs, ``obs://`` or names of packages (templated)
    :param py_files: more Python files, zips and eggs (templated)
    :param files: more plain files (templated)
    :param modules: system modules of DLI, such as ``sys.datasource.hbase``; before Spark 3.1
        (templated)
    :param package_resources: packages, ``[{"name": …, "type": …}]``; before Spark 3.3 (templated)
    :param groups: package groups, ``[{"name": …, "resources": […]}]``; before Spark 3.3 (templated)
    :param conf: settings of Spark, ``{"spark.x": "y"}`` (templated)
    :param tags: ``{"key": "value"}``; sent in ``conf`` as ``spark.airflow.tag.key`` (templated)
    :param driver_memory: memory of the driver, with its unit, such as ``2G`` (templated)
    :param driver_cores: cores of the driver (templated)
    :param executor_memory: memory of each executor, with its unit (templated)
    :param executor_cores: cores of each executor (templated)
    :param num_executors: number of executors (templated)
    :param obs_bucket: bucket for the logs of the job (templated)
    :param auto_recovery: DLI restarts the job when its driver fails (templated)
    :param max_retry_times: maximum number of these restarts, up to 100 (templated)
    :param feature: ``basic``, ``custom`` or ``ai`` (templated)
    :param image: ``organisation/name:tag``, with feature ``custom`` (templated)
    :param catalog_name: ``dli`` to use its metadata (templated)
    :param execution_agency_urn: name of the agency with which Spark 3.3 and later read OBS
        (templated)
    :param on_clear: after a user's clear ``resubmit`` cancels the job of before, if it still runs
        and ``on_kill`` is ``cancel``, and submits a new one; ``reattach`` takes that job, or its
        success, for this one (templated)
    :param on_timeout: ``cancel`` the job or ``leave`` it when time is up
    :param on_kill: the same when somebody marks or clears the running task, or its worker ends;
        while the task is deferred from Airflow 3.3 on
    :param on_failure: the same when the task fails for good while the job may run; while tries are
        left the job is left for the next one
    :param wait_for_completion: wait until the job has ended
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param timeout: seconds to wait for the end of one job, from the beginning of that wait;
        ``None`` for no limit but ``execution_timeout``, which counts once for the whole try
    :param max_unknown_time: seconds for which DLI may be out of reach, the job be absent, or its
        state be a word that nobody knows
    :param deferrable: wait in the triggerer, where all waits share their polls
    :param driver_log: write the driver's log into the task's while the job runs
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
    """

    template_fields: Sequence[str] = (
        *_JOB,
        "packages",
        "name",
        "on_clear",
        "dli_conn_id",
        "region",
        "project_id",
    )
    template_fields_renderers = dict.fromkeys(
        ("packages", *(field.operator_name for field in FIELDS.values() if field.is_json)), "json"
    )
    operator_extra_links = (SparkJobLink(), PackageGroupLink(), SparkUiLink())
    ui_color = "#fdf1e3"

    def __init__(
        self,
        *,
        file: str,
        class_name: str | None = None,
        args: Sequence[Any] | None = None,
        queue_name: str,
        packages: Any = None,
        spark_version: str | None = None,
        name: str | None = None,
        sc_type: str | None = None,
        jars: Sequence[str] | None = None,
        py_files: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        modules: Sequence[str] | None = None,
        package_resources: Sequence[Mapping[str, str]] | None = None,
        groups: Sequence[Mapping[str, Any] | str] | None = None,
        conf: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        driver_memory: str | None = None,
        driver_cores: int | None = None,
        executor_memory: str | None = None,
        executor_cores: int | None = None,
        num_executors: int | None = None,
        obs_bucket: str | None = None,
        auto_recovery: bool | None = None,
        max_retry_times: int | None = None,
        feature: str | None = None,
        image: str | None = None,
        catalog_name: str | None = None,
        execution_agency_urn: str | None = None,
        on_clear: OnClear = "resubmit",
        on_timeout: Policy = "cancel",
        on_kill: Policy = "cancel",
        on_failure: Policy = "cancel",
        wait_for_completion: bool = True,
        poll_interval: float = 10.0,
        timeout: float | None = None,
        max_unknown_time: float = 300.0,
        deferrable: bool = airflow_conf.getboolean(
            "operators", "default_deferrable", fallback=False
        ),
        driver_log: bool = True,
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            on_timeout=on_timeout,
            on_kill=on_kill,
            on_failure=on_failure,
            wait_for_completion=wait_for_completion,
            poll_interval=poll_interval,
            timeout=timeout,
            max_unknown_time=max_unknown_time,
            deferrable=deferrable,
            driver_log=driver_log,
            dli_conn_id=dli_conn_id,
            region=region,
            project_id=project_id,
            **kwargs,
        )
        self.file = file
        self.class_name = class_name
        self.args = args
        self.queue_name = queue_name
        self.packages = packages
        self.spark_version = spark_version
        self.name = name
        self.sc_type = sc_type
        self.jars = jars
        self.py_files = py_files
        self.files = files
        self.modules = modules
        self.package_resources = package_resources
        self.groups = groups
        self.conf = conf
        self.tags = tags
        self.driver_memory = driver_memory
        self.driver_cores = driver_cores
        self.executor_memory = executor_memory
        self.executor_cores = executor_cores
        self.num_executors = num_executors
        self.obs_bucket = obs_bucket
        self.auto_recovery = auto_recovery
        self.max_retry_times = max_retry_times
        self.feature = feature
        self.image = image
        self.catalog_name = catalog_name
        self.execution_agency_urn = execution_agency_urn
        self.on_clear = on_clear

    @property
    def job_label(self) -> str | None:
        """What the name of the job begins with."""
        # A template may give a number.
        return None if self.name is None else str(self.name)

    @property
    def recovers(self) -> bool:
        """Whether DLI starts the job again when its driver fails."""
        from airflow_provider_dli.api.jobs.spark_job import boolean

        return self.auto_recovery is not None and boolean("auto_recovery", self.auto_recovery)

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit or reconnect, wait, and give what XCom keeps."""
        return self.run_job(context)

    def run_job(self, context: Context, started: float | None = None) -> dict[str, Any]:
        """Submit the job or reconnect to it, follow it, and give what XCom keeps.

        `started` is the Unix time at which the try began, where that was before a deferral.
        """
        from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError

        owner = self._begin(context)
        keeper = JobMemory(context, owner, self.log)
        with self.hook as hook, self.responsible(hook, owner):
            began = time.time() if started is None else started
            self._check_wait(began)
            job = self._job(owner)
            self._leave_earlier(hook, owner)
            submitted = self._submit(hook, owner, keeper, job)
            if not submitted.is_new and self.wait_for_completion:
                try:
                    return self.follow(hook, submitted, began, keeper)
                except SparkBatchFailedError:
                    if self._is_killed:
                        raise
                    self.count_as_none(submitted.batch, keeper)
                submitted = self._submit(hook, owner, keeper, job)
            return self.follow(hook, submitted, began, keeper)

    def earlier_names(self, owner: Owner) -> tuple[str, ...]:
        """Names of jobs from before a clear that count as this one."""
        return owner.earlier_names if self.on_clear == "reattach" else ()

    def _submit(self, hook: DliHook, owner: Owner, keeper: JobMemory, job: SparkJob) -> Submission:
        self.check_alive(hook)
        submitted = hook.submit_batch(
            job,
            is_first=owner.is_first_try,
            known_id=keeper.batch_id,
            earlier=self.earlier_names(owner),
        )
        self.batch_id = submitted.batch.id
        keeper.keep(submitted.batch.id, lambda ti: self._keep_links(ti, hook, job, submitted.batch))
        return submitted

    def _job(self, owner: Owner) -> SparkJob:
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.jobs.placing import with_packages
        from airflow_provider_dli.api.jobs.spark_job import SparkJob
        from airflow_provider_dli.api.protocol.errors import InputError

        checks.choice("on_clear", self.on_clear, get_args(OnClear))
        checks.given("name", self.name)
        given = {name: getattr(self, parameter) for parameter, name in _JOB.items()}
        try:
            fields = with_packages(given, self.packages)
            settings = fields["conf"] if fields["conf"] is not None else {}
            if isinstance(settings, Mapping):  # otherwise the job raises
                settings = {**settings, **self._told(owner)}
            return SparkJob(**{**fields, "name": owner.name, "conf": settings})
        except InputError as error:
            known = FIELDS.get(error.field)
            raise (error.about(known.operator_name) if known else error) from None

    def _told(self, owner: Owner) -> dict[str, str]:
        from airflow_provider_dli.api.jobs.names import CONF

        if self.on_clear != "reattach":
            return owner.conf
        # The job belongs to every generation: `jobs orphans` must not count it as left by a clear.
        return {name: value for name, value in owner.conf.items() if name != f"{CONF}generation"}

    def _leave_earlier(self, hook: DliHook, owner: Owner) -> None:
        """After a clear: let the job of before not run beside the new one."""
        if self.on_clear == "reattach" or self.kill_policy == "leave":
            return
        running = hook.cancel_batches_named(*owner.earlier_names)
        if running:
            self.log.warning("Of before the clear these jobs still run: %s", ", ".join(running))

    def _keep_links(self, ti: Any, hook: DliHook, job: SparkJob, batch: SparkBatch) -> None:
        from airflow_provider_dli.api.access import consoles

        project_id = self.project_and_region(self.log)["project_id"]
        links = {
            JOB_LINK: consoles.job_page(hook.account, batch.id),
            GROUP_LINK: consoles.packages_page(hook.account) if job.groups else None,
            UI_LINK: project_id and consoles.spark_ui(hook.account, project_id, batch.id),
        }
        keep_links(ti, links)


class CancelSparkBatchOperator(DliHookMixin, BaseOperator):
    """Cancel Spark jobs, and look until they have ended.

    All are asked to be cancelled before the first look. Jobs that have ended already, or that DLI
    does not know, count as done; so does a ``batch_id`` of which a template made nothing, since the
    task that it is of failed before it submitted. The task fails when a job still runs after
    ``timeout`` seconds or cannot be cancelled, and names each. The XCom value is the list of
    ``batch_id`` and ``state`` of each job; the state of an absent one is ``None``.

    .. code-block:: python

        CancelSparkBatchOperator(
            task_id="stop",
            batch_id="{{ ti.xcom_pull('count', key='batch_id') }}",
            trigger_rule="one_failed",
        )

    :param batch_id: id of a job, or a list of them (templated)
    :param timeout: seconds to look for the end of the jobs, of all together
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
    """

    template_fields: Sequence[str] = ("batch_id", "dli_conn_id", "region", "project_id")
    ui_color = "#f7ebe8"

    def __init__(
        self,
        *,
        batch_id: str | Sequence[str],
        timeout: float = 60.0,
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.timeout = timeout
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> list[dict[str, str | None]]:
        """Cancel, look, and give the states."""
        from airflow_provider_dli.api import checks

        seconds = checks.seconds("timeout", self.timeout)
        ids = self._ids()
        if not ids:
            self.log.info("batch_id names no job, so there is nothing to cancel.")
            return []
        with self.hook as hook:
            outcomes = hook.cancel_batches(ids, seconds=seconds)
        failure = failure_of_cancels(outcomes, seconds)
        if failure is not None:
            raise failure
        return [
            {"batch_id": batch_id, "state": job.state.value if job else None}
            for batch_id, job in outcomes.items()
            if not isinstance(job, Exception)
        ]

    def _ids(self) -> list[str]:
        """Check what the template made, and leave out what names no job."""
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.protocol.errors import InputError

        given: Any = self.batch_id
        several = [given] if given is None or isinstance(given, str) else given
        if not isinstance(several, Sequence) or isinstance(several, (bytes, bytearray)):
            raise InputError("batch_id", given, "give the id of a job, or a list of them")
        return [
            checks.stored_name("batch_id", batch_id)
            for batch_id in several
            if batch_id is not None and str(batch_id).strip() not in _NO_JOB
        ]
