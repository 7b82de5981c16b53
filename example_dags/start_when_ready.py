# SPDX-License-Identifier: Apache-2.0
"""Start a DAG when a package group becomes READY anew, whoever uploaded it. Needs Airflow 3.

The triggerer watches the group `word-count-python`, which `stage_packages.py` uploads. Each time
that its `update_time` moves and all of its packages are READY, there is an asset event, and the
scheduler starts a run of this DAG.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_dli.triggers.packages import PackageGroupUpdatedTrigger

GROUP = "word-count-python"

packages = Asset(
    name=GROUP,
    uri=f"x-dli://{GROUP}",
    watchers=[
        AssetWatcher(
            name="ready_anew",
            trigger=PackageGroupUpdatedTrigger(group=GROUP, poll_interval=10),
        )
    ],
)

with DAG(
    dag_id="start_when_ready",
    schedule=[packages],
    catchup=False,
    tags=["dli", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def what_is_ready(triggering_asset_events: dict[Any, Any] | None = None) -> list[Any]:
        """Show what each event says: group, update time, and the state of each package."""
        assert triggering_asset_events is not None
        return [event.extra["payload"] for event in triggering_asset_events[packages]]

    what_is_ready()
