# SPDX-License-Identifier: Apache-2.0
"""How the task of a sensor ends: one table for all modes, and what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Outcome(Enum):
    """What may end the wait of a sensor, beside a success."""

    TIMED_OUT = auto()
    """The sensor's `timeout` is over, or the task's `execution_timeout`."""
    FAILED = auto()
    """A package is FAILED, or the job is dead: it stays so."""
    LOST = auto()
    """It is gone, or in a state that nobody knows, for longer than `max_unknown_time`."""
    WRONG_INPUT = auto()
    """An argument of the task, or a field of its connection, is wrong."""
    ERROR = auto()
    """Looking failed: refused, or out of reach for longer than `max_unknown_time`."""
    NO_EVENT = auto()
    """The trigger itself broke down."""


class End(Enum):
    """What becomes of the task."""

    FAIL = auto()
    """It fails with the error itself, and is tried again as often as `retries` says."""
    FAIL_FOR_GOOD = auto()
    """It fails and is not tried again: `AirflowFailException`."""
    TIME_OUT = auto()
    """It fails as a sensor does when its time is up: not tried again."""
    SKIP = auto()
    """It is skipped."""
    GO_ON = auto()
    """The error is logged and the wait goes on, until the timeout at the latest."""


class Row(NamedTuple):
    """The end without any setting, and with each one."""

    plain: End
    soft_fail: End
    never_fail: End
    silent_fail: End


ENDS: Mapping[Outcome, Row] = {
    Outcome.TIMED_OUT: Row(End.TIME_OUT, End.SKIP, End.SKIP, End.TIME_OUT),
    Outcome.FAILED: Row(End.FAIL_FOR_GOOD, End.SKIP, End.SKIP, End.FAIL_FOR_GOOD),
    Outcome.LOST: Row(End.FAIL, End.SKIP, End.SKIP, End.GO_ON),
    Outcome.WRONG_INPUT: Row(*[End.FAIL_FOR_GOOD] * 4),
    Outcome.ERROR: Row(End.FAIL, End.FAIL, End.SKIP, End.GO_ON),
    Outcome.NO_EVENT: Row(End.FAIL, End.SKIP, End.SKIP, End.FAIL),
}
"""`soft_fail` is about what is waited for, `never_fail` about every end, and neither hides a wrong
argument; `silent_fail` is about looks that tell nothing."""


class Settings(Protocol):
    """What a sensor is told of its end."""

    soft_fail: bool
    never_fail: bool
    silent_fail: bool


def end_of(outcome: Outcome, task: Settings) -> End:
    """Returns what becomes of the task; of two settings, the one by which the wait goes on wins."""
    row = ENDS[outcome]
    if task.silent_fail and row.silent_fail is End.GO_ON:
        return End.GO_ON
    if task.soft_fail:
        return row.soft_fail
    return row.never_fail if task.never_fail else row.plain


def outcome_of_error(error: BaseException) -> Outcome:
    """Returns what an error means for the task that waits."""
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowTaskTimeout

    from airflow_provider_dli.api.protocol import errors

    rows: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Outcome], ...] = (
        (errors.InputError, Outcome.WRONG_INPUT),
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
    return next((outcome for kinds, outcome in rows if isinstance(error, kinds)), Outcome.ERROR)


def is_borne_silently(error: BaseException) -> bool:
    """Whether a sensor with `silent_fail` goes on waiting after this error."""
    return ENDS[outcome_of_error(error)].silent_fail is End.GO_ON


def raised(error: BaseException, outcome: Outcome, task: Settings) -> BaseException:
    """Returns what the task raises where its wait is over: the error itself, or Airflow's own."""
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )

    end = end_of(outcome, task)
    if end is End.SKIP:
        setting = "soft_fail" if task.soft_fail else "never_fail"
        return AirflowSkipException(f"Skipped, since {setting} is set: {error}")
    if end is End.FAIL_FOR_GOOD:
        return AirflowFailException(str(error))
    if end is End.TIME_OUT and not isinstance(error, AirflowSensorTimeout | AirflowTaskTimeout):
        return AirflowSensorTimeout(str(error))
    return error
