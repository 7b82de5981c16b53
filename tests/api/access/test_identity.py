# SPDX-License-Identifier: Apache-2.0
"""A credential is fetched once for all, renewed in time, and mended at most once when refused."""

from __future__ import annotations

import json
import logging
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
from fake_clock import FakeClock
from told import told

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Lease, Token
from airflow_provider_dli.api.access.identity import PAUSE, Identity, Source, identity_of
from airflow_provider_dli.api.access.sources import Agency, Metadata, Password
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import PackageListing
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AuthenticationError,
    ConnectionSetupError,
    DliError,
    NotSentError,
    PermissionDeniedError,
    TransportError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, Request, Response, Send, Sleep

T = TypeVar("T")

DAY = 86_400.0
SIGN_IN = "POST /v3/auth/tokens"
KEY = "GET /openstack/latest/securitykey"
LISTING = "GET /v2.0/p1/resources"
UPLOAD = calls.upload(["https://bucket.obs.eu-de.otc.t-systems.com/a.jar"], "jar", group="tools")

BUSY = Response(503, {}, b'{"error": {"code": 503, "message": "busy", "title": "no"}}')
THROTTLED = Response(429, {}, b'{"error_code": "APIGW.0308", "error_msg": "too many"}')
HTML = Response(200, {}, b"<html>please log in</html>")
WRONG = Response(401, {}, b'{"error": {"code": 401, "message": "The username is wrong."}}')
EMPTY = Response(200, {}, b'{"groups": [], "resources": []}')
LOST = AnswerLostError("the answer was lost")
UNREACHED = NotSentError("nobody there")


def password(**changes: Any) -> Password:
    fields = {"user": "user", "password": "canary-password", "account": "account"}
    return Password("https://iam.test", **fields | {"project_id": "p1"} | changes)


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Cloud:
    """IAM, the metadata service and DLI in miniature, on a clock that is `ahead` of the test's.

    Each sign-in gives another token, and each key of the metadata service is another one. What is
    in `refused` opens nothing. `trouble` comes before the answers that give credentials.
    """

    clock: FakeClock
    life: float = DAY
    ahead: float = 0.0
    says_time: bool = True
    given: int = 0
    refused: set[str] = field(default_factory=set)
    trouble: list[Response | TransportError] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return [request.asked for request in self.sent]

    def run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    self.clock.sleep(step.seconds)
                    step = next(flow)
                    continue
                answer = self.answer(step.request)
                step = flow.throw(answer) if isinstance(answer, DliError) else flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def finish(self, flow: Flow[T], step: Send | Sleep) -> T:
        """Run a flow to its end that has asked for something already."""

        def rest() -> Flow[T]:
            at = step
            try:
                while True:
                    answer = yield at
                    at = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

        return self.run(rest())

    def answer(self, request: Request) -> Response | TransportError:
        self.sent.append(request)
        if request.asked in (SIGN_IN, KEY):
            return self.trouble.pop(0) if self.trouble else self._credential(request)
        if request.method == "PUT":
            return Response(404, {}, b"")
        return self._open(request)

    def _credential(self, request: Request) -> Response:
        self.given += 1
        end = stamp(self.clock.now() + self.ahead + self.life)
        if request.asked == SIGN_IN:
            body: Any = {"token": {"expires_at": end, "project": {"id": "p1"}}}
            headers = {"x-subject-token": f"token-{self.given}"}
        else:
            names = {"access": "access", "secret": "secret", "securitytoken": "session"}
            values = {name: f"{word}-{self.given}" for name, word in names.items()}
            body, headers = {"credential": {**values, "expires_at": end}}, {}
        return Response(201, headers, json.dumps(body).encode())

    def _open(self, request: Request) -> Response:
        now = self.clock.now() + self.ahead
        date = {"date": formatdate(now, usegmt=True)} if self.says_time else {}
        shown = request.headers.get("X-Auth-Token") or request.headers["Authorization"]
        if any(word in shown for word in self.refused):
            return Response(401, date, refusal(f"ak {shown} not exist"))
        signed = request.headers.get("X-Sdk-Date")
        if signed is not None:
            then = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            if abs(then - now) > 900:
                return Response(401, date, refusal("signature expired"))
        return EMPTY


