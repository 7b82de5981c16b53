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
    """Keeps the addresses of a task's links by their XCom keys. A link without address is empty.

    Call it right after the submission, so that tasks that fail or wait have their links as well.

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
        """Returns the address, or an empty text if there is none.

        On Airflow 3 the worker calls this each time the task ends or defers, and stores the result
        under `xcom_key`. So it returns what was kept there before.
        """
        kept = getattr(operator, _KEPT, None)
        if kept is not None:
            return str(kept[self.xcom_key])
        if _is_first_part(ti_key):
            # Nothing was kept, and reading a missing XCom value logs an error in the task's log.
            return ""
        # Imported here, because a DAG file needs only the names of the links.
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")


def _is_first_part(ti: Any) -> bool:
    """Whether this is the worker of Airflow 3, with a task that was not deferred before."""
    from_server = getattr(ti, "_ti_context_from_server", None)
    return from_server is not None and not from_server.next_method


class SparkJobLink(_XComLink):
    """Opens the job in the console of the cloud."""

    name = "DLI Spark job"
    xcom_key = JOB_LINK


class PackageGroupLink(_XComLink):
    """Opens the package groups in the console of the cloud."""

    name = "DLI package group"
    xcom_key = GROUP_LINK


class SparkUiLink(_XComLink):
    """Opens the job in the Spark UI."""

    name = "Spark UI"
    xcom_key = UI_LINK
