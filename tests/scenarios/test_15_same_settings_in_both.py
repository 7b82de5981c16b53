"""Fault: a task is given a region, addresses, a project, a way to sign in, a proxy, a CA and
timeouts, and defers.

Expected: every request of the trigger uses the values that the worker's would, and what is stored
of the task while it is deferred holds no secret.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from builders import connection_json
from eventually import HANG
from fake_clock import FakeClock
from scenarios.modes import Mode, again, deferred, event, resume
from scenarios.servers import Answer, Asked, Server, listing, serving
from task_runs import first

from airflow_provider_dli.api.protocol.errors import AnswerLostError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.triggers.packages import PackageGroupTrigger
from airflow_provider_dli.triggers.spark import SparkBatchTrigger

CANARIES = {
    "login": "canary-access-key",
    "password": "canary-secret-key",
    "security_token": "canary-security-token",
    "auth_token": "canary-auth-token",
}
READY = listing(g={"a.jar": "READY", "b.jar": "READY"})


UPLOADED = {
    "group_name": "g",
    "details": [{"resource_name": n, "status": "UPLOADING"} for n in ("a.jar", "b.jar")],
}


def answer(request: Asked) -> Answer:
    """Take an upload, and list its packages as READY."""
    return (201, {}, json.dumps(UPLOADED).encode()) if request.method == "POST" else READY


def connected(monkeypatch: pytest.MonkeyPatch, name: str = "other", **extra: Any) -> None:
    extra = {"cloud": "huawei", "region": "eu-west-101", "project_id": "p"} | extra
    stored = connection_json(extra, login=CANARIES["login"], password=CANARIES["password"])
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", stored)


def modes() -> tuple[Mode, Mode]:
    clock = FakeClock()
    clock.time = time.time()
    return Mode("worker", clock), Mode("triggerer", None)


def in_both(server: Server, **arguments: Any) -> tuple[list[Asked], list[Asked]]:
    """Run the same task in both modes; give what each asked of the listing."""
    looks = []
    for mode in modes():
        server.asked.clear()
        mode.run(mode.upload(dli_conn_id="other", **arguments))
        looks.append([asked for asked in server.asked if asked.method == "GET"])
    worker, triggerer = looks
    assert worker
    return worker, triggerer


# Named by the HTTP library, and outside of the signature.
OF_THE_LIBRARY = {"user-agent", "accept", "accept-encoding", "connection"}
OF_THE_MOMENT = {"authorization", "x-sdk-date"}


def told(asked: Asked, origin: str = "") -> dict[str, Any]:
    """Returns all of a request that must not differ, of its signature all but the signature itself.

    `origin` is left out of the headers: a server has another port each time.
    """
    left_out = OF_THE_LIBRARY | OF_THE_MOMENT
    host = origin.partition("://")[2]
    parts = urlsplit(asked.path)
    return {
        "asked": (asked.method, asked.path),
        "path": f"{parts.path}?{parts.query}".rstrip("?"),
        "headers": {
            name: "here" if value == host else value
            for name, value in asked.headers.items()
            if name not in left_out
        },
        "signed": asked.headers.get("authorization", "").split(", ")[:2],
        "body": asked.body,
    }


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ({}, {}),
        ({}, {"project_id": "another"}),
        ({}, {"region": "eu-de"}),
        ({}, {"project_id": "another", "region": "eu-de"}),
        ({"security_token": CANARIES["security_token"]}, {}),
        ({"auth_token": CANARIES["auth_token"]}, {}),
    ],
    ids=["plain", "project", "region", "both", "temporary keys", "token"],
)
def test_the_trigger_asks_as_the_worker_does(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], arguments: dict[str, Any]
) -> None:
    with serving(answer) as server:
        connected(monkeypatch, endpoint=server.origin, **extra)
        worker, triggerer = in_both(server, **arguments)

    assert [told(asked) for asked in triggerer] == [told(asked) for asked in worker]
    project = arguments.get("project_id", "p")
    assert triggerer[0].path == f"/v2.0/{project}/resources"
    assert triggerer[0].headers["x-project-id"] == project
    for name, value in extra.items():
        assert triggerer[0].headers[f"x-{name.replace('_', '-')}"] == value


def test_the_signature_of_the_trigger_is_good(mode: Mode, dli: Emulator) -> None:
    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]
    assert {record.status for record in dli.requests} == {200, 201}


def test_region_and_cloud_name_the_same_host_through_the_same_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing answers for DLI's name, so that only the proxy can have been asked."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    with serving(answer) as proxy:
        connected(monkeypatch, endpoint="http://dli.nowhere.invalid")
        monkeypatch.setenv("http_proxy", f"http://user:canary-proxy@127.0.0.1:{proxy.port}")
        worker, triggerer = in_both(proxy)

    assert [told(asked) for asked in triggerer] == [told(asked) for asked in worker]
    assert triggerer[0].path == "http://dli.nowhere.invalid/v2.0/p/resources"
    assert triggerer[0].headers["host"] == "dli.nowhere.invalid"
    assert "proxy-authorization" in triggerer[0].headers


def test_the_region_of_the_task_names_the_host_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    with serving((502, {}, b"")) as proxy:
        connected(monkeypatch)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        sensor = PackageGroupSensor(
            task_id="s", group="g", region="ap-southeast-2", dli_conn_id="other", timeout=0.1
        )
        trigger = PackageGroupTrigger(
            group="g",
            region="ap-southeast-2",
            dli_conn_id="other",
            poll_interval=0.1,
            max_unknown_time=0.1,
        )
        worker, triggerer = sensor.hook.account.origin, event(again(trigger))

    assert triggerer["error"] == "NotSentError"
    host = worker.removeprefix("https://")
    assert {asked.path for asked in proxy.asked} == {f"{host}:443"}
    assert "ap-southeast-2" in host


def test_the_ca_bundle_of_the_connection_is_used_in_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    with serving(answer, context) as server:
        connected(monkeypatch, endpoint=server.origin, ca_bundle=str(bundle))
        worker, triggerer = in_both(server)

    assert [told(asked) for asked in triggerer] == [told(asked) for asked in worker]


@pytest.mark.timeout(HANG)  # by default an answer has 60 seconds
def test_the_read_timeout_of_the_connection_is_used_in_both(
    mode: Mode, emulator: Emulator, connect: Callable[..., None]
) -> None:
    connect(read_timeout=0.1)
    emulator.add_fault(Fault("hang", method="GET", times=None))

    with pytest.raises(AnswerLostError):
        mode.run(mode.upload(max_unknown_time=mode.seconds(1)))


@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_nothing_that_is_stored_of_a_deferred_task_holds_a_secret(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with serving(answer) as server:
        connected(
            monkeypatch,
            endpoint=server.origin,
            security_token=CANARIES["security_token"],
        )
        if kind == "operator":
            task: Any = Mode("triggerer", None).upload(dli_conn_id="other")
        else:
            task = PackageGroupSensor(
                task_id="s",
                group="g",
                packages=["a.jar", "c.jar"],
                dli_conn_id="other",
                deferrable=True,
            )
        left = deferred(task)

    stored = json.dumps([left.trigger.serialize(), left.kwargs])
    assert "canary" not in stored
    assert json.loads(stored)[0][1]["dli_conn_id"] == "other"


def test_no_secret_is_in_an_event_or_in_the_error_that_it_becomes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}
    with serving(answer) as server:
        connected(monkeypatch, endpoint=server.origin, security_token=CANARIES["security_token"])
        task = Mode("triggerer", None).upload(dli_conn_id="other")
        left = deferred(task)
    with serving((401, {}, json.dumps(refusal).encode())) as server:
        connected(monkeypatch, endpoint=server.origin, security_token=CANARIES["security_token"])
        payload = event(again(left.trigger))

    with pytest.raises(Exception, match=r"APIGW\.0301") as caught:
        resume(task, left, payload)
    assert "canary" not in json.dumps(payload)
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r} {vars(caught.value)}"


ISSUED = {"access": "AKISSUED", "secret": "canary-issued-key", "securitytoken": "canary-issued-st"}
SERVICES: dict[str, Answer] = {
    "/v3/auth/tokens": (
        201,
        {"X-Subject-Token": "canary-issued-token"},
        b'{"token": {"expires_at": "2100-01-01T00:00:00.000000Z", "project": {"id": "p9"}}}',
    ),
    "/v3.0/OS-CREDENTIAL/securitytokens": (201, {}, b""),
    "/openstack/latest/securitykey": (200, {}, b""),
    "/meta-data/latest/api/token": (200, {}, b"canary-session"),
    "/v3/projects": (200, {}, b'{"projects": [{"id": "p9"}]}'),
}


def everything(asked: Asked) -> Answer:
    """Answer as DLI, IAM and the metadata service do; also where it is asked as a proxy."""
    path = urlsplit(asked.path).path
    if path not in SERVICES:
        return answer(asked)
    status, headers, body = SERVICES[path]
    key = {"credential": ISSUED | {"expires_at": "2100-01-01T00:00:00.000000Z"}}
    return status, headers, body or json.dumps(key).encode()


def look(mode: Mode, **arguments: Any) -> None:
    """Look at the group once, in the worker or with a trigger as a triggerer makes it of its row.

    Each in a process of its own, as it were: what one has fetched the other does not know.
    """
    gc.collect()
    if mode.clock:
        with DliHook("other", clock=mode.clock, **arguments) as hook:
            hook.wait_until_ready("g", ["a.jar"])
        return
    trigger = PackageGroupTrigger(
        group="g", packages=["a.jar"], dli_conn_id="other", poll_interval=0.1, **arguments
    )
    assert "canary" not in json.dumps(trigger.serialize())
    assert event(again(trigger))["status"] == "ready"


ADDRESSES: dict[str, str] = {"iam_endpoint": "http://iam.nowhere.invalid"}
SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "keys": ({"auth_type": "keys"}, ["/v2.0/p/resources"]),
    "token": (
        {"auth_type": "token", "auth_token": CANARIES["auth_token"]},
        ["/v2.0/p/resources"],
    ),
    "password": (
        {"auth_type": "password", "account": "the-account"},
        ["/v3/auth/tokens?nocatalog=true", "/v2.0/p/resources"],
    ),
    "password by region": (
        {"auth_type": "password", "account": "the-account", "project_id": None},
        ["/v3/auth/tokens?nocatalog=true", "/v2.0/p9/resources"],
    ),
    "agency": (
        {"auth_type": "agency", "account": "the-account", "agency": "the-agency"},
        ["/v3.0/OS-CREDENTIAL/securitytokens", "/v2.0/p/resources"],
    ),
    "metadata": (
        {"auth_type": "metadata"},
        ["/meta-data/latest/api/token", "/openstack/latest/securitykey", "/v2.0/p/resources"],
    ),
    "environment": ({"auth_type": "environment"}, ["/v2.0/p/resources"]),
    "project by region": (
        {"project_id": None},
        ["/v3/projects?name=eu-west-101", "/v2.0/p9/resources"],
    ),
}


def told_in_both(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Asked], Answer],
    look: Callable[[Mode], None],
    name: str,
    through_proxy: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Look with the settings of this name in both modes; give all that each asked."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "canary-of-environment")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "canary-of-environment")
    requests = []
    for mode in modes():
        with serving(answer) as server:
            addresses = {"metadata_endpoint": server.origin}
            if through_proxy:
                addresses |= {"endpoint": "http://dli.nowhere.invalid", **ADDRESSES}
                addresses["proxy"] = f"http://user:canary-proxy@127.0.0.1:{server.port}"
            else:
                addresses |= {"endpoint": server.origin, "iam_endpoint": server.origin}
            connected(monkeypatch, **addresses, **SETTINGS[name][0])
            look(mode)
        requests.append([told(asked, server.origin) for asked in server.asked])
    worker, triggerer = requests
    return worker, triggerer


@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "proxy"])
@pytest.mark.parametrize("name", SETTINGS)
def test_whoever_asks_and_through_whatever_the_trigger_asks_as_the_worker_does(
    monkeypatch: pytest.MonkeyPatch, name: str, through_proxy: bool
) -> None:
    """Every request, to IAM and to the machine as well, with all of its headers and its body."""
    worker, triggerer = told_in_both(monkeypatch, everything, look, name, through_proxy)

    assert triggerer == worker
    assert [asked["path"] for asked in worker] == SETTINGS[name][1]
    for asked in worker:
        to_machine = asked["path"].startswith(("/meta-data", "/openstack"))
        assert ("proxy-authorization" in asked["headers"]) == (through_proxy and not to_machine)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("setting", ["ca_bundle", "verify"])
def test_what_is_trusted_is_the_same_for_dli_and_iam_in_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str
) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    name = "127.0.0.1" if setting == "ca_bundle" else "elsewhere.example"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    value = {"ca_bundle": str(bundle), "verify": False}[setting]
    extra = {"auth_type": "password", "account": "a", setting: value}
    requests = []
    for mode in modes():
        with serving(everything, context) as server:
            connected(monkeypatch, endpoint=server.origin, iam_endpoint=server.origin, **extra)
            look(mode)
        requests.append([told(asked, server.origin) for asked in server.asked])

    assert requests[0] == requests[1]
    assert len(requests[0]) == 2


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_stored_of_a_deferred_task_says_the_connection_and_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "canary-of-environment")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "canary-of-environment")
    with serving(everything) as server:
        addresses = dict.fromkeys(("endpoint", "iam_endpoint", "metadata_endpoint"), server.origin)
        proxy = f"http://user:canary-proxy@127.0.0.1:{server.port}"
        connected(monkeypatch, proxy=proxy, verify=True, **addresses, **SETTINGS[name][0])
        left = deferred(Mode("triggerer", None).upload(dli_conn_id="other", region="eu-de"))

    path, stored = left.trigger.serialize()
    # Whoever adds a field has to say here that it may be stored.
    assert stored.keys() == {
        *("group", "packages", "kind", "dli_conn_id", "region", "project_id"),
        *("poll_interval", "deadline", "max_unknown_time", "accepted", "limit", "looked"),
        "silent_fail",
    }
    assert (stored["dli_conn_id"], stored["region"]) == ("other", "eu-de")
    assert "canary" not in json.dumps([path, stored, left.kwargs, str(left), repr(left)])


# Spark jobs

SUCCEEDED = {"id": "b-1", "name": "job", "state": "success", "req_body": ""}


def of_jobs(asked: Asked) -> Answer:
    """Answer as `everything` does, and of jobs: one has succeeded, and wrote a line."""
    path = urlsplit(asked.path).path
    if "/batches/" not in path:
        return everything(asked)
    body = {"id": "b-1", "from": 0, "total": 1, "log": ["a line"]}
    return 200, {}, json.dumps(body if path.endswith("/log") else SUCCEEDED).encode()


def look_at_job(mode: Mode, **arguments: Any) -> None:
    """Look at a job once and read its log, each as in a process of its own."""
    gc.collect()
    if mode.clock:
        with DliHook("other", clock=mode.clock, **arguments) as hook:
            assert hook.wait_for_batch("b-1").is_terminal
        return
    trigger = SparkBatchTrigger(
        batch_id="b-1", dli_conn_id="other", poll_interval=30, deadline=None, **arguments
    )
    assert "canary" not in json.dumps(trigger.serialize())
    assert event(again(trigger))["status"] == "ended"


@pytest.mark.parametrize("arguments", [{}, {"project_id": "another", "region": "eu-de"}], ids=str)
@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "proxy"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_trigger_of_a_job_asks_as_the_worker_does(
    monkeypatch: pytest.MonkeyPatch, name: str, through_proxy: bool, arguments: dict[str, Any]
) -> None:
    worker, triggerer = told_in_both(
        monkeypatch, of_jobs, partial(look_at_job, **arguments), name, through_proxy
    )

    assert triggerer == worker
    looked, read = (asked["path"] for asked in worker[-2:])
    project = "another" if arguments else SETTINGS[name][1][-1].split("/")[2]
    assert looked == f"/v2.0/{project}/batches/b-1"
    assert read.startswith(f"/v2.0/{project}/batches/b-1/log?")


def test_what_is_stored_of_a_deferred_job_says_the_connection_and_nothing_of_it(
    dli: Emulator, connect: Callable[..., None]
) -> None:
    connect(security_token=None, ca_bundle=None)
    secret = {"spark.hadoop.fs.obs.secret.key": "canary-of-the-job"}
    task = Mode("triggerer", None).spark(args=["canary-argument"], conf=secret, region="eu-de")

    left = deferred(task, first(task))

    path, stored = left.trigger.serialize()
    # Whoever adds a field has to say here that it may be stored.
    assert stored.keys() == {
        *("batch_id", "is_new", "dli_conn_id", "region", "project_id", "poll_interval", "deadline"),
        *("max_unknown_time", "limit", "auto_recovery", "driver_log", "cancel_on_kill"),
        *("started", "looked", "silent_fail"),
    }
    assert (stored["dli_conn_id"], stored["region"]) == ("dli_default", "eu-de")
    kept = json.dumps([path, stored, left.kwargs, str(left), repr(left)])
    assert "canary" not in kept
    assert dli.auth_token not in kept


def test_the_cancel_of_the_trigger_asks_as_that_of_the_worker_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = []
    for mode in modes():
        gc.collect()
        with serving(of_jobs) as server:
            connected(monkeypatch, endpoint=server.origin, project_id="p1")
            if mode.clock:
                with DliHook("other", clock=mode.clock, project_id="p2") as hook:
                    hook.cancel_batch("b-1")
            else:
                trigger = SparkBatchTrigger(batch_id="b-1", dli_conn_id="other", project_id="p2")
                asyncio.run(again(trigger).on_kill())
        requests.append([told(asked, server.origin) for asked in server.asked])

    worker, triggerer = requests
    assert triggerer == worker
    assert [asked["asked"] for asked in worker] == [
        ("DELETE", "/v2.0/p2/batches/b-1"),
        ("GET", "/v2.0/p2/batches/b-1"),
    ]
