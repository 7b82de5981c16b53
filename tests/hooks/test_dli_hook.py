"""The hook against the emulator: what goes out, what comes back, what is refused."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
from fake_clock import FakeClock
from pytest_mock import MockerFixture

from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages.models import PackageState
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    InputError,
    NotFoundError,
    NotSentError,
    PackageGroupExistsError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks import base
from airflow_provider_dli.hooks.dli import DliHook

A = "https://bucket.obs.eu-west-101.myhuaweicloud.eu/jars/a.jar"
B = "https://bucket.obs.eu-west-101.myhuaweicloud.eu/jars/b.jar"


def sent(emulator: Emulator) -> list[tuple[str, str]]:
    return [(r.method, r.path.split(emulator.project_id)[1]) for r in emulator.requests]


def test_nothing_happens_in_the_constructor() -> None:
    DliHook("no_such_connection", region="nowhere", project_id="p")


def test_a_group_is_uploaded_with_one_request(hook: DliHook, emulator: Emulator) -> None:
    group = hook.upload_package_group([A, "obs://bucket/jars/b.jar"], "g", "jar", tags={"k": "v"})

    assert sent(emulator) == [("POST", "/resources")]
    assert emulator.requests[0].body == {
        "paths": [A, B],
        "kind": "jar",
        "is_async": True,
        "group": "g",
        "tags": [{"key": "k", "value": "v"}],
    }
    assert [(p.name, p.state) for p in group.packages] == [
        ("a.jar", PackageState.UPLOADING),
        ("b.jar", PackageState.UPLOADING),
    ]


def test_an_upload_without_a_group_gives_its_package_names(
    hook: DliHook, emulator: Emulator
) -> None:
    group = hook.upload_package_group([A], kind="jar")

    assert group.name is None
    assert [package.name for package in group.packages] == ["a.jar"]
    assert "group" not in emulator.requests[0].body


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("upload_jars", "/resources/jars", "jar"),
        ("upload_pyfiles", "/resources/pyfiles", "pyFile"),
        ("upload_files", "/resources/files", "file"),
    ],
)
def test_a_typed_upload_is_ready_at_once(
    hook: DliHook, emulator: Emulator, method: str, path: str, kind: str
) -> None:
    group = getattr(hook, method)([A], "g")

    assert sent(emulator) == [("POST", path)]
    assert [(p.name, p.kind, p.state) for p in group.packages] == [
        ("a.jar", kind, PackageState.READY)
    ]


def test_a_listing_has_groups_packages_and_modules(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"}, kind="jar")
    emulator.put_package("single.py", "FAILED", kind="pyFile")

    listing = hook.list_packages()

    assert listing.group_names == ("g",)
    assert [package.name for package in listing.packages] == ["single.py"]
    assert [module.module_name for module in listing.modules] == ["gatk"]
    json.dumps(listing.as_dict())


def test_filters_of_a_listing_are_sent(hook: DliHook, emulator: Emulator) -> None:
    hook.list_packages(kind="jar", tags="team=a&b")

    assert emulator.requests[0].query == {"kind": "jar", "tags": "team=a&b"}


def test_one_package_is_found_in_its_group_only(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "UPLOADING"})

    assert hook.get_package("a.jar", "g").state is PackageState.UPLOADING
    with pytest.raises(NotFoundError):
        hook.get_package("a.jar")


def test_a_group_is_found_by_listing_and_filtering(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    found = hook.get_package_group("g")

    assert found is not None
    assert found.package("a.jar") is not None
    assert hook.get_package_group("other") is None


def test_a_package_is_deleted_once(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})

    hook.delete_package("a.jar", "g")

    assert emulator.groups()["g"]["resources"] == ["b.jar"]
    with pytest.raises(NotFoundError, match=r"404 DLI\.0023"):
        hook.delete_package("a.jar", "g")


def test_a_group_is_deleted_member_by_member(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "FAILED"})

    assert hook.delete_package_group("g") == ("a.jar", "b.jar")
    assert emulator.groups() == {}


def test_deleting_what_is_absent_counts_as_done(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})

    assert hook.delete_package_group("absent") == ()
    assert hook.delete_package_group("g", ["gone.jar", "a.jar"]) == ("a.jar",)


def test_names_that_can_be_read_only_once_are_deleted_too(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "READY"})
    names: Any = (name for name in ("a.jar", "b.jar"))

    assert hook.delete_package_group("g", names) == ("a.jar", "b.jar")


def test_a_deletion_whose_answer_was_lost_is_done(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.add_fault(Fault("reset", method="DELETE", when="after"))

    hook.delete_package("a.jar", "g")

    assert [method for method, _ in sent(emulator)] == ["DELETE", "GET"]


def test_the_owner_of_a_package_changes(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    user = emulator.settings.users[1]

    hook.change_package_owner(user, group="g", name="a.jar")

    assert emulator.groups()["g"]["details"][0]["owner"] == user
    with pytest.raises(NotFoundError, match="No such user"):
        hook.change_package_owner("nobody-there", group="g")


def test_a_refusal_inside_a_success_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_fault(Fault("not-successful", method="PUT"))

    with pytest.raises(DliError, match="The request failed"):
        hook.change_package_owner("scuser", group="g")


def test_waiting_passes_uploading_and_gives_the_ready_group(
    hook: DliHook, emulator: Emulator, clock: FakeClock, task_log: Callable[[], str]
) -> None:
    emulator.upload_seconds = 20 * 60
    hook.upload_package_group([A, B], "g", "jar")

    group = hook.wait_until_ready("g", ["a.jar", "b.jar"], poll_interval=10, timeout=3600)

    assert all(package.state is PackageState.READY for package in group.packages)
    assert 20 * 60 <= sum(clock.slept) < 20 * 60 + 20
    log = task_log()
    assert "Packages a.jar, b.jar: (new) -> UPLOADING" in log
    assert "Packages a.jar, b.jar: UPLOADING -> READY" in log
    assert "0 of 2 packages are READY" in log
    assert "READY after 12" in log


def test_a_failed_package_is_named(hook: DliHook, emulator: Emulator) -> None:
    emulator.set_timeline("b.jar", [(0, "UPLOADING"), (2, "FAILED")])
    hook.upload_package_group([A, B], "g", "jar")

    with pytest.raises(PackageGroupFailedError, match=r"'g' failed: .*b\.jar is FAILED"):
        hook.wait_until_ready("g", ["a.jar", "b.jar"])


def test_a_package_that_disappears_fails_the_wait_at_once(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.set_timeline("b.jar", [(0, "UPLOADING"), (5, None)])
    hook.upload_package_group([A, B], "g", "jar")

    with pytest.raises(PackageGroupFailedError, match=r"b\.jar is ABSENT"):
        hook.wait_until_ready("g", ["a.jar", "b.jar"])
    assert sum(clock.slept) < 20


def test_a_wait_ends_at_its_timeout_and_names_what_is_not_ready(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.put_group("g", {"a.jar": "PAUSED", "b.jar": "READY"})

    with pytest.raises(PackageGroupTimeoutError, match=r"08:02:00 UTC: a\.jar is PAUSED\."):
        hook.wait_until_ready("g", ["a.jar", "b.jar"], timeout=120)
    assert sum(clock.slept) == pytest.approx(120)


def test_an_upload_whose_answer_was_lost_is_not_sent_again(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.add_fault(Fault("reset", method="POST", when="after"))

    group = hook.upload_package_group([A], "g", "jar")

    assert sent(emulator) == [("POST", "/resources"), ("GET", "/resources")]
    assert [package.name for package in group.packages] == ["a.jar"]


def test_an_upload_that_never_arrived_is_sent_again(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    clock.sleep(60)
    emulator.add_fault(Fault("reset", method="POST", when="before"))

    hook.upload_package_group([A], "g", "jar")

    assert [method for method, _ in sent(emulator)] == ["POST", "GET", "POST"]


def test_a_throttled_upload_waits_as_long_as_it_is_told(
    hook: DliHook, emulator: Emulator, clock: FakeClock
) -> None:
    emulator.add_fault(Fault("throttled", method="POST", retry_after="7"))

    hook.upload_package_group([A], "g", "jar")

    assert [method for method, _ in sent(emulator)] == ["POST", "POST"]
    assert 7 <= clock.slept[0] < 8


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("throttled", times=None), ThrottledError),
        (Fault("internal-error", times=None), ServiceError),
        (Fault("unavailable-html", times=None), ServiceError),
        (Fault("malformed-json", times=None), UnusableAnswerError),
        (Fault("html", times=None), UnusableAnswerError),
        (Fault("empty-body", times=None), UnusableAnswerError),
        (Fault("empty-object", times=None), UnusableAnswerError),
        (Fault(status=200, body="[]", times=None), UnusableAnswerError),
        (Fault("token-expired", times=None), AuthenticationError),
        (Fault("forbidden", times=None), PermissionDeniedError),
    ],
    ids=lambda value: value.action if isinstance(value, Fault) else value.__name__,
)
def test_every_trouble_of_a_listing_is_an_error_of_its_kind(
    hook: DliHook, emulator: Emulator, fault: Fault, error: type[DliError]
) -> None:
    emulator.add_fault(fault)

    with pytest.raises(error, match=rf"GET /v2\.0/{emulator.project_id}/resources"):
        hook.list_packages()


@pytest.mark.parametrize("action", ["throttled", "internal-error", "unavailable", "html", "reset"])
def test_a_read_survives_trouble_that_passes(
    hook: DliHook, emulator: Emulator, clock: FakeClock, action: str
) -> None:
    emulator.put_group("g", {"a.jar": "READY"})
    emulator.add_fault(Fault(action, times=3))

    assert hook.get_package_group("g") is not None
    assert len(clock.slept) == 3


def test_a_refused_key_names_connection_region_and_project(
    connect: Callable[..., None], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(security_token="stray")
    fields = json.loads(os.environ["AIRFLOW_CONN_DLI_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields | {"password": "wrong"}))

    with pytest.raises(AuthenticationError) as caught:
        DliHook().list_packages()

    text = str(caught.value)
    assert "401 APIGW.0301" in text
    assert "request id" in text
    assert f"connection dli_default, region eu-west-101, project {emulator.project_id}" in text


def test_a_ready_made_token_works(
    connect: Callable[..., None], emulator: Emulator, clock: FakeClock
) -> None:
    connect(auth_token=emulator.auth_token)

    assert DliHook(clock=clock).list_packages().group_names == ()


def test_another_project_may_be_named(
    connect: Callable[..., None], emulator: Emulator, clock: FakeClock
) -> None:
    connect()

    with pytest.raises(PermissionDeniedError, match="project other"):
        DliHook(project_id="other", clock=clock).list_packages()


def test_if_exists_skip_sends_no_upload_when_all_is_there(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.put_group("g", {"a.jar": "READY", "b.jar": "UPLOADING"})

    group = hook.upload_package_group([A, B], "g", "jar", if_exists="skip")

    assert [method for method, _ in sent(emulator)] == ["GET"]
    assert group.name == "g"


@pytest.mark.parametrize("there", [{"a.jar": "READY"}, {"a.jar": "READY", "b.jar": "FAILED"}])
def test_if_exists_skip_uploads_what_is_missing_or_failed(
    hook: DliHook, emulator: Emulator, there: dict[str, str]
) -> None:
    emulator.put_group("g", there)

    hook.upload_package_group([A, B], "g", "jar", if_exists="skip")

    assert [method for method, _ in sent(emulator)] == ["GET", "POST"]


def test_if_exists_fail_refuses_a_group_that_is_there(hook: DliHook, emulator: Emulator) -> None:
    emulator.put_group("g", {"other.jar": "READY"})

    with pytest.raises(PackageGroupExistsError, match="package group 'g' exists already"):
        hook.upload_package_group([A], "g", "jar", if_exists="fail")

    assert [method for method, _ in sent(emulator)] == ["GET"]


def test_if_exists_fail_uploads_a_new_group(hook: DliHook, emulator: Emulator) -> None:
    hook.upload_package_group([A], "g", "jar", if_exists="fail")

    assert [method for method, _ in sent(emulator)] == ["GET", "POST"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("upload_package_group", {"paths": [], "group": "g"}, r"paths is \[\]"),
    ("upload_package_group", {"paths": A, "group": "g"}, "paths is 'https"),
    ("upload_package_group", {"paths": ["https: //b.obs.r.h/k"], "group": "g"}, "paths is .*blank"),
    ("upload_package_group", {"paths": [A, A], "group": "g"}, r"both would be 'a\.jar'"),
    ("upload_package_group", {"paths": [A], "group": " gatk"}, "group is ' gatk'"),
    ("upload_package_group", {"paths": [A], "kind": "pyfile"}, "kind is 'pyfile'"),
    ("upload_package_group", {"paths": [A], "is_async": "false"}, "is_async is 'false'"),
    ("upload_package_group", {"paths": [A], "tags": {"_sys_x": "v"}}, "tags key is '_sys_x'"),
    ("upload_package_group", {"paths": [A], "if_exists": "maybe"}, "if_exists is 'maybe'"),
    ("upload_jars", {"paths": [A], "group": None}, "group is missing"),
    ("list_packages", {"kind": "JAR"}, "kind is 'JAR'"),
    ("list_packages", {"tags": {"a": "b"}}, "tags is {'a': 'b'}"),
    ("get_package", {"name": ""}, "name is ''"),
    ("get_package", {"name": "a.jar", "group": " "}, "group is ' '"),
    ("get_package_group", {"group": ""}, "group is ''"),
    ("delete_package", {"name": ".."}, r"name is '\.\.'"),
    ("delete_package_group", {"group": None}, "group is missing"),
    ("delete_package_group", {"group": "g", "packages": "a.jar"}, r"packages is 'a\.jar'"),
    ("delete_package_group", {"group": "g", "packages": ["a.jar", ""]}, "packages is ''"),
    ("change_package_owner", {"new_owner": "1abcd", "group": "g"}, "new_owner is '1abcd'"),
    ("change_package_owner", {"new_owner": "scuser"}, "group is missing"),
    ("wait_until_ready", {"group": "g", "packages": []}, r"packages is \[\]"),
    ("wait_until_ready", {"group": "g", "packages": "a.jar"}, r"packages is 'a\.jar'"),
    ("wait_until_ready", {"group": "g", "packages": ["a"], "timeout": 0}, "timeout is 0"),
    ("wait_until_ready", {"group": "g", "packages": ["a"], "poll_interval": "5"}, "poll_interval"),
]


@pytest.mark.parametrize(("method", "arguments", "message"), REFUSED)
def test_wrong_input_is_refused_before_any_request(
    hook: DliHook, emulator: Emulator, method: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        getattr(hook, method)(**arguments)

    assert emulator.requests == []


def test_no_secret_reaches_a_log_at_debug(
    hook: DliHook,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    task_log: Callable[[], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    emulator.add_fault(Fault("reset", method="POST", when="after"))

    hook.upload_package_group([A], "g", "jar")
    hook.wait_until_ready("g", ["a.jar"])

    logged = task_log()
    assert "DEBUG" in caplog.text
    assert "a.jar" in logged
    for secret in (emulator.secret_key, "Signature="):
        assert secret not in caplog.text + logged


def test_the_hook_opens_new_connections_after_close(hook: DliHook) -> None:
    hook.list_packages()
    hook.close()
    hook.close()

    assert hook.list_packages().group_names == ()


# who asks


def change(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let the connection say something else from now on; `extra` is added to its own."""
    fields = json.loads(os.environ["AIRFLOW_CONN_DLI_DEFAULT"])
    fields["extra"] |= changes.pop("extra", {})
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields | changes))


