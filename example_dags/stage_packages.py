# SPDX-License-Identifier: Apache-2.0
"""Stage a Spark application: a JAR, Python files and a plain file, each in a package group.

What it needs: a connection `dli_default` of type `dli`, and the files of `spark_app/` in OBS, under
the bucket and prefix of the DAG's parameters. It runs unchanged against the bundled emulator
(`make demo`) and against the cloud.

Before you build on it: Spark 3.3.1 and later takes no package groups, only `obs://` paths; on
Huawei Cloud the package-group API has been marked deprecated since 2023.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_dli.operators.packages import (
    DeletePackageGroupOperator,
    UploadPackageGroupOperator,
)
from airflow_provider_dli.sensors.packages import PackageGroupSensor

SOURCE = "obs://{{ params.bucket }}/{{ params.prefix }}"
GROUPS = {
    "jars": ("jar", ["word-stats.jar"]),
    "python": ("pyFile", ["word_count.py", "wordtools.zip"]),
    "files": ("file", ["stop_words.txt"]),
}

with DAG(
    dag_id="stage_packages",
    schedule=None,
    catchup=False,
    params={
        "bucket": Param("dli-examples", type="string", description="Bucket that has the files"),
        "prefix": Param("spark_app", type="string", description="Folder in the bucket"),
        "application": Param("word-count", type="string", description="First part of the names"),
    },
    tags=["dli", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def application_files(groups: list[str]) -> dict[str, list[str]]:
        """Ask DLI itself what each group holds: the hook in a task, in three lines."""
        from airflow_provider_dli.hooks.dli import DliHook

        listing = DliHook().list_packages()
        found = [listing.group(group) for group in groups]
        return {group.name: [p.name for p in group.packages] for group in found if group}

    names = {part: f"{{{{ params.application }}}}-{part}" for part in GROUPS}
    stage = [
        UploadPackageGroupOperator(
            task_id=f"stage_{part}",
            paths=[f"{SOURCE}/{file}" for file in files],
            group=names[part],
            kind=kind,
            tags={"application": "{{ params.application }}"},
            poll_interval=5,
            timeout=20 * 60,
        )
        for part, (kind, files) in GROUPS.items()
    ]
    # A Spark job may be submitted by another DAG: this is how it waits for its packages.
    staged = PackageGroupSensor(
        task_id="python_is_staged",
        group=names["python"],
        packages=["word_count.py", "wordtools.zip"],
        poke_interval=10,
        timeout=20 * 60,
        mode="reschedule",
    )
    clean_up = [
        DeletePackageGroupOperator(task_id=f"delete_{part}", group=names[part]) for part in GROUPS
    ]

    files = application_files(list(names.values()))
    stage >> staged >> files
    # Teardown: the groups are deleted in any case, and a failure before stays a failure. No upload
    # is their setup, for what a failed upload left has to be deleted too.
    files >> [delete.as_teardown() for delete in clean_up]
