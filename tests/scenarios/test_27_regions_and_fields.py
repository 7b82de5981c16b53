"""Fault: a region that opened yesterday, blanks around a value, the domain of the other cloud, the
project of another region, an extra that is no JSON, "false" as text.

Expected: it works by the template of the address, or one sentence names field and value; booleans
are what they say, or refused. The same holds in both modes, and nothing is sent to a wrong host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from builders import connection_json
from fake_clock import FakeClock
from scenarios.modes import Mode, event
from scenarios.servers import serving

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    InputError,
    PermissionDeniedError,
    restored,
)
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.triggers.packages import PackageGroupTrigger

# Airflow 2.11 warns of an extra that is no JSON, Airflow 3 keeps silent.
pytestmark = pytest.mark.filterwarnings("ignore:Encountered")

OTC = {"cloud": "otc", "region": "eu-de", "project_id": "p1"}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection `dli_default`; an extra may be text as it is."""

    def set_connection(extra: dict[str, Any] | str, **fields: Any) -> None:
        fields = {"password": "canary-secret-key"} | fields
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection_json(extra, **fields))

    return set_connection


def error_in(mode: Mode, **arguments: Any) -> DliError:
    """Returns the error of a task that fails while it waits."""
    if mode.clock:
        with DliHook(clock=mode.clock, **arguments) as hook, pytest.raises(DliError) as caught:
            hook.wait_until_ready("g", ["a.jar"], max_unknown_time=1)
        return caught.value
    trigger = PackageGroupTrigger(
        group="g", packages=["a.jar"], poll_interval=0.1, max_unknown_time=0.1, **arguments
    )
    payload = event(trigger)
    assert payload["status"] == "failed"
    return restored(payload)


ADDRESSES = [
    ("otc", "eu-de", "dli.eu-de.otc.t-systems.com", "iam.eu-de.otc.t-systems.com"),
    ("otc", "eu-nl", "dli.eu-nl.otc.t-systems.com", "iam.eu-nl.otc.t-systems.com"),
    ("otc", "eu-new-9", "dli.eu-new-9.otc.t-systems.com", "iam.eu-new-9.otc.t-systems.com"),
    (
        "huawei",
        "eu-west-101",
        "dli.eu-west-101.myhuaweicloud.eu",
        "iam.myhuaweicloud.eu",
    ),
    (
        "huawei",
        "af-west-77",
        "dli.af-west-77.myhuaweicloud.com",
        "iam.myhuaweicloud.com",
    ),
    (" OTC ", " eu-de\n", "dli.eu-de.otc.t-systems.com", "iam.eu-de.otc.t-systems.com"),
]


@pytest.mark.parametrize(("cloud", "region", "dli_host", "iam_host"), ADDRESSES)
def test_cloud_and_region_name_the_hosts(
    mode: Mode,
    use: Callable[..., None],
    cloud: str,
    region: str,
    dli_host: str,
    iam_host: str,
) -> None:
    """The proxy tells which hosts are asked: IAM for the project first, and then DLI."""
    with serving((502, {}, b"")) as proxy:
        use({"cloud": cloud, "region": region, "proxy": proxy.origin})
        without_project = error_in(mode)
        asked_without = {asked.path for asked in proxy.asked}
        proxy.asked.clear()
        use({"cloud": cloud, "region": region, "project_id": "p1", "proxy": proxy.origin})
        with_project = error_in(mode)

    assert asked_without == {f"{iam_host}:443"}
    assert {asked.path for asked in proxy.asked} == {f"{dli_host}:443"}
    assert f"Could not look up the project of {region.strip()}" in str(without_project)
    assert dli_host in str(with_project)


@pytest.mark.parametrize("region", ["brand-new-1", "x1"])
def test_a_new_region_works_with_an_endpoint(
    mode: Mode, use: Callable[..., None], region: str
) -> None:
    upload = mode.seconds(20)
    with running(clock=mode.now, upload_seconds=upload, project_names=_named(region)) as emulator:
        keys = {"login": emulator.access_key, "password": emulator.secret_key}
        addresses = {"endpoint": emulator.url, "iam_endpoint": emulator.url}
        use({"region": f" {region}\n", "cloud": "huawei", **addresses}, **keys)

        result = mode.run(mode.upload())

    assert result["region"] == region
    assert result["project_id"] == emulator.project_id
    assert {package["state"] for package in result["packages"]} == {"READY"}


