# SPDX-License-Identifier: Apache-2.0
"""Work with package groups in `@task` functions, without operators: upload, wait, look, delete.

Needs the same connection and files as `stage_packages.py`.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_dli.hooks.dli import DliHook

with DAG(
    dag_id="hook_in_task",
    schedule=None,
    catchup=False,
    params={
        "bucket": Param("dli-examples", type="string", description="Bucket that has the files"),
        "prefix": Param("spark_app", type="string", description="Folder in the bucket"),
    },
    tags=["dli", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def upload(group: str, params: dict[str, Any] | None = None) -> list[str]:
        """Upload into the group and wait; what is returned goes to XCom."""
        assert params is not None
        path = f"obs://{params['bucket']}/{params['prefix']}/word-stats.jar"
        hook = DliHook()
        hook.upload_package_group([path], group, kind="jar")
        ready = hook.wait_until_ready(group, ["word-stats.jar"], poll_interval=5)
        return [package.name for package in ready.packages]

    @task
    def show(group: str, names: list[str]) -> list[dict[str, Any]]:
        """Ask for each package by itself."""
        hook = DliHook()
        return [hook.get_package(name, group).as_dict() for name in names]

    @task
    def clean_up(group: str) -> list[str]:
        """Delete what the group holds; an absent group counts as done."""
        return list(DliHook().delete_package_group(group))

    group = "word-count-by-hook"
    uploaded = upload(group)
    # Teardown: deletes in any case, and a failure before stays a failure.
    show(group, uploaded) >> clean_up(group).as_teardown()
