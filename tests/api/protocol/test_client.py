# SPDX-License-Identifier: Apache-2.0
"""What is done with the endpoints, against a script of answers and a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, repeat

import pytest
from api.script import (
    BUSY,
    DENIED,
    DONE,
    EMPTY,
    HTML,
    LOST,
    MISSING,
    NOT_SENT,
    REFUSED,
    SHOWN,
    THROTTLED,
    Answer,
    Script,
    client,
    listed,
    slow,
    updated,
)
from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.access.sources import Password
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.packages.readiness import Readiness, Verdict
from airflow_provider_dli.api.packages.wait import GroupWait, failed
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    NotSentError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
    TransportError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Response


def test_a_success_is_given_at_once(clock: FakeClock) -> None:
    script = Script(clock, [SHOWN])

    package = script.run(client(clock).perform(calls.show("a.jar", "tools")))

    assert package.name == "a.jar"
    assert script.asked == ["GET a.jar?group=tools"]
    assert clock.slept == []


@pytest.mark.parametrize("failure", [LOST, NOT_SENT, BUSY, HTML])
def test_a_repeatable_call_is_sent_until_it_is_answered(clock: FakeClock, failure: Answer) -> None:
    script = Script(clock, [failure, failure, SHOWN])

    package = script.run(client(clock).perform(calls.show("a.jar")))

    assert package.name == "a.jar"
    assert clock.slept == [1.0, 2.0]


def test_a_throttled_call_waits_longer(clock: FakeClock) -> None:
    script = Script(clock, [THROTTLED, THROTTLED, SHOWN])

    script.run(client(clock).perform(calls.show("a.jar")))

    assert clock.slept == [2.0, 4.0]


def test_a_throttled_call_waits_as_long_as_the_service_asks(clock: FakeClock) -> None:
    script = Script(clock, [Response(429, {"retry-after": "7"}, b""), SHOWN])

    script.run(client(clock).perform(calls.show("a.jar")))

    assert clock.slept == [7.0]


def test_a_call_is_given_up_after_so_many_attempts(clock: FakeClock) -> None:
    script = Script(clock, repeat(BUSY))

    with pytest.raises(ServiceError):
        script.run(client(clock).perform(calls.show("a.jar")))

    assert len(script.sent) == 5
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]


def test_a_call_is_given_up_when_the_next_pause_would_pass_the_deadline(clock: FakeClock) -> None:
    script = Script(clock, repeat(BUSY))

    with pytest.raises(ServiceError):
        script.run(client(clock, deadline=5.0).perform(calls.show("a.jar")))

    assert clock.slept == [1.0, 2.0]


def test_the_time_that_the_tries_take_counts_towards_the_deadline(clock: FakeClock) -> None:
    def late() -> Response:
        clock.time += 100
        raise LOST

    script = Script(clock, repeat(late))

    with pytest.raises(AnswerLostError):
        script.run(client(clock, deadline=120.0).perform(calls.show("a.jar")))

    assert len(script.sent) == 2


@pytest.mark.parametrize("failure", [REFUSED, DENIED, MISSING])
def test_a_refused_call_is_not_sent_again(clock: FakeClock, failure: Response) -> None:
    script = Script(clock, repeat(failure))

    with pytest.raises((BadRequestError, PermissionDeniedError, NotFoundError)):
        script.run(client(clock).perform(calls.show("a.jar")))

    assert len(script.sent) == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [(LOST, AnswerLostError), (BUSY, ServiceError), (HTML, UnusableAnswerError)],
)
def test_a_call_that_is_not_repeatable_is_sent_once_when_it_may_be_done(
    clock: FakeClock, failure: Answer, error: type[Exception]
) -> None:
    script = Script(clock, repeat(failure))

    with pytest.raises(error):
        script.run(client(clock).perform(calls.change_owner("user-1", "tools")))

    assert len(script.sent) == 1


@pytest.mark.parametrize("failure", [NOT_SENT, THROTTLED])
def test_a_call_that_is_not_repeatable_is_sent_again_when_nothing_was_done(
    clock: FakeClock, failure: Answer
) -> None:
    script = Script(clock, [failure, Response(200, {}, b'{"is_success": "true"}')])

    script.run(client(clock).perform(calls.change_owner("user-1", "tools")))

    assert len(script.sent) == 2


def test_each_try_is_signed_anew_with_its_own_time(clock: FakeClock) -> None:
    script = Script(clock, [BUSY, BUSY, SHOWN])

    script.run(client(clock).perform(calls.show("a.jar")))

    assert [request.headers["X-Sdk-Date"] for request in script.sent] == [
        "20270115T080000Z",
        "20270115T080001Z",
        "20270115T080003Z",
    ]
    assert len({request.headers["Authorization"] for request in script.sent}) == 3


def test_an_error_names_verb_and_path_and_who_asked(clock: FakeClock) -> None:
    script = Script(clock, [DENIED])

    with pytest.raises(PermissionDeniedError) as error:
        script.run(client(clock).perform(calls.show("a.jar", "private")))

    assert str(error.value).startswith("GET /v2.0/p1/resources/a.jar was answered with HTTP 400")
    assert "Used: connection c, endpoint https://dli.test, project p1." in str(error.value)
    assert "private" not in str(error.value)


# upload


URL = "https://bucket.obs.region.example.com/a.jar"
UPLOADED = Response(201, {}, b'{"group_name": "tools", "resources": ["a.jar", "b.jar"]}')


def upload(clock: FakeClock, script: Script, group: str | None = "tools") -> PackageGroup:
    call = calls.upload([URL, URL.replace("a.jar", "b.jar")], "jar", group=group)
    return script.run(client(clock).upload(call, group, ["a.jar", "b.jar"]))


def test_an_upload_gives_what_the_service_answers(clock: FakeClock) -> None:
    script = Script(clock, [UPLOADED])

    group = upload(clock, script)

    assert [package.name for package in group.packages] == ["a.jar", "b.jar"]
    assert script.asked == ["POST resources"]


@pytest.mark.parametrize("failure", [LOST, BUSY, HTML])
def test_an_upload_that_arrived_is_not_sent_again(
    clock: FakeClock, failure: Response | TransportError
) -> None:
    now = clock.now()
    found = updated({"a.jar": now + 10, "b.jar": now + 10}, date=now + 31)
    script = Script(clock, [slow(clock, failure), found])

    group = upload(clock, script)

    assert script.asked == ["POST resources", "GET resources"]
    assert {package.name for package in group.packages} == {"a.jar", "b.jar"}


def test_an_upload_that_is_given_up_is_looked_for_once_more(clock: FakeClock) -> None:
    arrived = updated({"a.jar": clock.now(), "b.jar": clock.now()}, date=clock.now())
    script = Script(clock, [LOST, arrived])
    paths = ["https://bucket.obs.eu-de.otc.t-systems.com/a.jar", "obs://bucket/b.jar"]
    call = calls.upload(paths, "jar", group="tools", cloud=Cloud.OTC, region="eu-de")

    group = script.run(client(clock, attempts=1).upload(call, "tools", ["a.jar", "b.jar"]))

    assert [package.name for package in group.packages] == ["a.jar", "b.jar"]


def test_a_look_up_that_fails_tells_also_which_answer_was_lost(clock: FakeClock) -> None:
    script = Script(clock, [LOST, DENIED])

    with pytest.raises(DliError) as caught:
        upload(clock, script)

    assert isinstance(caught.value.__cause__, AnswerLostError)


def test_an_ungrouped_upload_that_arrived_is_not_sent_again(clock: FakeClock) -> None:
    now = clock.now()
    times = {"a.jar": now + 10, "b.jar": now + 10, "other.jar": now}
    script = Script(clock, [slow(clock, LOST), updated(times, group=None, date=now + 31)])

    group = upload(clock, script, None)

    assert script.asked == ["POST resources", "GET resources"]
    assert [package.name for package in group.packages] == ["a.jar", "b.jar"]


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_an_arrived_upload_is_told_by_the_clock_of_the_service(
    clock: FakeClock, ahead: float
) -> None:
    there = clock.now() + ahead
    found = updated({"a.jar": there + 10, "b.jar": there + 10}, date=there + 31)
    script = Script(clock, [slow(clock, LOST), found])

    upload(clock, script)

    assert script.asked == ["POST resources", "GET resources"]


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
@pytest.mark.parametrize(
    ("first", "second"),
    [(-5.0, -5.0), (10.0, -5.0), (-5.0, 10.0)],
    ids=["both are older", "one is older", "the other is older"],
)
def test_an_upload_whose_packages_are_older_is_sent_again(
    clock: FakeClock, ahead: float, first: float, second: float
) -> None:
    there = clock.now() + ahead
    found = updated({"a.jar": there + first, "b.jar": there + second}, date=there + 31)
    script = Script(clock, [slow(clock, LOST), found, UPLOADED])

    upload(clock, script)

    assert script.asked == ["POST resources", "GET resources", "POST resources"]


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
def test_a_date_of_whole_seconds_makes_no_older_package_newer(
    clock: FakeClock, ahead: float
) -> None:
    clock.time += 0.9
    there = clock.now() + ahead
    found = updated({"a.jar": there - 0.5, "b.jar": there - 0.5}, date=int(there + 1))
    script = Script(clock, [LOST, found, UPLOADED])

    upload(clock, script)

    assert script.asked == ["POST resources", "GET resources", "POST resources"]


@pytest.mark.parametrize("time", [None, 0.0])
def test_an_upload_whose_packages_tell_no_time_is_sent_again(
    clock: FakeClock, time: float | None
) -> None:
    found = updated({"a.jar": time, "b.jar": time}, date=clock.now() + 1)
    script = Script(clock, [LOST, found, UPLOADED])

    upload(clock, script)

    assert len(script.sent) == 3


def test_an_upload_of_which_one_package_is_absent_is_sent_again(clock: FakeClock) -> None:
    now = clock.now()
    found = updated({"a.jar": now + 10}, date=now + 31)
    script = Script(clock, [slow(clock, LOST), found, UPLOADED])

    upload(clock, script)

    assert len(script.sent) == 3


def test_an_upload_whose_group_is_absent_is_sent_again(clock: FakeClock) -> None:
    script = Script(clock, [LOST, EMPTY, UPLOADED])

    upload(clock, script)

    assert script.asked == ["POST resources", "GET resources", "POST resources"]


def test_without_the_time_of_the_service_an_upload_is_sent_again(clock: FakeClock) -> None:
    later = clock.now() + 10
    found = updated({"a.jar": later, "b.jar": later}, date=None)
    script = Script(clock, [slow(clock, LOST), found, UPLOADED])

    upload(clock, script)

    assert script.asked == ["POST resources", "GET resources", "POST resources"]


@pytest.mark.parametrize("failure", [NOT_SENT, THROTTLED])
def test_an_upload_that_cannot_have_arrived_is_sent_again_unseen(
    clock: FakeClock, failure: Answer
) -> None:
    script = Script(clock, [failure, UPLOADED])

    upload(clock, script)

    assert script.asked == ["POST resources", "POST resources"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([REFUSED], BadRequestError),
        ([DENIED], PermissionDeniedError),
        (repeat(NOT_SENT), NotSentError),
        (repeat(THROTTLED), ThrottledError),
        (repeat(HTML), UnusableAnswerError),
    ],
    ids=["refused", "denied", "not sent", "throttled", "html"],
)
def test_an_upload_is_never_sent_again_blindly(
    clock: FakeClock, answers: Iterable[Answer], error: type[Exception]
) -> None:
    script = Script(clock, chain([LOST], answers))

    with pytest.raises(error):
        upload(clock, script)

    assert script.asked.count("POST resources") == 1


def test_an_upload_that_is_always_lost_is_given_up(clock: FakeClock) -> None:
    script = Script(clock, chain.from_iterable(repeat([LOST, EMPTY])))

    with pytest.raises(AnswerLostError):
        upload(clock, script)

    assert script.asked.count("POST resources") == 5


# find


def test_a_group_is_found_in_the_listing(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="READY")])

    group = script.run(client(clock).find("tools", kind="jar"))

    assert group is not None
    assert group.name == "tools"
    assert script.asked == ["GET resources?kind=jar"]


def test_a_group_that_is_not_listed_is_none(clock: FakeClock) -> None:
    assert Script(clock, [EMPTY]).run(client(clock).find("tools")) is None


def test_ungrouped_packages_are_found_by_their_names(clock: FakeClock) -> None:
    script = Script(clock, [listed(None, a="READY", b="READY")])

    group = script.run(client(clock).find(None, ["a.jar"]))

    assert group is not None
    assert [package.name for package in group.packages] == ["a.jar"]


# delete


def test_a_package_is_deleted(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    assert script.run(client(clock).delete("a.jar", "tools")) is True
    assert script.asked == ["DELETE a.jar?group=tools"]


def test_a_package_that_does_not_exist_is_an_error(clock: FakeClock) -> None:
    with pytest.raises(NotFoundError):
        Script(clock, [MISSING]).run(client(clock).delete("a.jar"))


@pytest.mark.parametrize("failure", [LOST, BUSY, HTML])
def test_a_package_that_is_gone_after_a_lost_answer_is_deleted(
    clock: FakeClock, failure: Answer
) -> None:
    script = Script(clock, [failure, MISSING])

    assert script.run(client(clock).delete("a.jar", "tools")) is True
    assert script.asked == ["DELETE a.jar?group=tools", "GET a.jar?group=tools"]


def test_a_package_that_is_still_there_is_deleted_again(clock: FakeClock) -> None:
    script = Script(clock, [LOST, SHOWN, DONE])

    assert script.run(client(clock).delete("a.jar")) is True
    assert script.asked == ["DELETE a.jar", "GET a.jar", "DELETE a.jar"]


def test_a_deletion_is_never_repeated_blindly(clock: FakeClock) -> None:
    script = Script(clock, [LOST, DENIED])

    with pytest.raises(PermissionDeniedError):
        script.run(client(clock).delete("a.jar"))

    assert script.asked == ["DELETE a.jar", "GET a.jar"]


# delete a group


def test_a_group_is_deleted_package_by_package(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="READY", b="FAILED"), DONE, DONE])

    deleted = script.run(client(clock).delete_group("tools"))

    assert deleted == ("a.jar", "b.jar")
    assert script.asked == [
        "GET resources",
        "DELETE a.jar?group=tools",
        "DELETE b.jar?group=tools",
    ]


def test_only_the_named_packages_are_deleted_without_looking(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    assert script.run(client(clock).delete_group("tools", ["b.jar"])) == ("b.jar",)
    assert script.asked == ["DELETE b.jar?group=tools"]


def test_without_names_nothing_is_deleted(clock: FakeClock) -> None:
    script = Script(clock, [])

    assert script.run(client(clock).delete_group("tools", [])) == ()
    assert script.sent == []


def test_an_absent_package_counts_as_done(clock: FakeClock) -> None:
    script = Script(clock, [MISSING, DONE])

    assert script.run(client(clock).delete_group("tools", ["a.jar", "b.jar"])) == ("b.jar",)


def test_an_absent_group_counts_as_done(clock: FakeClock) -> None:
    script = Script(clock, [EMPTY])

    assert script.run(client(clock).delete_group("tools")) == ()
    assert script.asked == ["GET resources"]


def test_the_first_failure_stops_and_names_what_is_left(clock: FakeClock) -> None:
    script = Script(clock, [DONE, DENIED])

    with pytest.raises(PermissionDeniedError) as error:
        script.run(client(clock).delete_group("tools", ["a.jar", "b.jar", "c.jar"]))

    assert error.value.__notes__ == [
        "Of group tools not deleted: b.jar, c.jar; deleted: ['a.jar']."
    ]
    assert len(script.sent) == 2


def test_an_illegal_name_stops_before_it_is_sent(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    with pytest.raises(InputError, match="name is ''"):
        script.run(client(clock).delete_group("tools", ["a.jar", ""]))

    assert script.asked == ["DELETE a.jar?group=tools"]


# until ready


def wait(
    clock: FakeClock,
    script: Script,
    names: Collection[str] = ("a.jar",),
    *,
    group: str | None = "tools",
    poll_interval: float = 10.0,
    timeout: float = 600.0,
    observe: Callable[[Readiness], None] = lambda readiness: None,
) -> PackageGroup:
    flow = client(clock).until_ready(
        GroupWait(
            group,
            names,
            deadline=clock.now() + timeout,
            poll_interval=poll_interval,
            accepted=True,
            observe=observe,
            jitter=lambda: 0.5,
        )
    )
    return script.run(flow)


def test_a_group_that_is_ready_is_given_at_the_first_look(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="READY")])

    group = wait(clock, script)

    assert group.name == "tools"
    assert clock.slept == pytest.approx([1.0])


def test_ungrouped_packages_are_waited_for_by_name(clock: FakeClock) -> None:
    script = Script(clock, [listed(None, a="UPLOADING"), listed(None, a="READY", b="FAILED")])

    group = wait(clock, script, group=None)

    assert group.name is None
    assert [package.name for package in group.packages] == ["a.jar"]


def test_pauses_grow_up_to_the_poll_interval(clock: FakeClock) -> None:
    script = Script(clock, chain([listed(a="UPLOADING")] * 7, [listed(a="READY")]))

    wait(clock, script, poll_interval=5.0)

    assert clock.slept == pytest.approx([1.0, 1.5, 2.25, 3.375, 5.0, 5.0, 5.0, 5.0])


def test_a_short_poll_interval_holds_from_the_first_look(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="UPLOADING"), listed(a="READY")])

    wait(clock, script, poll_interval=0.5)

    assert clock.slept == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.9), (1.0, 1.1)])
def test_many_tasks_do_not_look_in_step(clock: FakeClock, jitter: float, seconds: float) -> None:
    flow = client(clock).until_ready(GroupWait("tools", ["a.jar"], jitter=lambda: jitter))

    Script(clock, [listed(a="READY")]).run(flow)

    assert clock.slept == pytest.approx([seconds])


def test_each_look_is_observed(clock: FakeClock) -> None:
    seen: list[str] = []
    script = Script(clock, [EMPTY, listed(a="uploading"), listed(a="READY")])

    wait(clock, script, observe=lambda readiness: seen.append(str(readiness)))

    assert seen == ["a.jar is ABSENT", "a.jar is UPLOADING", "all packages are READY"]


def test_a_failed_package_is_named(clock: FakeClock) -> None:
    seen: list[Readiness] = []
    script = Script(clock, [listed(state="UPLOADING", a="READY", b="FAILED")])

    with pytest.raises(PackageGroupFailedError) as error:
        wait(clock, script, ["a.jar", "b.jar"], observe=seen.append)

    assert str(error.value) == (
        "Package group 'tools' failed: b.jar is FAILED. DLI gives no reason; check that each "
        "object exists in OBS, is readable for DLI, and that nobody deletes the group meanwhile."
    )
    assert [readiness.verdict for readiness in seen] == [Verdict.FAILED]


def test_a_failed_package_that_is_not_waited_for_is_no_failure(clock: FakeClock) -> None:
    script = Script(clock, [listed(state="FAILED", a="READY", b="FAILED")])

    assert wait(clock, script, ["a.jar"]).name == "tools"


@pytest.mark.parametrize("then", [EMPTY, listed(b="READY")], ids=["the group", "the package"])
def test_what_was_seen_and_is_gone_fails_at_once(clock: FakeClock, then: Response) -> None:
    script = Script(clock, [listed(a="UPLOADING", b="READY"), then])

    with pytest.raises(PackageGroupFailedError, match=r"a\.jar is ABSENT"):
        wait(clock, script, ["a.jar", "b.jar"])

    assert len(script.sent) == 2


def test_what_was_never_seen_fails_after_five_minutes(clock: FakeClock) -> None:
    begin = clock.now()
    script = Script(clock, repeat(listed(a="READY")))

    with pytest.raises(PackageGroupFailedError, match=r"failed: b\.jar is ABSENT\."):
        wait(clock, script, ["a.jar", "b.jar"], poll_interval=0.5)

    assert clock.now() - begin == pytest.approx(300, abs=2)


def test_what_appears_within_five_minutes_is_no_failure(clock: FakeClock) -> None:
    appears = clock.now() + 280
    script = Script(clock, repeat(lambda: listed(a="READY") if clock.now() > appears else EMPTY))

    assert wait(clock, script).name == "tools"


def test_what_was_never_seen_is_named_at_an_earlier_timeout(clock: FakeClock) -> None:
    begin = clock.now()

    with pytest.raises(PackageGroupTimeoutError, match=r"a\.jar is ABSENT"):
        wait(clock, Script(clock, repeat(EMPTY)), timeout=30)

    assert clock.now() - begin == pytest.approx(30)


def test_a_timeout_names_group_time_and_packages(clock: FakeClock) -> None:
    script = Script(clock, repeat(listed(a="READY", b="UPLOADING", c="Paused")))

    with pytest.raises(PackageGroupTimeoutError) as error:
        wait(clock, script, ["a.jar", "b.jar", "c.jar"], timeout=100)

    assert str(error.value) == (
        "Package group 'tools' was not READY by 2027-01-15 08:01:40 UTC: b.jar is UPLOADING, "
        "c.jar is Paused. DLI may still be at work; look at the group before you upload it again."
    )


def test_a_wait_ends_with_its_timeout(clock: FakeClock) -> None:
    begin = clock.now()

    with pytest.raises(PackageGroupTimeoutError):
        wait(clock, Script(clock, repeat(listed(a="UPLOADING"))), poll_interval=60, timeout=100)

    assert clock.now() - begin == pytest.approx(100)


def test_the_last_look_is_at_the_timeout(clock: FakeClock) -> None:
    end = clock.now() + 100
    script = Script(
        clock,
        repeat(lambda: listed(a="READY" if clock.now() >= end - 0.001 else "UPLOADING")),
    )

    assert wait(clock, script, poll_interval=60, timeout=100).name == "tools"


@pytest.mark.parametrize("failure", [THROTTLED, BUSY, HTML, LOST, NOT_SENT])
def test_a_wait_survives_a_look_that_failed(clock: FakeClock, failure: Answer) -> None:
    seen: list[Readiness] = []
    script = Script(clock, [listed(a="UPLOADING"), failure, failure, listed(a="READY")])

    group = wait(clock, script, observe=seen.append)

    assert group.name == "tools"
    assert len(seen) == 2


def test_a_wait_ends_with_a_refusal(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="UPLOADING"), DENIED])

    with pytest.raises(PermissionDeniedError):
        wait(clock, script)


def test_a_wait_of_twenty_minutes_takes_no_time(clock: FakeClock) -> None:
    begin = clock.now()
    script = Script(
        clock,
        repeat(lambda: listed(a="READY" if clock.now() >= begin + 1200 else "UPLOADING")),
    )

    wait(clock, script, poll_interval=30, timeout=3600)

    assert 1200 <= clock.now() - begin < 1230
    assert len(script.sent) < 50


def test_each_look_is_signed_anew(clock: FakeClock) -> None:
    script = Script(clock, chain([listed(a="UPLOADING")] * 3, [listed(a="READY")]))

    wait(clock, script)

    assert len({request.headers["X-Sdk-Date"] for request in script.sent}) == 4


def test_a_failure_without_a_group_says_so() -> None:
    error = failed(None, Readiness(Verdict.FAILED, {"a.jar": "FAILED"}))

    assert str(error).startswith("The upload without a group failed: a.jar is FAILED.")


# who asks

REFUSED_KEY = Response(401, {}, b'{"error_code": "APIGW.0301", "error_msg": "ak AK not exist"}')
WRONG_PASSWORD = Response(401, {}, b'{"error": {"code": 401, "message": "wrong"}}')
IAM_BUSY = Response(503, {}, b'{"error": {"code": 503, "message": "busy"}}')
PASSWORD = Password("https://iam.test", "user", "password", "account", "p1")


def signed_in(token: str, life: float = 86_400.0) -> Response:
    """Give a token that ends so many seconds after the test has begun."""
    end = datetime.fromtimestamp(FakeClock().now() + life, UTC).isoformat()
    body = {"token": {"expires_at": end, "project": {"id": "p1"}}}
    return Response(201, {"x-subject-token": token}, json.dumps(body).encode())


def keys(access_key: str, project_id: str | None = "p1") -> Account:
    return Account("https://dli.test", project_id, AccessKey(access_key, "SK"), conn_id="c")


class Connection:
    """A connection that says something else each time it is read."""

    def __init__(self, *accounts: Account) -> None:
        self.reads = 0
        self._accounts = iter(accounts)

    def read(self) -> Account:
        self.reads += 1
        return next(self._accounts)


def test_a_refused_call_is_sent_again_as_the_connection_says_by_now(clock: FakeClock) -> None:
    connection = Connection(keys("AK2", "p2"))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, [REFUSED_KEY, SHOWN])

    package = script.run(asking.perform(calls.show("a.jar")))

    assert package.name == "a.jar"
    assert [request.path.split("/")[2] for request in script.sent] == ["p1", "p2"]
    assert "Access=AK2," in script.sent[1].headers["Authorization"]
    assert connection.reads == 1


def test_later_calls_are_sent_as_it_said_then(clock: FakeClock) -> None:
    connection = Connection(keys("AK2"))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, [REFUSED_KEY, SHOWN, SHOWN])

    script.run(asking.perform(calls.show("a.jar")))
    script.run(asking.perform(calls.show("a.jar")))

    assert "Access=AK2," in script.sent[2].headers["Authorization"]
    assert connection.reads == 1


def test_a_connection_that_says_the_same_is_no_reason_to_send_again(clock: FakeClock) -> None:
    connection = Connection(keys("AK1"))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, [REFUSED_KEY])

    with pytest.raises(AuthenticationError):
        script.run(asking.perform(calls.show("a.jar")))

    assert connection.reads == 1


def test_without_a_connection_to_read_a_refusal_is_raised(clock: FakeClock) -> None:
    script = Script(clock, [REFUSED_KEY])

    with pytest.raises(AuthenticationError):
        script.run(client(clock).perform(calls.show("a.jar")))


def test_a_connection_that_never_says_the_same_is_read_once_for_a_call(clock: FakeClock) -> None:
    connection = Connection(*(keys(f"AK{number}") for number in range(2, 9)))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, repeat(REFUSED_KEY))

    with pytest.raises(AuthenticationError):
        script.run(asking.perform(calls.show("a.jar")))

    assert connection.reads == 1
    assert len(script.sent) == 2


@pytest.mark.parametrize("failure", [BUSY, DENIED, MISSING, LOST, THROTTLED])
def test_no_other_failure_lets_the_connection_be_read_again(
    clock: FakeClock, failure: Answer
) -> None:
    connection = Connection()
    asking = Client(keys("AK1"), Retry(attempts=1), clock.now, reread=connection.read)

    with pytest.raises(DliError):
        Script(clock, [failure]).run(asking.perform(calls.show("a.jar")))

    assert connection.reads == 0


def test_a_source_that_refuses_lets_the_connection_be_read_again(clock: FakeClock) -> None:
    asking = Client(
        Account("https://dli.test", "p1", PASSWORD), now=clock.now, reread=lambda: keys("AK2")
    )
    script = Script(clock, [WRONG_PASSWORD, SHOWN])

    script.run(asking.perform(calls.show("a.jar")))

    assert script.asked == ["POST tokens?nocatalog=true", "GET a.jar"]


def test_an_upload_that_was_refused_is_sent_once_more(clock: FakeClock) -> None:
    call = calls.upload(["https://bucket.obs.eu-de.otc.t-systems.com/a.jar"], "jar", group="g")
    asking = Client(keys("AK1"), now=clock.now, reread=lambda: keys("AK2"))
    script = Script(clock, repeat(REFUSED_KEY))

    with pytest.raises(AuthenticationError):
        script.run(asking.upload(call, "g", ["a.jar"]))

    assert script.asked == ["POST resources"] * 2


def test_a_wait_goes_on_with_other_keys(clock: FakeClock) -> None:
    script = Script(
        clock, [listed(a="UPLOADING"), REFUSED_KEY, listed(a="UPLOADING"), listed(a="READY")]
    )
    asking = Client(keys("AK1"), now=clock.now, reread=lambda: keys("AK2"))
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 600, jitter=lambda: 0.5)

    group = script.run(asking.until_ready(waiting))

    assert group.name == "tools"
    used = [request.headers["Authorization"].split("=")[1][:3] for request in script.sent]
    assert used == ["AK1", "AK1", "AK2", "AK2"]


def test_a_wait_whose_keys_nobody_changes_ends_with_the_refusal(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="UPLOADING"), REFUSED_KEY])

    with pytest.raises(AuthenticationError):
        wait(clock, script)


@pytest.mark.parametrize("trouble", [IAM_BUSY, HTML, LOST, NOT_SENT])
def test_a_wait_survives_a_source_that_is_in_trouble(clock: FakeClock, trouble: Answer) -> None:
    asking = Client(Account("https://dli.test", "p1", PASSWORD), now=clock.now)
    script = Script(clock, [trouble, trouble, signed_in("t"), listed(a="READY")])

    script.run(asking.until_ready(GroupWait("tools", ["a.jar"], deadline=clock.now() + 600)))

    assert len(script.sent) == 4


def test_a_wait_survives_trouble_while_its_project_is_looked_up(clock: FakeClock) -> None:
    account = replace(keys("AK", None), region="eu-de", iam_origin="https://iam.test")
    found = Response(200, {}, b'{"projects": [{"id": "p7"}]}')
    script = Script(clock, [IAM_BUSY, LOST, found, listed(a="READY")])

    script.run(
        Client(account, now=clock.now).until_ready(
            GroupWait("tools", ["a.jar"], deadline=clock.now() + 600)
        )
    )

    assert script.sent[-1].path == "/v2.0/p7/resources"


def test_what_no_log_may_show_is_told_before_anything_is_sent(clock: FakeClock) -> None:
    learned: list[str] = []
    account = Account("https://dli.test", "p1", AccessKey("AK", "SK", "ST"))
    flow = Client(account, now=clock.now, learn=learned.append).look()

    next(flow)

    assert learned == ["AK", "SK", "ST"]


def test_what_no_log_may_show_is_told_once_for_each_credential(clock: FakeClock) -> None:
    learned: list[str] = []
    account = Account("https://dli.test", "p1", replace(PASSWORD, user="nobody-else"))
    asking = Client(account, now=clock.now, learn=learned.append)
    script = Script(clock, [signed_in("t1"), EMPTY, EMPTY, signed_in("t2", 2 * 86_400), EMPTY])

    script.run(asking.look())
    script.run(asking.look())
    clock.time += 86_400
    script.run(asking.look())

    assert learned == ["t1", "t2"]


# turns


def test_a_call_waits_for_its_turn(clock: FakeClock) -> None:
    asking = client(clock)
    asking.pace.throttled(clock.now(), 7.0)

    Script(clock, [EMPTY]).run(asking.look())

    assert clock.slept == [7.0]
