# SPDX-License-Identifier: Apache-2.0
"""The operator that stages files: into OBS, and from there into a package group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dli.operators.base import WaitOperator, no_retry_of_wrong_input
from airflow_provider_dli.operators.packages import wait_for_packages
from airflow_provider_dli.staging.plan import OPTIONS, OnConflict, StagingPlan, Target
from airflow_provider_dli.triggers.events import check_complete, states_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.packages.calls import IfExists, Tags
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.hooks.obs import ObsHook

STAGED = "staged"
"""The key of the XCom value that a deferred task keeps while it waits in the triggerer."""

UPLOAD = "upload"
"""The field of that value with the upload, which is compared with DLI's listing after the wait."""


class StagePackagesOperator(WaitOperator):
    """Stage files for Spark: send them to OBS, upload them into a package group, wait for READY.

    Only files that changed are sent: the key of an object contains a hash of its content. A group
    that has the same content already is not uploaded again.

    .. code-block:: python

        StagePackagesOperator(
            task_id="stage",
            sources=["target/word-stats.jar", "wordtools/", "requirements.txt"],
            bucket="my-bucket",
            prefix="spark",
            group="word-stats",
        )

    The XCom value holds ``group``, ``kind``, ``target``, ``project_id``, ``region``, ``uploaded``
    (whether the packages were uploaded to DLI), ``bytes_sent`` and ``packages``, a list of
    ``name``, ``path`` (for uploads to groups), ``obs_path`` (for jobs on Spark 3.3 and later),
    ``size`` in bytes, ``sha256``, ``sent`` (false if OBS had the same content) and ``state``
    (``None`` without a group).

    :param sources: files, globs, folders of Python code (each becomes a zip), wheels and
        ``requirements*.txt`` (their pure-Python dependencies become a zip), ``ObjectStoragePath``,
        and objects in OBS, ``obs://bucket/key`` or ``https://…``. Relative paths start at the
        folder of the DAG file (templated)
    :param bucket: bucket of OBS, in the region of the connection (templated)
    :param prefix: folder in the bucket (templated)
    :param group: name of the package group; has no effect with target ``obs`` (templated)
    :param kind: ``jar``, ``pyFile``, ``file`` or ``modelFile``; by default decided by the suffixes,
        a mixture is ``file`` (templated)
    :param target: ``group``, or ``obs`` for engines that take no groups: Spark 3.3.1 and later
        (templated)
    :param spark_version: the engine of the job; logs a warning if it does not take groups
        (templated)
    :param python_version: Python version of the engine, such as ``3.9``, for which dependencies are
        chosen; by default the one that runs the staging (templated)
    :param if_exists: for a group in which the same DAG staged other bytes before: ``replace``,
        ``skip`` (keep it if it has every package) or ``fail`` (templated)
    :param on_conflict: for a group that somebody else filled with other bytes: ``fail``,
        ``replace``, or ``version``, which appends a hash of the content to the name (templated)
    :param force: send and upload even if the same bytes are there already
    :param delete_after: remove what earlier runs left below the prefix and nothing uses any more:
        older than a ``timedelta``, or all but this number of the newest versions. Never removes
        what an active job uses
    :param delete_dry_run: only log what would be removed
    :param is_async: DLI answers at once and uploads in the background
    :param tags: ``{"key": "value"}`` or ``[{"key": …, "value": …}]`` for the packages (templated)
    :param wait_for_completion: wait until every package is READY
    :param poll_interval: seconds between two polls; the first polls come sooner
    :param timeout: seconds to wait until every package is READY, without the time to send files
    :param max_unknown_time: seconds for which the listing may be unavailable, a package missing
        from it, or a state unknown, before the task fails
    :param deferrable: wait in the triggerer, where all waits on an account share one listing
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
    """

    template_fields: Sequence[str] = (
        *(name for name, option in OPTIONS.items() if option.is_templated),
        "dli_conn_id",
        "region",
        "project_id",
    )
    template_fields_renderers = dict.fromkeys(
        (name for name, option in OPTIONS.items() if option.is_json), "json"
    )
    ui_color = "#e8f4ea"

    def __init__(
        self,
        *,
        sources: Sequence[Any],
        bucket: str,
        prefix: str = "",
        group: str | None = None,
        kind: str | None = None,
        target: Target = "group",
        spark_version: str | None = None,
        python_version: str | None = None,
        if_exists: IfExists = "replace",
        on_conflict: OnConflict = "fail",
        force: bool = False,
        delete_after: timedelta | int | None = None,
        delete_dry_run: bool = True,
        is_async: bool = True,
        tags: Tags | None = None,
        wait_for_completion: bool = True,
        poll_interval: float = 10.0,
        timeout: float = 1800.0,
        max_unknown_time: float = 300.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
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
        self.sources = sources
        self.bucket = bucket
        self.prefix = prefix
        self.group = group
        self.kind = kind
        self.target = target
        self.spark_version = spark_version
        self.python_version = python_version
        self.if_exists = if_exists
        self.on_conflict = on_conflict
        self.force = force
        self.delete_after = delete_after
        self.delete_dry_run = delete_dry_run
        # Not `is_async`: on Airflow 3.3 an operator has a read-only property of that name.
        self.upload_async = is_async
        self.tags = tags

    @cached_property
    def obs_hook(self) -> ObsHook:
        """The hook for OBS on the task's connection."""
        # Imported when it runs, so that parsing a DAG loads no client.
        from airflow_provider_dli.hooks.obs import ObsHook

        return ObsHook(**self.connection_arguments)

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> dict[str, Any]:
        """Sends the files, uploads the group, waits, and returns the XCom value."""
        from airflow_provider_dli.staging.stager import Stager

        started = self.hook.now()
        order = self._order(context)
        self.check_wait_arguments()
        with self.hook as dli, self.obs_hook as obs:
            stager = Stager(dli, obs)
            staged = stager.stage(order)
            result = staged.as_dict() | self.project_and_region()
            if staged.group is None:
                stager.finish(order, result)
                return self._with_states(result)
            if self.deferrable:
                # The worker that resumes the task may not have the files.
                upload = staged.upload.as_dict() if staged.upload else None
                context["ti"].xcom_push(key=STAGED, value=result | {UPLOAD: upload})
            names = [package.name for package in staged.packages]
            # `timeout` limits the wait alone, `execution_timeout` also the sending before it.
            limits = self.time_limits(started)
            group = wait_for_packages(self, staged.group, staged.found, names, limits)
            # DLI's answer to the upload is no listing of the group.
            listed = None if group is staged.found else group
            stager.finish(order, result, staged.upload, listed)
            return self._with_states(result, group)

    @no_retry_of_wrong_input()
    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Resumes after the wait: returns the XCom value, or raises what the worker would have."""
        from airflow_provider_dli.staging.records.upload_flow import Upload
        from airflow_provider_dli.staging.stager import Stager

        states = states_of(event)
        ti = context["ti"]
        result = ti.xcom_pull(task_ids=self.task_id, key=STAGED, map_indexes=ti.map_index)
        # A task that was deferred by version 0.1 has none.
        upload = Upload.from_dict(kept) if (kept := result.pop(UPLOAD, None)) else None
        check_complete(result["group"], [package["name"] for package in result["packages"]], states)
        self.log.info("READY: %s", ", ".join(states))
        with self.hook as dli, self.obs_hook as obs:
            group = dli.get_package_group(result["group"])
            Stager(dli, obs).finish(self._order(context), result, upload, group)
            return self._with_states(result, group)

    def _order(self, context: Context) -> StagingPlan:
        ti, dag = context.get("ti"), context.get("dag")
        # Each of many mapped tasks has its own.
        index = -1 if ti is None or ti.map_index is None else ti.map_index
        # On Airflow 3.3 an operator has a read-only property `is_async`.
        given = {name: getattr(self, name) for name in OPTIONS if name != "is_async"}
        return StagingPlan(
            **given,
            is_async=self.upload_async,
            base=Path(dag.fileloc).parent if dag is not None else Path.cwd(),
            owner=f"dag {self.dag_id}",
            task=f"{self.dag_id}.{self.task_id}" + (f".{index}" if index >= 0 else ""),
        )

    def _with_states(
        self, result: dict[str, Any], group: PackageGroup | None = None
    ) -> dict[str, Any]:
        from airflow_provider_dli.api.packages.readiness import judge

        states = judge(group, [package["name"] for package in result["packages"]]).states
        packages = [
            package | {"state": states[package["name"]] if group else None}
            for package in result["packages"]
        ]
        return result | {"packages": packages}