def refusal(words: str) -> bytes:
    said = {"error_code": "APIGW.0301", "error_msg": words, "request_id": "r1"}
    return json.dumps(said).encode()


@pytest.fixture
def cloud(clock: FakeClock) -> Cloud:
    return Cloud(clock)


def ask(
    identity: Identity, clock: FakeClock, call: Call[Any] | None = None
) -> Flow[PackageListing]:
    call = call or calls.listing()
    account = Account("https://dli.test", "p1", identity.source, conn_id="c")
    return identity.exchange(call, account.request(call, "p1"), clock.now, account.caller)


def value(lease: Lease) -> str:
    credential = lease.credential
    return credential.token if isinstance(credential, Token) else credential.secrets[0]


# fetched once


def test_a_credential_is_fetched_when_it_is_wanted_first_and_kept(cloud: Cloud) -> None:
    identity = Identity(password())

    leases = [cloud.run(identity.lease(cloud.clock.now)) for _ in range(3)]

    assert [value(lease) for lease in leases] == ["token-1"] * 3
    assert cloud.asked == [SIGN_IN]


def test_keys_of_a_connection_are_never_fetched(cloud: Cloud) -> None:
    key, token = AccessKey("access", "secret"), Token("token")

    leases = [cloud.run(Identity(source).lease(cloud.clock.now)) for source in (key, token)]

    assert [lease.credential for lease in leases] == [key, token]
    assert cloud.sent == []


def test_a_credential_is_fetched_once_for_all_who_wait_for_it(cloud: Cloud) -> None:
    identity = Identity(password())
    first, *others = [identity.lease(cloud.clock.now) for _ in range(4)]
    fetching = next(first)
    assert isinstance(fetching, Send)
    waiting = [next(other) for other in others]
    assert all(isinstance(step, Sleep) for step in waiting)

    leases = [cloud.finish(first, fetching)]
    leases += [cloud.finish(flow, step) for flow, step in zip(others, waiting, strict=True)]

    assert {value(lease) for lease in leases} == {"token-1"}
    assert cloud.asked == [SIGN_IN]


def test_who_waits_goes_on_waiting_while_the_fetch_takes_long(cloud: Cloud) -> None:
    identity = Identity(password())
    fetching = identity.lease(cloud.clock.now)
    next(fetching)
    waiting = identity.lease(cloud.clock.now)

    steps = [next(waiting) for _ in range(5)]

    assert all(isinstance(step, Sleep) and 0 < step.seconds < 1 for step in steps)


@pytest.mark.parametrize("how", ["closed", "dropped", "broken off"])
def test_a_fetch_that_was_broken_off_is_begun_by_who_waits_for_it(cloud: Cloud, how: str) -> None:
    class KilledError(BaseException):
        """What Airflow throws into a task, and nothing catches."""

    identity = Identity(password())
    fetching = identity.lease(cloud.clock.now)
    next(fetching)
    waiting = identity.lease(cloud.clock.now)
    step = next(waiting)
    assert isinstance(step, Sleep)

    if how == "closed":
        fetching.close()
    elif how == "broken off":
        with pytest.raises(KilledError):
            fetching.throw(KilledError())
    del fetching

    assert value(cloud.finish(waiting, step)) == "token-1"


# renewed in time


@pytest.mark.parametrize(
    ("life", "margin"),
    [(DAY, 300), (3600, 300), (3000, 300), (900, 90), (60, 6)],
)
def test_a_credential_is_renewed_with_a_margin_before_its_end(
    cloud: Cloud, life: float, margin: float
) -> None:
    cloud.life = life
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))

    cloud.clock.time += life - margin - 1
    before = cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += 2
    after = cloud.run(identity.lease(cloud.clock.now))

    assert (value(before), value(after)) == ("token-1", "token-2")


