# SPDX-License-Identifier: Apache-2.0
"""One job and no more: which one is taken over, and what follows a submission without an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.submission import (
    PAUSES,
    Submission,
    SubmitRequest,
    pick_one,
    submit,
)
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    BadRequestError,
    DliError,
    EndpointError,
    NotSentError,
    PermissionDeniedError,
    ServiceError,
    SparkBatchAmbiguousError,
    SparkBatchLostError,
    TransportError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Request, Response, Sleep

NAME = "daily-count-0123456789abcdef"
REQUEST = {"name": NAME, "file": "a.py", "queue": "q"}

Answer: TypeAlias = Response | TransportError


def job(batch_id: str, state: str = "running", at: int | None = None, **more: Any) -> Any:
    return {"id": batch_id, "state": state, "name": NAME, "create_time": at} | more


def answer(body: Any, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def shown(*args: Any, **more: Any) -> Response:
    return answer(job(*args, **more))


def listed(*jobs: Any) -> Response:
    return answer({"sessions": list(jobs), "total": len(jobs)})


LOST = AnswerLostError("the answer was lost")
NOBODY = NotSentError("nobody there")
BUSY = Response(503, {}, b'{"error_code": "DLI.0999", "error_msg": "busy"}')
HIDDEN_BUSY = Response(400, {}, b'{"error_code": "DLI.0999", "error_msg": "busy"}')
THROTTLED = Response(429, {"retry-after": "1"}, b'{"error_code": "APIG.0308", "error_msg": "many"}')
HTML = Response(200, {}, b"<html>busy</html>")
REFUSED = Response(400, {}, b'{"error_code": "DLI.0001", "error_msg": "wrong"}')
DENIED = Response(403, {}, b'{"error_code": "DLI.0003", "error_msg": "denied"}')
ABSENT = Response(400, {}, b'{"error_code": "DLI.0002", "error_msg": "does not exist"}')
NONE = listed()


class Service:
    """Answers that are written down beforehand; the time that passes is the clock's."""

    def __init__(self, clock: FakeClock, *answers: Answer) -> None:
        self.sent: list[Request] = []
        self._clock = clock
        self._answers = iter(answers)

    @property
    def asked(self) -> list[str]:
        """The calls, and nothing of where they went."""
        return [f"{request.method} {request.path.split('/p1')[1]}" for request in self.sent]

    @property
    def submissions(self) -> int:
        return sum(request.method == "POST" for request in self.sent)

    def submit(self, attempts: int = 1, **wanted: Any) -> Submission:
        """Submit, each call being sent so often at most."""
        account = Account("https://dli.test", "p1", AccessKey("AK", "SK"), conn_id="c")
        retry = Retry(attempts=attempts, jitter=lambda: 0.0)
        flow = submit(Client(account, retry, self._clock.now), SubmitRequest(REQUEST, **wanted))
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    self._clock.sleep(step.seconds)
                    step = next(flow)
                    continue
                self.sent.append(step.request)
                given = next(self._answers)
                step = flow.throw(given) if isinstance(given, Exception) else flow.send(given)
        except StopIteration as end:
            done: Submission = end.value
            return done


# Before a submission


def test_a_job_that_nobody_has_is_submitted(clock: FakeClock) -> None:
    service = Service(clock, NONE, shown("1", "starting"))

    done = service.submit()

    assert (done.batch.id, done.is_new) == ("1", True)
    assert service.asked == ["GET /batches", "POST /batches"]
    assert json.loads(service.sent[1].body) == REQUEST


def test_it_is_looked_for_by_its_name(clock: FakeClock) -> None:
    service = Service(clock, NONE, shown("1"))

    service.submit()

    assert ("job_name", NAME) in service.sent[0].query


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("state", ["starting", "running", "recovering", "Running ", "PAUSED", ""])
def test_an_active_job_is_taken_over(clock: FakeClock, is_first: bool, state: str) -> None:
    service = Service(clock, listed(job("1", state)))

    done = service.submit(is_first=is_first)

    assert (done.batch.id, done.is_new) == ("1", False)
    assert service.submissions == 0


