# SPDX-License-Identifier: Apache-2.0
"""Sensors for package groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from airflow_provider_dli.hooks.deferral import check_complete, states_of
from airflow_provider_dli.sensors.waiting import WaitSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.hooks.deferral import TimeLimits
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.progress import StateLog


class PackageGroupSensor(WaitSensor):
    """Wait until a DLI package group, or some packages of it, are READY.

    Who uploads the group does not matter. An absent group or package is waited for; a package
    that is FAILED fails the task, naming it. Modes ``poke`` and ``reschedule``, or ``deferrable``.

    .. code-block:: python

        PackageGroupSensor(task_id="staged", group="word-stats", packages=["word-stats.jar"])

    The XCom value holds ``group``, ``project_id``, ``region`` and ``packages``, a list of
    ``name`` and ``state``.

    :param group: name of the group (templated)
    :param packages: names of the packages to wait for; ``None`` for all that the group has, which
        is at least one (templated)
    :param kind: ask the service for packages of this kind only: ``jar``, ``pyFile``, ``file`` or
        ``modelFile`` (templated)
    :param max_unknown_time: with ``deferrable``: seconds for which the listing may be out of reach
        or a state be a word that nobody knows
    :param deferrable: wait in the triggerer, where all waits share each listing
    :param dli_conn_id: connection of type ``dli`` (templated)
    :param region: wins over the connection's region (templated)
    :param project_id: wins over the connection's project id (templated)
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
        super().__init__(**kwargs)
        self.group = group
        self.packages = packages
        self.kind = kind
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    @cached_property
    def _observe(self) -> StateLog:
        return self.hook.state_log()

    def _trigger(self, limits: TimeLimits) -> BaseTrigger:
        from airflow_provider_dli.triggers.packages import PackageGroupTrigger

        return PackageGroupTrigger(
            group=self.group,
            packages=None if self.packages is None else list(self.packages),
            kind=self.kind,
            dli_conn_id=self.dli_conn_id,
            region=self.region,
            project_id=self.project_id,
            poll_interval=self.poke_interval,
            deadline=limits.deadline,
            max_unknown_time=self.max_unknown_time,
            limit=limits.limit,
        )

    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        states = states_of(event)
        check_complete(self.group, self.packages or (), states)
        with self.hook as hook:
            return self._result(hook, states)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.readiness import Verdict, judge
        from airflow_provider_dli.api.waiting import failed

        if self.packages is not None:
            checks.package_names(self.packages)
        with self.hook as hook:
            readiness = judge(hook.get_package_group(self.group, self.kind), self.packages)
            self._observe(readiness)
            if readiness.verdict is Verdict.FAILED:
                raise failed(self.group, readiness)
            result = self._result(hook, readiness.states)
            return PokeReturnValue(readiness.verdict is Verdict.READY, result)

    def _result(self, hook: DliHook, states: Mapping[str, str]) -> dict[str, Any]:
        return {
            "group": self.group,
            "project_id": hook.project_id,
            "region": hook.account.region,
            "packages": [{"name": name, "state": state} for name, state in states.items()],
        }
