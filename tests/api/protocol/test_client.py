# SPDX-License-Identifier: Apache-2.0
"""How the client sends calls, against a script of answers and a clock that stands still."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat

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
    Log,
    Script,
    client,
    listed,
)
from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.access.sources import Password
from airflow_provider_dli.api.packages import calls, flows
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    DliError,
    NotFoundError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    ServiceError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.pace import Pace
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.api.protocol.wire import Call, Flow, Response


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


def exhausted() -> Pace:
    """Return a pace whose budget for retries is used up."""
    pace = Pace()
    while pace.may_repeat():
        pass
    return pace


def test_retries_of_a_process_come_out_of_one_budget(clock: FakeClock) -> None:
    shared = exhausted()
    first, second = (replace(client(clock), pace=shared) for _ in range(2))
    script = Script(clock, [SHOWN, SHOWN, BUSY, BUSY, BUSY])

    for _ in range(2):  # each success pays for half a retry
        script.run(first.perform(calls.show("a.jar")))
    with pytest.raises(ServiceError):
        script.run(second.perform(calls.show("a.jar")))

    assert len(script.sent) == 4
    assert clock.slept == [1.0]


def test_without_a_budget_a_failure_stands_at_once(clock: FakeClock) -> None:
    log = Log()
    script = Script(clock, [BUSY])

    with pytest.raises(ServiceError):
        script.run(replace(client(clock), pace=exhausted(), log=log).perform(calls.show("a.jar")))

    assert clock.slept == []
    assert log.lines == []


def test_without_a_budget_the_result_of_a_lost_answer_is_still_looked_for(
    clock: FakeClock,
) -> None:
    looked: list[float] = []

    def find_result(sent: float) -> Flow[None]:
        yield from ()
        looked.append(sent)

    flow = replace(client(clock), pace=exhausted()).perform(
        calls.change_owner("user-1", "tools"), find_result
    )
    with pytest.raises(AnswerLostError):
        Script(clock, [LOST]).run(flow)

    assert looked == [clock.now()]


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


# who asks

REFUSED_KEY = Response(401, {}, b'{"error_code": "APIGW.0301", "error_msg": "ak AK not exist"}')
WRONG_PASSWORD = Response(401, {}, b'{"error": {"code": 401, "message": "wrong"}}')
IAM_BUSY = Response(503, {}, b'{"error": {"code": 503, "message": "busy"}}')
PASSWORD = Password("https://iam.test", "user", "password", "account", "p1")


def signed_in(token: str, life: float = 86_400.0) -> Response:
    """Returns a token that ends so many seconds after the test has begun."""
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


HEAD = Call("HEAD", "/resources/a.jar", lambda response: response.status, repeatable=True)
DENIED_BY_CODE = Response(403, {}, b'{"error_code": "DLI.0003", "error_msg": "denied"}')
DENIED_WITHOUT_A_CODE = Response(403, {}, b"")


def test_a_head_that_is_denied_without_a_code_lets_the_connection_be_read_again(
    clock: FakeClock,
) -> None:
    connection = Connection(keys("AK2"))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, [DENIED_WITHOUT_A_CODE, DONE])

    assert script.run(asking.perform(HEAD)) == 200
    assert connection.reads == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [("HEAD", DENIED_BY_CODE), ("GET", DENIED_BY_CODE), ("GET", DENIED_WITHOUT_A_CODE)],
    ids=["HEAD with a code", "GET with a code", "GET without a code"],
)
def test_any_other_403_is_a_missing_right_and_sent_once(
    clock: FakeClock, method: str, answer: Response
) -> None:
    connection = Connection(keys("AK2"))
    asking = Client(keys("AK1"), now=clock.now, reread=connection.read)
    script = Script(clock, repeat(answer))

    with pytest.raises(PermissionDeniedError):
        script.run(asking.perform(replace(HEAD, method=method)))

    assert connection.reads == 0
    assert len(script.sent) == 1


def test_a_head_that_is_denied_without_a_code_renews_the_credential_once(clock: FakeClock) -> None:
    account = Account("https://dli.test", "p1", replace(PASSWORD, user="head"))
    script = Script(clock, [signed_in("t1"), DENIED_WITHOUT_A_CODE, signed_in("t2"), DONE])

    assert script.run(Client(account, now=clock.now).perform(HEAD)) == 200


def test_a_head_that_is_denied_by_a_code_renews_nothing(clock: FakeClock) -> None:
    account = Account("https://dli.test", "p1", replace(PASSWORD, user="coded"))
    script = Script(clock, [signed_in("t1"), DENIED_BY_CODE])

    with pytest.raises(PermissionDeniedError):
        script.run(Client(account, now=clock.now).perform(HEAD))


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
        script.run(flows.upload(asking, call, "g", ["a.jar"]))

    assert script.asked == ["POST resources"] * 2


def test_a_wait_goes_on_with_other_keys(clock: FakeClock) -> None:
    script = Script(
        clock, [listed(a="UPLOADING"), REFUSED_KEY, listed(a="UPLOADING"), listed(a="READY")]
    )
    asking = Client(keys("AK1"), now=clock.now, reread=lambda: keys("AK2"))
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 600, jitter=lambda: 0.5)

    group = script.run(flows.until_ready(asking, waiting))

    assert group.name == "tools"
    used = [request.headers["Authorization"].split("=")[1][:3] for request in script.sent]
    assert used == ["AK1", "AK1", "AK2", "AK2"]


def test_a_wait_whose_keys_nobody_changes_ends_with_the_refusal(clock: FakeClock) -> None:
    script = Script(clock, [listed(a="UPLOADING"), REFUSED_KEY])

    with pytest.raises(AuthenticationError):
        script.run(flows.until_ready(client(clock), GroupWait("tools", ["a.jar"])))


@pytest.mark.parametrize("trouble", [IAM_BUSY, HTML, LOST, NOT_SENT])
def test_a_wait_survives_a_source_that_is_in_trouble(clock: FakeClock, trouble: Answer) -> None:
    asking = Client(Account("https://dli.test", "p1", PASSWORD), now=clock.now)
    script = Script(clock, [trouble, trouble, signed_in("t"), listed(a="READY")])

    script.run(flows.until_ready(asking, GroupWait("tools", ["a.jar"], deadline=clock.now() + 600)))

    assert len(script.sent) == 4


def test_a_wait_survives_trouble_while_its_project_is_looked_up(clock: FakeClock) -> None:
    account = replace(keys("AK", None), region="eu-de", iam_origin="https://iam.test")
    found = Response(200, {}, b'{"projects": [{"id": "p7"}]}')
    script = Script(clock, [IAM_BUSY, LOST, found, listed(a="READY")])

    script.run(
        flows.until_ready(
            Client(account, now=clock.now),
            GroupWait("tools", ["a.jar"], deadline=clock.now() + 600),
        )
    )

    assert script.sent[-1].path == "/v2.0/p7/resources"


def test_what_no_log_may_show_is_told_before_anything_is_sent(clock: FakeClock) -> None:
    learned: list[str] = []
    account = Account("https://dli.test", "p1", AccessKey("AK", "SK", "ST"))
    flow = Client(account, now=clock.now, learn=learned.append).once(calls.listing())

    next(flow)

    assert learned == ["AK", "SK", "ST"]


def test_what_no_log_may_show_is_told_once_for_each_credential(clock: FakeClock) -> None:
    learned: list[str] = []
    account = Account("https://dli.test", "p1", replace(PASSWORD, user="nobody-else"))
    asking = Client(account, now=clock.now, learn=learned.append)
    script = Script(clock, [signed_in("t1"), EMPTY, EMPTY, signed_in("t2", 2 * 86_400), EMPTY])

    script.run(asking.once(calls.listing()))
    script.run(asking.once(calls.listing()))
    clock.time += 86_400
    script.run(asking.once(calls.listing()))

    assert learned == ["t1", "t2"]


# turns


def test_a_call_waits_for_its_turn(clock: FakeClock) -> None:
    asking = client(clock)
    asking.pace.throttled(clock.now(), 7.0)

    Script(clock, [EMPTY]).run(asking.once(calls.listing()))

    assert clock.slept == [7.0]


def test_the_last_look_of_a_wait_neither_waits_for_a_turn_nor_takes_one(clock: FakeClock) -> None:
    asking = client(clock)
    asking.pace.throttled(clock.now(), 7.0)
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now())

    with pytest.raises(PackageGroupTimeoutError):
        Script(clock, [listed(a="UPLOADING")]).run(
            asking.look_for(waiting, calls.find_group("tools"))
        )

    assert clock.slept == []
    assert asking.pace.turn(clock.now()) == 7.0


def test_a_look_waits_for_its_turn_until_the_deadline_at_most(clock: FakeClock) -> None:
    asking = client(clock)
    asking.pace.throttled(clock.now(), 7.0)
    waiting = GroupWait("tools", ["a.jar"], deadline=clock.now() + 2)

    Script(clock, [listed(a="READY")]).run(asking.look_for(waiting, calls.find_group("tools")))

    assert clock.slept == [2.0]
