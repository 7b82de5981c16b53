"""Fault: the clocks differ by twenty minutes; keys hold `/`, `+` or `=`, or are padded with blanks;
names hold blanks, `%`, `+`, other scripts.

Expected: one refusal, one warning, one new signature with the service's time, and none of that for
the rest of the wait; padded keys are trimmed with a warning; the emulator's signer, which nobody
here shares, accepts the signature for every name. The same holds in both modes.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import connection
from fake_clock import FakeClock
from scenarios.modes import Mode

from airflow_provider_dli.api.protocol.errors import AuthenticationError, InputError
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection `dli_default` to an emulator."""

    def set_connection(emulator: Emulator, **changes: Any) -> None:
        login = {name: changes.pop(name) for name in ("login", "password") if name in changes}
        fields = json.loads(connection(emulator, **changes)) | login
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(fields))

    return set_connection


@pytest.fixture
def hook(dli: Emulator) -> Iterator[DliHook]:
    """On the machine's clock, as the emulator is."""
    with DliHook() as hook:
        yield hook


def states(result: dict[str, Any]) -> set[str]:
    return {package["state"] for package in result["packages"]}


def refusals(emulator: Emulator) -> int:
    return [record.status for record in emulator.requests].count(401)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong_costs_one_refusal_and_one_warning(
    mode: Mode,
    use: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    minutes: int,
) -> None:
    """In the triggerer, the task that defers and its trigger are one process here."""
    keys = {"access_key": f"AK{minutes}{mode.name}".replace("-", "X"), "secret_key": "sk"}
    upload = mode.seconds(20)
    offset = 60 * minutes
    with running(clock=mode.now, clock_offset=offset, upload_seconds=upload, **keys) as emulator:
        use(emulator)

        result = mode.run(mode.upload())

    assert states(result) == {"READY"}
    assert refusals(emulator) == 1
    assert [r.status for r in emulator.requests[:2]] == [401, 201]
    warnings = [r.getMessage() for r in caplog.records if "This machine's clock" in r.getMessage()]
    assert len(warnings) == 1
    told = int(warnings[0].split("clock is ")[1].split(" s ")[0])
    assert abs(told - abs(offset)) <= 2
    assert ("behind" if minutes > 0 else "ahead of") in warnings[0]


