# SPDX-License-Identifier: Apache-2.0
"""The operator that runs a Spark job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from airflow.providers.common.compat.sdk import conf as airflow_conf

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs.spark_job import FIELDS, SparkJob, boolean
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.links.spark import (
    GROUP_LINK,
    JOB_LINK,
    UI_LINK,
    PackageGroupLink,
    SparkJobLink,
    SparkUiLink,
    keep_links,
)
from airflow_provider_dli.operators.base import WaitOperator
from airflow_provider_dli.operators.cancelling import CancelSparkBatchOperator
from airflow_provider_dli.operators.job_guard import JobGuard, Policy
from airflow_provider_dli.triggers.events import batch_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.names import Owner
    from airflow_provider_dli.api.jobs.spark_job import SparkJob
    from airflow_provider_dli.api.jobs.submission import Submission
    from airflow_provider_dli.hooks.dli import DliHook

__all__ = ["CancelSparkBatchOperator", "SparkBatchOperator"]

OnClear = Literal["resubmit", "reattach"]

# Fields of a job by the operator's parameters; `name` begins the name that the task gives its job.
_JOB = {field.operator_name: name for name, field in FIELDS.items() if name != "name"}


class SparkBatchOperator(WaitOperator):
    """Run a Spark job on DLI: submit exactly one, and wait for its end.

    The name of the job is made of DAG, task, run, map index and the number of times the task was
    cleared. Before the task submits, and after a lost answer, it looks for a job of that name. So a
    retry reconnects to a job that still runs, or takes the result of one that ended with success.
    Instead of a job that is dead it submits a new one. It never repeats a submission blindly.

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
    ``region``. Right after the submission the task also pushes the XCom value ``batch_id``.

    :param file: the main file, ``.py`` or ``.jar``: an object ``obs://bucket/key``, the name of one
        of the ``packages``, or ``group/package`` before Spark 3.3 (templated)
    :param class_name: the main class of a JAR (templated)
    :param args: arguments of the application (templated)
    :param queue_name: general-purpose queue of DLI on which the job runs; ``queue`` is Airflow's
        own, of its workers (templated)
    :param packages: XCom values of staging operators, one or a list. The job takes groups before
        Spark 3.3, ``obs://`` paths from then on (templated)
    :param spark_version: the engine, such as ``3.3.1`` (templated)
    :param name: beginning of the job's name; by default the ids of DAG and task. It has to be the
        same in every try, because a job is found by it. Two Airflow installations that share a
        project need different names (templated)
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
    :param on_clear: what to do after a user clears the task. ``resubmit`` submits a new job, and
        cancels the old one if it still runs and ``on_kill`` is ``cancel``; ``reattach`` reconnects
        to the old job, or takes its success (templated)
    :param on_timeout: ``cancel`` the job or ``leave`` it when time is up
    :param on_kill: the same when the running task is marked or cleared, or its worker stops. On
        Airflow 3.3 and later also while the task is deferred
    :param on_failure: the same when the task fails and no try is left. While tries are left, the
        job is left for the next one
    :param wait_for_completion: wait until the job has ended
    :param poll_interval: seconds between two polls; the first polls come sooner
    :param timeout: seconds to wait for the end of one job, from the beginning of that wait.
        ``None`` for no limit except ``execution_timeout``, which limits the whole try
    :param max_unknown_time: seconds for which DLI may be unavailable, or the job missing or in an
        unknown state, before the task fails
    :param deferrable: wait in the triggerer, where all waits on an account share their polls
    :param driver_log: write the log of the driver into the log of the task while the job runs
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
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
            wait_for_completion=wait_for_completion,
            poll_interval=poll_interval,
            timeout=timeout,
            max_unknown_time=max_unknown_time,
            deferrable=deferrable,
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
        # Not `on_kill`: that is the method which Airflow calls. The others are named alike.
        self.timeout_policy = on_timeout
        self.kill_policy = on_kill
        self.failure_policy = on_failure
        self.driver_log = driver_log
        self.job_guard = JobGuard(self)

    def prepare_for_execution(self) -> Self:
        """Returns the copy of the task that Airflow runs: each try answers for its own job."""
        task = super().prepare_for_execution()
        task.job_guard = JobGuard(task)
        return task

    def execute(self, context: Context) -> dict[str, Any]:
        """Submits the job or finds it, waits for its end, and returns the XCom value."""
        with self.job_guard.running(context) as hook:
            return self._run_job(hook, hook.now())

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Resumes after the wait: returns the XCom value, or raises what the worker would have."""
        self.job_guard.batch_id = event.get("batch_id")
        with self.job_guard.running(context) as hook:
            batch = batch_of(event)
            if not batch.is_dead or event.get("is_new", True):
                return self._result(hook, batch)
            self.job_guard.forget(batch)
            started = event.get("started")  # missing in events of earlier versions
            return self._run_job(hook, started if isinstance(started, float | int) else hook.now())

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Resumes the task; a deferral that Airflow itself ended fails the task."""
        self.job_guard.was_deferred = True
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        is_timeout = str((next_kwargs or {}).get("error")).lower().endswith("timeout")
        with self.job_guard.running(context, is_timeout=is_timeout):
            return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Cancels the job, or leaves it."""
        self.job_guard.on_kill()

    def _run_job(self, hook: DliHook, started: float) -> dict[str, Any]:
        """Runs the one job of the task to its end; the try began at the Unix time `started`."""
        self._check_arguments(hook, started)
        job = self._job(self.job_guard.owner)
        self._cancel_jobs_from_before_clear(hook)
        submission = self._submit(hook, job)
        batch = self._wait(hook, submission, started)
        if batch.is_dead and not submission.is_new and not self.job_guard.is_killed:
            self.job_guard.forget(batch)
            submission = self._submit(hook, job)
            batch = self._wait(hook, submission, started)
        return self._result(hook, batch)

    def _check_arguments(self, hook: DliHook, started: float) -> None:
        """Raises for wrong arguments, and when the `execution_timeout` is over already."""
        checks.boolean("driver_log", self.driver_log)
        policies = {
            "on_timeout": self.timeout_policy,
            "on_kill": self.kill_policy,
            "on_failure": self.failure_policy,
        }
        for field, policy in policies.items():
            checks.choice(field, policy, get_args(Policy))
        self.check_wait_arguments(may_be_endless=True)
        limits = self.time_limits(started)
        is_over = limits.deadline is not None and limits.deadline <= hook.now()
        if is_over and limits.limit == "execution_timeout":
            raise AirflowTaskTimeout("The execution_timeout of the task is over.")

    def _cancel_jobs_from_before_clear(self, hook: DliHook) -> None:
        if self.on_clear == "reattach" or self.kill_policy == "leave":
            return
        running = hook.cancel_batches_named(*self.job_guard.owner.earlier_names)
        if running:
            self.log.warning("Jobs from before the clear are still running: %s", ", ".join(running))

    def _submit(self, hook: DliHook, job: SparkJob) -> Submission:
        guard = self.job_guard
        guard.check_alive()
        submission = hook.submit_batch(
            job,
            is_first=guard.owner.is_first_try,
            known_id=guard.memory.batch_id,
            earlier=self.names_from_before_clear(guard.owner),
        )
        batch_id = submission.batch.id
        guard.keep(batch_id, lambda ti: self._keep_links(ti, hook, job, batch_id))
        return submission

    def _wait(self, hook: DliHook, submission: Submission, started: float) -> SparkBatch:
        """Waits for the end of the job, in the worker or in the triggerer."""
        self.job_guard.check_alive()
        batch = submission.batch
        if not self.wait_for_completion or batch.is_terminal:
            return batch
        if self.deferrable:
            self._defer(submission, started)
        return hook.wait_for_batch(
            batch.id,
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            max_unknown_time=self.max_unknown_time,
            auto_recovery=self._recovers,
            driver_log=self.driver_log,
        )

    def _defer(self, submission: Submission, started: float) -> None:
        from airflow_provider_dli.triggers.spark import SparkBatchTrigger

        limits = self.time_limits(started)
        self.defer(
            trigger=SparkBatchTrigger(
                batch_id=submission.batch.id,
                is_new=submission.is_new,
                auto_recovery=self._recovers,
                driver_log=self.driver_log,
                cancel_on_kill=self.kill_policy == "cancel",
                started=started,
                **self.trigger_arguments(limits),
            ),
            method_name="execute_complete",
            timeout=limits.backstop,
        )

    def _result(self, hook: DliHook, batch: SparkBatch) -> dict[str, Any]:
        """Returns the XCom value of the job, or raises why it is dead."""
        self.job_guard.check_ended(batch)
        if batch.is_dead:
            raise hook.explain_batch(batch)
        return batch.summary | self.project_and_region()

    @property
    def job_label(self) -> str | None:
        """What the name of the job begins with; ``None`` for the ids of the DAG and the task."""
        # A template may render to a number.
        return None if self.name is None else str(self.name)

    def names_from_before_clear(self, owner: Owner) -> tuple[str, ...]:
        """Returns names of jobs from before a clear that count as the job of this task."""
        return owner.earlier_names if self.on_clear == "reattach" else ()

    @property
    def _recovers(self) -> bool:
        """Whether DLI starts the job again when its driver fails."""
        return self.auto_recovery is not None and boolean("auto_recovery", self.auto_recovery)

    def _job(self, owner: Owner) -> SparkJob:
        from airflow_provider_dli.api.jobs.placing import with_packages

        checks.choice("on_clear", self.on_clear, get_args(OnClear))
        checks.given("name", self.name)
        given = {name: getattr(self, parameter) for parameter, name in _JOB.items()}
        try:
            fields = with_packages(given, self.packages)
            settings = fields["conf"] if fields["conf"] is not None else {}
            if isinstance(settings, Mapping):  # otherwise the job raises
                settings = {**settings, **self._owner_settings(owner)}
            return SparkJob(**{**fields, "name": owner.name, "conf": settings})
        except InputError as error:
            known = FIELDS.get(error.field)
            raise (error.about(known.operator_name) if known else error) from None

    def _owner_settings(self, owner: Owner) -> dict[str, str]:
        from airflow_provider_dli.api.jobs.names import CONF

        if self.on_clear != "reattach":
            return owner.conf
        # The job belongs to every generation: `jobs orphans` must not report it as left by a clear.
        return {name: value for name, value in owner.conf.items() if name != f"{CONF}generation"}

    def _keep_links(self, ti: Any, hook: DliHook, job: SparkJob, batch_id: str) -> None:
        from airflow_provider_dli.api.access import consoles

        project_id = self.project_and_region()["project_id"]
        links = {
            JOB_LINK: consoles.job_page(hook.account, batch_id),
            GROUP_LINK: consoles.packages_page(hook.account) if job.groups else None,
            UI_LINK: project_id and consoles.spark_ui(hook.account, project_id, batch_id),
        }
        keep_links(ti, links)