def _named(region: str) -> dict[str, str]:
    return {"0123456789abcdef0123456789abcdef": region}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"region": "eu de"}, "region is 'eu de': give it as the console shows it"),
    ({"region": "EU-DE"}, "region is 'EU-DE': give it as the console shows it"),
    ({"region": "eu-de.otc.t-systems.com"}, "region is 'eu-de.otc.t-systems.com': give it as"),
    ({"region": "eu-de/"}, "region is 'eu-de/'"),
    ({"region": "eu-de@evil.example"}, "region is 'eu-de@evil.example'"),
    ({"region": "eu_de"}, "region is 'eu_de'"),
    ({"region": ["eu-de"]}, "region is '***': give text"),
    ({"region": True}, "region is True: give text"),
    ({"region": "   "}, "region is missing"),
    ({"region": "eu-de\u200b"}, r"region is 'eu-de\u200b'"),
    ({"cloud": "telekom"}, "cloud is 'telekom': use huawei or otc"),
    ({"cloud": "https://otc.t-systems.com"}, "cloud is 'https://otc.t-systems.com'"),
    ({"cloud": None}, "cloud is missing: use huawei or otc"),
    ({"project_id": "p 1"}, "project_id is 'p 1'"),
    ({"project_id": "eu-de_project"}, "project_id is 'eu-de_project': use at most 64 letters"),
    ({"project_id": 7}, "project_id is 7: give text"),
    ({"endpoint": "dli.eu-de.otc.t-systems.com"}, "endpoint is 'dli.eu-de.otc.t-systems.com'"),
    ({"endpoint": "https:/dli.example.com"}, "endpoint is 'https:/dli.example.com'"),
    ({"endpoint": "https://dli.example.com/v2.0/p"}, "without a path"),
    ({"endpoint": 7}, "endpoint is 7: give text"),
    ({"iam_endpoint": "iam.example.com"}, "iam_endpoint is 'iam.example.com'"),
    ({"auth_type": "aksk"}, "auth_type is 'aksk': use keys or password or token"),
    ({"auth_type": True}, "auth_type is True: give text"),
    ({"auth_type": "password"}, "account is missing: auth_type password needs it"),
    ({"auth_type": "agency", "account": "a"}, "agency is missing: auth_type agency needs it"),
    ({"auth_type": "token"}, "auth_token is missing"),
    ({"auth_type": "environment"}, "HUAWEICLOUD_SDK_AK is missing"),
    ({"verify": "no"}, "verify is 'no': use true or false"),
    ({"verify": 0}, "verify is 0: use true or false"),
    ({"verify": 1}, "verify is 1: use true or false"),
    ({"verify": [False]}, "verify is [False]: use true or false"),
    ({"verify": "/etc/ssl/ca.pem"}, "verify is '/etc/ssl/ca.pem': use true or false"),
    ({"verify": "false", "ca_bundle": "/etc/hosts"}, "verify is False: with a ca_bundle"),
    ({"ca_bundle": "/nowhere/ca.pem"}, "ca_bundle is '/nowhere/ca.pem': there is no such"),
    ({"ca_bundle": False}, "ca_bundle is False: give text"),
    ({"read_timeout": "soon"}, "read_timeout is 'soon': give a positive number of seconds"),
    ({"read_timeout": True}, "read_timeout is True"),
    ({"connect_timeout": -1}, "connect_timeout is -1"),
    ({"connect_timeout": "inf"}, "connect_timeout is 'inf'"),
    ({"proxy": "proxy.example:3128"}, "proxy is '***': give scheme, host and port"),
    ({"proxy": "socks5://proxy.example:1080"}, "proxy is '***': give scheme, host and port"),
    ({"proxy": "http://proxy.example"}, "proxy is '***': give scheme, host and port"),
]


