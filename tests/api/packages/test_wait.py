# SPDX-License-Identifier: Apache-2.0
"""One wait, driven by hand: given times, given looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_dli.api.packages.models import AbsentGroup, Package, PackageGroup
from airflow_provider_dli.api.packages.readiness import Readiness
from airflow_provider_dli.api.packages.wait import GroupUpdates, GroupWait, failed, title
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    DliError,
    NotFoundError,
    NotSentError,
    PackageGroupFailedError,
    PackageGroupLostError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
)

NOW = 1_800_000_000.0
BOTH = ("a.jar", "b.jar")


def group(
    states: Mapping[str, str], state: str = "READY", update_time: int | None = None
) -> PackageGroup:
    packages = tuple(Package(name, "g", raw_state=raw) for name, raw in states.items())
    return PackageGroup("g", raw_state=state, packages=packages, update_time=update_time)


def wait(**changes: Any) -> GroupWait:
    return GroupWait(**{"group": "g", "names": BOTH, "jitter": lambda: 0.5} | changes)


def error(kind: type[DliError], retry_after: float | None = None) -> DliError:
    if issubclass(kind, NotSentError | AnswerLostError):
        return kind("GET /resources went wrong")
    return kind("GET /resources went wrong", status=500, retry_after=retry_after)  # type: ignore[call-arg]


READY = group({"a.jar": "READY", "b.jar": "READY"})
UPLOADING = group({"a.jar": "READY", "b.jar": "UPLOADING"})


def looks(wait: GroupWait | GroupUpdates, count: int) -> list[float]:
    now, pauses = NOW, []
    for _ in range(count):
        look = wait.next_look(now)
        pauses.append(round(look - now, 3))
        now = look
    return pauses


def test_pauses_begin_with_a_second_and_grow_to_the_poll_interval() -> None:
    assert looks(wait(poll_interval=5), 7) == [1, 1.5, 2.25, 3.375, 5, 5, 5]


def test_a_poll_interval_below_a_second_is_kept_from_the_first_look_on() -> None:
    assert looks(wait(poll_interval=0.2), 3) == [0.2, 0.2, 0.2]


def test_a_wait_is_settled_when_its_pauses_have_grown_to_the_poll_interval() -> None:
    begun = wait(poll_interval=2)

    settled = []
    for _ in range(4):
        begun.next_look(NOW)
        settled.append(begun.settled)

    assert settled == [False, False, True, True]


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
def test_looks_are_spread_by_a_tenth(jitter: float, pause: float) -> None:
    begun = wait(poll_interval=10, jitter=lambda: jitter)
    looks(begun, 10)

    assert begun.next_look(NOW) - NOW == pytest.approx(pause)


@pytest.mark.parametrize(
    ("deadline", "look"),
    [(NOW + 0.4, NOW + 0.4), (NOW + 9, NOW + 1), (NOW - 1, NOW), (None, NOW + 1)],
)
def test_no_look_is_planned_behind_the_deadline_or_in_the_past(
    deadline: float | None, look: float
) -> None:
    assert wait(deadline=deadline).next_look(NOW) == pytest.approx(look)


def test_after_a_throttled_look_the_next_comes_no_earlier_than_asked() -> None:
    begun = wait()
    begun.on_error(error(ThrottledError, retry_after=30), NOW)

    assert begun.next_look(NOW) == NOW + 30


def test_a_retry_after_does_not_move_the_deadline() -> None:
    begun = wait(deadline=NOW + 10)
    begun.on_error(error(ThrottledError, retry_after=30), NOW)

    assert begun.next_look(NOW) == NOW + 10


def test_throttled_without_a_retry_after_the_usual_pause_holds() -> None:
    begun = wait()
    begun.on_error(error(ThrottledError), NOW)

    assert begun.next_look(NOW) == NOW + 1


def test_the_ready_group_ends_the_wait() -> None:
    assert wait().on_result(READY, NOW) is READY


def test_at_the_deadline_a_look_that_finds_all_ready_counts() -> None:
    assert wait(deadline=NOW).on_result(READY, NOW + 5) is READY


@pytest.mark.parametrize("found", [None, group({}), UPLOADING, group({"a.jar": "READY"})])
def test_what_is_not_all_ready_is_waited_for(found: PackageGroup | None) -> None:
    assert wait().on_result(found, NOW) is None


def test_every_look_is_observed_the_last_one_too() -> None:
    seen: list[Readiness] = []
    begun = wait(observe=seen.append)

    begun.on_result(UPLOADING, NOW)
    begun.on_result(READY, NOW)

    assert [dict(readiness.states) for readiness in seen] == [
        {"a.jar": "READY", "b.jar": "UPLOADING"},
        {"a.jar": "READY", "b.jar": "READY"},
    ]


def test_a_failed_package_ends_the_wait_at_once_and_is_named() -> None:
    with pytest.raises(PackageGroupFailedError, match=r"'g' failed: b\.jar is FAILED\. DLI gives"):
        wait().on_result(group({"a.jar": "READY", "b.jar": "FAILED"}), NOW)


@pytest.mark.parametrize("later", [None, group({"a.jar": "READY"})])
def test_a_package_that_was_seen_and_is_gone_ends_the_wait_at_once(
    later: PackageGroup | None,
) -> None:
    begun = wait()
    begun.on_result(UPLOADING, NOW)

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is ABSENT"):
        begun.on_result(later, NOW + 1)


def test_a_wait_for_all_names_what_was_seen_and_is_gone() -> None:
    begun = wait(names=None)
    begun.on_result(UPLOADING, NOW)

    with pytest.raises(
        PackageGroupFailedError,
        match=r"a\.jar is ABSENT, b\.jar is ABSENT|b\.jar is ABSENT, a\.jar is ABSENT",
    ):
        begun.on_result(None, NOW + 1)


def test_a_wait_for_all_is_not_over_when_its_only_unready_package_is_gone() -> None:
    begun = wait(names=None)
    begun.on_result(UPLOADING, NOW)

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is ABSENT"):
        begun.on_result(group({"a.jar": "UPLOADING"}), NOW + 1)


@pytest.mark.parametrize(
    ("accepted", "states", "is_limited"),
    [
        (True, {"a.jar": "READY"}, True),
        (False, {"a.jar": "READY"}, False),
        (True, {"a.jar": "READY", "b.jar": "PAUSED"}, True),
        (False, {"a.jar": "READY", "b.jar": "PAUSED"}, True),
        (False, {"a.jar": "READY", "b.jar": ""}, True),
        (True, {"a.jar": "READY", "b.jar": "UPLOADING"}, False),
    ],
)
def test_what_is_not_known_to_go_on_is_waited_for_as_long_as_the_unknown_may_last(
    accepted: bool, states: dict[str, str], is_limited: bool
) -> None:
    begun = wait(accepted=accepted, max_unknown_time=60)
    found = group(states)
    for seconds in (0, 30, 59.9):
        begun.on_result(found, NOW + seconds)

    if is_limited:
        with pytest.raises(PackageGroupFailedError, match=r"b\.jar is "):
            begun.on_result(found, NOW + 60)
    else:
        assert begun.on_result(found, NOW + 6000) is None


def test_the_unknown_may_last_anew_after_a_known_state() -> None:
    begun = wait(accepted=True, max_unknown_time=60)
    odd = group({"a.jar": "READY", "b.jar": "PAUSED"})

    begun.on_result(odd, NOW)
    begun.on_result(UPLOADING, NOW + 50)
    begun.on_result(odd, NOW + 59)

    assert begun.on_result(odd, NOW + 118) is None


def test_the_same_look_again_lets_the_unknown_grow_old() -> None:
    begun = wait(accepted=True, max_unknown_time=60)
    begun.on_result(group({"a.jar": "READY"}), NOW)
    begun.on_unchanged(NOW + 59)

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is ABSENT"):
        begun.on_unchanged(NOW + 60)


def test_an_error_does_not_let_the_unknown_begin_anew() -> None:
    begun = wait(accepted=True, max_unknown_time=60)
    odd = group({"a.jar": "READY"})
    begun.on_result(odd, NOW)
    begun.on_error(error(ServiceError), NOW + 30)

    with pytest.raises(PackageGroupFailedError):
        begun.on_result(odd, NOW + 60)


@pytest.mark.parametrize("step", ["on_result", "on_unchanged", "expire"])
def test_the_deadline_ends_the_wait_and_names_what_is_not_ready(step: str) -> None:
    begun = wait(deadline=NOW + 60)
    begun.on_result(UPLOADING, NOW)
    arguments = (UPLOADING,) if step == "on_result" else ()

    with pytest.raises(
        PackageGroupTimeoutError,
        match=r"'g' was not READY by 2027-01-15 08:01:00 UTC: b\.jar is UPL",
    ):
        getattr(begun, step)(*arguments, NOW + 60)


def test_before_the_deadline_nothing_expires() -> None:
    begun = wait(deadline=NOW + 60)

    begun.expire(NOW + 59.9)
    wait().expire(NOW + 1e9)


TRANSIENT = [ServiceError, ThrottledError, NotSentError, AnswerLostError, UnusableAnswerError]


@pytest.mark.parametrize("kind", TRANSIENT)
def test_an_error_that_may_pass_is_endured_for_a_while(kind: type[DliError]) -> None:
    begun = wait(max_unknown_time=60)

    for seconds in (0, 30, 59.9):
        begun.on_error(error(kind), NOW + seconds)

    with pytest.raises(kind, match="GET /resources went wrong") as caught:
        begun.on_error(error(kind), NOW + 60)
    assert caught.value.__notes__ == ["No look at Package group 'g' succeeded for 60 seconds."]


@pytest.mark.parametrize("kind", [AuthenticationError, NotFoundError])
def test_an_error_that_cannot_pass_ends_the_wait_at_once(kind: type[DliError]) -> None:
    with pytest.raises(kind):
        wait().on_error(error(kind), NOW)


@pytest.mark.parametrize("look", ["on_result", "on_unchanged"])
def test_errors_may_last_anew_after_a_look(look: str) -> None:
    begun = wait(max_unknown_time=60)
    begun.on_error(error(ServiceError), NOW)
    begun.on_error(error(ServiceError), NOW + 59)
    arguments = (UPLOADING,) if look == "on_result" else ()
    getattr(begun, look)(*arguments, NOW + 59)

    begun.on_error(error(ServiceError), NOW + 60)
    begun.on_error(error(ServiceError), NOW + 119)


def test_trouble_is_told_once_for_each_change() -> None:
    told: list[DliError] = []
    begun = wait(trouble=told.append)

    for kind in (ServiceError, ServiceError, ThrottledError, ServiceError):
        begun.on_error(error(kind), NOW)
    begun.on_result(UPLOADING, NOW)
    begun.on_error(error(ServiceError), NOW)

    assert [type(one) for one in told] == [ServiceError, ThrottledError, ServiceError, ServiceError]


def test_a_deadline_that_comes_in_the_middle_of_trouble_says_what_hid_the_group() -> None:
    begun = wait(deadline=NOW + 60)
    begun.on_result(UPLOADING, NOW)

    with pytest.raises(
        PackageGroupTimeoutError,
        match=r"b\.jar is UPLOADING.*The last look failed: GET /resources w",
    ):
        begun.on_error(error(ServiceError), NOW + 60)


def test_one_error_that_ends_many_waits_speaks_to_each_of_its_own_group() -> None:
    """In the triggerer all waits are given the same error."""
    shared = error(ServiceError)
    texts = []
    for name in ("first", "second"):
        begun = wait(group=name, max_unknown_time=60)
        begun.on_error(shared, NOW)
        with pytest.raises(ServiceError) as caught:
            begun.on_error(shared, NOW + 60)
        texts.append(caught.value)

    assert [one.as_dict()["notes"] for one in texts] == [
        ["No look at Package group 'first' succeeded for 60 seconds."],
        ["No look at Package group 'second' succeeded for 60 seconds."],
    ]


def test_packages_without_a_group_are_called_so() -> None:
    assert title(None) == "The upload without a group"
    with pytest.raises(PackageGroupFailedError, match="The upload without a group failed"):
        raise failed(None, wait().readiness)


def watch(**changes: Any) -> GroupUpdates:
    return GroupUpdates(**{"group": "g", "names": None, "poll_interval": 60.0} | changes)


def test_a_watch_looks_at_once_and_then_every_poll_interval() -> None:
    assert looks(watch(), 3) == [0, 60, 60]


def ready(update_time: int | None) -> PackageGroup:
    return group({"a.jar": "READY"}, update_time=update_time)


@pytest.mark.parametrize(
    ("last", "found", "news"),
    [
        (None, [ready(5), ready(5)], []),
        (None, [ready(5), ready(6)], [6]),
        (None, [None, ready(5)], [5]),
        (None, [group({"a.jar": "UPLOADING"}, update_time=5), ready(5)], [5]),
        (None, [ready(5), group({"a.jar": "UPLOADING"}, update_time=6), ready(6)], [6]),
        (None, [ready(5), None, ready(5)], []),
        (None, [ready(5), ready(4)], []),
        (None, [ready(5), ready(None)], []),
        (None, [ready(5), ready(6), ready(6), ready(7)], [6, 7]),
        (5, [ready(5)], []),
        (5, [ready(6)], [6]),
        (0, [ready(5)], [5]),
    ],
)
def test_only_what_became_ready_anew_is_news(
    last: int | None, found: list[PackageGroup | None], news: list[int]
) -> None:
    begun = watch(last=last)

    given = [one for one in (begun.on_result(each, NOW) for each in found) if one]

    assert [one.update_time for one in given] == news


def test_the_latest_time_of_group_and_packages_counts() -> None:
    begun = watch(last=5)
    package = Package("a.jar", "g", raw_state="READY", update_time=7)

    begun.on_result(PackageGroup("g", packages=(package,), update_time=6), NOW)

    assert begun.last == 7
    assert dict(begun.states) == {"a.jar": "READY"}


def test_a_watch_of_some_packages_leaves_the_others_aside() -> None:
    begun = watch(last=5, names=("a.jar",))

    assert (
        begun.on_result(group({"a.jar": "READY", "b.jar": "FAILED"}, update_time=6), NOW)
        is not None
    )


@pytest.mark.parametrize("look", [lambda w: w.on_result(None, NOW), lambda w: w.on_unchanged(NOW)])
def test_a_watch_tells_trouble_once_until_a_look_succeeds(look: Any) -> None:
    told: list[DliError] = []
    begun = watch(trouble=told.append)

    begun.on_error(error(PermissionDeniedError), NOW)
    begun.on_error(error(PermissionDeniedError), NOW)
    look(begun)
    begun.on_error(error(PermissionDeniedError), NOW)

    assert len(told) == 2


def test_a_watch_is_interrupted_by_a_refused_credential() -> None:
    told: list[DliError] = []
    begun = watch(trouble=told.append)

    with pytest.raises(AuthenticationError):
        begun.on_error(error(AuthenticationError), NOW)

    assert len(told) == 1


def test_a_watch_has_no_end() -> None:
    watch().expire(NOW + 1e9)


def absent(*listed: str) -> AbsentGroup:
    return AbsentGroup("g1", listed=lambda: listed)


def test_a_group_that_does_not_exist_is_named_with_its_project_and_those_that_read_alike() -> None:
    begun = wait(group="g1", names=None, project="project p", deadline=NOW)

    with pytest.raises(
        PackageGroupTimeoutError,
        match=r"UTC: the group 'g1' does not exist yet in project p \(similar names there: 'g12'\)",
    ):
        begun.on_result(absent("g12", "other"), NOW)


def test_its_packages_are_named_too() -> None:
    begun = wait(group="g1")
    begun.on_result(absent(), NOW)

    assert str(begun.readiness) == (
        "a.jar is ABSENT, b.jar is ABSENT; the group 'g1' does not exist yet"
    )


def test_the_name_of_what_dli_took_is_not_doubted() -> None:
    begun = wait(group="g1", accepted=True)
    begun.on_result(absent("g12"), NOW)

    assert begun.readiness.hint == ""


def test_a_package_that_a_group_lacks_is_named_with_those_that_read_alike() -> None:
    begun = wait(names=["a.jar", "c.jar"])
    begun.on_result(group({"a.jar": "READY", "c2.jar": "READY"}), NOW)

    assert begun.readiness.hint == (
        "the group has no c.jar yet (similar names there: 'c2.jar', 'a.jar')"
    )


def test_a_wait_is_open_while_looks_do_not_tell_how_it_is() -> None:
    begun = wait(accepted=False, max_unknown_time=60)
    opened = []
    for step in (UPLOADING, group({"a.jar": "PAUSED"}), None, UPLOADING):
        begun = wait()
        begun.on_result(step, NOW)
        opened.append(begun.is_open)
    begun.on_error(error(ServiceError), NOW)

    assert opened == [False, True, False, False]
    assert begun.is_open


def test_what_is_gone_or_unknown_is_lost_and_what_is_failed_is_not() -> None:
    begun = wait()
    begun.on_result(UPLOADING, NOW)

    with pytest.raises(PackageGroupLostError):
        begun.on_result(None, NOW)
    with pytest.raises(PackageGroupFailedError) as caught:
        wait().on_result(group({"a.jar": "FAILED", "b.jar": "READY"}), NOW)
    assert type(caught.value) is PackageGroupFailedError
