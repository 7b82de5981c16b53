# SPDX-License-Identifier: Apache-2.0
"""Operators for package groups: upload one and wait until it is READY, delete one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_dli.operators.base import DliHookMixin, no_retry_of_wrong_input
from airflow_provider_dli.operators.waiting import PackageWaitOperator
from airflow_provider_dli.triggers.events import check_complete, states_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.packages.calls import IfExists, Tags
    from airflow_provider_dli.hooks.dli import DliHook


class UploadPackageGroupOperator(PackageWaitOperator):
    """Upload OBS objects into a DLI package group and wait until every one is READY.

    All packages go in one upload. The task fails, naming the package, when one of them is FAILED
    or missing; what the group says of itself does not count.

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

    :param paths: OBS objects, ``https://bucket.obs.region.host/key`` or ``obs://bucket/key``;
        the last segment becomes the name of the package (templated)
    :param group: name of the group; ``None`` uploads packages that belong to no group (templated)
    :param kind: ``jar``, ``pyFile``, ``file`` (also for a mixture) or ``modelFile`` (templated)
    :param is_async: let DLI answer at once and go on uploading; a long synchronous upload may
        outlast the gateway's patience
    :param tags: ``{"key": "value"}`` or ``[{"key": …, "value": …}]`` (templated)
    :param wait_for_completion: wait until every package is READY; otherwise only a package that
        the answer already calls FAILED or leaves out fails the task
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param timeout: seconds to wait until every package is READY
    :param max_unknown_time: seconds for which the listing may be out of reach, a package be absent
        from it, or a state be a word that nobody knows
    :param deferrable: wait in the triggerer, where all waits share each listing
    :param if_exists: ``replace`` uploads in any case; ``skip`` does not when every package is
        there and none FAILED; ``fail`` fails when the group is there. A retry of a task that
        failed after its upload finds the group, so ``fail`` wants ``retries=0`` (templated)
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
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
        """Upload, wait, and give what XCom keeps."""
        from airflow_provider_dli.api.packages.readiness import judge

        started = time.time()
        self._time_limits()
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
            # The upload takes what it takes: only the task's own limit counts from its beginning.
            limits = self._time_limits(started)
            group = self._waited(self.group, answered, paths, limits)
            return self._result(paths, judge(group, paths).states)

    @no_retry_of_wrong_input()
    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the wait: give what XCom keeps, or raise as the worker would have."""
        states = states_of(event)
        self.log.info("READY: %s", ", ".join(states))
        with self.hook as hook:
            return self._result(self._paths(hook), states)

    def _paths(self, hook: DliHook) -> dict[str, str]:
        """Returns the packages' names and HTTPS paths; where those are not known, the given ones.

        It is of a success, which must not fail over what a connection says by now, or does not say.
        """
        from airflow_provider_dli.api.checks import package_name

        try:
            return hook.package_names(self.paths)
        except Exception as error:
            # A secrets backend may raise anything, in words that quote what it read.
            kind = type(error).__name__
            self.log.warning("The connection cannot be read (%s): paths are as given.", kind)
            return {package_name(path): path for path in self.paths}

    def _result(self, paths: Mapping[str, str], states: Mapping[str, str]) -> dict[str, Any]:
        check_complete(self.group, paths, states)
        return {
            "group": self.group,
            "kind": self.kind,
            **self.project_and_region(self.log),
            "packages": [
                {"name": name, "path": path, "state": states[name]} for name, path in paths.items()
            ],
        }


class DeletePackageGroupOperator(DliHookMixin, BaseOperator):
    """Delete a DLI package group, or some of its packages.

    DLI has no call for a whole group, so its packages are deleted one by one; absent ones, or an
    absent group, count as done. The XCom value is the list of names that were deleted.

    .. code-block:: python

        DeletePackageGroupOperator(
            task_id="clean_up",
            group="word-stats-{{ ds_nodash }}",
            trigger_rule="all_done",
        )

    :param group: name of the group (templated)
    :param packages: names of the packages to delete; ``None`` for all (templated)
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
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
        super().__init__(**kwargs)
        self.group = group
        self.packages = packages
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    @no_retry_of_wrong_input()
    def execute(self, context: Context) -> list[str]:
        """Delete, and give the names that were deleted."""
        with self.hook as hook:
            return list(hook.delete_package_group(self.group, self.packages))
