# SPDX-License-Identifier: Apache-2.0
"""Snapshots of many jobs send few requests, and every job has its turn."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeVar

import pytest

from airflow_provider_dli.api.jobs.snapshot import (
    FEW,
    MOST_SINGLE_LOOKS,
    SNAPSHOTS_WITHOUT_LISTING,
    JobReader,
    JobSnapshot,
)
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, Response

T = TypeVar("T")
PAGE = 100


def refused(kind: type[DliError]) -> DliError:
    """Give an error of an answer, or of none."""
    try:
        return kind("GET was refused", status=400)  # type: ignore[call-arg]
    except TypeError:
        return kind("GET was lost")


def names(count: int, prefix: str = "job") -> list[str]:
    return [f"{prefix}-{number:05}" for number in range(count)]


@dataclass
class Service:
    """Jobs in the order of the listing; what is not listed is known singly."""

    listed: list[str] = field(default_factory=list)
    unlisted: set[str] = field(default_factory=set)
    states: dict[str, str] = field(default_factory=dict)
    failing: dict[str, DliError] = field(default_factory=dict)
    counts: bool = True
    pages: int = 0
    asked: list[str] = field(default_factory=list)

    def once(self, call: Call[T]) -> Flow[T]:
        yield from ()
        what = call.path.removeprefix("/batches").removeprefix("/")
        if what:
            self.asked.append(what)
        else:
            self.pages += 1
            what = f"page {self.pages}"
        for place in (what, "every page" if "page" in what else "every job"):
            if place in self.failing:
                raise self.failing[place]
        return call.parse(Response(200, {}, json.dumps(self._body(what, call)).encode()))

    def _body(self, what: str, call: Call[Any]) -> dict[str, Any]:
        if what.startswith("page"):
            start = int(dict(call.query)["from"])
            page = self.listed[start : start + PAGE]
            total = {"total": len(self.listed)} if self.counts else {}
            return {"from": start, **total, "sessions": [self._job(one) for one in page]}
        if what not in self.unlisted and what not in self.listed:
            raise refused(NotFoundError)
        return self._job(what)

    def _job(self, name: str) -> dict[str, Any]:
        return {"id": name, "state": self.states.get(name, "running"), "duration": self.requests}

    @property
    def requests(self) -> int:
        return self.pages + len(self.asked)

    def read(self, reader: JobReader, ids: Collection[str]) -> JobSnapshot:
        """Takes a snapshot, and forgets what was asked before."""
        self.pages, self.asked = 0, []
        flow = reader.read(self, ids)
        with pytest.raises(StopIteration) as end:
            next(flow)
        snapshot: JobSnapshot = end.value.value
        return snapshot


def seen(snapshot: JobSnapshot, ids: Iterable[str]) -> list[str]:
    return [name for name in ids if snapshot.covers(name)]


@pytest.mark.parametrize("count", [1, 2, FEW])
def test_few_jobs_are_asked_for_singly(count: int) -> None:
    jobs = names(count)
    service = Service(listed=jobs)

    snapshot = service.read(JobReader(), jobs)

    assert seen(snapshot, jobs) == jobs
    assert (service.pages, service.asked) == (0, jobs)


@pytest.mark.parametrize("count", [FEW + 1, 100, 250, 1000])
@pytest.mark.parametrize("counts", [True, False], ids=["total", "no total"])
def test_many_jobs_are_read_from_the_listing(count: int, counts: bool) -> None:
    jobs = names(count)
    service = Service(listed=jobs, counts=counts)

    snapshot = service.read(JobReader(), jobs)

    assert seen(snapshot, jobs) == jobs
    assert (service.pages, service.asked) == (ceil(count / PAGE), [])


def test_the_newest_jobs_of_an_account_that_ran_many_cost_one_page() -> None:
    ours = names(80)
    service = Service(listed=[*ours, *names(20_000, "old")])

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert service.requests == 1


def test_the_newest_jobs_are_found_also_when_they_come_last() -> None:
    ours = names(1000)
    service = Service(listed=[*names(3000, "old"), *ours])

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert (service.pages, service.asked) == (40, [])


def test_a_listing_in_which_the_jobs_come_far_behind_is_given_up() -> None:
    ours = names(80)
    service = Service(listed=[*names(20_000, "old"), *ours])
    reader = JobReader()

    service.read(reader, ours)

    assert service.pages == 1
    for _ in range(SNAPSHOTS_WITHOUT_LISTING):
        snapshot = service.read(reader, ours)
        assert seen(snapshot, ours) == ours
        assert (service.pages, sorted(service.asked)) == (0, ours)


def test_a_listing_that_did_not_pay_is_tried_again_after_some_looks() -> None:
    ours = names(80)
    service = Service(unlisted=set(ours))
    reader = JobReader()
    for _ in range(1 + SNAPSHOTS_WITHOUT_LISTING):
        service.read(reader, ours)

    service.listed = ours  # it takes a while until a new job is listed
    service.read(reader, ours)

    assert (service.pages, service.asked) == (1, [])


def test_a_listing_that_did_not_pay_for_few_is_tried_for_many() -> None:
    ours = names(1000)
    service = Service(listed=ours)
    reader = JobReader()
    service.read(reader, ["other-1", "other-2", "other-3", "other-4", "other-5", "other-6"])

    snapshot = service.read(reader, ours)

    assert seen(snapshot, ours) == ours
    assert service.pages == 10


def test_a_listing_that_showed_too_few_of_many_is_not_tried_for_fewer() -> None:
    ours = names(80)
    service = Service(listed=[*names(20_000, "old"), *ours])
    reader = JobReader()
    service.read(reader, ours)

    service.read(reader, ours[:40])

    assert (service.pages, len(service.asked)) == (0, 40)


@pytest.mark.parametrize(("shown", "useful"), [(FEW, False), (FEW + 1, True)])
def test_a_page_has_to_show_more_than_a_few_of_the_jobs(shown: int, useful: bool) -> None:
    """Otherwise the next snapshots do without the listing."""
    ours = names(40)
    service = Service(listed=[*ours[:shown], *names(90, "old")], unlisted=set(ours))
    reader = JobReader()
    service.read(reader, ours)

    service.read(reader, ours)

    assert bool(service.pages) is useful


@pytest.mark.parametrize(("shown", "pages"), [(FEW, 1), (FEW + 1, 2)])
@pytest.mark.parametrize("counts", [True, False], ids=["total", "no total"])
def test_the_next_page_is_read_while_pages_show_more_than_a_few(
    shown: int, pages: int, counts: bool
) -> None:
    ours = names(40)
    listed = [*ours[:shown], *names(20_000, "old")]
    service = Service(listed=listed, unlisted=set(ours), counts=counts)

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert service.pages == pages


@pytest.mark.parametrize(("missing", "pages"), [(FEW, 1), (FEW + 1, 2)])
def test_the_last_page_is_read_for_more_than_a_few(missing: int, pages: int) -> None:
    ours = names(100 + missing)
    service = Service(listed=ours)

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert (service.pages, len(service.asked)) == (pages, missing if pages == 1 else 0)


@pytest.mark.parametrize(
    ("wanted", "pages", "asked"), [(2 * FEW, 1, 2 * FEW - 1), (2 * FEW + 1, 3, 0)]
)
def test_jobs_that_come_last_are_read_where_that_takes_few_enough_pages(
    wanted: int, pages: int, asked: int
) -> None:
    ours = names(wanted)
    service = Service(listed=[*names(250, "old"), *ours])

    service.read(JobReader(), ours)

    assert (service.pages, len(service.asked)) == (pages, asked)


def test_a_job_that_the_listing_lacks_is_asked_for_singly() -> None:
    ours = names(1000)
    service = Service(listed=ours[1:], unlisted={ours[0]})

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert service.asked == [ours[0]]
    assert service.requests == 11


def test_a_page_is_not_fetched_for_the_last_few() -> None:
    ours = names(203)
    service = Service(listed=ours)

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert (service.pages, service.asked) == (2, ours[200:])


@pytest.mark.parametrize("total", [True, False])
def test_a_service_that_gives_the_same_page_for_ever_is_not_asked_for_ever(total: bool) -> None:
    class Stuck(Service):
        def _body(self, what: str, call: Call[Any]) -> dict[str, Any]:
            body = super()._body(what, call)
            if what.startswith("page"):
                body["sessions"] = [self._job(one) for one in self.listed[:PAGE]]
            return body

    ours = names(150)
    service = Stuck(listed=ours, counts=total)

    snapshot = service.read(JobReader(), ours)

    assert seen(snapshot, ours) == ours
    assert (service.pages, len(service.asked)) == (2, 50)


def test_who_had_no_turn_is_told_nothing() -> None:
    ours = names(1000)
    service = Service(unlisted=set(ours))

    snapshot = service.read(JobReader(), ours)

    told = seen(snapshot, ours)
    assert len(told) == len(service.asked) == MOST_SINGLE_LOOKS
    assert snapshot.find(next(name for name in ours if name not in told)) is None


def test_everybody_has_a_turn_in_some_look() -> None:
    ours = names(1000)
    service = Service(unlisted=set(ours))
    reader = JobReader()

    told: set[str] = set()
    for _ in range(1000 // MOST_SINGLE_LOOKS):
        told.update(seen(service.read(reader, ours), ours))

    assert told == set(ours)


@pytest.mark.parametrize("count", [1, 2, 6, 30, 101, 400])
@pytest.mark.parametrize("others", [0, 99, 1000])
@pytest.mark.parametrize("known", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("newest_first", [True, False])
def test_no_look_sends_more_requests_than_it_is_asked_for_jobs(
    count: int, others: int, known: float, newest_first: bool
) -> None:
    ours = names(count)
    listed = [name for place, name in enumerate(ours) if place % 10 < 10 * known]
    foreign = names(others, "other")
    service = Service(
        listed=[*listed, *foreign] if newest_first else [*foreign, *listed],
        unlisted=set(ours) - set(listed),
    )
    reader = JobReader()

    told: set[str] = set()
    for _ in range(3 * (1 + SNAPSHOTS_WITHOUT_LISTING)):
        told.update(seen(service.read(reader, ours), ours))
        assert 0 < service.requests <= count

    assert told >= set(ours) if count <= MOST_SINGLE_LOOKS else told


def test_other_jobs_that_a_page_shows_are_told_of_too() -> None:
    ours = names(20)
    service = Service(listed=names(100))

    snapshot = service.read(JobReader(), ours)

    assert snapshot.covers("job-00099")


def test_nobody_asks_for_nothing() -> None:
    service = Service(listed=names(3))

    snapshot = service.read(JobReader(), [])

    assert not snapshot.covers("job-00000")
    assert service.requests == 0


def test_a_fingerprint_changes_with_the_state_and_not_with_the_time() -> None:
    service = Service(listed=["a"])
    reader = JobReader()
    first = service.read(reader, ["a"])
    second = service.read(reader, ["a"])
    service.states["a"] = "dead"

    third = service.read(reader, ["a"])

    assert first.fingerprint("a") == second.fingerprint("a") != third.fingerprint("a")


def test_a_single_look_shows_what_a_listing_shows() -> None:
    ours = names(10)
    service = Service(listed=ours, states=dict.fromkeys(ours, "Success"))
    reader = JobReader()

    listed, single = service.read(reader, ours), service.read(reader, ours[:1])

    assert listed.fingerprint(ours[0]) == single.fingerprint(ours[0])
    job = listed.find(ours[0])
    assert job is not None
    assert job.is_terminal


@pytest.mark.parametrize("kind", [NotFoundError, PermissionDeniedError, BadRequestError])
def test_a_refusal_of_one_job_is_its_own(kind: type[DliError]) -> None:
    service = Service(listed=names(3), failing={"job-00001": refused(kind)})

    snapshot = service.read(JobReader(), names(3))

    for find in (snapshot.find, snapshot.fingerprint):
        with pytest.raises(kind):
            find("job-00001")
    assert snapshot.find("job-00000")
    assert snapshot.find("job-00002")


def test_a_name_that_is_no_id_is_trouble_for_itself() -> None:
    service = Service(listed=["a"])

    snapshot = service.read(JobReader(), ["..", "a"])

    with pytest.raises(InputError):
        snapshot.find("..")
    assert snapshot.find("a")


@pytest.mark.parametrize(
    "kind", [ThrottledError, ServiceError, AnswerLostError, AuthenticationError]
)
def test_an_error_of_the_service_ends_the_look_and_stands_for_the_rest(
    kind: type[DliError],
) -> None:
    service = Service(listed=names(5), failing={"job-00002": refused(kind)})

    snapshot = service.read(JobReader(), names(5))

    assert service.asked == names(3)
    assert snapshot.find("job-00001")
    for name in names(5)[2:]:
        with pytest.raises(kind):
            snapshot.find(name)


def test_errors_that_stand_for_many_do_not_grow() -> None:
    service = Service(listed=names(5), failing={"job-00001": refused(ServiceError)})
    snapshot = service.read(JobReader(), names(5))

    raised = []
    for name in names(5)[1:]:
        with pytest.raises(ServiceError) as caught:
            snapshot.find(name)
        raised.append(caught.value)

    assert len(set(map(id, raised))) == 4
    assert {str(error) for error in raised} == {str(raised[0].__cause__)}


def test_where_nothing_was_seen_the_error_is_everybodys() -> None:
    service = Service(failing={"every job": refused(ServiceError)})

    with pytest.raises(ServiceError):
        next(JobReader().read(service, ["a", "b"]))


@pytest.mark.parametrize("kind", [ServiceError, UnusableAnswerError, AnswerLostError])
def test_a_job_that_ends_every_look_keeps_the_others_from_one_look_only(
    kind: type[DliError],
) -> None:
    service = Service(listed=names(5), failing={"job-00001": refused(kind)})
    reader = JobReader()
    service.read(reader, names(5))

    for _ in range(3):
        snapshot = service.read(reader, names(5))

        assert [name for name in names(5) if name in snapshot.jobs] == [
            name for name in names(5) if name != "job-00001"
        ]


def test_a_page_that_fails_leaves_the_jobs_of_the_pages_before() -> None:
    ours = names(1000)
    service = Service(listed=ours, failing={"page 3": refused(ServiceError)})

    snapshot = service.read(JobReader(), ours)

    assert snapshot.find(ours[199])
    with pytest.raises(ServiceError):
        snapshot.find(ours[200])
    assert service.requests == 3


def test_a_listing_that_fails_is_everybodys_error_and_then_it_goes_on_singly() -> None:
    ours = names(50)
    service = Service(listed=ours, failing={"every page": refused(AnswerLostError)})
    reader = JobReader()
    with pytest.raises(AnswerLostError):
        next(reader.read(service, ours))

    snapshot = service.read(reader, ours)

    assert seen(snapshot, ours) == ours
    assert service.pages == 0


@pytest.mark.parametrize("kind", [PermissionDeniedError, BadRequestError, UnusableAnswerError])
def test_who_may_not_list_asks_for_each(kind: type[DliError]) -> None:
    """A user may have the right to see a job, and not the right to see all."""
    ours = names(50)
    service = Service(listed=ours, failing={"every page": refused(kind)})
    reader = JobReader()

    first = service.read(reader, ours)
    second = service.read(reader, ours)

    assert len(seen(first, ours)) == 49
    assert seen(second, ours) == ours
