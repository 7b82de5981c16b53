# SPDX-License-Identifier: Apache-2.0
"""What is done with packages in several calls, against a script of answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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

from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.packages import calls, flows
from airflow_provider_dli.api.packages.models import PackageGroup
from airflow_provider_dli.api.packages.readiness import Readiness, Verdict
from airflow_provider_dli.api.packages.wait import GroupWait, failed
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    NotSentError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    ThrottledError,
    TransportError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Response

# upload


URL = "https://bucket.obs.region.example.com/a.jar"
UPLOADED = Response(201, {}, b'{"group_name": "tools", "resources": ["a.jar", "b.jar"]}')


def upload(clock: FakeClock, script: Script, group: str | None = "tools") -> PackageGroup:
    call = calls.upload([URL, URL.replace("a.jar", "b.jar")], "jar", group=group)
    return script.run(flows.upload(client(clock), call, group, ["a.jar", "b.jar"]))


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

    group = script.run(flows.upload(client(clock, attempts=1), call, "tools", ["a.jar", "b.jar"]))

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

    group = script.run(flows.find(client(clock), "tools", kind="jar"))

    assert group is not None
    assert group.name == "tools"
    assert script.asked == ["GET resources?kind=jar"]


def test_a_group_that_is_not_listed_is_none(clock: FakeClock) -> None:
    assert Script(clock, [EMPTY]).run(flows.find(client(clock), "tools")) is None


def test_ungrouped_packages_are_found_by_their_names(clock: FakeClock) -> None:
    script = Script(clock, [listed(None, a="READY", b="READY")])

    group = script.run(flows.find(client(clock), None, ["a.jar"]))

    assert group is not None
    assert [package.name for package in group.packages] == ["a.jar"]


# delete


def test_a_package_is_deleted(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    assert script.run(flows.delete(client(clock), "a.jar", "tools")) is True
    assert script.asked == ["DELETE a.jar?group=tools"]


def test_a_package_that_does_not_exist_is_an_error(clock: FakeClock) -> None:
    with pytest.raises(NotFoundError):
        Script(clock, [MISSING]).run(flows.delete(client(clock), "a.jar"))


@pytest.mark.parametrize("failure", [LOST, BUSY, HTML])
def test_a_package_that_is_gone_after_a_lost_answer_is_deleted(
    clock: FakeClock, failure: Answer
) -> None:
    script = Script(clock, [failure, MISSING])

    assert script.run(flows.delete(client(clock), "a.jar", "tools")) is True
    assert script.asked == ["DELETE a.jar?group=tools", "GET a.jar?group=tools"]


def test_a_package_that_is_still_there_is_deleted_again(clock: FakeClock) -> None:
    script = Script(clock, [LOST, SHOWN, DONE])

    assert script.run(flows.delete(client(clock), "a.jar")) is True
    assert script.asked == ["DELETE a.jar", "GET a.jar", "DELETE a.jar"]


def test_a_deletion_is_never_repeated_blindly(clock: FakeClock) -> None:
    script = Script(clock, [LOST, DENIED])

    with pytest.raises(PermissionDeniedError):
        script.run(flows.delete(client(clock), "a.jar"))

    assert script.asked == ["DELETE a.jar", "GET a.jar"]


# delete a group


def test_a_group_is_deleted_package_by_package(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="READY", b="FAILED"), DONE, DONE])

    deleted = script.run(flows.delete_group(client(clock), "tools"))

    assert deleted == ("a.jar", "b.jar")
    assert script.asked == [
        "GET resources",
        "DELETE a.jar?group=tools",
        "DELETE b.jar?group=tools",
    ]


def test_only_the_named_packages_are_deleted_without_looking(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    assert script.run(flows.delete_group(client(clock), "tools", ["b.jar"])) == ("b.jar",)
    assert script.asked == ["DELETE b.jar?group=tools"]


def test_without_names_nothing_is_deleted(clock: FakeClock) -> None:
    script = Script(clock, [])

    assert script.run(flows.delete_group(client(clock), "tools", [])) == ()
    assert script.sent == []


def test_an_absent_package_counts_as_done(clock: FakeClock) -> None:
    script = Script(clock, [MISSING, DONE])

    assert script.run(flows.delete_group(client(clock), "tools", ["a.jar", "b.jar"])) == ("b.jar",)


def test_an_absent_group_counts_as_done(clock: FakeClock) -> None:
    script = Script(clock, [EMPTY])

    assert script.run(flows.delete_group(client(clock), "tools")) == ()
    assert script.asked == ["GET resources"]


def test_the_first_failure_stops_and_names_what_is_left(clock: FakeClock) -> None:
    script = Script(clock, [DONE, DENIED])

    with pytest.raises(PermissionDeniedError) as error:
        script.run(flows.delete_group(client(clock), "tools", ["a.jar", "b.jar", "c.jar"]))

    assert error.value.__notes__ == ["Not deleted from group tools: b.jar, c.jar. Deleted: a.jar."]
    assert len(script.sent) == 2


def test_an_illegal_name_stops_before_it_is_sent(clock: FakeClock) -> None:
    script = Script(clock, [DONE])

    with pytest.raises(InputError, match="name is ''"):
        script.run(flows.delete_group(client(clock), "tools", ["a.jar", ""]))

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
    flow = flows.until_ready(
        client(clock),
        GroupWait(
            group,
            names,
            deadline=clock.now() + timeout,
            poll_interval=poll_interval,
            accepted=True,
            observe=observe,
            jitter=lambda: 0.5,
        ),
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
    flow = flows.until_ready(client(clock), GroupWait("tools", ["a.jar"], jitter=lambda: jitter))

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
        "object exists in OBS, that DLI may read it, and that nobody deletes the group meanwhile."
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
        "c.jar is Paused. DLI may still be processing it; check the group before you upload it "
        "again."
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