def test_a_success_is_taken_over_by_a_retry(clock: FakeClock) -> None:
    service = Service(clock, listed(job("1", "Success")))

    assert service.submit(is_first=False).batch.id == "1"
    assert service.submissions == 0


def test_a_success_is_not_taken_over_by_a_first_try(clock: FakeClock) -> None:
    """It is of a run that was deleted, and made again under the same id."""
    service = Service(clock, listed(job("old", "success")), shown("new"))

    assert service.submit().batch.id == "new"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_dead_job_counts_as_none(clock: FakeClock, is_first: bool) -> None:
    service = Service(clock, listed(job("1", "dead")), shown("2"))

    assert service.submit(is_first=is_first).batch.id == "2"


def test_of_two_jobs_the_active_one_counts(clock: FakeClock) -> None:
    service = Service(clock, listed(job("1", "success", 9), job("2", "running", 5)))

    assert service.submit(is_first=False).batch.id == "2"


def test_several_active_jobs_are_no_choice_to_make(clock: FakeClock) -> None:
    service = Service(clock, listed(job("1"), job("2", "PAUSED"), job("3", "dead")))

    with pytest.raises(SparkBatchAmbiguousError, match=r"^2 Spark .*: 1 \(running\), 2 \(PAUSED\)"):
        service.submit()
    assert service.submissions == 0


def test_a_job_whose_name_only_begins_alike_is_another_one(clock: FakeClock) -> None:
    service = Service(clock, listed(job("1", name=f"{NAME}-2")), shown("2"))

    assert service.submit().batch.id == "2"


def test_a_job_that_was_found_by_its_name_counts_where_the_name_is_not_told(
    clock: FakeClock,
) -> None:
    service = Service(clock, listed(job("1", name="")))

    assert service.submit().batch.id == "1"


@pytest.mark.parametrize("trouble", [BUSY, HTML, LOST, NOBODY, THROTTLED, DENIED])
def test_nothing_is_submitted_where_nobody_could_look(clock: FakeClock, trouble: Answer) -> None:
    service = Service(clock, trouble)

    with pytest.raises(DliError):
        service.submit()
    assert service.submissions == 0


def batch(batch_id: str, state: str, at: int | None) -> SparkBatch:
    return SparkBatch(batch_id, NAME, state, create_time=at)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([("1", "success", 1), ("2", "success", 2)], "2"),
        ([("2", "success", 2), ("1", "success", 1)], "2"),
        ([("1", "dead", 1), ("2", "success", 2)], "2"),
        # A run of the same name that was deleted succeeded; that of today failed.
        ([("1", "success", 1), ("2", "dead", 2)], None),
        ([("1", "success", None), ("2", "dead", None)], "1"),
    ],
)
def test_of_jobs_that_ended_the_last_one_counts(found: Iterable[Any], expected: str | None) -> None:
    one = pick_one(NAME, [batch(*fields) for fields in found], with_success=True)

    assert (one and one.id) == expected


# What an earlier try noted


def test_the_job_of_an_earlier_try_is_taken_over(clock: FakeClock) -> None:
    service = Service(clock, shown("1", "success"))

    done = service.submit(is_first=False, known_id="1")

    assert (done.batch.id, done.is_new) == ("1", False)
    assert service.asked == ["GET /batches/1"]


def test_the_job_of_an_earlier_try_that_is_dead_counts_as_none(clock: FakeClock) -> None:
    service = Service(clock, shown("1", "dead"), listed(job("1", "dead")), shown("2"))

    assert service.submit(is_first=False, known_id="1").batch.id == "2"


def test_a_dead_job_counts_as_none_also_when_it_is_not_listed(clock: FakeClock) -> None:
    service = Service(clock, shown("1", "dead"), NONE, shown("2"))

    assert service.submit(is_first=False, known_id="1").batch.id == "2"


