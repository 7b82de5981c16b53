# SPDX-License-Identifier: Apache-2.0
"""Why a dead Spark job failed: the known causes, and how the driver's log shows them.

This explains jobs that are dead already: the text of a log never decides whether a job failed.
`docs/spark.md` has the table of the causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError

LAST_LINES = 20
"""Lines of the log in an error, at most."""

_LONGEST_EXCERPT = 4000
_LONGEST_LINE = 400
_SEARCHED = 1000


class JobCause(Enum):
    """Why a job failed: the message, the remedy, whether it is permanent, a pattern of the log.

    A permanent cause makes the same job fail again until somebody changes something. The most
    specific causes come first, and causes before their consequences: a driver that is out of memory
    is killed, and Python then reports that its JVM is gone.
    """

    def __init__(
        self, message: str, remedy: str, is_permanent: bool, pattern: str | None = None
    ) -> None:
        self.message = message
        self.remedy = remedy
        self.is_permanent = is_permanent
        self.pattern = None if pattern is None else re.compile(pattern)

    @property
    def key(self) -> str:
        """The name of the cause in code, such as `missing-class`."""
        return self.name.lower().replace("_", "-")

    EXECUTOR_OUT_OF_MEMORY = (
        "An executor ran out of memory.",
        "Raise executor_memory, lower executor_cores (fewer tasks share the memory), or use more "
        "partitions. Memory of Python processes counts towards spark.executor.memoryOverhead.",
        False,
        r"executor \d+\).*OutOfMemoryError|[Ee]xecutor.*(?:exit code:? (?:137|52)\b|OOMKilled)"
        r"|Container killed|running beyond (?:the )?'?(?i:physical|virtual)'? memory",
    )
    RESULT_TOO_LARGE = (
        "The tasks sent more results to the driver than it accepts.",
        "Write results with the executors instead of collecting them, or raise "
        "spark.driver.maxResultSize in conf, and driver_memory with it.",
        False,
        r"is bigger than (?:local )?(?:spark\.driver\.)?maxResultSize",
    )
    DRIVER_OUT_OF_MEMORY = (
        "The driver ran out of memory.",
        "Raise driver_memory, and collect less into the driver.",
        False,
        r"\bOutOfMemoryError\b|^MemoryError\b|OOMKilled|[Ee]xit (?:code|status):?(?: is)? 137\b"
        r"|There is insufficient memory for the Java Runtime",
    )
    MEMORY_SETTING = (
        "A memory setting is too small, or its unit is unknown to Spark.",
        'Set driver_memory and executor_memory with a unit, such as "4G" or "2048M".',
        True,
        r"Size must be specified as bytes|Too small (?:maximum|initial) heap"
        r"|Invalid (?:maximum|initial) heap size|memory \d+ must be at least"
        r"|[Mm]emory must have a unit",
    )
    AGENCY = (
        "The agency of the job is missing or cannot be used.",
        "Set execution_agency_urn to the name of an agency that DLI may use and that has access to "
        "the job's files: "
        "https://support.huaweicloud.com/eu/usermanual-dli/dli_01_0616.html",
        True,
        r"(?i)set the agency|agency\b.{0,80}(?:not exist|not found|invalid|denied|not allowed"
        r"|missing|not configured|unauthori[sz]ed|no permission|fail)"
        r"|(?:cannot|could not|failed to|unable to|no)\b.{0,60}\bagency\b",
    )
    OBS_DENIED = (
        "OBS denies access to the job (403).",
        "Grant the job's agency, or on older engines the user, permission to read and write the "
        "bucket. Jobs cannot use DLI's own log bucket.",
        True,
        r"(?i)Response ?Code(?:\[|: ?)403|status \[403\]|ErrorCode\[AccessDenied\]"
        r"|Status Code: 403\b|InvalidAccessKeyId|SignatureDoesNotMatch"
        r"|AccessControlException.*obs://",
    )
    OBS_MISSING = (
        "An OBS object or bucket does not exist (404).",
        "Check the path, and that the file was staged before the job.",
        True,
        r"(?i)Response ?Code(?:\[|: ?)404|status \[404\]|NoSuchKey|NoSuchBucket|Status Code: 404\b",
    )
    MISSING_MODULE = (
        "A Python module is missing.",
        "Add it to py_files, as .py, .zip or .egg, or stage it with the application.",
        True,
        r"^(?:ModuleNotFoundError|ImportError): ",
    )
    OTHER_BUILD = (
        "The application was built for another version of Java, Scala, Spark or a library.",
        "Build it for the engine of spark_version, and exclude from the JAR what the engine has.",
        True,
        r"\b(?:AbstractMethodError|NoSuchMethodError|NoSuchFieldError|IncompatibleClassChangeError"
        r"|UnsupportedClassVersionError)\b",
    )
    MISSING_CLASS = (
        "A class is missing.",
        "Check class_name, and add the JAR that has the class to jars. Classes of DLI's data "
        "sources need their module in modules.",
        True,
        r"Failed to load class|\b(?:ClassNotFoundException|NoClassDefFoundError)\b"
        r"|Failed to find (?:the )?data source",
    )
    METADATA_DENIED = (
        "The user has no permission for a DLI database or table.",
        "Ask its owner for the permission: https://support.huaweicloud.com/dli_faq/dli_03_0192.html",
        True,
        r"Permission denied for resource",
    )
    QUEUE = (
        "The queue does not exist or does not accept the job.",
        "Check queue: it must be a running general-purpose queue of this project.",
        False,
        r"(?i)\bqueue\b.{0,60}(?:not exist|not found|not available|is not (?:a )?general"
        r"|frozen|being deleted)|\bno such queue\b",
    )
    QUOTA = (
        "A quota is used up.",
        "Wait for other jobs to end, request fewer resources, or request a higher quota.",
        False,
        r"(?i)exceed\w* (?:the )?(?:\w+ )?quota|quota (?:is |was )?exceed|DLI\.1028",
    )
    PATH_MISSING = (
        "A path that the job reads does not exist.",
        "Check the path, and that the data is written before the job runs.",
        False,
        r"Path does not exist|Input path does not exist",
    )
    NETWORK = (
        "The job could not connect to a server.",
        "Check address and port, and that a datasource connection binds the queue to the network "
        "of the server.",
        False,
        r"\b(?:UnknownHostException|ConnectException|SocketTimeoutException"
        r"|NoRouteToHostException)\b|Communications link failure",
    )
    KILLED = (
        "The job was cancelled or ended outside Airflow.",
        "Somebody cancelled it, or the service ended it, for instance for lack of resources.",
        False,
        r"RECEIVED SIGNAL TERM|[Ee]xit (?:code|status):?(?: is)? 143\b"
        r"|(?i:cancel+ed|killed) by (?:the )?user|because SparkContext was shut down",
    )
    PYTHON_EXCEPTION = (
        "The application raised an exception.",
        "See the traceback in the log.",
        False,
        r"^(?:SyntaxError|IndentationError|TabError): ",
    )
    JAVA_EXCEPTION = (
        "The application threw an exception.",
        "See the stack trace in the log.",
        False,
    )
    NO_RESOURCES = (
        "The queue had no resources for the job.",
        "Request fewer or smaller executors, or a larger queue. A job without resources for about "
        "3 hours ends as dead.",
        False,
        r"has not accepted any resources|\d+ Insufficient (?:cpu|memory)|(?i:out of resources)",
    )


# "26/11/21 11:43:41 WARN …" of Spark, "2024-07-02 13:17:52,861 | WARN  | …" of DLI, "log4j:WARN …".
_HARMLESS = re.compile(r"(?:[\d/:., -]+\|? *|log4j:)(?:TRACE|DEBUG|INFO|WARN)\b")
_TRACEBACK = "Traceback (most recent call last):"
_THROWN = re.compile(
    r'(?:Exception in thread "[^"]*" |Caused by: |: |.*User class threw exception: )'
    r"(?P<what>[\w.$]+(?:Exception|Error)\b.*)"
)
# Python's errors about a JVM that is gone are a consequence, not a cause.
_JVM_GONE = re.compile(
    r"py4j\.protocol\.Py4J(?:Network)?Error|ConnectionRefusedError|KeyboardInterrupt"
)


def cause_of(lines: Sequence[str]) -> tuple[JobCause | None, str]:
    """Returns the most specific cause found in the lines, and the line that shows it.

    Without a known cause these are `None` and an empty text.
    """
    # What DLI counts as one line may have several. The length is limited, since a long search would
    # block the triggerer's loop.
    single = [part[:_SEARCHED] for line in lines for part in line.splitlines()]
    grave = [line for line in single if not _HARMLESS.match(line)]
    candidates = [(cause, _last_match(cause, grave)) for cause in JobCause]
    candidates += [
        (JobCause.PYTHON_EXCEPTION, _raised(grave)),
        (JobCause.JAVA_EXCEPTION, _thrown(grave)),
    ]
    # A job goes on after a warning, so warnings come last, and they never forbid a retry.
    candidates += [
        (cause, _last_match(cause, single)) for cause in JobCause if not cause.is_permanent
    ]
    return next((found for found in candidates if found[1]), (None, ""))


def explain(
    batch_id: str, raw_state: str, lines: Sequence[str], console_url: str | None = None
) -> SparkBatchFailedError:
    """Returns the error for a dead job, with its cause if the log shows one, and the last lines.

    :param batch_id: id of the job
    :param raw_state: its state as DLI spells it
    :param lines: the end of its driver's log; 100 lines show more causes than 20
    :param console_url: the job's page in the console
    """
    cause, line = cause_of(lines)
    why = (
        f"{cause.message.removesuffix('.')}: {_cut(line)}\n{cause.remedy}"
        if cause
        else "It failed, or it was cancelled or ended outside Airflow, or it waited 3 hours for "
        "resources: DLI reports all of these as the same state."
    )
    parts = [f"Spark job {batch_id} is {raw_state or 'in no state'}. {why}"]
    if console_url:
        parts.append(f"Console: {console_url}")
    parts.append(_last_lines(lines))
    return SparkBatchFailedError(
        "\n".join(parts),
        batch_id,
        cause=cause.key if cause else "",
        is_permanent=cause is not None and cause.is_permanent,
    )


def _last_match(cause: JobCause, lines: Sequence[str]) -> str:
    pattern = cause.pattern
    if pattern is None:
        return ""
    return next((line.strip() for line in reversed(lines) if pattern.search(line)), "")


def _raised(lines: Sequence[str]) -> str:
    """Returns the line that ends the last traceback, unless that is about a Java exception."""
    starts = [number for number, line in enumerate(lines) if _TRACEBACK in line]
    for start in reversed(starts):
        ends = (line for line in lines[start + 1 :] if line and not line[0].isspace())
        line = next(ends, "")
        if line and "Py4JJavaError" not in line and not _JVM_GONE.match(line):
            return line.strip()
    return ""


def _thrown(lines: Sequence[str]) -> str:
    """Returns the Java exception that caused the others."""
    thrown = [match["what"] for match in map(_THROWN.match, lines) if match]
    return thrown[-1].strip() if thrown else ""


def _last_lines(lines: Sequence[str]) -> str:
    """Returns the last lines under a heading, as many as fit."""
    last: list[str] = []
    left = _LONGEST_EXCERPT
    for line in reversed(lines[-LAST_LINES:]):
        left -= len(_cut(line)) + 1
        if left < 0:
            break
        last.insert(0, _cut(line))
    if not last:
        return "Its driver's log is empty or could not be read."
    return "\n".join(["The last lines of its driver's log:", *last])


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
