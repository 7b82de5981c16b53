# SPDX-License-Identifier: Apache-2.0
"""The looks of a wait: when they are made, how long they may take, and what they bear."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, repeat

import pytest
from api.script import (
    BUSY,
    EMPTY,
    NOT_SENT,
    THROTTLED,
    Late,
    Log,
    Script,
    client,
    listed,
    ready_after,
    slow,
)
from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages import calls, flows
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerTooLargeError,
    ConnectionSetupError,
    EndpointError,
    PackageGroupTimeoutError,
    TransportError,
)
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Response


def test_a_look_whose_turn_would_come_too_late_is_made_at_the_deadline(clock: FakeClock) -> None:
    asking = client(clock)
    asking.pace.throttled(clock.now(), 700.0)
    script = Script(clock, [listed(a="READY")])
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 60, jitter=lambda: 0.5)

    assert script.run(flows.until_ready(asking, waiting)).name == "tools"
    assert clock.slept == [1.0, 59.0]


@pytest.mark.parametrize("late", [0.0, 0.003, 0.5])
def test_a_wait_looks_once_more_at_its_deadline_however_late_it_wakes(late: float) -> None:
    """Ready 6.5 s after it began, with a limit of 7.8 s: looks come after 1, 2.5 and 4.75 s."""
    clock = Late(late)
    began = clock.now()
    script = Script(clock, repeat(lambda: listed(a=ready_after(clock, began, 6.5))))
    waiting = GroupWait("tools", ["a.jar"], deadline=began + 7.8, jitter=lambda: 0.5)

    assert script.run(flows.until_ready(client(clock), waiting)).name == "tools"


def test_no_429_is_blamed_where_there_was_none() -> None:
    clock = Late(0.003)
    script = Script(clock, repeat(listed(a="UPLOADING")))
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 7.8, jitter=lambda: 0.5)

    with pytest.raises(PackageGroupTimeoutError) as caught:
        script.run(flows.until_ready(client(clock), waiting))

    assert "429" not in str(caught.value)
    assert "The last look failed" not in str(caught.value)


def test_a_look_that_began_in_time_and_came_late_is_followed_by_the_last_one(
    clock: FakeClock,
) -> None:
    script = Script(clock, [slow(clock, listed(a="UPLOADING")), listed(a="READY")])
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 10, jitter=lambda: 0.5)

    assert script.run(flows.until_ready(client(clock), waiting)).name == "tools"


def test_each_look_of_a_wait_has_the_time_until_its_deadline(clock: FakeClock) -> None:
    script = Script(clock, repeat(listed(a="UPLOADING")))
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 6, jitter=lambda: 0.5)

    with pytest.raises(PackageGroupTimeoutError):
        script.run(flows.until_ready(client(clock), waiting))

    assert script.limits == pytest.approx([5.0, 3.5, 2.0, 2.0])


def test_a_wait_without_an_end_limits_no_look(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="READY")])

    script.run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"])))

    assert script.limits == [math.inf]


@pytest.mark.parametrize("trouble", [Response(404, {}, b"<html>"), Response(503, {}, b"<html>")])
def test_a_page_in_place_of_a_look_is_waited_out_after_a_good_one(
    clock: FakeClock, trouble: Response
) -> None:
    script = Script(clock, [listed(a="UPLOADING"), trouble, trouble, listed(a="READY")])

    assert (
        script.run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"]))).name == "tools"
    )


def test_a_page_in_place_of_the_first_look_ends_a_wait_with_what_it_says(clock: FakeClock) -> None:
    script = Script(clock, [Response(404, {}, b"<html>Welcome to nginx</html>")])

    with pytest.raises(EndpointError, match="Welcome to nginx"):
        script.run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"])))


def test_a_page_in_place_of_the_first_look_is_waited_out_where_another_looked_before(
    clock: FakeClock,
) -> None:
    script = Script(clock, [Response(404, {}, b"<html>"), listed(a="READY")])

    found = script.run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"], looked=True)))

    assert found.name == "tools"


@pytest.mark.parametrize(
    "error",
    [ConnectionSetupError("untrusted"), AnswerTooLargeError("too large")],
    ids=["certificate", "size"],
)
def test_what_is_wrong_with_the_way_is_waited_out_after_a_good_look(
    clock: FakeClock, error: TransportError
) -> None:
    good = [listed(a="UPLOADING"), error, listed(a="READY")]
    assert Script(clock, good).run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"])))

    with pytest.raises(type(error)):
        Script(clock, [error]).run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"])))


def test_a_page_is_waited_out_for_no_longer_than_is_allowed(clock: FakeClock) -> None:
    script = Script(clock, chain([listed(a="UPLOADING")], repeat(Response(404, {}, b"<html>"))))
    began = clock.now()

    with pytest.raises(EndpointError):
        script.run(
            flows.until_ready(client(clock), GroupWait("tools", ["a.jar"], max_unknown_time=60))
        )

    assert 60 <= clock.now() - began < 90


def test_each_repeat_is_logged_with_the_pause_and_the_number_of_the_try(clock: FakeClock) -> None:
    log = Log()
    asking = replace(client(clock), log=log)
    throttled = replace(THROTTLED, headers={"retry-after": "20"})

    Script(clock, [throttled, BUSY, EMPTY]).run(asking.perform(calls.listing()))

    assert log.lines[0] == "GET /resources is throttled. Retrying in 20 s, attempt 2 of 5."
    assert log.lines[1].endswith(". Retrying in 2 s, attempt 3 of 5.")
    assert "DLI.0999" in log.lines[1]


def test_a_long_wait_for_a_turn_is_logged(clock: FakeClock) -> None:
    log = Log()
    asking = replace(client(clock), log=log)
    asking.pace.throttled(clock.now(), 30.0)

    Script(clock, [EMPTY]).run(asking.perform(calls.listing()))

    assert log.lines == ["GET /resources waits 30 s after too many requests (429)"]


@pytest.mark.parametrize("said", ["86400", "9999999999", "1e308", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_longer_than_a_minute_for_a_service_that_says_when(
    clock: FakeClock, said: str
) -> None:
    throttled = replace(THROTTLED, headers={"retry-after": said})

    Script(clock, [throttled, EMPTY]).run(client(clock).perform(calls.listing()))

    assert sum(clock.slept) == pytest.approx(60, abs=1)


def test_the_project_is_looked_up_again_where_iam_has_a_hiccup(clock: FakeClock) -> None:
    account = Account(
        "https://dli.test",
        None,
        AccessKey("AK-of-project", "SK"),
        region="eu-de",
        iam_origin="https://iam.test",
    )
    project = Response(200, {}, b'{"projects": [{"id": "p9", "name": "eu-de"}]}')
    asking = Client(account, Retry(jitter=lambda: 0.0), clock.now)

    assert Script(clock, [BUSY, NOT_SENT, project]).run(asking.find_project()) == "p9"
