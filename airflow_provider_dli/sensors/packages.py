# SPDX-License-Identifier: Apache-2.0
"""Sensors for package groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_dli.api import checks
from airflow_provider_dli.sensors.base import WaitSensor
from airflow_provider_dli.triggers.events import check_complete, states_of

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.api.packages.wait import GroupWait
    from airflow_provider_dli.api.protocol.wire import Call
    from airflow_provider_dli.hooks.dli import DliHook


class PackageGroupSensor(WaitSensor["PackageGroup"]):
    """Wait until a DLI package group, or some packages of it, are READY.

    It does not matter who uploads the group. The sensor waits for a group or package that does not
    exist yet. A package that is FAILED fails the task, which names it and is not retried. Modes
    ``poke`` and ``reschedule``, or ``deferrable``; ``docs/operators.md`` has a table of how the
    task ends.

    .. code-block:: python

        PackageGroupSensor(task_id="staged", group="word-stats", packages=["word-stats.jar"])

    The XCom value holds ``group``, ``project_id``, ``region`` and ``packages``, a list of
    ``name`` and ``state``.

    :param group: name of the group (templated)
    :param packages: names of the packages to wait for: a list or another sequence, such as the
        output of a mapped task; ``None`` for all that the group has, at least one (templated)
    :param kind: wait for packages of this kind only: ``jar``, ``pyFile``, ``file`` or
        ``modelFile`` (templated)
    :param max_unknown_time: seconds for which the listing may be unavailable, or a state unknown,
        before the task fails; a ``reschedule`` task keeps its slot meanwhile
    :param deferrable: wait in the triggerer, where all waits on an account share one listing
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: overrides the region of the connection (templated)
    :param project_id: overrides the project id of the connection (templated)
    """

    template_fields: Sequence[str] = (
        "group",
        "packages",
        "kind",
        "dli_conn_id",
        "region",
        "project_id",
    )
    ui_color = "#e6eef7"

    def __init__(
        self,
        *,
        group: str,
        packages: Sequence[str] | None = None,
        kind: str | None = None,
        max_unknown_time: float = 300.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_unknown_time=max_unknown_time,
            deferrable=deferrable,
            dli_conn_id=dli_conn_id,
            region=region,
            project_id=project_id,
            **kwargs,
        )
        self.group = group
        self.packages = packages
        self.kind = kind

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        # Read once: the output of a mapped task asks Airflow for every item again.
        return None if self.packages is None else checks.package_names(self.packages)

    def _call(self) -> Call[PackageGroup | None]:
        from airflow_provider_dli.api.packages import calls

        group = checks.stored_name("group", self.group)
        return calls.find_group(group, self._names or (), self.kind)

    def _begin(self, deadline: float | None) -> GroupWait:
        from airflow_provider_dli.api.packages.wait import GroupWait

        log = self.hook.state_log()
        return GroupWait(
            self.group,
            self._names,
            deadline=deadline,
            poll_interval=self.poke_interval,
            max_unknown_time=self.max_unknown_time,
            observe=log,
            trouble=log.trouble,
        )

    def _trigger(self, arguments: Mapping[str, Any]) -> BaseTrigger:
        from airflow_provider_dli.triggers.packages import PackageGroupTrigger

        return PackageGroupTrigger(
            group=self.group,
            packages=None if self._names is None else list(self._names),
            kind=self.kind,
            **arguments,
        )

    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        states = states_of(event)
        check_complete(self.group, self._names or (), states)
        with self.hook:
            return self._xcom(states)

    def _result(self, hook: DliHook, found: PackageGroup) -> dict[str, Any]:
        from airflow_provider_dli.api.packages.readiness import judge

        return self._xcom(judge(found, self._names).states)

    def _xcom(self, states: Mapping[str, str]) -> dict[str, Any]:
        return {
            "group": self.group,
            **self.project_and_region(),
            "packages": [{"name": name, "state": state} for name, state in states.items()],
        }
