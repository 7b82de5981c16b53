# SPDX-License-Identifier: Apache-2.0
"""Sensors for package groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_dli.hooks.mixin import DliHookMixin

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.hooks.progress import StateLog


class PackageGroupSensor(DliHookMixin, BaseSensorOperator):
    """Wait until a DLI package group, or some packages of it, are READY.

    Who uploads the group does not matter. An absent group or package is waited for; a package
    that is FAILED fails the task, naming it. Modes ``poke`` and ``reschedule``.

    .. code-block:: python

        PackageGroupSensor(task_id="staged", group="word-stats", packages=["word-stats.jar"])

    The XCom value holds ``group``, ``project_id``, ``region`` and ``packages``, a list of
    ``name`` and ``state``.

    :param group: name of the group (templated)
    :param packages: names of the packages to wait for; ``None`` for all that the group has, which
        is at least one (templated)
    :param kind: ask the service for packages of this kind only: ``jar``, ``pyFile``, ``file`` or
        ``modelFile`` (templated)
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
        dli_conn_id: str = "dli_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.packages = packages
        self.kind = kind
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    @cached_property
    def _observe(self) -> StateLog:
        return self.hook.state_log()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        from airflow_provider_dli.api.errors import InputError
        from airflow_provider_dli.api.flows import failed
        from airflow_provider_dli.api.readiness import Verdict, judge

        if isinstance(self.packages, str) or self.packages == []:
            raise InputError("packages", self.packages, "give a list of package names, or None")
        with self.hook as hook:
            readiness = judge(hook.get_package_group(self.group, self.kind), self.packages)
            self._observe(readiness)
            if readiness.verdict is Verdict.FAILED:
                raise failed(self.group, readiness)
            return PokeReturnValue(
                readiness.verdict is Verdict.READY,
                {
                    "group": self.group,
                    "project_id": hook.account.project_id,
                    "region": hook.account.region,
                    "packages": [
                        {"name": name, "state": state} for name, state in readiness.states.items()
                    ],
                },
            )