def test_keys_that_are_rotated_in_the_middle_of_a_wait_let_it_go_on(
    hook: DliHook, emulator: Emulator, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_timeline("*", [(0, "UPLOADING"), (300, "READY")])
    hook.upload_package_group([A], "g", "jar")
    emulator.rotate_keys("AK2", "SK2")
    change(monkeypatch, login="AK2", password="SK2")

    group = hook.wait_until_ready("g", ["a.jar"], timeout=600)

    assert group.packages[0].state is PackageState.READY
    assert [record.status for record in emulator.requests].count(401) == 1


def test_keys_that_nobody_changed_in_the_connection_end_a_wait(
    hook: DliHook, emulator: Emulator
) -> None:
    emulator.set_timeline("*", [(0, "UPLOADING"), (300, "READY")])
    hook.upload_package_group([A], "g", "jar")
    emulator.rotate_keys("AK2", "SK2")

    with pytest.raises(AuthenticationError, match=r"ak \*\*\* not exist") as caught:
        hook.wait_until_ready("g", ["a.jar"], timeout=600)

    assert emulator.settings.access_key not in str(caught.value)
    assert [record.status for record in emulator.requests].count(401) == 1


def test_keys_that_were_rotated_let_an_upload_be_sent_once_more(
    hook: DliHook, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.list_packages()
    emulator.rotate_keys("AK2", "SK2")
    change(monkeypatch, login="AK2", password="SK2")

    hook.upload_package_group([A], "g", "jar")

    assert [(r.method, r.status) for r in emulator.requests] == [
        ("GET", 200),
        ("POST", 401),
        ("POST", 201),
    ]
    assert hook.account.source == AccessKey("AK2", "SK2")


def test_a_connection_that_is_broken_by_then_is_said_to_be(
    hook: DliHook, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.list_packages()
    emulator.rotate_keys("AK2", "SK2")
    change(monkeypatch, password="")

    with pytest.raises(InputError, match="connection 'dli_default': password is missing"):
        hook.list_packages()


def test_variables_that_change_let_a_wait_go_on(
    connect: Callable[..., None],
    emulator: Emulator,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(auth_type="environment")
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", emulator.access_key)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", emulator.secret_key)
    hook = DliHook(clock=clock)
    emulator.set_timeline("*", [(0, "UPLOADING"), (60, "READY")])
    hook.upload_package_group([A], "g", "jar")
    emulator.rotate_keys("AK2", "SK2")
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "AK2")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "SK2")

    ready = hook.wait_until_ready("g", ["a.jar"])

    assert ready.packages[0].state is PackageState.READY


def by_password(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    """Let the connection sign in with the password of an IAM user."""
    settings = emulator.settings
    fields = {"auth_type": "password", "account": settings.account, "iam_endpoint": emulator.url}
    change(
        monkeypatch,
        login=settings.users[0],
        password=settings.password,
        extra=fields | extra,
    )


def test_a_wait_of_days_signs_in_once_a_day(
    hook: DliHook, emulator: Emulator, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_password(emulator, monkeypatch)
    emulator.set_timeline("*", [(0, "UPLOADING"), (2.5 * 86_400, "READY")])
    hook.upload_package_group([A], "g", "jar")

    hook.wait_until_ready("g", ["a.jar"], poll_interval=3600, timeout=3 * 86_400)

    assert len(emulator.issued_tokens) == 3
    assert {record.status for record in emulator.requests} == {200, 201}


def test_a_password_that_was_changed_lets_a_wait_go_on(
    connect: Callable[..., None], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another user has the place of the one before."""
    with running(clock=clock.now, users=["old", "new"]) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(emulator.airflow_connection))
        by_password(emulator, monkeypatch)
        hook = DliHook(clock=clock)
        hook.list_packages()
        wrong = {"error": {"code": 401, "message": "The username or password is wrong."}}
        emulator.expire_credentials()
        emulator.add_fault(Fault(path="/v3/auth/tokens", status=401, body=wrong))
        change(monkeypatch, login="new")

        hook.list_packages()

        assert [token.user for token in emulator.issued_tokens] == ["old", "new"]


def test_the_project_of_the_region_is_found(
    connect: Callable[..., None], emulator: Emulator, clock: FakeClock
) -> None:
    connect(project_id=None, iam_endpoint=emulator.url)
    hook = DliHook(clock=clock)

    hook.list_packages()

    assert hook.project_id == emulator.project_id
    assert [r.path for r in emulator.requests].count("/v3/projects") == 1


@pytest.mark.parametrize(
    ("auth_type", "issued"),
    [("keys", 0), ("password", 1), ("metadata", 3), ("agency", 3)],
)
def test_every_secret_is_given_to_the_masker_before_it_is_used(
    hook: DliHook,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    mocker: MockerFixture,
    auth_type: str,
    issued: int,
) -> None:
    settings = emulator.settings
    addresses = {"iam_endpoint": emulator.url, "metadata_endpoint": emulator.url}
    if auth_type == "password":
        by_password(emulator, monkeypatch)
    else:
        who = {"account": settings.account, "agency": settings.agencies[0]}
        change(monkeypatch, extra={"auth_type": auth_type, **addresses, **who})
    masker = mocker.spy(base, "mask_secret")

    hook.list_packages()

    masked = [call.args[0] for call in masker.call_args_list]
    own = {
        "keys": [emulator.access_key, emulator.secret_key],
        "agency": [emulator.access_key, emulator.secret_key],
        "password": [settings.password],
        "metadata": [],
    }[auth_type]
    fetched = [token.value for token in emulator.issued_tokens]
    for key in emulator.issued_keys:
        fetched += [key.access_key, key.secret_key, str(key.security_token)]
    assert len(fetched) == issued
    assert set(masked) == {*own, *fetched}


def test_a_token_that_was_renewed_is_given_to_the_masker(
    hook: DliHook, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    by_password(emulator, monkeypatch)
    masker = mocker.spy(base, "mask_secret")
    hook.list_packages()
    emulator.expire_credentials()

    hook.list_packages()
    hook.list_packages()

    masked = [call.args[0] for call in masker.call_args_list]
    assert masked == [
        emulator.settings.password,
        *(token.value for token in emulator.issued_tokens),
    ]


def test_a_proxy_of_the_connection_is_used(
    hook: DliHook, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, extra={"proxy": "http://user:canary@127.0.0.1:9"})

    with pytest.raises(NotSentError) as caught:
        hook.list_packages()

    assert emulator.requests == []
    assert "canary" not in repr(caught.value.as_dict())


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_blanks_in_place_of_a_connection_mean_the_default_one(
    connect: Callable[..., None], emulator: Emulator, nothing: str | None
) -> None:
    connect()

    with DliHook(nothing, region="", project_id=" ") as hook:
        assert hook.dli_conn_id == "dli_default"
        assert hook.account.region == "eu-west-101"
        assert hook.project_id == emulator.project_id


def test_blanks_around_the_id_of_a_connection_are_left_away(connect: Callable[..., None]) -> None:
    connect()

    assert DliHook(" dli_default\n").account.conn_id == "dli_default"


@pytest.mark.parametrize("word", ["None", "null"])
def test_a_template_that_rendered_nothing_for_a_connection_is_named(word: str) -> None:
    with pytest.raises(InputError, match=f"dli_conn_id is '{word}': a template rendered nothing"):
        DliHook(word)


def test_a_blank_kind_asks_for_all_kinds(hook: DliHook, emulator: Emulator) -> None:
    hook.list_packages("")

    assert emulator.requests[0].query == {}
