# SPDX-License-Identifier: Apache-2.0
"""The batch endpoints give the documented requests; a listing is read whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any

import pytest

from airflow_provider_dli.api.jobs import calls
from airflow_provider_dli.api.jobs.models import BatchListing, BatchLog, BatchState, SparkBatch
from airflow_provider_dli.api.protocol.answers import RequestContext, interpret
from airflow_provider_dli.api.protocol.errors import (
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    UnusableAnswerError,
    WireError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, Response

Page = Callable[[int, int], BatchListing]


def answered(call: Call[Any], body: object) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call.parse(Response(200, {}, data))


def test_a_listing_is_the_documented_request() -> None:
    call = calls.listing(name="n", queue="q", state="running", batch_id="i", start=7, size=3)

    assert (call.method, call.path, call.body, call.repeatable) == ("GET", "/batches", b"", True)
    assert dict(call.query) == {
        "job_name": "n",
        "queue_name": "q",
        "state": "running",
        "job-id": "i",
        "from": "7",
        "size": "3",
    }


def test_a_listing_without_filters_asks_for_the_first_page() -> None:
    assert dict(calls.listing().query) == {"from": "0", "size": "100"}


def test_a_listing_reads_the_documented_answer(golden: Callable[[str], bytes]) -> None:
    listed = answered(calls.listing(), golden("doc_batch_list.response"))

    assert [batch.raw_state for batch in listed.batches] == ["dead"]


def test_a_job_is_the_documented_request_and_answer(golden: Callable[[str], bytes]) -> None:
    call = calls.show("0a324461-d9d9-45da-a52a-3b3c7a3d809e")

    shown = answered(call, golden("doc_batch_show.response"))

    assert (call.method, call.repeatable) == ("GET", True)
    assert call.path == f"/batches/{shown.id}"


@pytest.mark.parametrize(
    "call",
    [
        calls.create({"file": "a.py"}),
        calls.listing(),
        calls.show("1"),
        calls.state("1"),
        calls.log("1"),
    ],
    ids=lambda call: f"{call.method} {call.path}",
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", {}, {"error_code": "DLI.0999"}, {"is_success": "false"}]
)
def test_what_is_no_answer_is_an_error(call: Call[Any], body: object) -> None:
    with pytest.raises(WireError):
        answered(call, body)


# submitting


def test_a_submission_is_the_documented_request() -> None:
    call = calls.create({"file": "a.py", "className": "", "conf": {"spark.a": "ü"}})

    assert (call.method, call.path, call.query) == ("POST", "/batches", ())
    assert call.body == '{"file":"a.py","className":"","conf":{"spark.a":"ü"}}'.encode()


def test_a_submission_is_never_repeated_blindly() -> None:
    assert not calls.create({}).repeatable


def test_a_submission_reads_the_documented_answer(golden: Callable[[str], bytes]) -> None:
    created = answered(calls.create({}), golden("doc_batch_create.response"))

    assert (created.id, created.state) == (
        "07a3e4e6-9a28-4e92-8d3f-9c538621a166",
        BatchState.STARTING,
    )
    assert (created.name, created.app_id, created.owner) == ("", "", "test1")


@pytest.mark.parametrize("flag", [False, "false", None])
def test_a_job_with_an_id_was_submitted_whatever_a_flag_says(flag: object) -> None:
    created = answered(calls.create({}), {"id": "1", "state": "starting", "is_success": flag})

    assert created.id == "1"


def test_an_error_without_an_id_is_a_refusal() -> None:
    body = json.dumps({"error_code": "DLI.0002", "error_msg": "no queue q", "id": ""}).encode()

    with pytest.raises(NotFoundError, match="no queue q") as refused:
        interpret(calls.create({}), RequestContext("POST /batches", 0.0), Response(200, {}, body))

    assert not refused.value.may_be_done


def test_a_flag_without_an_id_is_a_refusal() -> None:
    body = json.dumps({"is_success": False, "message": "queue is busy"}).encode()

    with pytest.raises(BadRequestError, match="queue is busy"):
        interpret(calls.create({}), RequestContext("POST /batches", 0.0), Response(200, {}, body))


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"id": ""}', b'{"state": "starting"}'])
def test_a_job_may_run_though_its_answer_cannot_be_used(body: bytes) -> None:
    with pytest.raises(UnusableAnswerError) as unusable:
        interpret(calls.create({}), RequestContext("POST /batches", 0.0), Response(200, {}, body))

    assert unusable.value.may_be_done


# state, log, cancel


def test_a_state_is_the_documented_request_and_answer(golden: Callable[[str], bytes]) -> None:
    call = calls.state("0a324461-d9d9-45da-a52a-3b3c7a3d809e")

    read = answered(call, golden("doc_batch_state_capitalised.response"))

    assert (call.method, call.repeatable) == ("GET", True)
    assert call.path == f"/batches/{read.id}/state"
    assert read.state is BatchState.SUCCESS


@pytest.mark.parametrize("make", [calls.show, calls.state, calls.log])
def test_an_answer_about_another_job_is_none(make: Callable[[str], Call[Any]]) -> None:
    with pytest.raises(WireError, match="the body is about the batch job 'b'"):
        answered(make("a"), {"id": "b", "state": "success", "log": []})


@pytest.mark.parametrize("make", [calls.show, calls.state, calls.log])
def test_an_id_is_the_same_in_any_case(make: Callable[[str], Call[Any]]) -> None:
    answered(make("0A-1"), {"id": "0a-1", "state": "success", "log": []})


def test_a_log_is_the_documented_request_and_answer(golden: Callable[[str], bytes]) -> None:
    call = calls.log("0a324461-d9d9-45da-a52a-3b3c7a3d809e", start=7, size=3, index=2)

    read = answered(call, golden("doc_batch_log.response"))

    assert (call.method, call.repeatable) == ("GET", True)
    assert call.path == "/batches/0a324461-d9d9-45da-a52a-3b3c7a3d809e/log"
    assert dict(call.query) == {"type": "driver", "from": "7", "size": "3", "index": "2"}
    assert read == BatchLog(("stdout: ", "stderr: ", "YARN Diagnostics: "), start=0, total=3)


def test_a_log_is_by_default_its_end() -> None:
    assert dict(calls.log("1").query) == {"type": "driver"}


def test_a_log_from_its_first_line_says_so() -> None:
    assert dict(calls.log("1", start=0, index=0).query)["from"] == "0"


def test_a_cancel_is_the_documented_request_and_answer(golden: Callable[[str], bytes]) -> None:
    call = calls.cancel("1/2")

    answered(call, golden("doc_batch_cancel.response"))

    assert (call.method, call.path, call.body) == ("DELETE", "/batches/1%2F2", b"")


def test_a_cancel_may_be_repeated() -> None:
    assert calls.cancel("1").repeatable


@pytest.mark.parametrize("body", [b"", b" ", {}, {"msg": None}, {"msg": "Deleted"}])
def test_a_cancel_may_be_answered_with_less(body: object) -> None:
    answered(calls.cancel("1"), body)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", {"msg": "queued"}, {"error_code": "DLI.1"}, {"is_success": "false"}]
)
def test_a_cancel_that_does_not_say_so_was_none(body: object) -> None:
    with pytest.raises(WireError):
        answered(calls.cancel("1"), body)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: calls.show(""), "batch_id"),
        (lambda: calls.show(".."), "batch_id"),
        (lambda: calls.state(""), "batch_id"),
        (lambda: calls.log("\n"), "batch_id"),
        (lambda: calls.cancel(""), "batch_id"),
        (lambda: calls.listing(batch_id=""), "batch_id"),
        (lambda: calls.listing(name=" "), "name"),
        (lambda: calls.listing(queue=""), "queue"),
        (lambda: calls.listing(state=7), "state"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InputError) as refused:
        make()

    assert refused.value.field == field


# the whole listing


class Service:
    """Gives pages of a list of ids that changes before each page, as a test likes."""

    def __init__(
        self,
        ids: list[str],
        *changes: Callable[[list[str]], object],
        at_most: int = 1000,
        says_total: bool = True,
    ) -> None:
        self.ids = ids
        self.changes = list(changes)
        self.at_most = at_most
        self.says_total = says_total
        self.asked: list[int] = []

    def perform(self, call: Call[BatchListing]) -> Flow[BatchListing]:
        yield from ()
        query = dict(call.query)
        start, size = int(query["from"]), min(int(query["size"]), self.at_most)
        if self.asked and self.changes:
            self.changes.pop(0)(self.ids)
        self.asked.append(start)
        page = tuple(SparkBatch(one) for one in self.ids[start : start + size])
        return BatchListing(page, len(self.ids) if self.says_total else None)

    def every(self) -> list[str]:
        flow: Generator[Any, Any, tuple[SparkBatch, ...]] = calls.every(self.perform)
        with pytest.raises(StopIteration) as end:
            next(flow)
        return [batch.id for batch in end.value.value]


def ids(count: int) -> list[str]:
    return [f"job-{number}" for number in range(count)]


@pytest.mark.parametrize("says_total", [True, False])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 200, 350])
def test_every_job_is_listed_once(count: int, says_total: bool) -> None:
    service = Service(ids(count), says_total=says_total)

    assert service.every() == ids(count)


def test_a_short_listing_is_one_request() -> None:
    service = Service(ids(99))

    service.every()

    assert service.asked == [0]


def test_a_service_may_give_smaller_pages_than_it_is_asked_for() -> None:
    assert Service(ids(25), at_most=10).every() == ids(25)


def test_a_job_that_moves_up_a_page_is_not_lost() -> None:
    service = Service(ids(150), lambda jobs: jobs.remove("job-3"))

    assert {f"job-{number}" for number in range(4, 150)} <= set(service.every())
    assert service.asked == [0, 99, 0, 99]


def test_a_job_that_comes_first_moves_no_other_out_of_sight() -> None:
    service = Service(ids(150), lambda jobs: jobs.insert(0, "new"))

    assert service.every() == ids(150)


def test_a_job_that_comes_last_is_listed() -> None:
    service = Service(ids(150), lambda jobs: jobs.append("new"))

    assert service.every() == [*ids(150), "new"]


def test_a_job_that_goes_from_the_end_does_no_harm() -> None:
    service = Service(ids(150), lambda jobs: jobs.pop())

    assert service.every() == ids(149)


def failure(service: Service) -> DliError:
    with pytest.raises(DliError) as failed:
        next(calls.every(service.perform))
    return failed.value


def test_a_listing_that_never_holds_still_is_an_error_that_may_pass() -> None:
    service = Service(ids(150), *[lambda jobs: jobs.pop(0)] * 9)

    error = failure(service)

    assert (error.is_transient, error.fault) == (True, "service")
    assert str(error) == (
        "GET /batches returned 100 jobs and has more, although it was read 3 times: jobs are "
        "added and removed too fast. Try again later."
    )


def test_a_service_that_counts_more_than_it_gives_is_not_believed_to_be_at_the_end() -> None:
    class Hiding(Service):
        def perform(self, call: Call[BatchListing]) -> Flow[BatchListing]:
            listed = yield from super().perform(call)
            return BatchListing(listed.batches[:5], 9)

    assert "returned 5 jobs and has more" in str(failure(Hiding(ids(5))))


def test_a_service_that_ignores_where_to_begin_is_not_believed_to_be_at_the_end() -> None:
    class Stuck(Service):
        def perform(self, call: Call[BatchListing]) -> Flow[BatchListing]:
            return (yield from super().perform(calls.listing()))

    assert "returned 100 jobs and has more" in str(failure(Stuck(ids(150), says_total=False)))


def test_filters_go_with_every_page() -> None:
    asked = []

    class Noting(Service):
        def perform(self, call: Call[BatchListing]) -> Flow[BatchListing]:
            asked.append(dict(call.query).get("queue_name"))
            return (yield from super().perform(call))

    with pytest.raises(StopIteration):
        next(calls.every(Noting(ids(150)).perform, queue="q"))

    assert asked == ["q", "q"]