def test_a_job_of_which_there_is_no_record_is_not_submitted_again(clock: FakeClock) -> None:
    service = Service(clock, ABSENT, NONE)

    with pytest.raises(SparkBatchLostError, match="no record of it any more") as caught:
        service.submit(is_first=False, known_id="1")
    assert caught.value.batch_id == "1"
    assert service.submissions == 0


def test_a_job_that_took_its_place_is_taken_over(clock: FakeClock) -> None:
    service = Service(clock, ABSENT, listed(job("2")))

    assert service.submit(is_first=False, known_id="1").batch.id == "2"


def test_a_job_that_is_listed_dead_counts_as_none_also_when_it_is_not_shown(
    clock: FakeClock,
) -> None:
    service = Service(clock, ABSENT, listed(job("1", "dead")), shown("2"))

    assert service.submit(is_first=False, known_id="1").batch.id == "2"


def test_nothing_is_submitted_where_the_known_job_cannot_be_looked_at(clock: FakeClock) -> None:
    service = Service(clock, BUSY)

    with pytest.raises(ServiceError):
        service.submit(is_first=False, known_id="1")
    assert service.submissions == 0


# Earlier names


@pytest.mark.parametrize("state", ["running", "success"])
def test_a_job_of_an_earlier_name_is_taken_over(clock: FakeClock, state: str) -> None:
    service = Service(clock, NONE, NONE, listed(job("1", state, name="first")))

    done = service.submit(earlier_names=["second", "first"])

    assert (done.batch.id, done.is_new) == ("1", False)
    assert [dict(request.query)["job_name"] for request in service.sent] == [
        NAME,
        "second",
        "first",
    ]


def test_the_name_of_now_goes_before_earlier_ones(clock: FakeClock) -> None:
    service = Service(clock, listed(job("1")))

    assert service.submit(earlier_names=["first"]).batch.id == "1"


def test_a_dead_job_of_an_earlier_name_counts_as_none(clock: FakeClock) -> None:
    service = Service(clock, NONE, listed(job("1", "dead", name="first")), shown("2"))

    assert service.submit(earlier_names=["first"]).batch.id == "2"


# After a submission

MAYBE_DONE = {
    "503": BUSY,
    "500": Response(500, {}, b"oops"),
    "DLI.0999": HIDDEN_BUSY,
    "html": HTML,
    "empty": Response(200, {}, b""),
    "empty object": answer({}),
    "cut off": Response(200, {}, b'{"id": "1"'),
    "lost": LOST,
}


@pytest.mark.parametrize("name", MAYBE_DONE)
def test_a_job_whose_submission_had_no_answer_is_found(clock: FakeClock, name: str) -> None:
    service = Service(clock, NONE, MAYBE_DONE[name], listed(job("1", "starting")))

    done = service.submit()

    assert (done.batch.id, done.is_new) == ("1", True)
    assert service.submissions == 1


PROXY_PAGES = {
    "404": Response(404, {}, b"<html>not found</html>"),
    "403": Response(403, {"content-type": "text/html"}, b"<html>forbidden</html>"),
    "302": Response(302, {"location": "https://login.test"}, b""),
}


@pytest.mark.parametrize("status", PROXY_PAGES)
def test_a_job_is_found_whose_submission_a_proxy_answered(clock: FakeClock, status: str) -> None:
    """The proxy may have passed the request on before it answered with a page of its own."""
    service = Service(clock, NONE, PROXY_PAGES[status], listed(job("1", "starting")))

    done = service.submit()

    assert (done.batch.id, done.is_new) == ("1", True)
    assert service.submissions == 1


def test_the_page_of_a_proxy_is_the_error_where_no_job_is_found(clock: FakeClock) -> None:
    service = Service(clock, NONE, PROXY_PAGES["404"], *[NONE] * len(PAUSES))

    with pytest.raises(EndpointError) as caught:
        service.submit()

    assert "DLI lists no job named" in caught.value.__notes__[0]
    assert service.submissions == 1


