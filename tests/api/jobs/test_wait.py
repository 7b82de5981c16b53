# SPDX-License-Identifier: Apache-2.0
"""One wait for a Spark job, driven by hand: given times, given looks."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.wait import JobWait
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    BadRequestError,
    DliError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    SparkBatchLostError,
    SparkBatchTimeoutError,
)

NOW = 1_800_000_000.0


def job(state: str) -> SparkBatch:
    return SparkBatch("b", raw_state=state)


def wait(**changes: Any) -> JobWait:
    return JobWait("b", **{"jitter": lambda: 0.5} | changes)


def error(kind: type[DliError] = ServiceError) -> DliError:
    return kind("GET /batches/b went wrong", status=500)  # type: ignore[call-arg]


@pytest.mark.parametrize("state", ["success", "Success", "dead", " DEAD "])
def test_the_end_of_the_job_ends_the_wait(state: str) -> None:
    ended = job(state)

    assert wait().on_result(ended, NOW) is ended


@pytest.mark.parametrize("state", ["success", "dead"])
def test_at_the_deadline_a_look_that_finds_the_end_counts(state: str) -> None:
    assert wait(deadline=NOW).on_result(job(state), NOW + 5) is not None


@pytest.mark.parametrize("state", ["starting", "running", "recovering", "PAUSED", ""])
def test_what_is_no_end_is_waited_for(state: str) -> None:
    assert wait().on_result(job(state), NOW) is None


@pytest.mark.parametrize("state", ["starting", "running", "recovering"])
def test_a_job_that_goes_on_may_do_so_for_ever(state: str) -> None:
    begun = wait(max_unknown_time=1)

    assert begun.on_result(job(state), NOW) is begun.on_result(job(state), NOW + 1e6) is None
    assert begun.on_unchanged(NOW + 2e6) is None


def test_every_look_that_finds_the_job_is_observed_the_last_one_too() -> None:
    seen: list[str] = []
    begun = wait(observe=lambda batch: seen.append(batch.raw_state))

    begun.on_result(job("running"), NOW)
    begun.on_result(None, NOW)
    begun.on_result(job("success"), NOW)

    assert seen == ["running", "success"]


@pytest.mark.parametrize("state", ["PAUSED", "", " "])
def test_a_state_that_nobody_knows_for_too_long_is_a_lost_job(state: str) -> None:
    begun = wait(max_unknown_time=60)
    begun.on_result(job(state), NOW)

    with pytest.raises(
        SparkBatchLostError, match=f"its state is {state!r}, which is not documented, for 60 seco"
    ) as caught:
        begun.on_result(job(state), NOW + 60)
    assert caught.value.batch_id == "b"


def test_the_time_of_the_unknown_is_counted_also_where_a_look_shows_nothing_new() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_result(job("PAUSED"), NOW)
    begun.on_unchanged(NOW + 59)

    with pytest.raises(SparkBatchLostError):
        begun.on_unchanged(NOW + 60)


def test_the_time_of_the_unknown_begins_anew_when_the_job_is_seen() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_result(job("PAUSED"), NOW)
    begun.on_result(job("running"), NOW + 50)
    begun.on_result(None, NOW + 70)

    assert begun.on_result(None, NOW + 120) is None


def test_the_unknown_of_one_kind_goes_on_as_that_of_another() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_result(job("PAUSED"), NOW)
    begun.on_error(error(NotFoundError), NOW + 30)

    with pytest.raises(SparkBatchLostError, match="not documented"):
        begun.on_result(job("PAUSED"), NOW + 60)


def test_trouble_in_between_does_not_prolong_the_unknown() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_error(error(NotFoundError), NOW)
    begun.on_error(error(ServiceError), NOW + 30)

    with pytest.raises(SparkBatchLostError):
        begun.on_error(error(NotFoundError), NOW + 60)


def test_a_job_that_was_never_known_is_lost_after_the_unknown_time() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_error(error(NotFoundError), NOW)

    with pytest.raises(SparkBatchLostError, match="lost: DLI does not know it, for 60 seconds"):
        begun.on_error(error(NotFoundError), NOW + 60)


def test_a_job_that_is_gone_is_lost_after_the_unknown_time_and_what_it_was_is_said() -> None:
    begun = wait(max_unknown_time=60)
    begun.on_result(job("Running"), NOW)
    begun.on_error(error(NotFoundError), NOW)

    with pytest.raises(SparkBatchLostError, match="no record of it any more; it was running befo"):
        begun.on_error(error(NotFoundError), NOW + 60)


def test_a_lost_job_may_still_run() -> None:
    assert wait().unknown().may_be_done


@pytest.mark.parametrize("kind", [AuthenticationError, PermissionDeniedError, BadRequestError])
def test_an_error_that_does_not_pass_ends_the_wait_at_once(kind: type[DliError]) -> None:
    with pytest.raises(kind):
        wait().on_error(error(kind), NOW)


def test_each_change_of_trouble_is_told_once_not_being_found_as_well() -> None:
    told: list[str] = []
    begun = wait(trouble=lambda error: told.append(type(error).__name__))

    for kind in (ServiceError, ServiceError, NotFoundError, NotFoundError, ServiceError):
        begun.on_error(error(kind), NOW)
    begun.on_result(job("running"), NOW)
    begun.on_error(error(NotFoundError), NOW)

    assert told == ["ServiceError", "NotFoundError", "ServiceError", "NotFoundError"]


@pytest.mark.parametrize("how", ["on_result", "on_unchanged", "expire"])
def test_at_the_deadline_it_says_how_the_job_was(how: str) -> None:
    begun = wait(deadline=NOW + 10)
    begun.on_result(job("Running"), NOW)
    arguments = {"on_result": (job("Running"), NOW + 10)}.get(how, (NOW + 10,))

    with pytest.raises(
        SparkBatchTimeoutError, match=r"^Spark job b had not ended by 2027-01-15 08:00:10 UTC: Run"
    ) as caught:
        getattr(begun, how)(*arguments)
    assert caught.value.batch_id == "b"


@pytest.mark.parametrize(
    ("kind", "seen"), [(ServiceError, "not seen"), (NotFoundError, "DLI does not know it")]
)
def test_at_the_deadline_it_says_what_hid_the_last_look(kind: type[DliError], seen: str) -> None:
    match = rf"UTC: {seen}\. The last look failed: GET /b"
    with pytest.raises(SparkBatchTimeoutError, match=match):
        wait(deadline=NOW).on_error(error(kind), NOW)


def recovering(**changes: Any) -> JobWait:
    return wait(auto_recovery=True, poll_interval=10, **changes)


def test_with_auto_recovery_a_job_that_is_dead_may_be_started_again() -> None:
    begun = recovering()

    for number, state in enumerate(["running", "dead", "recovering", "running"]):
        assert begun.on_result(job(state), NOW + 10 * number) is None
    assert begun.on_result(job("success"), NOW + 40) is not None


def test_with_auto_recovery_a_job_that_stays_dead_has_ended() -> None:
    begun, dead = recovering(), job("dead")

    assert begun.on_result(job("dead"), NOW) is None
    assert begun.on_result(dead, NOW + 10) is dead


def test_with_auto_recovery_a_look_that_shows_the_same_death_ends_the_wait() -> None:
    begun, dead = recovering(), job("dead")
    begun.on_result(dead, NOW)

    assert begun.on_unchanged(NOW + 10) is dead


def test_looks_at_once_after_each_other_do_not_make_a_job_dead_for_good() -> None:
    """A look for another job may show this one as well."""
    begun = recovering()
    begun.on_result(job("dead"), NOW)

    assert begun.on_unchanged(NOW + 0.5) is None
    assert begun.on_result(job("dead"), NOW + 1) is None
    assert begun.on_unchanged(NOW + 5) is not None


@pytest.mark.parametrize("between", ["recovering", "running", None, "PAUSED"])
def test_a_job_that_is_dead_again_has_its_time_anew(between: str | None) -> None:
    begun = recovering()
    begun.on_result(job("dead"), NOW)
    begun.on_result(job(between) if between else None, NOW + 10)

    assert begun.on_result(job("dead"), NOW + 20) is None


def test_not_to_be_found_is_no_death() -> None:
    begun = recovering()
    begun.on_result(job("dead"), NOW)
    begun.on_error(error(NotFoundError), NOW + 10)

    assert begun.on_result(job("dead"), NOW + 20) is None


def test_trouble_between_two_looks_does_not_revive_the_job() -> None:
    begun = recovering()
    begun.on_result(job("dead"), NOW)
    begun.on_error(error(ServiceError), NOW + 10)

    assert begun.on_result(job("dead"), NOW + 20) is not None


def test_a_job_that_is_dead_at_the_deadline_is_dead_and_no_timeout() -> None:
    assert recovering(deadline=NOW).on_result(job("dead"), NOW) is not None


def test_a_wait_is_found_by_the_id_of_its_job() -> None:
    assert (wait().key, wait().title) == ("b", "Spark job b")