def test_a_clock_that_is_a_little_wrong_costs_nothing(
    mode: Mode, use: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    upload = mode.seconds(20)
    with running(clock=mode.now, clock_offset=14 * 60, upload_seconds=upload) as emulator:
        use(emulator)

        assert states(mode.run(mode.upload())) == {"READY"}

    assert refusals(emulator) == 0
    assert "clock" not in caplog.text


@pytest.mark.parametrize(
    ("mode", "auth_type"),
    [("worker", "agency"), ("worker", "metadata"), ("worker", "password"), ("triggerer", "agency")],
    indirect=["mode"],
)
def test_a_clock_that_is_wrong_is_no_obstacle_to_fetched_credentials(
    mode: Mode, use: Callable[..., None], auth_type: str
) -> None:
    keys = {"access_key": f"AK{auth_type}{mode.name}", "secret_key": "sk"}
    upload = mode.seconds(20)
    with running(clock=mode.now, clock_offset=-1200, upload_seconds=upload, **keys) as emulator:
        known = emulator.settings
        user = {"login": known.users[0], "password": known.password}
        use(
            emulator,
            auth_type=auth_type,
            iam_endpoint=emulator.url,
            metadata_endpoint=emulator.url,
            agency=known.agencies[0],
            account=known.account,
            **(user if auth_type == "password" else {}),
        )

        result = mode.run(mode.upload())

    assert states(result) == {"READY"}
    # A token bears no time. The keys of an agency are asked for with signed requests as well.
    assert refusals(emulator) <= {"password": 0, "metadata": 1, "agency": 2}[auth_type]


def test_a_wrong_key_with_a_right_clock_is_signed_once(
    mode: Mode, emulator: Emulator, use: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Five wrong signatures lock a key, so a second one needs a reason."""
    use(emulator, password="another-secret")

    with pytest.raises(AuthenticationError, match="verify aksk signature fail"):
        mode.run(mode.upload())

    assert refusals(emulator) == 1
    assert "clock" not in caplog.text


def test_a_wrong_key_with_a_wrong_clock_is_signed_twice(
    mode: Mode, use: Callable[..., None]
) -> None:
    with running(clock=mode.now, clock_offset=1200, access_key=f"AKW{mode.name}") as emulator:
        use(emulator, password="another-secret")

        with pytest.raises(AuthenticationError, match="verify aksk signature fail"):
            mode.run(mode.upload())

    assert refusals(emulator) == 2


def test_a_service_that_repeats_another_time_is_not_signed_for_again_and_again(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    """What stands in between may make up a time of its own."""
    # A key of its own: whoever has it in this process believes that time until the next refusal.
    emulator.rotate_keys(f"AKODD{mode.name}", "sk")
    use(emulator)
    text = "AK/SK signature expired, signature time: x, server time: 20500101T000000Z"
    body = {"error_code": "APIGW.0301", "error_msg": text}
    emulator.add_fault(Fault(status=401, body=body, times=None))

    with pytest.raises(AuthenticationError, match="signature expired"):
        mode.run(mode.upload())

    assert len(emulator.requests) == 2


@pytest.mark.parametrize("time", ["99991231T235959Z", "00010101T000000Z", "20000101T000000Z"])
def test_a_time_that_cannot_be_todays_is_not_believed(
    mode: Mode, emulator: Emulator, use: Callable[..., None], time: str
) -> None:
    """Signed with that, each later call of the process would fail."""
    emulator.rotate_keys(f"AKABSURD{mode.name}{time}", "sk")
    use(emulator)
    text = f"AK/SK signature expired, signature time: x, server time: {time}"
    body = {"error_code": "APIGW.0301", "error_msg": text}
    emulator.add_fault(Fault(status=401, body=body, times=1))

    with pytest.raises(AuthenticationError, match="signature expired"):
        mode.run(mode.upload())

    assert states(mode.run(mode.upload())) == {"READY"}


KEYS = [
    ("AK/with+and=", "sk/with+and=="),
    ("AK", base64.b64encode(bytes(range(200, 248))).decode()),
    ("AK", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ("AK%2F", "%2F%20%"),
]


@pytest.mark.parametrize(("access_key", "secret_key"), KEYS)
def test_keys_of_any_characters_sign(
    mode: Mode, use: Callable[..., None], access_key: str, secret_key: str
) -> None:
    keys = {"access_key": access_key, "secret_key": secret_key, "security_token": f"st{secret_key}"}
    with running(clock=mode.now, upload_seconds=mode.seconds(20), **keys) as emulator:
        use(emulator)

        assert states(mode.run(mode.upload())) == {"READY"}

    assert refusals(emulator) == 0


def test_keys_from_a_connection_uri_sign(
    mode: Mode, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.rotate_keys("AK/with+and=", "sk/with+and==")
    extra = urlencode({**emulator.airflow_connection["extra"], "verify": "true"})
    keys = "AK%2Fwith%2Band%3D:sk%2Fwith%2Band%3D%3D"
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", f"dli://{keys}@/?{extra}")
    emulator.upload_seconds = mode.seconds(20)

    assert states(mode.run(mode.upload())) == {"READY"}
    assert refusals(emulator) == 0


@pytest.mark.parametrize("padding", ["\n", "  ", "\t", "\r\n", "\u00a0", "\ufeff"])
@pytest.mark.parametrize("field", ["login", "password", "security_token", "auth_token"])
def test_padded_keys_are_trimmed_with_a_warning_or_refused_in_a_sentence(
    emulator: Emulator,
    use: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    field: str,
    padding: str,
) -> None:
    padded = {
        "login": emulator.access_key,
        "password": emulator.secret_key,
        "security_token": "some-security-token",
        "auth_token": emulator.auth_token,
    }[field] + padding
    use(emulator, **{field: padded})

    if padding == "\ufeff":  # no blank for Python, so it stays, and no header takes it
        with pytest.raises(InputError, match=rf"connection 'dli_default': {field} is '\*\*\*'"):
            DliHook().list_packages()
        return
    with DliHook() as hook:
        hook.list_packages()

    assert refusals(emulator) == 0
    assert f"Connection 'dli_default': {field} has blanks around it" in caplog.text
    assert padded.strip() not in caplog.text


def test_padded_keys_are_trimmed_in_both(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    use(emulator, login=f" {emulator.access_key}\n", password=f"{emulator.secret_key}\n")
    emulator.upload_seconds = mode.seconds(20)

    assert states(mode.run(mode.upload())) == {"READY"}


# Spelt out, since nobody reads these from their looks.
SCRIPTS = [
    "\u5b57\u6578.jar",  # Chinese
    "\u65e5\u672c\u8a9e \u30c4\u30fc\u30eb.jar",  # Japanese with a blank
    "\u0627\u062e\u062a\u0628\u0627\u0631.jar",  # Arabic
    "e\u0301.jar",  # a letter and its accent apart
    "\u00e9.jar",  # in one
    "\U0001f680.jar",  # beyond the basic plane
]
NAMES = [
    "a b.jar", "a%b.jar", "a%20b.jar", "a%2Fb.jar", "a+b.jar", "a++b.jar", "a/b.jar", "/a.jar",
    "a.jar/", "a//b.jar", "a&b=c.jar", "a?b.jar", "a#b.jar", "a;b.jar", "a:b@c.jar", "a~b.jar",
    "a!b.jar", "a'b(c)*.jar", "a\\b.jar", '"a".jar', "<a>.jar", "{a}.jar", "[a].jar", "a|b^c`.jar",
    "...", "a,b.jar", "$a.jar", "-", "~", " a.jar ", *SCRIPTS,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_signature_is_accepted_for_every_name(
    hook: DliHook, emulator: Emulator, name: str
) -> None:
    emulator.put_group("g", {name: "READY"})
    emulator.put_package(name)

    assert hook.get_package(name, "g").name == name
    assert hook.get_package(name).name == name
    hook.delete_package(name, "g")
    hook.delete_package(name)

    assert [record.status for record in emulator.requests] == [200] * 4
    assert {record.path for record in emulator.requests} == {
        f"/v2.0/{emulator.project_id}/resources/{name}"
    }
    assert emulator.groups() == emulator.packages() == {}


@pytest.mark.parametrize("name", NAMES)
def test_the_signature_is_accepted_for_every_name_of_a_group(
    hook: DliHook, emulator: Emulator, name: str
) -> None:
    """It stands in the query, where other characters have a meaning."""
    emulator.put_group(name, {"a.jar": "READY"})

    assert hook.get_package("a.jar", name).group == name
    assert hook.delete_package_group(name) == ("a.jar",)

    assert {record.status for record in emulator.requests} == {200}


def test_the_signature_is_accepted_for_names_that_nobody_thought_of(
    hook: DliHook, emulator: Emulator
) -> None:
    choose = random.Random(28)  # noqa: S311 - the same in every run
    letters = [chr(number) for number in (*range(32, 127), *range(160, 600), 0x4E00, 0x1F600)]
    printable = [letter for letter in letters if letter.isprintable()]
    for _ in range(100):
        name = "".join(choose.choices(printable, k=choose.randint(1, 20))).strip()
        if name in {"", ".", ".."}:
            continue
        emulator.put_group(name, {name: "READY"})
        hook.delete_package(name, name)

    assert {record.status for record in emulator.requests} == {200}
    assert emulator.groups() == {}


@pytest.mark.parametrize("name", ["a b.jar", "a%2Fb.jar", "a+b.jar", "a/b.jar", SCRIPTS[1]])
def test_a_wait_finds_packages_of_any_name(mode: Mode, dli: Emulator, name: str) -> None:
    """A new package may not be named so, but older ones may be."""
    from scenarios.modes import event

    from airflow_provider_dli.triggers.packages import PackageGroupTrigger

    dli.put_group(f"{name} group", {name: "READY"})

    if mode.clock:
        with DliHook(clock=mode.clock) as hook:
            ready = hook.wait_until_ready(f"{name} group", [name])
        assert [package.name for package in ready.packages] == [name]
    else:
        trigger = PackageGroupTrigger(group=f"{name} group", packages=[name], poll_interval=0.1)
        assert event(trigger) == {"status": "ready", "states": {name: "READY"}}
    assert refusals(dli) == 0


@pytest.mark.parametrize("ending", ["", "/"])
def test_an_endpoint_may_end_in_a_slash(
    mode: Mode, emulator: Emulator, use: Callable[..., None], ending: str
) -> None:
    """The path is sent without a slash at its end, and signed with one."""
    use(emulator, endpoint=f"{emulator.url}{ending}")
    emulator.upload_seconds = mode.seconds(20)

    mode.run(mode.upload())

    assert {r.path for r in emulator.requests} == {f"/v2.0/{emulator.project_id}/resources"}
    assert refusals(emulator) == 0


def test_the_clock_of_a_worker_may_be_set_right_meanwhile(use: Callable[..., None]) -> None:
    """What was put right before is put right again, the other way."""
    clock = FakeClock()
    wrong = FakeClock()
    wrong.time -= 1200
    with running(clock=clock.now, access_key="AKSETRIGHT") as emulator:
        use(emulator)
        with DliHook(clock=wrong) as hook:
            hook.list_packages()
            wrong.time += 1200
            hook.list_packages()

    assert [record.status for record in emulator.requests] == [401, 200, 401, 200]
