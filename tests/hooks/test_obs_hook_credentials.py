# SPDX-License-Identifier: Apache-2.0
"""OBS is asked with the keys that count now, whatever gives them, and nobody sees them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fake_clock import FakeClock
from hooks.obs_servers import Front, error, fronting, query
from scenarios.servers import Answer, Asked
from told import told

from airflow_provider_dli.api.access.auth import Token
from airflow_provider_dli.api.access.sources import Password
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    InputError,
    NotSentError,
    PermissionDeniedError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.transfer.sending import PART
from airflow_provider_dli.transport.blocking import BlockingTransport

SECURITY_TOKEN = "canary-security-token"
KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
FOUND = (200, {"Content-Length": "1", "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}, b"")
READ = (200, {"ETag": '"e"'}, b"x")

Connect = Callable[..., None]


def access_key(asked: Asked) -> str:
    """Give who signed a request."""
    found = re.match(
        r"(?:OBS |AWS |AWS4-HMAC-SHA256 Credential=)(\w+)[:/]", asked.headers["authorization"]
    )
    assert found is not None
    return found[1]


# signatures


@pytest.fixture
def proxy(connect_obs: Connect) -> Iterator[Front]:
    """Stand before an OBS of this name, as a forward proxy: it sees whole addresses."""
    with fronting("http://nowhere.invalid") as proxy:
        proxy.rule = lambda _: FOUND
        connect_obs(
            "http://obs.example.test",
            proxy=f"http://127.0.0.1:{proxy.port}",
            security_token=SECURITY_TOKEN,
        )
        yield proxy


def test_obs_is_asked_at_the_bucket_s_own_host_with_its_own_signature(
    proxy: Front, clock: FakeClock
) -> None:
    """The string to sign: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0010.html."""
    ObsHook(clock=clock).find_object("bucket-1", "a b/ü.jar")

    (asked,) = proxy.asked
    assert asked.path == "http://bucket-1.obs.example.test/a%20b/%C3%BC.jar"
    date = formatdate(clock.now(), usegmt=True)
    assert asked.headers["x-obs-date"] == date
    assert asked.headers["x-obs-security-token"] == SECURITY_TOKEN
    headers = f"x-obs-date:{date}\nx-obs-security-token:{SECURITY_TOKEN}\n"
    to_sign = f"HEAD\n\n\n\n{headers}/bucket-1/a%20b/%C3%BC.jar"
    digest = hmac.new(b"canary-secret-key", to_sign.encode(), hashlib.sha1).digest()
    assert asked.headers["authorization"] == f"OBS ACCESSKEY1:{base64.b64encode(digest).decode()}"


def test_a_sub_resource_is_signed_and_goes_out_as_it_was_signed(
    proxy: Front, clock: FakeClock
) -> None:
    proxy.rule = lambda _: error(404, "NoSuchBucket")

    with pytest.raises(DliError):
        ObsHook(clock=clock).start_multipart("bucket-1", "k")

    (asked,) = proxy.asked
    assert asked.path == "http://bucket-1.obs.example.test/k?uploads"
    date = asked.headers["x-obs-date"]
    headers = f"x-obs-date:{date}\nx-obs-security-token:{SECURITY_TOKEN}\n"
    to_sign = f"POST\n\n\n\n{headers}/bucket-1/k?uploads"
    digest = hmac.new(b"canary-secret-key", to_sign.encode(), hashlib.sha1).digest()
    assert asked.headers["authorization"].endswith(base64.b64encode(digest).decode())


def test_another_host_is_asked_with_the_bucket_in_the_path_and_a_signature_that_all_know(
    front: Front, watched: ObsHook, clock: FakeClock, connect_obs: Connect
) -> None:
    connect_obs(front.origin, security_token=SECURITY_TOKEN, region="eu-de")
    front.rule = lambda _: (200, {"ETag": f'"{hashlib.md5(b"x").hexdigest()}"'}, b"")  # noqa: S324 - an ETag

    watched.write_object("bucket-1", "a b/c+ü", b"x")

    (asked,) = front.asked
    assert asked.headers["host"] == f"127.0.0.1:{front.port}"
    assert asked.headers["x-amz-security-token"] == SECURITY_TOKEN
    now = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    assert asked.headers["x-amz-date"] == now
    assert asked.headers["authorization"].endswith(f"Signature={expected_v4(asked, front, now)}")


def expected_v4(asked: Asked, front: Front, now: str) -> str:
    """Sign as botocore does."""
    names = re.search(r"SignedHeaders=([\w;-]+)", asked.headers["authorization"])
    assert names is not None
    request = AWSRequest(
        asked.method,
        f"{front.origin}{asked.path}",
        {name: asked.headers[name] for name in names[1].split(";")},
    )
    request.context["timestamp"] = now
    signer = S3SigV4Auth(Credentials("ACCESSKEY1", "canary-secret-key"), "s3", "eu-de")
    canonical = signer.canonical_request(request)
    return str(signer.signature(signer.string_to_sign(request, canonical), request))


def test_a_bucket_with_a_dot_is_refused_under_tls(connect_obs: Connect) -> None:
    """A certificate of OBS is for one name before its host, and OBS takes no bucket in a path."""
    from airflow_provider_dli.api.obs.service import bucket_origin

    with pytest.raises(InputError, match=r"bucket is 'a\.b': .*use another bucket"):
        bucket_origin("https://obs.example.test", "a.b")
    assert bucket_origin("https://obs.example.test", "ab") == "https://ab.obs.example.test"
    assert bucket_origin("http://obs.example.test:80", "a.b") == "http://a.b.obs.example.test:80"


# a token cannot sign


@pytest.fixture
def tokened(emulator: Emulator, front: Front, connect_obs: Connect) -> Connect:
    """Set a connection with a token or a password, whose IAM is the emulator's."""

    def connect(kind: str, **extra: object) -> None:
        fields = emulator.airflow_connection["extra"]
        given: dict[str, object] = {"auth_type": kind, "iam_endpoint": emulator.url}
        given["project_id"] = fields["project_id"]
        if kind == "token":
            given["auth_token"] = emulator.auth_token
        else:
            settings = emulator.settings
            given |= {"login": settings.users[0], "password": settings.password}
            given["account"] = settings.account
        connect_obs(front.origin, **{**given, **extra})

    return connect


