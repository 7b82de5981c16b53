"""The doctor's flow: each cause is told from all others, in the worker and in the triggerer."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from scenarios.servers import Answer, Asked, serving

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.access.sources import Agency, Metadata, Password
from airflow_provider_dli.api.doctor.causes import Cause, Check
from airflow_provider_dli.api.doctor.diagnosis import diagnose
from airflow_provider_dli.api.doctor.findings import Finding, Report, Result
from airflow_provider_dli.api.protocol.errors import NotSentError
from airflow_provider_dli.api.protocol.wire import Response
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.transport.asynchronous import AsyncTransport
from airflow_provider_dli.transport.blocking import BlockingTransport

ROOT = Path(__file__).parents[3]
REGION = "eu-west-101"
OTHER_PROJECT = "f" * 32

Doctor = Callable[..., Report]


@pytest.fixture(autouse=True)
def no_bundles_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def through(account: Account) -> dict[str, Any]:
    return {
        "verify": account.verify,
        "connect_timeout": account.connect_timeout,
        "read_timeout": account.read_timeout,
        "proxy": account.proxy,
    }


def in_worker(account: Account, now: Callable[[], float] = time.time, **more: Any) -> Report:
    transport = BlockingTransport(**through(account))
    try:
        return transport.run(diagnose(account, now, **more))
    finally:
        transport.close()


def in_triggerer(account: Account, now: Callable[[], float] = time.time, **more: Any) -> Report:
    async def examine() -> Report:
        transport = AsyncTransport(**through(account))
        try:
            return await transport.run(diagnose(account, now, **more))
        finally:
            await transport.close()

    return asyncio.run(examine())


@pytest.fixture(params=[in_worker, in_triggerer], ids=["worker", "triggerer"])
def doctor(request: pytest.FixtureRequest) -> Doctor:
    chosen: Doctor = request.param
    return chosen


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


def keys(emulator: Emulator, secret: str | None = None) -> AccessKey:
    return AccessKey(emulator.access_key, secret or emulator.secret_key, emulator.security_token)


def account_to(origin: str, source: Source | None = None, **changes: Any) -> Account:
    account = Account(
        origin,
        "0123456789abcdef0123456789abcdef",
        source or AccessKey("ACCESSKEY", "secret-key"),
        region=REGION,
        conn_id="c",
        read_timeout=0.3,
        iam_origin=origin,
    )
    return replace(account, **changes)


def account_of(emulator: Emulator, source: Source | None = None, **changes: Any) -> Account:
    return account_to(emulator.url, source or keys(emulator), read_timeout=5.0, **changes)


def password(emulator: Emulator, **changes: Any) -> Password:
    source = Password(
        emulator.url,
        emulator.settings.users[0],
        emulator.settings.password,
        emulator.settings.account,
        emulator.project_id,
    )
    return replace(source, **changes)


def agency(emulator: Emulator, **changes: Any) -> Agency:
    source = Agency(emulator.url, keys(emulator), "emulator-agency", emulator.settings.account)
    return replace(source, **changes)


def failed(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.result is Result.FAILED]


def assert_cause(report: Report, cause: Cause) -> Finding:
    """The report has this cause alone, its sentence and its remedy."""
    [finding] = failed(report)
    assert finding.cause is cause
    assert (finding.found, finding.remedy) == (cause.message, cause.remedy)
    assert finding.check is (cause.check or finding.check)
    assert not report.is_well
    return finding


def refused(emulator: Emulator) -> int:
    return sum(
        "authorization" in record.headers and record.status in (401, 403)
        for record in emulator.requests
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (keys, "an access key with its secret key"),
        (lambda e: Token(e.auth_token), "a token"),
        (password, "user emulator-user of account emulator-account"),
        (agency, "agency emulator-agency of account emulator-account"),
        (lambda e: Metadata(e.url), "the agency of this machine"),
    ],
    ids=["keys", "token", "password", "agency", "metadata"],
)
def test_all_is_well_whoever_calls(
    doctor: Doctor, emulator: Emulator, source: Callable[[Emulator], Source], said: str
) -> None:
    report = doctor(account_of(emulator, source(emulator)))

    assert [(f.check, f.result) for f in report.findings] == [(c, Result.OK) for c in Check]
    assert report.is_well
    assert report.findings[0].found == f"Airflow can read the connection: {said}."


def test_a_temporary_key_is_called_so(doctor: Doctor) -> None:
    with running(security_token="the-security-token") as emulator:
        report = doctor(account_of(emulator))

    assert report.is_well
    assert "a temporary access key" in report.summary


def test_the_summary_says_what_was_reached_as_whom(doctor: Doctor, emulator: Emulator) -> None:
    summary = doctor(account_of(emulator, password(emulator))).summary

    assert emulator.url in summary
    assert "emulator-user" in summary
    assert emulator.project_id in summary


def test_a_project_is_looked_up_by_the_region(doctor: Doctor, emulator: Emulator) -> None:
    report = doctor(account_of(emulator, project_id=None))

    assert report.is_well
    assert emulator.project_id in report.summary


def test_the_project_of_a_token_counts(doctor: Doctor, emulator: Emulator) -> None:
    source = password(emulator, project_id=None, project_name=REGION)

    assert doctor(account_of(emulator, source, project_id=None)).is_well
    assert [r.path for r in emulator.requests if r.path == "/v3/projects"] == []


def test_the_first_question_shows_no_credential(doctor: Doctor, emulator: Emulator) -> None:
    doctor(account_of(emulator, Token(emulator.auth_token)))

    first, second = emulator.requests
    assert "x-auth-token" not in first.headers
    assert "x-auth-token" in second.headers


def test_what_was_fetched_is_told_to_the_masker(doctor: Doctor, emulator: Emulator) -> None:
    learned: list[str] = []

    doctor(account_of(emulator, password(emulator)), learn=learned.append)

    assert learned == [token.value for token in emulator.issued_tokens]


# What a credential is told, and with it what the emulator stands for.


def expired_token(emulator: Emulator) -> Account:
    in_worker(account_of(emulator, password(emulator)))
    emulator.expire_credentials()
    return account_of(emulator, Token(emulator.issued_tokens[0].value))


def temporary(emulator: Emulator) -> AccessKey:
    in_worker(account_of(emulator, agency(emulator)))
    key = emulator.issued_keys[0]
    return AccessKey(key.access_key, key.secret_key, key.security_token)


def expired_key(emulator: Emulator) -> Account:
    source = temporary(emulator)
    emulator.expire_credentials()
    return account_of(emulator, source)


def locked_key(emulator: Emulator) -> Account:
    for _ in range(5):
        in_worker(account_of(emulator, keys(emulator, "wrong")))
    return account_of(emulator)


def rotated_key(emulator: Emulator) -> Account:
    account = account_of(emulator)
    emulator.rotate_keys("ANOTHERKEY", "another-secret-key")
    return account


def refusing(
    code: str, words: str, source: Callable[[Emulator], Source] = keys
) -> Callable[[Emulator], Account]:
    """Let DLI refuse in these words what has a credential."""

    def prepare(emulator: Emulator) -> Account:
        body = {"error_code": code, "error_msg": words}
        emulator.add_fault(Fault("answer", status=401, body=body, skip=1, path="/resources"))
        return account_of(emulator, source(emulator))

    return prepare


def answering(fault: Fault, **changes: Any) -> Callable[[Emulator], Account]:
    def prepare(emulator: Emulator) -> Account:
        emulator.add_fault(fault)
        return account_of(emulator, **changes)

    return prepare


REFUSED: dict[str, tuple[Callable[[Emulator], Account], Cause]] = {
    "unknown key": (
        lambda e: account_of(e, AccessKey("NOBODYSKEY", "secret-key")),
        Cause.UNKNOWN_KEY,
    ),
    "key that was replaced": (rotated_key, Cause.UNKNOWN_KEY),
    "unknown key in the words of a dedicated gateway": (
        refusing("APIG.0301", "Get secretKey failed,ak:NOBODYSKEY,err:ak not exist"),
        Cause.UNKNOWN_KEY,
    ),
    "wrong secret": (lambda e: account_of(e, keys(e, "wrong-secret")), Cause.WRONG_SECRET),
    "locked key": (locked_key, Cause.KEY_LOCKED),
    "expired token": (expired_token, Cause.TOKEN_EXPIRED),
    "token that is none": (lambda e: account_of(e, Token("nonsense")), Cause.TOKEN_UNREADABLE),
    "token that DLI cannot read": (
        refusing("DLI.0015", "Token info for token is null"),
        Cause.TOKEN_UNREADABLE,
    ),
    "token of another region": (
        refusing("APIGW.0307", "The token must be updated."),
        Cause.TOKEN_OF_OTHER_REGION,
    ),
    "temporary key without its security token": (
        lambda e: account_of(e, replace(temporary(e), security_token=None)),
        Cause.SECURITY_TOKEN_MISSING,
    ),
    "wrong security token": (
        lambda e: account_of(e, replace(temporary(e), security_token="another")),
        Cause.SECURITY_TOKEN_WRONG,
    ),
    "expired temporary key": (expired_key, Cause.KEY_EXPIRED),
    "wrong secret of a temporary key": (
        lambda e: account_of(e, replace(temporary(e), secret_key="another")),
        Cause.WRONG_SECRET,
    ),
    "words that nobody knows": (
        refusing("APIGW.0301", "Incorrect IAM authentication information: Unauthorized"),
        Cause.CREDENTIAL_REFUSED,
    ),
    "unknown key at the look-up of the project": (
        lambda e: account_of(e, AccessKey("NOBODYSKEY", "secret-key"), project_id=None),
        Cause.UNKNOWN_KEY,
    ),
    "wrong user": (
        lambda e: account_of(e, password(e, user="nobody")),
        Cause.WRONG_PASSWORD,
    ),
    "wrong password": (
        lambda e: account_of(e, password(e, password="wrong-password")),
        Cause.WRONG_PASSWORD,
    ),
    "wrong account": (
        lambda e: account_of(e, password(e, account="nobodys-account")),
        Cause.WRONG_PASSWORD,
    ),
    "project that IAM does not know": (
        lambda e: account_of(e, password(e, project_id=OTHER_PROJECT)),
        Cause.NO_PROJECT,
    ),
    "user refused in words that nobody knows": (
        answering(Fault("answer", status=401, path="/v3/auth/tokens")),
        Cause.CREDENTIAL_REFUSED,
    ),
    "unknown agency": (
        lambda e: account_of(e, agency(e, agency="nobodys-agency")),
        Cause.AGENCY_REFUSED,
    ),
    "wrong secret for an agency": (
        lambda e: account_of(e, agency(e, keys=keys(e, "wrong-secret"))),
        Cause.WRONG_SECRET,
    ),
    "fault of IAM for an agency": (
        answering(Fault("answer", status=500, path="/v3.0/*")),
        Cause.NO_CREDENTIAL,
    ),
    "fault of IAM for a user": (
        answering(Fault("answer", status=500, path="/v3/*")),
        Cause.NO_CREDENTIAL,
    ),
    "IAM out of reach": (
        lambda e: account_of(e, password(e, origin="http://127.0.0.1:1")),
        Cause.NO_CREDENTIAL,
    ),
    "not IAM": (
        answering(Fault("html", path="/v3/*", status=404)),
        Cause.NO_CREDENTIAL,
    ),
    "no project of this name": (
        lambda e: account_of(e, project_id=None, region="eu-de"),
        Cause.NO_PROJECT,
    ),
    "project without an address of IAM": (
        lambda e: account_of(e, project_id=None, iam_origin=None),
        Cause.PROJECT_NOT_LOOKED_UP,
    ),
    "IAM out of reach for the project": (
        lambda e: account_of(e, project_id=None, iam_origin="http://127.0.0.1:1"),
        Cause.PROJECT_NOT_LOOKED_UP,
    ),
    "project of somebody else": (
        lambda e: account_of(e, project_id=OTHER_PROJECT),
        Cause.OTHER_PROJECT,
    ),
    "foreign project, and no address of IAM": (
        lambda e: account_of(e, project_id=OTHER_PROJECT, iam_origin=None),
        Cause.PROJECT_OR_PERMISSION,
    ),
    "foreign project, and IAM out of reach": (
        lambda e: account_of(e, project_id=OTHER_PROJECT, iam_origin="http://127.0.0.1:1"),
        Cause.PROJECT_OR_PERMISSION,
    ),
    "no right, in DLI's words": (
        answering(Fault("permission-denied", skip=1)),
        Cause.NO_PERMISSION,
    ),
    "no right, region unknown": (
        answering(Fault("forbidden", skip=1), region=None),
        Cause.NO_PERMISSION,
    ),
    "no right in the project that was looked up": (
        answering(Fault("forbidden", skip=1), project_id=None),
        Cause.NO_PERMISSION,
    ),
    "throttled": (answering(Fault("throttled", skip=1)), Cause.THROTTLED),
    "fault of DLI": (answering(Fault("internal-error", skip=1)), Cause.SERVICE_FAULT),
    "DLI out of order": (answering(Fault("unavailable-html", times=None)), Cause.SERVICE_FAULT),
    "any other refusal": (answering(Fault("quota-exceeded", skip=1)), Cause.OTHER),
    "page for DLI's answer": (answering(Fault("html", skip=1)), Cause.WEB_PAGE),
    "object for DLI's answer": (answering(Fault("empty-object", skip=1)), Cause.NOT_DLI),
    "lost on the way": (answering(Fault("reset", skip=1)), Cause.NO_ANSWER),
}
# Those whose fault concerns another source than keys.
SOURCES: dict[str, Callable[[Emulator], Source]] = {
    "user refused in words that nobody knows": password,
    "fault of IAM for an agency": agency,
    "fault of IAM for a user": password,
    "not IAM": password,
    "token that DLI cannot read": lambda e: Token(e.auth_token),
    "token of another region": lambda e: Token(e.auth_token),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_has_its_cause(doctor: Doctor, emulator: Emulator, name: str) -> None:
    prepare, cause = REFUSED[name]
    account = prepare(emulator)
    if name in SOURCES:
        account = replace(account, source=SOURCES[name](emulator))
    emulator.clear_requests()

    finding = assert_cause(doctor(account), cause)

    assert finding.detail
    # Five of them would lock the key.
    assert refused(emulator) <= 1


def test_metadata_of_a_machine_without_an_agency(doctor: Doctor) -> None:
    with running(metadata="no-agency") as emulator:
        report = doctor(account_of(emulator, Metadata(emulator.url)))

    assert_cause(report, Cause.NO_AGENCY)


def test_no_metadata_service(doctor: Doctor, emulator: Emulator) -> None:
    report = doctor(account_of(emulator, Metadata("http://127.0.0.1:1")))

    assert_cause(report, Cause.NO_CREDENTIAL)


def test_several_projects_of_one_name(doctor: Doctor) -> None:
    ids = ("a" * 32, "b" * 32)
    with running(project_ids=ids, project_names=dict.fromkeys(ids, REGION)) as emulator:
        report = doctor(account_of(emulator, project_id=None))

    finding = assert_cause(report, Cause.SEVERAL_PROJECTS)
    assert all(project in finding.detail for project in ids)


def test_a_project_of_another_region(doctor: Doctor) -> None:
    ids = ("a" * 32, "b" * 32)
    with running(project_ids=ids, project_names={ids[1]: "eu-de"}) as emulator:
        report = doctor(account_of(emulator, project_id=ids[1]))

    assert "Its name is eu-de" in assert_cause(report, Cause.OTHER_REGION).detail


def test_a_project_in_which_nothing_is_allowed(doctor: Doctor) -> None:
    ids = ("a" * 32, "b" * 32)
    with running(project_ids=ids, forbidden_projects=ids) as emulator:
        report = doctor(account_of(emulator, project_id=ids[1]))

    assert_cause(report, Cause.NO_PERMISSION)
    assert [f.result for f in report.findings][:6] == [Result.OK] * 6


def test_what_comes_after_a_failure_is_skipped(doctor: Doctor, emulator: Emulator) -> None:
    report = doctor(account_of(emulator, keys(emulator, "wrong")))

    *_, credential, project, permission = report.findings
    assert credential.result is Result.FAILED
    assert project.result is permission.result is Result.SKIPPED
    assert project.found == "Not checked, because credential failed."


@pytest.mark.parametrize(("seconds", "word"), [(1200, "behind"), (-1200, "ahead of")])
def test_a_wrong_clock_is_told_and_hides_nothing(
    doctor: Doctor, emulator: Emulator, seconds: float, word: str
) -> None:
    report = doctor(account_of(emulator), lambda: time.time() - seconds)

    finding = assert_cause(report, Cause.CLOCK_WRONG)
    assert f" s {word} the service's." in finding.detail
    # Asked with the service's time, so that no signature was refused for it.
    assert [f.result for f in report.findings].count(Result.OK) == len(Check) - 1
    assert refused(emulator) == 0


def test_a_wrong_clock_and_a_wrong_secret_are_both_told(doctor: Doctor, emulator: Emulator) -> None:
    account = account_of(emulator, keys(emulator, "wrong"))

    report = doctor(account, lambda: time.time() - 1200)

    assert [f.cause for f in failed(report)] == [Cause.CLOCK_WRONG, Cause.WRONG_SECRET]
    assert report.summary.startswith("The check of clock failed.")
    assert report.findings[-1].found == "Not checked, because clock and credential failed."
    assert refused(emulator) == 1


def by_hand(account: Account, *answers: Any) -> Report:
    """Run the flow with these answers, which no server here gives."""
    flow = diagnose(account, time.time)
    next(flow)
    *first, last = answers
    for answer in first:
        flow.send(answer)
    with pytest.raises(StopIteration) as end:
        flow.send(last) if isinstance(last, Response) else flow.throw(last)
    report: Report = end.value.value
    return report


def test_no_time_to_compare_with_is_no_failure() -> None:
    listed = json.dumps({"groups": [], "resources": [], "modules": []}).encode()

    report = by_hand(account_to("https://dli.example"), *[Response(200, {}, listed)] * 2)

    assert report.is_well
    assert "The answer has no time to compare with." in report.summary


def test_the_clock_is_told_from_the_refusal_where_there_is_no_date() -> None:
    words = "AK/SK signature expired, signature time: 1, server time: 2"
    body = json.dumps({"error_code": "APIGW.0301", "error_msg": words}).encode()

    report = by_hand(account_to("https://dli.example"), *[Response(401, {}, body)] * 2)

    assert_cause(report, Cause.CLOCK_WRONG)


def test_a_name_server_that_does_not_answer() -> None:
    error = NotSentError("GET … was not sent")
    error.__cause__ = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    assert_cause(by_hand(account_to("https://dli.example"), error), Cause.NO_NAME_SERVER)


PAGE = b"<html><body>Please log in</body></html>"
UNKNOWN = json.dumps({"error_code": "APIG.0101", "error_msg": "The API does not exist"}).encode()
STRANGERS: dict[str, tuple[Answer, Cause]] = {
    "redirect": ((302, {"Location": "http://login.example/?token=canary"}, b""), Cause.REDIRECT),
    "page": ((200, {}, PAGE), Cause.WEB_PAGE),
    "forbidding page": ((403, {}, PAGE), Cause.WEB_PAGE),
    "missing page": ((404, {}, PAGE), Cause.WEB_PAGE),
    "another gateway": ((404, {}, UNKNOWN), Cause.UNKNOWN_API),
    "another service": ((404, {}, b'{"detail": "Not Found"}'), Cause.NOT_DLI),
    "list": ((200, {}, b"[]"), Cause.NOT_DLI),
    "proxy that wants a login": ((407, {}, b"who are you"), Cause.PROXY_LOGIN),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_not_dli_gets_no_credential(doctor: Doctor, name: str) -> None:
    answer, cause = STRANGERS[name]

    with serving(answer) as server:
        report = doctor(account_to(server.origin, Token("canary-token")))

    finding = assert_cause(report, cause)
    assert len(server.asked) == 1
    assert "canary" not in finding.detail


# Connections that do not come about.


def test_a_host_that_does_not_exist(doctor: Doctor) -> None:
    finding = assert_cause(doctor(account_to("https://dli.nowhere.invalid")), Cause.UNKNOWN_HOST)

    assert finding.check is Check.ADDRESS


def test_nobody_listens(doctor: Doctor) -> None:
    assert_cause(doctor(account_to("https://127.0.0.1:1")), Cause.NO_CONNECTION)


def test_nobody_answers(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = f"http://127.0.0.1:{silent.getsockname()[1]}"
        report = doctor(account_to(origin))

    assert_cause(report, Cause.NO_ANSWER)


def status_of_a_proxy(status: int) -> Answer:
    return status, {}, b""


@pytest.fixture
def no_exceptions_for_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(407, Cause.PROXY_LOGIN), (403, Cause.PROXY_REFUSES), (503, Cause.PROXY_REFUSES)],
)
def test_a_proxy_that_does_not_let_through(doctor: Doctor, status: int, cause: Cause) -> None:
    with serving(status_of_a_proxy(status)) as proxy:
        address = proxy.origin.replace("//", "//user:canary-password@")
        report = doctor(account_to("https://dli.nowhere.invalid", proxy=address))

    assert "canary" not in assert_cause(report, cause).detail


@pytest.mark.parametrize("host", ["127.0.0.1:1", "proxy.nowhere.invalid:3128"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_gone(doctor: Doctor, host: str, scheme: str) -> None:
    address = f"http://user:canary-password@{host}"

    report = doctor(account_to(f"{scheme}://dli.nowhere.invalid", proxy=address))

    assert "canary" not in assert_cause(report, Cause.PROXY_UNREACHABLE).detail


def test_a_proxy_of_the_environment_that_is_gone(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, no_exceptions_for_proxies: None
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    assert_cause(doctor(account_to("https://dli.nowhere.invalid")), Cause.PROXY_UNREACHABLE)


def test_a_setup_that_cannot_be_used(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, no_exceptions_for_proxies: None
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    assert_cause(doctor(account_to("https://127.0.0.1:1")), Cause.UNUSABLE_SETUP)


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def secure(authority: trustme.CA, host: str = "127.0.0.1", **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **more).configure_cert(context)
    return context


REFUSAL = (401, {}, b'{"error_code": "APIGW.0301", "error_msg": "Unauthorized"}')


def test_an_untrusted_ca(doctor: Doctor, authority: trustme.CA) -> None:
    with serving(REFUSAL, secure(authority)) as server:
        report = doctor(account_to(server.origin))

    assert_cause(report, Cause.UNTRUSTED_CA)
    assert report.findings[1].found == f"The connection to {server.origin} was established."
    assert server.asked == []


# urllib3 says so of each request.
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [True, False])
def test_a_certificate_that_is_good_enough(
    doctor: Doctor, authority: trustme.CA, bundle: str, verify: bool
) -> None:
    with serving(REFUSAL, secure(authority)) as server:
        report = doctor(account_to(server.origin, verify=bundle if verify else False))

    assert report.findings[2].found == (
        "The certificate is trusted."
        if verify
        else "The certificate is not verified: verify is false in the connection."
    )


def test_a_certificate_of_another_host(doctor: Doctor, authority: trustme.CA, bundle: str) -> None:
    with serving(REFUSAL, secure(authority, "dli.example")) as server:
        report = doctor(account_to(server.origin, verify=bundle))

    assert_cause(report, Cause.OTHER_CERTIFICATE)


def test_a_certificate_that_has_expired(doctor: Doctor, authority: trustme.CA, bundle: str) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with serving(REFUSAL, secure(authority, not_after=past)) as server:
        report = doctor(account_to(server.origin, verify=bundle))

    assert_cause(report, Cause.CERTIFICATE_OUTDATED)


def test_a_server_without_tls(doctor: Doctor) -> None:
    with serving(REFUSAL) as server:
        report = doctor(account_to(server.origin.replace("http:", "https:")))

    assert_cause(report, Cause.NO_TLS)


def test_no_secret_is_in_a_report(doctor: Doctor) -> None:
    def echo(asked: Asked) -> Answer:
        said = {"error_code": "APIGW.0301", "error_msg": json.dumps(dict(asked.headers))[:250]}
        return 401, {}, json.dumps(said).encode()

    with serving(echo) as server:
        report = doctor(account_to(server.origin, Token("canary")))

    assert "canary" not in json.dumps(report.as_dict()) + report.summary


def test_a_report_is_plain_json(doctor: Doctor) -> None:
    plain = doctor(account_to("https://127.0.0.1:1")).as_dict()

    assert json.loads(json.dumps(plain)) == plain
    assert plain["connection"] == "c"
    assert plain["is_well"] is False
    assert [check["result"] for check in plain["checks"]] == ["ok", "failed", *["skipped"] * 5]
    assert plain["checks"][1]["cause"] == "no-connection"
    assert plain["checks"][0]["remedy"] is None


def test_the_documentation_has_each_cause() -> None:
    page = (ROOT / "docs" / "connection.md").read_text()
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.split("## Troubleshooting: the doctor")[1].splitlines()
        if line.startswith("| ")
    ]

    assert rows[1:] == [(c.check or "any", c.message, c.remedy) for c in Cause]


def test_each_cause_has_words_of_its_own() -> None:
    assert len({cause.message for cause in Cause}) == len(Cause)
    assert len({cause.remedy for cause in Cause}) == len(Cause)
