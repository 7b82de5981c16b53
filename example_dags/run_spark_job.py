# SPDX-License-Identifier: Apache-2.0
"""Stage a Spark application from the files beside this DAG, run it on DLI, and read what it wrote.

The application counts the words of a text, which the DAG puts into the bucket. The job runs on
Spark 3.3.1, which takes files as `obs://` paths. For Spark 3.1.1 give `spark_version` so and
`target` as `group`: then its files go by a package group.

What it needs: a connection `dli_default` of type `dli`, a bucket, a queue, and an agency with
which Spark 3.3.1 may read and write the bucket. Without an account it runs on the bundled emulator,
where `--spark local` runs the job for real.
"""

from __future__ import annotations

import ast
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.operators.spark import SparkBatchOperator
from airflow_provider_dli.operators.staging import StagePackagesOperator

TEXT = """\
To be, or not to be, that is the question:
Whether 'tis nobler in the mind to suffer
The slings and arrows of outrageous fortune,
Or to take arms against a sea of troubles,
And by opposing end them.
"""
# One folder for each run; Spark takes no colons in names of files.
FOLDER = "{{ params.prefix }}/runs/{{ run_id | replace(':', '.') | replace('+', '.') }}"

with DAG(
    dag_id="run_spark_job",
    schedule=None,
    catchup=False,
    params={
        "bucket": Param("dli-examples", type="string", description="Bucket for files and results"),
        "prefix": Param("word-count", type="string", description="Folder in the bucket"),
        "queue": Param("spark", type="string", description="General-purpose queue of DLI"),
        "spark_version": Param("3.3.1", type="string", description="Engine of the job"),
        "target": Param("obs", enum=["obs", "group"], description="group before Spark 3.3"),
        "agency": Param(
            "dli_spark_agency", type="string", description="Agency that may use the bucket"
        ),
    },
    tags=["dli", "example"],
    doc_md=__doc__,
) as dag:
    stage = StagePackagesOperator(
        task_id="stage",
        # Relative to the folder of this file. A folder of Python code becomes a zip.
        sources=[
            "spark_app/word_count.py",
            "spark_app/wordtools",
            "spark_app/word-stats.jar",
            "spark_app/stop_words.txt",
        ],
        bucket="{{ params.bucket }}",
        prefix="{{ params.prefix }}/staged",
        group="word-count",
        target="{{ params.target }}",
        spark_version="{{ params.spark_version }}",
        poll_interval=5,
        timeout=20 * 60,
    )

    @task
    def write_text(bucket: str, folder: str) -> None:
        """Put the text there that the job reads."""
        ObsHook().write_object(bucket, f"{folder}/text.txt", TEXT.encode())

    count = SparkBatchOperator(
        task_id="count",
        file="word_count.py",
        packages=stage.output,
        args=[
            f"obs://{{{{ params.bucket }}}}/{FOLDER}/text.txt",
            f"obs://{{{{ params.bucket }}}}/{FOLDER}/counts",
        ],
        queue_name="{{ params.queue }}",
        spark_version="{{ params.spark_version }}",
        execution_agency_urn="{{ params.agency }}",
        poll_interval=5,
        timeout=60 * 60,
    )

    @task
    def read_counts(bucket: str, folder: str) -> dict[str, int]:
        """Give the words with their counts; what is returned goes to XCom."""
        hook = ObsHook()
        parts = [found.key for found in hook.list_objects(bucket, f"{folder}/counts/part-")]
        lines = [line for key in parts for line in hook.read_object(bucket, key).splitlines()]
        return dict(ast.literal_eval(line.decode()) for line in lines)

    place: dict[str, Any] = {"bucket": "{{ params.bucket }}", "folder": FOLDER}
    [stage, write_text(**place)] >> count >> read_counts(**place)