def issued(emulator: Emulator) -> int:
    return [record.path for record in emulator.requests].count(KEYS)


@pytest.mark.parametrize("kind", ["token", "password"])
def test_iam_gives_keys_for_a_token_once_and_obs_is_asked_with_them(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock, kind: str
) -> None:
    tokened(kind)
    front.rule = lambda _: FOUND
    hook = ObsHook(clock=clock)

    hook.find_objects("bucket-1", [f"k{number}" for number in range(30)])

    assert issued(emulator) == 1
    assert len(front.asked) == 30
    assert {access_key(asked)[:3] for asked in front.asked} == {"HST"}
    assert all(asked.headers["x-amz-security-token"] for asked in front.asked)
    assert not any("x-auth-token" in asked.headers for asked in front.asked)


def test_threads_that_begin_on_a_fresh_hook_at_once_fetch_keys_once(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token")
    front.rule = lambda _: FOUND
    hook, begin = ObsHook(clock=clock), threading.Barrier(8)

    def find(number: int) -> bool:
        begin.wait(60)
        return hook.find_object("bucket-1", f"k{number}") is not None

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(find, range(8)))

    assert all(found)
    assert issued(emulator) == 1


def test_keys_are_fetched_anew_before_they_end_in_the_middle_of_many_files(
    emulator: Emulator,
    tokened: Connect,
    front: Front,
    bucket: str,
    clock: FakeClock,
    make: Callable[..., FileToSend],
) -> None:
    tokened("token")
    files = [make(10, f"{number}.jar") for number in range(40)]

    def rule(_: Asked) -> Answer | None:
        clock.time += 300
        return None

    front.rule = rule

    ObsHook(clock=clock, concurrency=2).upload_files(bucket, files)

    assert 3 <= issued(emulator) <= 5
    assert len({access_key(asked) for asked in front.asked}) == issued(emulator)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_keys_that_are_refused_as_expired_are_fetched_anew_once(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock, method: str
) -> None:
    """The answer to a HEAD has no words."""
    tokened("token")
    expired: list[str] = []
    message = "The security token is invalid."

    def rule(asked: Asked) -> Answer | None:
        if not expired:
            expired.append(access_key(asked))
        if access_key(asked) not in expired:
            return FOUND if asked.method == "HEAD" else READ
        return (403, {}, b"") if method == "HEAD" else error(403, "InvalidAccessKeyId", message)

    front.rule = rule
    hook = ObsHook(clock=clock)

    if method == "HEAD":
        hook.find_objects("bucket-1", [f"k{number}" for number in range(20)])
    else:
        assert hook.read_object("bucket-1", "k") == b"x"

    assert issued(emulator) == 2