@pytest.mark.parametrize(("extra", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_a_wrong_field_is_one_sentence_that_names_it(
    mode: Mode, use: Callable[..., None], extra: dict[str, Any], sentence: str
) -> None:
    use(OTC | extra)

    error = error_in(mode)

    assert isinstance(error, InputError)
    assert str(error).startswith("connection 'dli_default': ")
    assert sentence in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    "extra",
    ["{cloud: otc}", "['cloud']", '["cloud"]', "7", '"text"', "null", "cloud=otc", "{", "\\"],
)
def test_an_extra_that_is_no_object_is_said_without_showing_it(
    mode: Mode, use: Callable[..., None], extra: str
) -> None:
    """It may be a token that somebody put there."""
    use(extra)

    error = error_in(mode)

    assert isinstance(error, InputError)
    assert "connection 'dli_default': " in str(error)
    assert extra not in str(error) or len(extra) == 1


TRUE = [True, "true", "True", " TRUE\n", None, ""]
FALSE = [False, "false", "False", " FALSE "]


@pytest.mark.parametrize(
    ("value", "verified"), [*((v, True) for v in TRUE), *((v, False) for v in FALSE)]
)
def test_booleans_are_what_they_say(
    use: Callable[..., None], value: object, verified: bool
) -> None:
    use(OTC | {"verify": value})

    assert DliHook().account.verify is verified


@pytest.mark.parametrize("value", ["false", "no", 0, None, [], "{{ true }}"])
@pytest.mark.parametrize("field", ["deferrable", "wait_for_completion", "is_async"])
def test_booleans_of_a_task_are_strict(
    emulator: Emulator, connect: Callable[..., None], field: str, value: object
) -> None:
    connect()
    if field == "deferrable":
        sensor = PackageGroupSensor(task_id="s", group="g", deferrable=value)  # type: ignore[arg-type]
        with pytest.raises(AirflowFailException, match=f"{field} is "):
            sensor.execute({})
    task = Mode("worker", FakeClock()).upload()
    name = {"is_async": "upload_async"}.get(field, field)
    setattr(task, name, value)
    with pytest.raises(AirflowFailException, match=f"{field} is "):
        task.execute({})

    assert emulator.requests == []


@pytest.mark.parametrize(("field", "value"), [("region", " Mars "), ("project_id", "p/1")])
def test_a_wrong_field_of_the_task_is_the_same_sentence(
    mode: Mode, use: Callable[..., None], field: str, value: str
) -> None:
    use(OTC)

    assert f"{field} is {value.strip()!r}" in str(error_in(mode, **{field: value}))


@pytest.mark.parametrize("blank", [" {}", "{}\n", "\t{} "])
def test_blanks_around_fields_of_the_task_are_trimmed(
    mode: Mode, dli: Emulator, blank: str
) -> None:
    dli.upload_seconds = mode.seconds(20)

    result = mode.run(
        mode.upload(region=blank.format("eu-de"), project_id=blank.format(dli.project_id))
    )

    assert (result["region"], result["project_id"]) == ("eu-de", dli.project_id)


def test_a_project_of_another_region_is_refused_with_region_and_project(
    mode: Mode, use: Callable[..., None]
) -> None:
    here, there = "a" * 32, "b" * 32
    named = {here: "eu-west-101", there: "eu-de"}
    with running(clock=mode.now, project_ids=[here, there], project_names=named) as emulator:
        keys = {"login": emulator.access_key, "password": emulator.secret_key}
        use({"region": "eu-west-101", "endpoint": emulator.url, "project_id": there}, **keys)

        error = error_in(mode)

    assert isinstance(error, PermissionDeniedError)
    assert f"region eu-west-101, project {there}" in str(error)
    assert "Check project and region" in str(error)


def test_a_token_of_another_region_is_said(mode: Mode, use: Callable[..., None]) -> None:
    """Its project is the one of the other region, which the connection does not name."""
    here, there = "a" * 32, "b" * 32
    named = {here: "eu-west-101", there: "eu-de"}
    with running(clock=mode.now, project_ids=[here, there], project_names=named) as emulator:
        token = emulator.credentials.issue_token("emulator-user", there)
        extra = {"endpoint": emulator.url, "project_id": here, "region": "eu-west-101"}
        use(extra | {"auth_token": token.value})

        error = error_in(mode)

    assert "APIGW.0307" in str(error)
    assert "region eu-west-101" in str(error)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"a" * 32: "eu-de"}, "project_id is missing: IAM has no project named eu-west-101"),
        (
            {"a" * 32: "eu-west-101", "b" * 32: "eu-west-101"},
            f"IAM has several projects named eu-west-101, set one of: {'a' * 32}, {'b' * 32}",
        ),
    ],
    ids=["none", "two"],
)
def test_a_region_without_a_project_of_its_own_is_said(
    mode: Mode, use: Callable[..., None], names: dict[str, str], sentence: str
) -> None:
    with running(clock=mode.now, project_ids=list(names), project_names=names) as emulator:
        keys = {"login": emulator.access_key, "password": emulator.secret_key}
        addresses = {"endpoint": emulator.url, "iam_endpoint": emulator.url}
        use({"region": "eu-west-101", "cloud": "huawei", **addresses}, **keys)

        error = error_in(mode)

    assert isinstance(error, InputError)
    assert sentence in str(error)
    assert [record.path for record in emulator.requests] == ["/v3/projects"]


@pytest.mark.parametrize(
    "endpoint",
    ["https://dli.eu-de.otc.t-systems.co", "https://dli.eu-de.myhuaweicloud.com"],
)
def test_a_wrong_domain_is_one_error_with_the_address_and_what_to_check(
    mode: Mode, use: Callable[..., None], endpoint: str
) -> None:
    """The machine of the tests knows no names, so a proxy says that there is no such host."""
    with serving((503, {}, b"unknown host")) as proxy:
        use(OTC | {"endpoint": endpoint, "proxy": proxy.origin})

        error = error_in(mode)

    assert endpoint in str(error)
    assert "Check endpoint, region" in str(error)


def test_a_host_that_answers_and_is_no_dli_is_said(mode: Mode, use: Callable[..., None]) -> None:
    with serving((404, {"Content-Type": "text/html"}, b"<html>404</html>")) as server:
        use(OTC | {"endpoint": server.origin})

        error = error_in(mode)

    assert "Check cloud, region and endpoint of the connection" in str(error)
    assert len(server.asked) == 1