def test_a_job_that_is_listed_late_is_found(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, NONE, NONE, NONE, listed(job("1")))

    assert service.submit().batch.id == "1"
    assert clock.slept == [*PAUSES[:4]]


def test_a_job_that_ended_meanwhile_is_found(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, listed(job("1", "dead")))

    assert service.submit().batch.raw_state == "dead"
    assert service.submissions == 1


def test_what_was_there_before_is_not_what_was_submitted(clock: FakeClock) -> None:
    old = job("old", "dead", 1)
    service = Service(clock, listed(old), LOST, listed(old), listed(old, job("new", "dead", 2)))

    assert service.submit(is_first=False).batch.id == "new"


@pytest.mark.parametrize("name", MAYBE_DONE)
def test_a_submission_of_which_nothing_came_is_not_sent_again(clock: FakeClock, name: str) -> None:
    service = Service(clock, NONE, MAYBE_DONE[name], *[NONE] * len(PAUSES))

    with pytest.raises((ServiceError, AnswerLostError, UnusableAnswerError)) as caught:
        service.submit()
    assert "DLI lists no job named" in caught.value.__notes__[0]
    assert caught.value.may_be_done is True
    assert service.submissions == 1


def test_a_job_that_nobody_can_look_for_may_be_running(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, *[BUSY] * len(PAUSES))

    with pytest.raises(SparkBatchLostError, match=r"may be running: .*answer was lost") as caught:
        service.submit()
    assert caught.value.may_be_done is True
    assert isinstance(caught.value.__cause__, AnswerLostError)


def test_a_look_that_fails_is_followed_by_another(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, BUSY, HTML, NOBODY, listed(job("1")))

    assert service.submit().batch.id == "1"


def test_a_job_that_nobody_may_look_for_may_be_running_too(clock: FakeClock) -> None:
    """Or else the task would take it for granted that nothing runs."""
    service = Service(clock, NONE, LOST, DENIED)

    with pytest.raises(SparkBatchLostError, match=r"may be running: .*DLI\.0003"):
        service.submit()


def test_the_last_look_decides_whether_anything_is_known(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, *[BUSY] * (len(PAUSES) - 1), NONE)

    with pytest.raises(AnswerLostError):
        service.submit()


def test_two_new_jobs_are_no_choice_to_make(clock: FakeClock) -> None:
    """Two workers that have the same task submitted at the same time."""
    service = Service(clock, NONE, LOST, listed(job("1"), job("2")))

    with pytest.raises(SparkBatchAmbiguousError):
        service.submit()


def test_of_two_new_jobs_the_active_one_counts(clock: FakeClock) -> None:
    service = Service(clock, NONE, LOST, listed(job("1", "dead", 9), job("2", "running", 1)))

    assert service.submit().batch.id == "2"


def test_a_refused_submission_is_the_refusal(clock: FakeClock) -> None:
    service = Service(clock, NONE, REFUSED)

    with pytest.raises(BadRequestError):
        service.submit(attempts=5)
    assert len(service.sent) == 2


def test_a_submission_without_the_right_to_it_is_the_refusal(clock: FakeClock) -> None:
    service = Service(clock, NONE, DENIED)

    with pytest.raises(PermissionDeniedError):
        service.submit(attempts=5)


@pytest.mark.parametrize("trouble", [NOBODY, THROTTLED], ids=["not sent", "throttled"])
def test_a_submission_that_never_reached_the_service_is_sent_again(
    clock: FakeClock, trouble: Answer
) -> None:
    service = Service(clock, NONE, trouble, shown("1"))

    assert service.submit(attempts=2).batch.id == "1"


def test_an_id_beside_is_success_false_is_a_job(clock: FakeClock) -> None:
    """Tools of the vendor print it so."""
    service = Service(clock, NONE, shown("1", is_success=False))

    assert service.submit().batch.id == "1"