def test_keys_that_expire_in_the_middle_of_a_transfer_are_fetched_anew(
    emulator: Emulator,
    tokened: Connect,
    front: Front,
    bucket: str,
    clock: FakeClock,
    make: Callable[..., FileToSend],
) -> None:
    tokened("password")
    expired: set[str] = set()

    def rule(asked: Asked) -> Answer | None:
        if query(asked).get("partNumber") == ["3"] and not expired:
            expired.add(access_key(asked))
        if access_key(asked) in expired:
            return error(403, "InvalidAccessKeyId", "The security token is invalid.")
        return None

    front.rule = rule
    file = make(8 * PART)

    ObsHook(clock=clock).upload_files(bucket, [file])

    assert issued(emulator) == 2
    found = ObsHook(clock=clock).find_object(bucket, file.key)
    assert found is not None
    assert found.sha256 == file.sha256


def test_keys_that_are_refused_again_are_an_error(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token")
    front.rule = lambda _: error(403, "InvalidAccessKeyId", "The security token is invalid.")

    with pytest.raises(AuthenticationError, match="InvalidAccessKeyId"):
        ObsHook(clock=clock).read_object("bucket-1", "k")

    assert issued(emulator) == 2
    assert len(front.asked) == 2


def test_a_token_that_iam_refuses_is_told_and_obs_is_not_asked(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token", auth_token="canary-expired-token")

    with pytest.raises(AuthenticationError, match="The X-Auth-Token is invalid!") as caught:
        ObsHook(clock=clock).read_object("bucket-1", "k")

    assert front.asked == []
    assert "canary" not in told(caught.value)


def test_an_iam_that_is_away_for_a_moment_is_asked_again(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token")
    emulator.add_fault(Fault("reset", times=2))
    front.rule = lambda _: FOUND

    assert ObsHook(clock=clock).find_object("bucket-1", "k") is not None


def test_an_iam_that_stays_away_is_told(connect_obs: Connect, clock: FakeClock) -> None:
    connect_obs(
        "http://127.0.0.1:1",
        auth_type="token",
        auth_token="canary-token",
        iam_endpoint="http://127.0.0.1:1",
    )

    with pytest.raises(NotSentError, match="Could not fetch a credential"):
        ObsHook(clock=clock).read_object("bucket-1", "k")


def test_a_token_without_a_known_iam_is_refused_before_any_request(
    front: Front, connect_obs: Connect
) -> None:
    connect_obs(
        front.origin,
        cloud=None,
        region=None,
        endpoint="https://dli.example.com",
        auth_token="canary-token",
    )

    with pytest.raises(InputError, match="iam_endpoint is missing: OBS does not accept tokens"):
        ObsHook().check_bucket("bucket-1")

    assert front.asked == []


# keys that change


def test_keys_that_were_replaced_in_the_connection_are_used(
    front: Front, watched: ObsHook, connect_obs: Connect
) -> None:
    def rule(asked: Asked) -> Answer:
        connect_obs(front.origin, login="ACCESSKEY2")
        old = access_key(asked) == "ACCESSKEY1"
        return error(403, "InvalidAccessKeyId") if old else READ

    front.rule = rule

    assert watched.read_object("bucket-1", "k") == b"x"
    assert [access_key(asked) for asked in front.asked] == ["ACCESSKEY1", "ACCESSKEY2"]


def test_all_threads_go_on_with_keys_that_were_replaced_in_the_connection(
    front: Front, watched: ObsHook, connect_obs: Connect
) -> None:
    """One of them reads the connection first, and the others find it read."""

    def rule(asked: Asked) -> Answer:
        connect_obs(front.origin, login="ACCESSKEY2")
        return (403, {}, b"") if access_key(asked) == "ACCESSKEY1" else FOUND

    front.rule = rule

    found = watched.find_objects("bucket-1", [f"k{number}" for number in range(30)])

    assert len(found) == 30


def test_keys_that_stay_refused_are_refused_once(front: Front, watched: ObsHook) -> None:
    """Five wrong signatures lock an access key."""
    front.rule = lambda _: error(403, "SignatureDoesNotMatch")

    with pytest.raises(AuthenticationError, match="Check access key and secret key"):
        watched.read_object("bucket-1", "k")

    assert len(front.asked) == 1


def test_a_token_that_was_replaced_in_the_connection_is_used(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token", auth_token="expired")
    hook = ObsHook(clock=clock)
    assert hook.endpoint
    tokened("token")
    front.rule = lambda _: FOUND

    assert hook.find_object("bucket-1", "k") is not None


def test_a_token_that_was_replaced_after_its_keys_were_refused_is_used(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token", auth_token=a_token(emulator, clock))
    hook = ObsHook(clock=clock)
    good: list[Answer] = []

    def rule(_: Asked) -> Answer:
        if good:
            return good[0]
        good.append(FOUND)
        emulator.expire_credentials()
        tokened("token", auth_token=a_token(emulator, clock))
        return error(403, "InvalidAccessKeyId")

    front.rule = rule

    assert hook.find_object("bucket-1", "k") is not None


def test_a_token_that_expired_with_its_keys_is_told(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    tokened("token", auth_token=a_token(emulator, clock))

    def rule(_: Asked) -> Answer:
        emulator.expire_credentials()
        return error(403, "InvalidAccessKeyId")

    front.rule = rule

    with pytest.raises(AuthenticationError, match="The X-Auth-Token is invalid!"):
        ObsHook(clock=clock).find_object("bucket-1", "k")


def a_token(emulator: Emulator, clock: FakeClock) -> str:
    """Sign in: the token ends when the emulator lets all that it issued end."""
    known = emulator.settings
    password = Password(
        emulator.url, known.users[0], known.password, known.account, emulator.project_id
    )
    with closing(BlockingTransport()) as transport:
        token = transport.run(password.fetch(clock.now)).credential
    assert isinstance(token, Token)
    return token.token


# a clock that is wrong


def test_a_wrong_clock_is_mended_by_the_service_s_own_time(
    front: Front, watched: ObsHook, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    real = clock.now() + 3600

    def rule(asked: Asked) -> Answer:
        said = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        off = abs(said.replace(tzinfo=UTC).timestamp() - real)
        date = {"Date": formatdate(real, usegmt=True)}
        return (403, date, b"") if off > 900 else (200, {**FOUND[1], **date}, b"")

    front.rule = rule

    found = watched.find_objects("bucket-1", [f"k{number}" for number in range(20)])

    assert len(found) == 20
    assert caplog.text.count("This machine's clock is 3600 s behind that of OBS") == 1


def test_a_refusal_with_the_right_time_is_none_of_the_clock(
    front: Front, watched: ObsHook, clock: FakeClock, connect_obs: Connect
) -> None:
    connect_obs(front.origin, login="NEVERLATE")  # what is known of a clock is kept for each key
    date = formatdate(clock.now() + 100, usegmt=True)
    front.rule = lambda _: error(403, "RequestTimeTooSkewed", Date=date)

    with pytest.raises(AuthenticationError, match=r"Set the clock of this machine \(NTP\)"):
        watched.read_object("bucket-1", "k")

    assert len(front.asked) == 1


# nobody sees them


ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    "repeats all": lambda asked: error(403, "AccessDenied", f"{asked.headers} {asked.path}"),
    "is no xml": lambda asked: (403, {}, f"{asked.headers}".encode()),
    "fails": lambda asked: error(500, "InternalError", f"{asked.headers}"),
    "redirects": lambda asked: (307, {"Location": f"http://x/?{asked.headers}"}, b""),
    "is unreadable": lambda asked: (200, {}, f"{asked.headers}".encode()),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_secret_is_in_a_log_or_an_error(
    front: Front,
    clock: FakeClock,
    connect_obs: Connect,
    caplog: pytest.LogCaptureFixture,
    task_log: Callable[[], str],
    make: Callable[..., FileToSend],
    answer: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    connect_obs(front.origin, login="CANARYACCESSKEY", security_token=SECURITY_TOKEN)
    front.rule = ANSWERS[answer]
    hook = ObsHook(clock=clock)
    calls: list[Callable[[], object]] = [
        lambda: hook.check_bucket("bucket-1"),
        lambda: list(hook.list_objects("bucket-1")),
        lambda: hook.write_object("bucket-1", "k", b"x"),
        lambda: hook.upload_files("bucket-1", [make(5), make(PART + 1, "b.jar")]),
    ]

    shown = [failure(call) for call in calls]

    shown += [caplog.text, task_log(), repr(hook.account), repr(vars(hook))]
    everything = "\n".join(shown)
    signatures = {asked.headers["authorization"].rpartition("=")[2] for asked in front.asked}
    for secret in {"CANARYACCESSKEY", "canary-secret-key", SECURITY_TOKEN, *signatures}:
        assert secret not in everything


def failure(call: Callable[[], object]) -> str:
    try:
        call()
    except DliError as error:
        return told(error)
    return ""


def test_what_was_fetched_is_told_to_the_masker(
    emulator: Emulator, tokened: Connect, front: Front, clock: FakeClock
) -> None:
    from airflow.providers.common.compat.sdk import redact

    tokened("token")
    front.rule = lambda _: FOUND

    ObsHook(clock=clock).find_object("bucket-1", "k")

    token = front.asked[0].headers["x-amz-security-token"]
    assert redact(f"a {token} b") == "a *** b"


def test_a_credential_that_may_not_is_no_bad_credential(front: Front, watched: ObsHook) -> None:
    front.rule = lambda _: error(403, "AccessDenied")

    with pytest.raises(PermissionDeniedError):
        watched.read_object("bucket-1", "k")

    assert len(front.asked) == 1
