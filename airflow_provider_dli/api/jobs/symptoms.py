# SPDX-License-Identifier: Apache-2.0
"""Finds the cause of a job's failure in the end of its driver's log.

This explains jobs that are dead already: the text of a log never decides whether a job failed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_dli.api.jobs.causes import JobCause
from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError

LAST_LINES = 20
"""Lines of the log in an error, at most."""

_LONGEST_EXCERPT = 4000
_LONGEST_LINE = 400
_SEARCHED = 1000

# The most specific first, and causes before their consequences: a driver that is out of memory is
# killed, and Python then reports that its JVM is gone.
_WORDS: tuple[tuple[JobCause, str], ...] = (
    (
        JobCause.EXECUTOR_OUT_OF_MEMORY,
        r"executor \d+\).*OutOfMemoryError|[Ee]xecutor.*(?:exit code:? (?:137|52)\b|OOMKilled)"
        r"|Container killed|running beyond (?:the )?'?(?i:physical|virtual)'? memory",
    ),
    (JobCause.RESULT_TOO_LARGE, r"is bigger than (?:local )?(?:spark\.driver\.)?maxResultSize"),
    (
        JobCause.DRIVER_OUT_OF_MEMORY,
        r"\bOutOfMemoryError\b|^MemoryError\b|OOMKilled|[Ee]xit (?:code|status):?(?: is)? 137\b"
        r"|There is insufficient memory for the Java Runtime",
    ),
    (
        JobCause.MEMORY_SETTING,
        r"Size must be specified as bytes|Too small (?:maximum|initial) heap"
        r"|Invalid (?:maximum|initial) heap size|memory \d+ must be at least"
        r"|[Mm]emory must have a unit",
    ),
    (
        JobCause.AGENCY,
        r"(?i)set the agency|agency\b.{0,80}(?:not exist|not found|invalid|denied|not allowed"
        r"|missing|not configured|unauthori[sz]ed|no permission|fail)"
        r"|(?:cannot|could not|failed to|unable to|no)\b.{0,60}\bagency\b",
    ),
    (
        JobCause.OBS_DENIED,
        r"(?i)Response ?Code(?:\[|: ?)403|status \[403\]|ErrorCode\[AccessDenied\]"
        r"|Status Code: 403\b|InvalidAccessKeyId|SignatureDoesNotMatch"
        r"|AccessControlException.*obs://",
    ),
    (
        JobCause.OBS_MISSING,
        r"(?i)Response ?Code(?:\[|: ?)404|status \[404\]|NoSuchKey|NoSuchBucket|Status Code: 404\b",
    ),
    (JobCause.MISSING_MODULE, r"^(?:ModuleNotFoundError|ImportError): "),
    (
        JobCause.OTHER_BUILD,
        r"\b(?:AbstractMethodError|NoSuchMethodError|NoSuchFieldError|IncompatibleClassChangeError"
        r"|UnsupportedClassVersionError)\b",
    ),
    (
        JobCause.MISSING_CLASS,
        r"Failed to load class|\b(?:ClassNotFoundException|NoClassDefFoundError)\b"
        r"|Failed to find (?:the )?data source",
    ),
    (JobCause.METADATA_DENIED, r"Permission denied for resource"),
    (
        JobCause.QUEUE,
        r"(?i)\bqueue\b.{0,60}(?:not exist|not found|not available|is not (?:a )?general"
        r"|frozen|being deleted)|\bno such queue\b",
    ),
    (JobCause.QUOTA, r"(?i)exceed\w* (?:the )?(?:\w+ )?quota|quota (?:is |was )?exceed|DLI\.1028"),
    (JobCause.PATH_MISSING, r"Path does not exist|Input path does not exist"),
    (
        JobCause.NETWORK,
        r"\b(?:UnknownHostException|ConnectException|SocketTimeoutException"
        r"|NoRouteToHostException)\b|Communications link failure",
    ),
    (
        JobCause.KILLED,
        r"RECEIVED SIGNAL TERM|[Ee]xit (?:code|status):?(?: is)? 143\b"
        r"|(?i:cancel+ed|killed) by (?:the )?user|because SparkContext was shut down",
    ),
    (JobCause.PYTHON_EXCEPTION, r"^(?:SyntaxError|IndentationError|TabError): "),
    (
        JobCause.NO_RESOURCES,
        r"has not accepted any resources|\d+ Insufficient (?:cpu|memory)|(?i:out of resources)",
    ),
)
_TABLE = tuple((cause, re.compile(words)) for cause, words in _WORDS)

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
    candidates = [(cause, _last_match(words, grave)) for cause, words in _TABLE]
    candidates += [
        (JobCause.PYTHON_EXCEPTION, _raised(grave)),
        (JobCause.JAVA_EXCEPTION, _thrown(grave)),
    ]
    # A job goes on after a warning, so warnings come last, and they never forbid a retry.
    candidates += [
        (cause, _last_match(words, single)) for cause, words in _TABLE if not cause.is_permanent
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


def _last_match(words: re.Pattern[str], lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if words.search(line)), "")


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
