# SPDX-License-Identifier: Apache-2.0
"""Links of a Spark task: its job and its package group in the console, and Spark's own UI.

A link is an XCom value that the task pushes with `keep_links`. Airflow 3 reads nothing else;
on Airflow 2 the webserver calls `get_link`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

JOB_LINK = "dli_spark_job_link"
GROUP_LINK = "dli_package_group_link"
UI_LINK = "dli_spark_ui_link"

_KEPT = "_dli_links"


def keep_links(ti: Any, links: Mapping[str, str | None]) -> None:
    """Keep the addresses of a task's links, by their XCom keys; what has none is empty.

    To be called right after the submission, so that tasks that fail or wait have them as well.

    :param ti: the task instance of the context
    :param links: addresses by `JOB_LINK`, `GROUP_LINK` and `UI_LINK`
    """
    kept = {key: links.get(key) or "" for key in (JOB_LINK, GROUP_LINK, UI_LINK)}
    for key, address in kept.items():
        ti.xcom_push(key=key, value=address)
    setattr(ti.task, _KEPT, kept)


class _XComLink(BaseOperatorLink):
    xcom_key: str

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address, empty where there is none.

        On Airflow 3 the worker asks, after each slice of the task, and stores the answer under
        `xcom_key`: what was kept there has to be given again.
        """
        kept = getattr(operator, _KEPT, None)
        if kept is not None:
            return str(kept[self.xcom_key])
        if _begins_here(ti_key):
            # Nothing was kept, and to read what there is not writes an error to the task's log.
            return ""
        # Imported here, since a DAG file needs the names of links only.
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")


def _begins_here(ti: Any) -> bool:
    """Whether the task runs, on Airflow 3, and was not deferred before."""
    begun = getattr(ti, "_ti_context_from_server", None)
    return begun is not None and not begun.next_method


class SparkJobLink(_XComLink):
    """The job in the cloud's console."""

    name = "DLI Spark job"
    xcom_key = JOB_LINK


class PackageGroupLink(_XComLink):
    """The package groups in the cloud's console."""

    name = "DLI package group"
    xcom_key = GROUP_LINK


class SparkUiLink(_XComLink):
    """The job in Spark's own UI."""

    name = "Spark UI"
    xcom_key = UI_LINK
