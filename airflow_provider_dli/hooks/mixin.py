# SPDX-License-Identifier: Apache-2.0
"""What the operators and sensors have in common: the hook on their connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.hooks.dli import DliHook


class DliHookMixin:
    """Gives a task with ``dli_conn_id``, ``region`` and ``project_id`` its hook."""

    dli_conn_id: str
    region: str | None
    project_id: str | None

    @cached_property
    def hook(self) -> DliHook:
        """The hook on the task's connection."""
        # Imported when it runs, so that parsing a DAG loads no client.
        from airflow_provider_dli.hooks.dli import DliHook

        return DliHook(self.dli_conn_id, region=self.region, project_id=self.project_id)
