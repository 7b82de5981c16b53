# SPDX-License-Identifier: Apache-2.0
"""Stage a Spark application from the files beside this DAG: only what changed is sent.

A JAR, Python code (a file and a folder, which becomes a zip) and a plain file go to OBS and from
there into a package group each. Run it twice: the second run finds everything in its place, sends
nothing and uploads nothing.

What it needs: a connection `dli_default` of type `dli`, and a bucket. It runs unchanged against the
bundled emulator (`make demo`) and against the cloud. For jobs on Spark 3.3.1 and later set the
parameter `target` to `obs`: they take no groups, but the `obs_path` of each package.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_dli.operators.staging import StagePackagesOperator

# Relative to the folder of this file.
SOURCES = {
    "jars": ["spark_app/*.jar"],
    "python": ["spark_app/word_count.py", "spark_app/wordtools"],
    "files": ["spark_app/*.txt"],
}

with DAG(
    dag_id="stage_files",
    schedule=None,
    catchup=False,
    params={
        "bucket": Param("dli-examples", type="string", description="Bucket that gets the files"),
        "prefix": Param("staged", type="string", description="Folder in the bucket"),
        "target": Param(
            "group", enum=["group", "obs"], description="obs for Spark 3.3.1 and later"
        ),
    },
    tags=["dli", "example"],
    doc_md=__doc__,
) as dag:
    stage = [
        StagePackagesOperator(
            task_id=f"stage_{part}",
            sources=sources,
            bucket="{{ params.bucket }}",
            prefix="{{ params.prefix }}",
            group=f"word-count-{part}-staged",
            target="{{ params.target }}",
            tags={"application": "word-count"},
            poll_interval=5,
            timeout=20 * 60,
        )
        for part, sources in SOURCES.items()
    ]

    @task
    def files_of_the_job(staged: list[dict[str, Any]]) -> dict[str, str]:
        """Give what a Spark job names: `group/package`, or the path in OBS."""
        return {
            package["name"]: f"{result['group']}/{package['name']}"
            if result["group"]
            else package["obs_path"]
            for result in staged
            for package in result["packages"]
        }

    files_of_the_job([operator.output for operator in stage])
