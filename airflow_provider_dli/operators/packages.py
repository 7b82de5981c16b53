# SPDX-License-Identifier: Apache-2.0
"""Operators for package groups: upload one and wait until it is READY, delete one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dli.api.checks import package_name
from airflow_provider_dli.operators.base import (
    DliTask,
    TimeLimits,
    WaitOperator,
    no_retry_of_wrong_input,
)
from airflow_provider_dli.triggers.events import check_complete, states_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.packages.calls import IfExists, Tags
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.hooks.dli import DliHook


def wait_for_packages(
    task: WaitOperator,
    group: str | None,
    answered: PackageGroup | None,
    names: Collection[str],
    limits: TimeLimits,
) -> PackageGroup | None:
    """Waits until packages that DLI accepted are READY, and returns the group as it is then.

    `answered` is what DLI last said about the group. Raises `PackageGroupFailedError` when a
    package is FAILED, and `TaskDeferred` to wait in the triggerer.
    """
    from airflow_provider_dli.api.packages.readiness import ABSENT, Verdict, judge
    from airflow_provider_dli.api.packages.wait import failed

    readiness = judge(answered, names)
    is_left_out = not task.wait_for_completion and ABSENT in readiness.states.values()
    if readiness.verdict is Verdict.FAILED or is_left_out:
        raise failed(group, readiness)
    if readiness.verdict is Verdict.READY:
        task.log.info("READY at once: %s", ", ".join(names))
        return answered
    if not task.wait_for_completion:
        return answered
    if task.deferrable:
        _defer(task, group, names, limits)
    return task.hook.wait_until_ready(
        group,
        tuple(names),
        poll_interval=task.poll_interval,
        timeout=cast("float", task.timeout),  # packages are never waited for without a limit
        max_unknown_time=task.max_unknown_time,
    )


def _defer(
    task: WaitOperator, group: str | None, names: Collection[str], limits: TimeLimits
) -> None:
    from airflow_provider_dli.triggers.packages import PackageGroupTrigger

    task.defer(
        trigger=PackageGroupTrigger(
            group=group, packages=list(names), accepted=True, **task.trigger_arguments(limits)
        ),
        method_name="execute_complete",
        timeout=limits.backstop,
    )


class UploadPackageGroupOperator(WaitOperator):
    """Upload OBS objects into a DLI package group and wait until every one is READY.

    All packages are sent in one upload. The task fails and names the package when one of them is
    FAILED or missing. The state of the group itself does not count.

    .. warning::
        On Huawei Cloud the package-group API has been marked deprecated since 2023; no date for
        its removal is published. Spark 3.3.1 and later takes no groups but ``obs://`` paths.
        OTC still documents groups. Use groups for jobs on Spark 2.x and 3.1.

    .. code-block:: python

        UploadPackageGroupOperator(
            task_id="stage_jars",
            paths=["obs://my-bucket/jars/word-stats.jar"],
            group="word-stats-{{ ds_nodash }}",
            kind="jar",
        )

    The XCom value holds ``group``, ``kind``, ``project_id``, ``region`` and ``packages``, a list
    of ``name``, ``path`` and ``state``.

    :param paths: objects in OBS, ``https://bucket.obs.region.host/key`` or ``obs://bucket/key``.
        The last segment becomes the name of the package (templated)
    :param group: name of the group; ``None`` uploads packages that belong to no group (templated)
    :param kind: ``jar``, ``pyFile``, ``file`` (also for a mixture) or ``modelFile`` (templated)
    :param is_async: upload asynchronously: DLI answers at once. A long synchronous upload may run
        into the timeout of the API gateway
    :param tags: ``{"key": "value"}`` or ``[{"key": …, "value": …}]`` (templated)
    :param wait_for_completion: wait until every package is READY. Otherwise the task fails only
        when DLI's answer shows a package as FAILED or does not list it
    :param poll_interval: seconds between two polls; the first polls come sooner
    :param timeout: seconds to wait until every package is READY
    :param max_unknown_time: seconds for which the listing may be unavailable, a package missing
        from it, or a state unknown, before the task fails
    :param deferrable: wait in the triggerer, where all waits on an account share one listing
    :param if_exists: ``replace`` uploads in any case; ``skip`` does not upload when every package
        exists and none is FAILED; ``fail`` fails when the group exists. A retry after an upload
        finds the group, so use ``fail`` with ``retries=0`` (templated)
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
    """

    template_fields: Sequence[str] = (
        "paths",
        "group",
        "kind",
        "tags",
        "if_exists",
        "dli_conn_id",
        "region",
        "project_id",
    )
    template_fields_renderers = {"paths": "json", "tags": "json"}  # noqa: RUF012  # as in Airflow
    ui_color = "#e8f4ea"

    def __init__(
        self,
        *,
        paths: Sequence[str],
        group: str | None,
        kind: str,
        is_async: bool = True,
        tags: Tags | None = None,
        wait_for_completion: bool = True,
        poll_interval: float = 10.0,
        timeout: float = 1800.0,
        max_unknown_time: float = 300.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        if_exists: IfExists = "replace",
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
        self.paths = paths
        self.group = group
        self.kind = kind
        # Not `is_async`: on Airflow 3.3 an operator has a read-only property of that name.
        self.upload_async = is_async
        self.tags = tags
        self.if_exists = if_exists

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> dict[str, Any]:
        """Uploads the packages, waits until they are READY, and returns the XCom value."""
        from airflow_provider_dli.api.packages.readiness import judge

        started = self.hook.now()
        self.check_wait_arguments()
        with self.hook as hook:
            paths = hook.package_names(self.paths)
            answered = hook.upload_package_group(
                self.paths,
                self.group,
                self.kind,
                self.upload_async,
                self.tags,
                if_exists=self.if_exists,
            )
            # `timeout` limits the wait alone, `execution_timeout` also the upload before it.
            limits = self.time_limits(started)
            group = wait_for_packages(self, self.group, answered, paths, limits)
            return self._result(paths, judge(group, paths).states)

    @no_retry_of_wrong_input()
    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Resumes after the wait: returns the XCom value, or raises what the worker would have."""
        states = states_of(event)
        self.log.info("READY: %s", ", ".join(states))
        with self.hook as hook:
            return self._result(self._paths(hook), states)

    def _paths(self, hook: DliHook) -> dict[str, str]:
        """Returns names and HTTPS paths of the packages, or the given paths if those are unknown.

        The packages are READY by now: a connection that cannot be read must not fail the task.
        """
        try:
            return hook.package_names(self.paths)
        except Exception as error:
            # A secrets backend may raise anything, and its message may quote what it read.
            kind = type(error).__name__
            self.log.warning(
                "The connection cannot be read (%s). The XCom value has the paths as given.", kind
            )
            return {package_name(path): path for path in self.paths}

    def _result(self, paths: Mapping[str, str], states: Mapping[str, str]) -> dict[str, Any]:
        check_complete(self.group, paths, states)
        return {
            "group": self.group,
            "kind": self.kind,
            **self.project_and_region(),
            "packages": [
                {"name": name, "path": path, "state": states[name]} for name, path in paths.items()
            ],
        }


class DeletePackageGroupOperator(DliTask):
    """Delete a DLI package group, or some of its packages.

    DLI has no call that deletes a whole group, so its packages are deleted one by one. A group or
    package that does not exist counts as deleted. The XCom value is the list of the names that
    were deleted.

    .. code-block:: python

        DeletePackageGroupOperator(
            task_id="clean_up",
            group="word-stats-{{ ds_nodash }}",
            trigger_rule="all_done",
        )

    :param group: name of the group (templated)
    :param packages: names of the packages to delete; ``None`` for all (templated)
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
    """

    template_fields: Sequence[str] = ("group", "packages", "dli_conn_id", "region", "project_id")
    ui_color = "#f7ebe8"

    def __init__(
        self,
        *,
        group: str,
        packages: Sequence[str] | None = None,
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dli_conn_id=dli_conn_id, region=region, project_id=project_id, **kwargs)
        self.group = group
        self.packages = packages

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> list[str]:
        """Deletes the packages and returns the names of those that were deleted."""
        with self.hook as hook:
            return list(hook.delete_package_group(self.group, self.packages))
