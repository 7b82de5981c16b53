# SPDX-License-Identifier: Apache-2.0
"""Tasks that keep their links, and end in every way in which a task may end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dli.links.spark import (
    JOB_LINK,
    UI_LINK,
    PackageGroupLink,
    SparkJobLink,
    SparkUiLink,
    keep_links,
)


class Now(BaseTrigger):
    """Ends a deferral at once."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "linked.Now", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(None)


class Linked(BaseOperator):
    """Keeps links as a Spark task does, or fails before."""

    operator_extra_links = (SparkJobLink(), PackageGroupLink(), SparkUiLink())

    def __init__(self, *, job: str = "", ends: str = "well", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.ends = ends

    def execute(self, context: Any) -> None:
        if not self.job:
            raise ValueError("no job is submitted")
        page = f"https://console.example/{self.job}"
        keep_links(context["ti"], {JOB_LINK: page, UI_LINK: f"{page}/ui"})
        if self.ends == "deferred":
            self.defer(trigger=Now(), method_name="resumed")
        if self.ends == "badly":
            raise ValueError("the job failed")

    def resumed(self, context: Any, event: Any) -> None:
        """Go on after the deferral."""


with DAG(dag_id="linked", schedule=None) as dag:
    Linked(task_id="well", job="a")
    Linked(task_id="badly", job="b", ends="badly")
    Linked(task_id="deferred", job="c", ends="deferred")
    Linked(task_id="without")
    Linked.partial(task_id="mapped").expand(job=["d", "e"])
