# SPDX-License-Identifier: Apache-2.0
"""The end of a driver's log tells the cause of a job's end; the error says it with its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_dli.api.jobs.causes import JobCause, cause_of, explain

DOCS = Path(__file__).parents[3] / "docs" / "spark.md"

# What PySpark 3.5.9 wrote on Java 17, shortened.
OUT_OF_MEMORY = """\
26/11/21 11:43:41 ERROR Executor: Exception in task 0.0 in stage 0.0 (TID 0)
java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)
26/11/21 11:43:41 INFO ShutdownHookManager: Shutdown hook called
"""
NO_MODULE = """\
Traceback (most recent call last):
  File "/tmp/job/module.py", line 1, in <module>
    import pandas_missing_thing
ModuleNotFoundError: No module named 'pandas_missing_thing'
26/11/21 11:43:02 INFO ShutdownHookManager: Shutdown hook called
"""
DIVISION = """\
py4j.protocol.Py4JJavaError: An error occurred while calling PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed
Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/tmp/job/pyexc.py", line 4, in f
    return 1/0
           ~^~
ZeroDivisionError: division by zero

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(P.scala:572)
\t... 1 more
"""
NO_SOURCE = """\
Traceback (most recent call last):
  File "/tmp/job/format.py", line 3, in <module>
py4j.protocol.Py4JJavaError: An error occurred while calling o25.load.
: org.apache.spark.SparkClassNotFoundException: [DATA_SOURCE_NOT_FOUND] Failed to find the data sou
\tat org.apache.spark.sql.DataFrameReader.load(DataFrameReader.scala:172)
Caused by: java.lang.ClassNotFoundException: com.example.nope.DefaultSource
\t... 15 more
"""
JAVA = """\
Traceback (most recent call last):
  File "/tmp/job/main.py", line 3, in <module>
py4j.protocol.Py4JJavaError: An error occurred while calling o25.run.
: java.lang.IllegalStateException: no words
\tat com.example.wordstats.WordStats.main(WordStats.java:12)
"""
UNIT = (
    "26/11/21 11:43:29 ERROR SparkContext: Error initializing SparkContext.\n"
    "java.lang.NumberFormatException: Size must be specified as bytes (b), kibibytes (k), mebibytes"
)
NO_PATH = """\
Traceback (most recent call last):
  File "/tmp/job/path.py", line 3, in <module>
pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: obs://b
"""
# Of Spark's own sources, of the vendor's FAQ and of drivers' logs that users published.
DENIED = (
    'Exception in thread "main" org.apache.hadoop.security.AccessControlException: getFileStatus on'
    " obs://bucket/a.py: ResponseCode[403],ErrorCode[AccessDenied],ErrorMessage[Request Error.]"
)
MISSING = (
    "java.io.FileNotFoundException: obs://bucket/part-0: ResponseCode[404],ErrorCode[NoSuchKey]"
)
WAITING = (
    "2024-07-02 13:17:52,861 | WARN  | main | Initial job has not accepted any resources; check "
    "your cluster UI to ensure that workers are registered and have sufficient resources"
)

SAMPLES = [
    (JobCause.DRIVER_OUT_OF_MEMORY, OUT_OF_MEMORY, "java.lang.OutOfMemoryError: Java heap space"),
    (
        JobCause.DRIVER_OUT_OF_MEMORY,
        "Terminating due to java.lang.OutOfMemoryError: Java heap space",
        None,
    ),
    (JobCause.DRIVER_OUT_OF_MEMORY, "MemoryError", None),
    (JobCause.DRIVER_OUT_OF_MEMORY, "pod driver: termination reason: OOMKilled", None),
    (
        JobCause.EXECUTOR_OUT_OF_MEMORY,
        "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).",
        None,
    ),
    (
        JobCause.EXECUTOR_OUT_OF_MEMORY,
        "ERROR YarnScheduler: Lost executor 3: Container killed by YARN for exceeding memory",
        None,
    ),
    (
        JobCause.EXECUTOR_OUT_OF_MEMORY,
        "Lost task 0.3 in stage 0.0 (TID 3) (10.0.0.1 executor 2): java.lang.OutOfMemoryError: Jav",
        None,
    ),
    (
        JobCause.RESULT_TOO_LARGE,
        "org.apache.spark.SparkException: Job aborted due to stage failure: Total size of"
        " serialized results of 9 tasks (2 GiB) is bigger than spark.driver.maxResultSize (1 GiB)",
        None,
    ),
    (JobCause.MEMORY_SETTING, UNIT, None),
    (JobCause.MEMORY_SETTING, "Too small maximum heap", None),
    (JobCause.MEMORY_SETTING, "Executor memory 2 must be at least 471859200.", None),
    (JobCause.MEMORY_SETTING, "driverMemory must have a unit, such as 2G or 2048M, not '2'", None),
    (
        JobCause.AGENCY,
        "Cannot download obs object in b bucket, please set the agency parameter in the conf.",
        None,
    ),
    (JobCause.AGENCY, "The agency word-stats does not exist", None),
    (JobCause.OBS_DENIED, DENIED, None),
    (
        JobCause.OBS_DENIED,
        "Caused by: com.obs.services.exception.ObsException: Error message:Request Error."
        " -- ResponseCode: 403, ResponseStatus: Forbidden",
        None,
    ),
    (JobCause.OBS_DENIED, "AccessControlException: verifyBucketExists on b: status [403]", None),
    (JobCause.OBS_MISSING, MISSING, None),
    (JobCause.OBS_MISSING, "ErrorCode[NoSuchBucket]", None),
    (JobCause.PATH_MISSING, NO_PATH, None),
    (
        JobCause.MISSING_MODULE,
        NO_MODULE,
        "ModuleNotFoundError: No module named 'pandas_missing_thing'",
    ),
    (JobCause.MISSING_MODULE, "ImportError: No module named wordtools", None),
    (JobCause.MISSING_CLASS, "Error: Failed to load class com.example.Main.", None),
    (
        JobCause.MISSING_CLASS,
        NO_SOURCE,
        "Caused by: java.lang.ClassNotFoundException: com.example.nope.DefaultSource",
    ),
    (JobCause.OTHER_BUILD, "java.lang.AbstractMethodError: Method org/apache/spark/inte", None),
    (
        JobCause.METADATA_DENIED,
        "MetaException(message:Permission denied for resource: databases.xxx,action:SPARK_APP_",
        None,
    ),
    (JobCause.QUEUE, "The queue spark_queue does not exist", None),
    (JobCause.QUOTA, "pods is forbidden: exceeded quota: default, requested: cpu=8", None),
    (JobCause.NETWORK, "Caused by: java.net.UnknownHostException: kafka.example", None),
    (JobCause.KILLED, "ERROR SparkContext: RECEIVED SIGNAL TERM", None),
    (JobCause.KILLED, "The job was cancelled by the user", None),
    (
        JobCause.KILLED,
        "org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down",
        None,
    ),
    (JobCause.PYTHON_EXCEPTION, DIVISION, "ZeroDivisionError: division by zero"),
    (JobCause.PYTHON_EXCEPTION, "SyntaxError: invalid syntax", None),
    (JobCause.JAVA_EXCEPTION, JAVA, "java.lang.IllegalStateException: no words"),
    (
        JobCause.JAVA_EXCEPTION,
        'Exception in thread "main" java.lang.IllegalStateException: no words\n\tat A\n'
        "Caused by: java.io.IOException: closed",
        "java.io.IOException: closed",
    ),
    (JobCause.NO_RESOURCES, WAITING, None),
    (JobCause.NO_RESOURCES, "0/3 nodes are available: 3 Insufficient cpu.", None),
]


@pytest.mark.parametrize(("cause", "log", "line"), SAMPLES)
def test_a_log_tells_its_cause_and_the_line_that_told(
    cause: JobCause, log: str, line: str | None
) -> None:
    lines = ["26/11/21 11:43:01 INFO SparkContext: Running Spark version 3.5.9", *log.splitlines()]

    found, evidence = cause_of(lines)

    assert found is cause
    assert evidence == line or (line is None and evidence in lines)


def test_every_cause_has_a_sample() -> None:
    assert {cause for cause, _, _ in SAMPLES} == set(JobCause)


@pytest.mark.parametrize(
    "log",
    [
        [],
        ["26/11/21 11:43:01 INFO SparkContext: Running Spark version 3.5.9"],
        ["Spark Command: java -XX:+ExitOnOutOfMemoryError org.apache.spark.deploy.SparkSubmit"],
        ["26/11/21 INFO SparkConf: spark.executor.memoryOverhead=2g"],
        ["Traceback (most recent call last):"],
    ],
)
def test_a_log_without_a_cause_tells_none(log: list[str]) -> None:
    assert cause_of(log) == (None, "")


def test_permanent_is_what_a_retry_would_meet_again() -> None:
    assert {cause.key for cause in JobCause if cause.is_permanent} == {
        "memory-setting",
        "agency",
        "obs-denied",
        "obs-missing",
        "missing-module",
        "missing-class",
        "other-build",
        "metadata-denied",
    }


@pytest.mark.parametrize(
    "warning",
    [
        "26/11/21 11:43:01 WARN Utils: java.lang.ClassNotFoundException: org.example.Optional",
        "2024-07-02 13:17:52,861 | INFO  | main | ModuleNotFoundError: no matter",
        "log4j:WARN ErrorCode[AccessDenied]",
    ],
)
def test_a_warning_forbids_no_retry(warning: str) -> None:
    assert cause_of([warning])[0] is None


def test_a_warning_is_believed_last() -> None:
    lines = [*WAITING.splitlines(), *DIVISION.splitlines()]

    assert cause_of(lines)[0] is JobCause.PYTHON_EXCEPTION


def test_what_python_says_when_its_jvm_is_gone_is_no_cause() -> None:
    gone = [
        "Traceback (most recent call last):",
        '  File "clientserver.py", line 516, in send_command',
        "py4j.protocol.Py4JNetworkError: Answer from Java side is empty",
    ]

    assert cause_of(gone)[0] is None
    assert cause_of([*OUT_OF_MEMORY.splitlines(), *gone])[0] is JobCause.DRIVER_OUT_OF_MEMORY


def test_a_line_of_the_log_may_hold_several() -> None:
    found, evidence = cause_of([NO_MODULE])

    assert found is JobCause.MISSING_MODULE
    assert evidence.startswith("ModuleNotFoundError")


# the error


def test_the_error_says_job_state_cause_line_remedy_and_the_last_lines() -> None:
    error = explain("0a32", "dead", NO_MODULE.splitlines(), "https://console.example/job")

    assert str(error).splitlines() == [
        "Spark job 0a32 is dead. A Python module is missing: "
        "ModuleNotFoundError: No module named 'pandas_missing_thing'",
        JobCause.MISSING_MODULE.remedy,
        "Console: https://console.example/job",
        "The last lines of its driver's log:",
        *NO_MODULE.splitlines(),
    ]
    assert (error.batch_id, error.cause, error.is_permanent) == ("0a32", "missing-module", True)


def test_without_a_cause_it_says_what_dead_may_mean() -> None:
    error = explain("0a32", "Dead", [])

    assert str(error) == (
        "Spark job 0a32 is Dead. It failed, or it was cancelled or ended outside Airflow, or it "
        "waited 3 hours for resources: DLI reports all of these as the same state.\n"
        "Its driver's log is empty or could not be read."
    )
    assert (error.cause, error.is_permanent) == ("", False)


def test_the_last_lines_are_shortened() -> None:
    text = str(explain("0a32", "dead", [f"{number} {'x' * 10_000}" for number in range(1000)]))

    assert 3_000 < len(text) < 5_000
    assert "999 xxx" in text


def test_at_most_twenty_lines_are_shown() -> None:
    text = str(explain("0a32", "", [f"line {number}" for number in range(100)]))

    assert re.findall(r"line (\d+)$", text, re.MULTILINE) == [str(n) for n in range(80, 100)]
    assert "is in no state" in text


def test_the_documentation_has_the_same_table() -> None:
    section = DOCS.read_text().split("## Why a job failed")[1].split("\n## ")[0]

    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+) \| (yes|no) \|$", section, re.MULTILINE)

    assert rows == [
        (cause.key, cause.message, cause.remedy, "no" if cause.is_permanent else "yes")
        for cause in JobCause
    ]
