# SPDX-License-Identifier: Apache-2.0
"""How the task of a sensor ends: one table for all modes, and the functions that read it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_provider_dli.api.protocol import errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator


class Outcome(Enum):
    """What ends the wait of a sensor, except success."""

    TIMED_OUT = auto()
    """The `timeout` of the sensor or the `execution_timeout` of the task is over."""
    FAILED = auto()
    """A package is FAILED or the job is dead. This does not change any more."""
    LOST = auto()
    """It is missing, or in an unknown state, for longer than `max_unknown_time`."""
    WRONG_INPUT = auto()
    """An argument of the task or a field of its connection is wrong."""
    ERROR = auto()
    """The poll was refused, or DLI was unavailable for longer than `max_unknown_time`."""
    NO_EVENT = auto()
    """The trigger failed without an event."""


class End(Enum):
    """How the task ends."""

    FAIL = auto()
    """It fails with the error itself, and is retried as `retries` says."""
    FAIL_FOR_GOOD = auto()
    """It fails with `AirflowFailException` and is not retried."""
    TIME_OUT = auto()
    """It fails with `AirflowSensorTimeout` and is not retried."""
    SKIP = auto()
    """It is skipped."""
    GO_ON = auto()
    """It does not end: the error is logged and the wait continues, until the timeout at most."""


ENDS: Mapping[Outcome, tuple[End, End, End, End]] = {
    # without any setting, with soft_fail, with never_fail, with silent_fail
    Outcome.TIMED_OUT: (End.TIME_OUT, End.SKIP, End.SKIP, End.TIME_OUT),
    Outcome.FAILED: (End.FAIL_FOR_GOOD, End.SKIP, End.SKIP, End.FAIL_FOR_GOOD),
    Outcome.LOST: (End.FAIL, End.SKIP, End.SKIP, End.GO_ON),
    Outcome.WRONG_INPUT: (End.FAIL_FOR_GOOD,) * 4,
    Outcome.ERROR: (End.FAIL, End.FAIL, End.SKIP, End.GO_ON),
    Outcome.NO_EVENT: (End.FAIL, End.SKIP, End.SKIP, End.FAIL),
}
"""`soft_fail` applies to what the sensor waits for, `never_fail` to every end. Neither hides an
argument that is wrong. `silent_fail` applies to polls without a usable answer."""


def end_of(outcome: Outcome, task: BaseSensorOperator) -> End:
    """Returns how the task ends; `silent_fail` wins when it lets the wait continue."""
    plain, soft_fail, never_fail, silent_fail = ENDS[outcome]
    if task.silent_fail and silent_fail is End.GO_ON:
        return End.GO_ON
    if task.soft_fail:
        return soft_fail
    return never_fail if task.never_fail else plain


_OUTCOMES: tuple[tuple[tuple[type[BaseException], ...], Outcome], ...] = (
    ((errors.InputError,), Outcome.WRONG_INPUT),
    (
        (
            AirflowSensorTimeout,
            AirflowTaskTimeout,
            errors.PackageGroupTimeoutError,
            errors.SparkBatchTimeoutError,
        ),
        Outcome.TIMED_OUT,
    ),
    ((errors.PackageGroupLostError, errors.SparkBatchLostError), Outcome.LOST),
    ((errors.PackageGroupFailedError, errors.SparkBatchFailedError), Outcome.FAILED),
)
"""The first row that fits counts: a lost group is also a failed one."""


def outcome_of_error(error: BaseException) -> Outcome:
    """Returns what an error means for the task that waits."""
    return next(
        (outcome for kinds, outcome in _OUTCOMES if isinstance(error, kinds)), Outcome.ERROR
    )


def is_ignored_silently(error: BaseException) -> bool:
    """Whether a sensor with `silent_fail` continues to wait after this error."""
    return ENDS[outcome_of_error(error)][-1] is End.GO_ON


def raised(error: BaseException, outcome: Outcome, task: BaseSensorOperator) -> BaseException:
    """Returns the exception with which the task ends: the error itself, or one of Airflow's."""
    end = end_of(outcome, task)
    if end is End.SKIP:
        setting = "soft_fail" if task.soft_fail else "never_fail"
        return AirflowSkipException(f"Skipped, because {setting} is set: {error}")
    if end is End.FAIL_FOR_GOOD:
        return AirflowFailException(str(error))
    if end is End.TIME_OUT and not isinstance(error, AirflowSensorTimeout | AirflowTaskTimeout):
        return AirflowSensorTimeout(str(error))
    return error