def test_while_one_renews_the_others_go_on_with_the_old(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += DAY - 200

    renewing = identity.lease(cloud.clock.now)
    step = next(renewing)
    meanwhile = cloud.run(identity.lease(cloud.clock.now))
    renewed = cloud.finish(renewing, step)

    assert (value(meanwhile), value(renewed)) == ("token-1", "token-2")
    assert cloud.clock.slept == []


def test_a_credential_that_has_ended_is_given_to_nobody(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += DAY + 1

    renewing = identity.lease(cloud.clock.now)
    step = next(renewing)
    other = identity.lease(cloud.clock.now)
    waiting = next(other)

    assert isinstance(waiting, Sleep)
    assert value(cloud.finish(renewing, step)) == "token-2"
    assert value(cloud.finish(other, waiting)) == "token-2"


TRANSIENT = [BUSY, THROTTLED, HTML, LOST, UNREACHED]


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
def test_a_renewal_that_fails_for_now_leaves_the_old_one_in_use(
    cloud: Cloud, trouble: Response | TransportError
) -> None:
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += DAY - 200
    cloud.trouble = [trouble]

    meanwhile = cloud.run(identity.lease(cloud.clock.now))
    soon = cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += PAUSE
    later = cloud.run(identity.lease(cloud.clock.now))

    assert [value(lease) for lease in (meanwhile, soon, later)] == ["token-1", "token-1", "token-2"]


def test_a_renewal_that_is_refused_leaves_the_old_one_in_use(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))
    cloud.clock.time += DAY - 200
    cloud.trouble = [Response(401, {}, b"wrong")]

    assert value(cloud.run(identity.lease(cloud.clock.now))) == "token-1"


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
@pytest.mark.parametrize("held", [False, True], ids=["first", "ended"])
def test_without_a_valid_one_a_fetch_that_fails_means_that_nothing_was_sent(
    cloud: Cloud, trouble: Response | TransportError, held: bool
) -> None:
    identity = Identity(password())
    if held:
        cloud.run(identity.lease(cloud.clock.now))
        cloud.clock.time += DAY + 1
    cloud.trouble = [trouble]

    with pytest.raises(NotSentError, match="Could not fetch a credential") as caught:
        cloud.run(ask(identity, cloud.clock))

    assert isinstance(caught.value.__cause__, DliError)
    assert LISTING not in cloud.asked


def test_a_refusal_of_iam_is_raised_as_it_is(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.trouble = [WRONG]

    with pytest.raises(AuthenticationError, match="The username is wrong") as caught:
        cloud.run(ask(identity, cloud.clock))

    assert str(caught.value).startswith(f"{SIGN_IN} was answered with HTTP 401")
    assert "Used: address https://iam.test." in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("trouble", [WRONG, BUSY, ConnectionSetupError("a bad proxy")], ids=str)
def test_after_a_fetch_that_failed_the_next_one_fetches(
    cloud: Cloud, trouble: Response | TransportError
) -> None:
    identity = Identity(password())
    cloud.trouble = [trouble]
    with pytest.raises(DliError):
        cloud.run(identity.lease(cloud.clock.now))

    assert value(cloud.run(identity.lease(cloud.clock.now))) == "token-1"


def test_who_waited_for_a_fetch_that_failed_fetches_himself(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.trouble = [BUSY]
    first, second = identity.lease(cloud.clock.now), identity.lease(cloud.clock.now)
    fetching, waiting = next(first), next(second)

    with pytest.raises(NotSentError):
        cloud.finish(first, fetching)

    assert value(cloud.finish(second, waiting)) == "token-1"


def test_after_a_fetch_that_was_aborted_the_next_one_fetches(cloud: Cloud) -> None:
    identity = Identity(password())
    aborted, waits = identity.lease(cloud.clock.now), identity.lease(cloud.clock.now)
    next(aborted)
    waiting = next(waits)

    aborted.close()

    assert value(cloud.finish(waits, waiting)) == "token-1"


def test_after_a_fetch_that_broke_the_next_one_fetches(cloud: Cloud) -> None:
    identity = Identity(password())
    broken = identity.lease(cloud.clock.now)
    next(broken)
    with pytest.raises(ZeroDivisionError):
        broken.throw(ZeroDivisionError())

    assert value(cloud.run(identity.lease(cloud.clock.now))) == "token-1"


# refused


def test_a_refused_credential_is_fetched_anew_once_and_the_call_sent_again(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    cloud.refused = {"token-1"}
    cloud.sent.clear()

    cloud.run(ask(identity, cloud.clock))

    assert cloud.asked == [LISTING, SIGN_IN, LISTING]


def test_a_second_refusal_is_raised(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.refused = {"token"}

    with pytest.raises(AuthenticationError):
        cloud.run(ask(identity, cloud.clock))

    assert cloud.asked == [SIGN_IN, LISTING, SIGN_IN, LISTING]


def test_those_who_are_refused_with_the_same_credential_fetch_it_anew_once(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    flows = [ask(identity, cloud.clock) for _ in range(3)]
    steps = [next(flow) for flow in flows]
    cloud.refused = {"token-1"}
    cloud.sent.clear()

    for flow, step in zip(flows, steps, strict=True):
        cloud.finish(flow, step)

    assert cloud.asked.count(SIGN_IN) == 1
    assert cloud.asked.count(LISTING) == 6


def test_who_is_refused_while_another_renews_waits_for_that(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    cloud.clock.time += DAY - 200
    renewing = identity.lease(cloud.clock.now)
    step = next(renewing)
    cloud.refused = {"token-1"}
    cloud.sent.clear()
    refused = ask(identity, cloud.clock)
    sent = next(refused)
    assert isinstance(sent, Send)
    answer = cloud.answer(sent.request)
    assert isinstance(answer, Response)

    waiting = refused.send(answer)
    assert isinstance(waiting, Sleep)
    cloud.finish(renewing, step)
    cloud.finish(refused, waiting)

    assert cloud.asked == [LISTING, SIGN_IN, LISTING]


@pytest.mark.parametrize("source", [AccessKey("access", "secret"), Token("token")], ids=str)
def test_keys_that_nobody_can_renew_are_refused_once(cloud: Cloud, source: Source) -> None:
    cloud.refused = {"access", "token"}

    with pytest.raises(AuthenticationError) as caught:
        cloud.run(ask(Identity(source), cloud.clock))

    assert cloud.asked == [LISTING]
    assert "Used: connection c, endpoint https://dli.test, project p1." in str(caught.value)
    assert not hasattr(caught.value, "__notes__")


@dataclass(frozen=True)
class Constant:
    """A source that gives the same for a while, as the metadata service does."""

    lease: Lease
    secrets: tuple[str, ...] = ()

    def fetch(self, now: Callable[[], float]) -> Flow[Lease]:
        return self.lease
        yield


def test_a_refused_credential_that_stays_the_same_gives_one_error_with_its_end(
    cloud: Cloud,
) -> None:
    lease = Lease(AccessKey("access", "secret", "session"), cloud.clock.now() + 3600)
    cloud.refused = {"access"}

    with pytest.raises(AuthenticationError) as caught:
        cloud.run(ask(Identity(Constant(lease)), cloud.clock))

    assert cloud.asked == [LISTING]
    assert caught.value.__notes__ == [
        "The credential was issued as valid until 2027-01-15 09:00:00 UTC."
    ]


def test_a_source_that_refuses_then_too_gives_its_own_error_with_the_end_of_the_old_one(
    cloud: Cloud,
) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    cloud.refused, cloud.trouble = {"token"}, [WRONG]

    with pytest.raises(AuthenticationError, match="The username is wrong") as caught:
        cloud.run(ask(identity, cloud.clock))

    assert caught.value.__notes__ == [
        "The credential was issued as valid until 2027-01-16 08:00:00 UTC."
    ]
    assert isinstance(caught.value.__context__, AuthenticationError)


def test_a_source_that_is_out_of_reach_then_means_that_nothing_was_sent(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    cloud.refused, cloud.trouble = {"token-1"}, [BUSY]

    with pytest.raises(NotSentError):
        cloud.run(ask(identity, cloud.clock))

    cloud.run(ask(identity, cloud.clock))


def test_a_refused_call_that_is_not_repeatable_is_sent_again_once(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    cloud.refused = {"token"}
    cloud.sent.clear()
    assert not UPLOAD.repeatable

    with pytest.raises(AuthenticationError):
        cloud.run(ask(identity, cloud.clock, UPLOAD))

    upload = "POST /v2.0/p1/resources"
    assert cloud.asked == [upload, SIGN_IN, upload]


@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        UNREACHED,
        BUSY,
        THROTTLED,
        HTML,
        Response(403, {}, b""),
        Response(400, {}, b'{"error_code": "DLI.0001", "error_msg": "wrong"}'),
        Response(504, {}, b""),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", [calls.listing(), UPLOAD], ids=["repeatable", "not"])
def test_after_any_other_failure_nothing_is_sent_again(
    cloud: Cloud, failure: Response | TransportError, call: Call[Any]
) -> None:
    identity = Identity(password())
    cloud.run(identity.lease(cloud.clock.now))
    flow = ask(identity, cloud.clock, call)
    assert isinstance(next(flow), Send)

    with pytest.raises(DliError):
        flow.throw(failure) if isinstance(failure, DliError) else flow.send(failure)

    assert cloud.asked == [SIGN_IN]


# the clock

KEYS = AccessKey("access", "secret")


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(1200, "1200 s behind that of the service"), (-1200, "1200 s ahead of that of the service")],
)
def test_a_signature_of_another_time_is_made_anew_with_the_services_time(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, ahead: float, words: str
) -> None:
    cloud.ahead = ahead
    identity = Identity(KEYS)

    cloud.run(ask(identity, cloud.clock))
    assert cloud.asked == [LISTING, LISTING]
    cloud.run(ask(identity, cloud.clock))

    assert len(cloud.sent) == 3
    (warning,) = caplog.records
    assert words in warning.getMessage()
    assert warning.levelno == logging.WARNING


@pytest.mark.parametrize(
    "message",
    [
        "AK/SK signature expired, signature time: 20270115T080000Z, server time: 20270115T083000Z",
        "signature expired, server time:20270115T083000Z",
    ],
)
def test_the_time_that_the_gateway_names_counts_before_that_of_the_header(
    cloud: Cloud, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    flow = ask(Identity(KEYS), cloud.clock)
    next(flow)
    date = formatdate(cloud.clock.now() - DAY, usegmt=True)

    again = flow.send(Response(401, {"date": date}, refusal(message)))

    assert isinstance(again, Send)
    assert again.request.headers["X-Sdk-Date"] == "20270115T083000Z"


@pytest.mark.parametrize("message", ["server time: 20279999T999999Z", "server time: soon"])
def test_a_time_that_is_none_is_no_reason_to_send_again(cloud: Cloud, message: str) -> None:
    flow = ask(Identity(KEYS), cloud.clock)
    next(flow)

    with pytest.raises(AuthenticationError):
        flow.send(Response(401, {}, refusal(message)))


def test_a_service_that_tells_no_time_is_not_asked_again(cloud: Cloud) -> None:
    cloud.ahead, cloud.says_time = 1200, False

    with pytest.raises(AuthenticationError):
        cloud.run(ask(Identity(KEYS), cloud.clock))

    assert cloud.asked == [LISTING]


@pytest.mark.parametrize("ahead", [599, -599])
def test_clocks_that_differ_by_minutes_are_no_reason_for_a_refusal(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, ahead: float
) -> None:
    cloud.ahead, cloud.refused = ahead, {"access"}

    with pytest.raises(AuthenticationError):
        cloud.run(ask(Identity(KEYS), cloud.clock))

    assert cloud.asked == [LISTING]
    assert caplog.records == []


def test_those_who_find_the_clock_wrong_at_the_same_time_are_all_mended(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.ahead = 1200
    identity = Identity(KEYS)
    flows = [ask(identity, cloud.clock) for _ in range(3)]
    steps = [next(flow) for flow in flows]

    for flow, step in zip(flows, steps, strict=True):
        cloud.finish(flow, step)

    assert len(caplog.records) == 1


def test_a_clock_that_is_set_meanwhile_is_followed(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.ahead = 1200
    identity = Identity(KEYS)
    cloud.run(ask(identity, cloud.clock))

    cloud.clock.time += cloud.ahead
    cloud.ahead = 0
    cloud.run(ask(identity, cloud.clock))

    assert len(cloud.sent) == 4
    assert len(caplog.records) == 2


@pytest.mark.parametrize("source", [password(), Token("token-0")], ids=["password", "token"])
def test_the_clock_is_not_blamed_for_a_refused_token(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, source: Source
) -> None:
    cloud.ahead, cloud.refused = 1200, {"token"}

    with pytest.raises(AuthenticationError):
        cloud.run(ask(Identity(source), cloud.clock))

    assert caplog.records == []


@pytest.mark.parametrize("says_time", [True, False])
def test_one_call_survives_a_wrong_clock_and_an_ended_key(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, says_time: bool
) -> None:
    identity = Identity(Metadata())
    cloud.run(ask(identity, cloud.clock))
    cloud.ahead, cloud.refused = 1200, {"access-1"}
    cloud.sent.clear()

    cloud.run(ask(identity, cloud.clock))

    session = "PUT /meta-data/latest/api/token"
    assert cloud.asked == [LISTING, LISTING, session, KEY, LISTING]
    assert len(caplog.records) == 1


def test_an_end_is_compared_with_the_services_clock(cloud: Cloud) -> None:
    """With a clock of the wrong time zone a key of an hour seems to have ended when it comes."""
    cloud.ahead, cloud.life = -7200, 3600
    identity = Identity(Metadata())
    cloud.run(ask(identity, cloud.clock))

    cloud.clock.time += 3500
    cloud.run(ask(identity, cloud.clock))
    assert cloud.asked.count(KEY) == 1
    cloud.clock.time += 101
    cloud.run(ask(identity, cloud.clock))

    assert cloud.asked.count(KEY) == 2


# shared, and forgotten

SOURCES: list[Source] = [
    AccessKey("a", "s"),
    AccessKey("a", "s2"),
    AccessKey("a", "s", "t"),
    Token("t"),
    password(),
    password(user="other"),
    password(password="other"),
    password(account="other"),
    password(project_id="p2"),
    password(project_id=None, project_name="p1"),
    Metadata(),
    Metadata("http://metadata.test"),
    Agency("https://iam.test", AccessKey("a", "s"), "agency", "account"),
    Agency("https://iam.test", AccessKey("b", "s"), "agency", "account"),
    Agency("https://iam.test", AccessKey("a", "s"), "other", "account"),
    Agency("https://iam.test", AccessKey("a", "s"), "agency", "other"),
]


def test_different_sources_have_different_identities() -> None:
    identities = [identity_of(source) for source in SOURCES]

    assert len(set(map(id, identities))) == len(SOURCES)


def test_equal_sources_share_one_identity() -> None:
    assert identity_of(password()) is identity_of(password())


@pytest.mark.parametrize("refused", [set(), {"token-1"}, {"token"}], ids=["not", "once", "twice"])
def test_an_identity_is_forgotten_with_the_last_one_who_uses_it(
    cloud: Cloud, refused: set[str]
) -> None:
    source = password(user="nobody-else")
    identity = identity_of(source)
    gone = weakref.ref(identity)
    cloud.refused = refused
    with suppress(AuthenticationError):
        cloud.run(ask(identity, cloud.clock))

    del identity

    assert gone() is None
    assert identity_of(source).source == source


# secrets

ECHOES = [
    '{{"error_code": "APIGW.0301", "error_msg": "ak {secret} not exist"}}',
    '{{"error_code": "{secret}", "error_msg": "no"}}',
    '{{"error": {{"code": 401, "message": "{secret}", "title": "Unauthorized"}}}}',
    '{{"message": "{secret}"}}',
    "401 Unauthorized: {secret}",
    "<html>\n{secret}\n</html>",
    # Where it is cut off, what is left of a secret would not be known as one.
    '{{"error_code": "APIGW.0301", "error_msg": "' + 290 * "x" + '{secret}"}}',
    290 * "x" + "{secret}",
]


LONG = "canary-" + 2000 * "z"


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
@pytest.mark.parametrize(
    ("source", "secrets"),
    [
        (AccessKey("canary-access", "canary-secret"), ["canary-access", "canary-secret"]),
        (AccessKey("canary-access", "canary-secret", LONG), [LONG]),
        (Token(LONG), [LONG]),
        (password(), ["canary-password"]),
        # One may be the beginning of another.
        (AccessKey("canary", "canary-secret"), ["canary-secret"]),
    ],
    ids=["keys", "temporary", "token", "password", "nested"],
)
def test_no_refusal_shows_a_secret_even_where_the_service_repeats_it(
    cloud: Cloud, source: Source, secrets: list[str], status: int, echo: str
) -> None:
    for secret in secrets:
        flow = ask(Identity(source), cloud.clock)
        step = next(flow)
        assert isinstance(step, Send)
        body = echo.format(secret=secret).encode()

        with pytest.raises(DliError) as caught:
            flow.send(Response(status, {}, body))

        shown = told(caught.value) + repr(caught.value.as_dict())
        assert all(part not in shown for part in ("canary", "-secret", "zzz"))


def test_a_fetched_credential_is_not_shown_either(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.refused = {"token"}

    with pytest.raises(AuthenticationError, match=r"ak \*\*\* not exist") as caught:
        cloud.run(ask(identity, cloud.clock))

    assert "token-" not in told(caught.value)


def test_nor_is_one_that_another_flow_has_replaced_meanwhile(cloud: Cloud) -> None:
    identity = Identity(password())
    cloud.run(ask(identity, cloud.clock))
    late = ask(identity, cloud.clock)
    next(late)
    cloud.refused = {"token-1"}
    cloud.run(ask(identity, cloud.clock))
    echo = Response(403, {}, b"not for token-1")

    with pytest.raises(PermissionDeniedError, match=r"not for \*\*\*") as caught:
        late.send(echo)

    assert "token-1" not in told(caught.value)


def test_no_repr_shows_a_secret(cloud: Cloud) -> None:
    sources = [
        password(),
        Token("canary"),
        AccessKey("canary", "canary", "canary"),
        Agency("https://iam.test", AccessKey("canary", "canary"), "agency", "account"),
    ]
    identity = Identity(password())
    lease = cloud.run(identity.lease(cloud.clock.now))
    answers = [Response(201, {"x-subject-token": "canary"}, b"canary")]

    shown = repr([*sources, identity, lease, cloud.sent, answers])

    assert "canary" not in shown
    assert "token-1" not in shown
