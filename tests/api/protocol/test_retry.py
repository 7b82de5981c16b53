# SPDX-License-Identifier: Apache-2.0
"""After which failure which call is sent again, and after how many seconds."""

from __future__ import annotations

import math

import pytest

from airflow_provider_dli.api.protocol.errors import (
    AlreadyExistsError,
    AnswerError,
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    ConnectionSetupError,
    DliError,
    EndpointError,
    InputError,
    NotFoundError,
    NotSentError,
    PackageGroupFailedError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
    WireError,
)
from airflow_provider_dli.api.protocol.retry import DEFAULT_RETRY, Retry

ALMOST_ONE = math.nextafter(1.0, 0.0)
STEADY = Retry(jitter=lambda: 0.0)


def answered(kind: type[AnswerError], retry_after: float | None = None) -> AnswerError:
    return kind("GET /x failed", status=400, retry_after=retry_after)


def pause(
    error: DliError,
    retry: Retry = STEADY,
    *,
    attempt: int = 1,
    elapsed: float = 0.0,
    repeatable: bool = True,
) -> float | None:
    return retry.pause(error, attempt=attempt, elapsed=elapsed, repeatable=repeatable)


HARMLESS = [NotSentError("x"), answered(ThrottledError)]
DOUBTFUL = [AnswerLostError("x"), answered(ServiceError), answered(UnusableAnswerError)]
FINAL = [
    ConnectionSetupError("x"),
    InputError("field", 1, "rule"),
    WireError("x"),
    PackageGroupFailedError("x"),
    *map(
        answered,
        (
            EndpointError,
            AuthenticationError,
            PermissionDeniedError,
            NotFoundError,
            AlreadyExistsError,
            QuotaError,
            BadRequestError,
        ),
    ),
]


def name(error: object) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", HARMLESS + DOUBTFUL, ids=name)
def test_a_repeatable_call_is_sent_again_after_what_may_pass(error: DliError) -> None:
    assert pause(error) is not None


@pytest.mark.parametrize("error", HARMLESS, ids=name)
def test_any_call_is_sent_again_when_the_service_has_not_acted(error: DliError) -> None:
    assert pause(error, repeatable=False) is not None


@pytest.mark.parametrize("error", DOUBTFUL, ids=name)
def test_a_call_that_is_not_repeatable_is_never_sent_again_in_doubt(error: DliError) -> None:
    assert pause(error, repeatable=False) is None


@pytest.mark.parametrize("error", FINAL, ids=name)
@pytest.mark.parametrize("repeatable", [True, False])
def test_nothing_is_sent_again_after_what_will_not_pass(error: DliError, repeatable: bool) -> None:
    assert pause(error, repeatable=repeatable) is None


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 20.0), (60, 20.0)],
)
def test_pauses_double_up_to_the_longest(attempt: int, seconds: float) -> None:
    patient = Retry(attempts=100, jitter=lambda: 0.0)

    assert pause(NotSentError("x"), patient, attempt=attempt) == seconds


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0)])
def test_pauses_after_throttling_begin_longer(attempt: int, seconds: float) -> None:
    assert pause(answered(ThrottledError), attempt=attempt) == seconds


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.5), (2, 1.0), (4, 4.0)])
def test_chance_shortens_a_pause_by_up_to_a_half(attempt: int, seconds: float) -> None:
    retry = Retry(jitter=lambda: ALMOST_ONE)

    assert pause(NotSentError("x"), retry, attempt=attempt) == pytest.approx(seconds)


@pytest.mark.parametrize("kind", [ThrottledError, ServiceError])
@pytest.mark.parametrize("seconds", [0.0, 0.25, 7.0, 90.0])
def test_retry_after_replaces_the_pause(kind: type[AnswerError], seconds: float) -> None:
    assert pause(answered(kind, seconds), attempt=3) == seconds


def test_chance_only_lengthens_what_retry_after_asks_for() -> None:
    retry = Retry(jitter=lambda: ALMOST_ONE)

    assert pause(answered(ThrottledError, 7.0), retry) == pytest.approx(8.0)


def test_the_last_attempt_is_followed_by_nothing() -> None:
    assert pause(NotSentError("x"), attempt=4) is not None
    assert pause(NotSentError("x"), attempt=5) is None


def test_a_single_attempt_is_never_repeated() -> None:
    assert pause(NotSentError("x"), Retry(attempts=1)) is None


def test_a_pause_that_would_end_after_the_deadline_is_not_begun() -> None:
    assert pause(NotSentError("x"), elapsed=119.0) == 1.0
    assert pause(NotSentError("x"), elapsed=119.1) is None


def test_a_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    assert pause(answered(ThrottledError, 3600.0)) is None


def test_by_default_a_call_is_tried_five_times_in_two_minutes() -> None:
    assert (DEFAULT_RETRY.attempts, DEFAULT_RETRY.deadline) == (5, 120.0)


def test_by_default_chance_differs_from_try_to_try() -> None:
    assert len({pause(NotSentError("x"), DEFAULT_RETRY) for _ in range(20)}) > 1
