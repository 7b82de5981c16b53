# SPDX-License-Identifier: Apache-2.0
"""From the end of a driver's log to the cause of a job's end.

Only a job that is dead already is explained here: no words of a log decide whether it failed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_dli.api.jobs.causes import JobCause
from airflow_provider_dli.api.protocol.errors import SparkBatchFailedError

SHOWN = 20
"""How many lines of the log an error shows at most."""

_CHARACTERS = 4000
_LONGEST = 400
_SEARCHED = 1000

# The most specific first. What follows from another cause comes after that: a driver that is out of
# memory is killed, and Python then says that its JVM is gone.
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
# What Python says when its JVM is gone is no cause.
_JVM_GONE = re.compile(
    r"py4j\.protocol\.Py4J(?:Network)?Error|ConnectionRefusedError|KeyboardInterrupt"
)


def cause_of(lines: Sequence[str]) -> tuple[JobCause | None, str]:
    """Give the most specific cause that the lines tell of, with the line that does.

    `None` and an empty line where they tell of none.
    """
    # What DLI counts as a line may hold several. To search long ones for long would hold up a loop.
    single = [part[:_SEARCHED] for line in lines for part in line.splitlines()]
    grave = [line for line in single if not _HARMLESS.match(line)]
    candidates = [(cause, _last_match(words, grave)) for cause, words in _TABLE]
    candidates += [
        (JobCause.PYTHON_EXCEPTION, _raised(grave)),
        (JobCause.JAVA_EXCEPTION, _thrown(grave)),
    ]
    # A job goes on after a warning, so that one is the last thing to believe, and forbids no retry.
    candidates += [
        (cause, _last_match(words, single)) for cause, words in _TABLE if not cause.is_permanent
    ]
    return next((found for found in candidates if found[1]), (None, ""))


def explain(
    batch_id: str, raw_state: str, lines: Sequence[str], console_url: str | None = None
) -> SparkBatchFailedError:
    """Give the error of a job that is dead: its cause as far as the log tells, and the last lines.

    :param batch_id: id of the job
    :param raw_state: its state as DLI spells it
    :param lines: the end of its driver's log; a hundred lines tell more than twenty
    :param console_url: where the job is shown
    """
    cause, line = cause_of(lines)
    said = (
        f"{cause.message.removesuffix('.')}: {_cut(line)}\n{cause.remedy}"
        if cause
        else "It failed, or was cancelled or ended outside Airflow: DLI tells no difference, and a "
        "wait of 3 hours for resources ends so as well."
    )
    parts = [f"Spark job {batch_id} is {raw_state or 'in no state'}. {said}"]
    if console_url:
        parts.append(f"In the console: {console_url}")
    parts.append(_last(lines))
    return SparkBatchFailedError(
        "\n".join(parts),
        batch_id,
        cause=cause.key if cause else "",
        is_permanent=cause is not None and cause.is_permanent,
    )


def _last_match(words: re.Pattern[str], lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if words.search(line)), "")


def _raised(lines: Sequence[str]) -> str:
    """Give the line that ends the last traceback, unless it is about an exception of Java."""
    begins = [place for place, line in enumerate(lines) if _TRACEBACK in line]
    for place in reversed(begins):
        ends = (line for line in lines[place + 1 :] if line and not line[0].isspace())
        line = next(ends, "")
        if line and "Py4JJavaError" not in line and not _JVM_GONE.match(line):
            return line.strip()
    return ""


def _thrown(lines: Sequence[str]) -> str:
    """Give the exception of Java that caused the others."""
    thrown = [match["what"] for match in map(_THROWN.match, lines) if match]
    return thrown[-1].strip() if thrown else ""


def _last(lines: Sequence[str]) -> str:
    """Give the last lines under a heading, as many as fit."""
    shown: list[str] = []
    room = _CHARACTERS
    for line in reversed(lines[-SHOWN:]):
        room -= len(_cut(line)) + 1
        if room < 0:
            break
        shown.insert(0, _cut(line))
    if not shown:
        return "No line of its driver's log is known."
    return "\n".join(["The last lines of its driver's log:", *shown])


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
