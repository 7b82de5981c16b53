"""Fault: a credential ends in the middle of a wait: a token or temporary key expires, keys are
rotated.

Expected: what can be fetched is fetched once, with a margin before its end or after a refusal, by
one for all who wait; keys that the connection or the environment has by now are used. A token that
nobody can renew is one clear error that names its end. The same holds in both modes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from eventually import HANG
from fake_clock import FakeClock
from scenarios.credentials import ISSUING, MOSTLY_WORKER, fetches, fields
from scenarios.modes import Mode, event, events, eventually, once

from airflow_provider_dli.api.protocol.errors import AuthenticationError, restored
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.triggers.packages import PackageGroupTrigger


def looks(emulator: Emulator) -> list[int | str]:
    """Returns the status of each look at the listing so far."""
    return [
        r.status for r in emulator.requests if (r.method, r.path[-10:]) == ("GET", "/resources")
    ]


def states(result: dict[str, Any]) -> set[str]:
    return {package["state"] for package in result["packages"]}


@MOSTLY_WORKER
def test_an_expired_credential_is_fetched_again_once_and_the_wait_goes_on(
    mode: Mode, emulator: Emulator, use: Callable[..., None], auth_type: str
) -> None:
    use(fields(emulator, auth_type))
    emulator.upload_seconds = mode.seconds(100)
    before: list[int] = []

    def expire() -> None:
        before.append(len(fetches(emulator, auth_type)))
        emulator.expire_credentials()

    result = mode.run(mode.upload(), once(lambda: looks(emulator), expire))

    assert states(result) == {"READY"}
    assert looks(emulator).count(401) == 1
    assert len(fetches(emulator, auth_type)) == before[0] + 1


@MOSTLY_WORKER
def test_a_credential_is_renewed_before_its_end_and_never_refused(
    mode: Mode, use: Callable[..., None], auth_type: str
) -> None:
    lifetime = 2000 if mode.clock else 0.9
    upload = 5000 if mode.clock else 1.6
    options = {"token_seconds": lifetime, "key_seconds": lifetime}
    with running(clock=mode.now, upload_seconds=upload, **options) as emulator:
        use(fields(emulator, auth_type))

        result = mode.run(mode.upload(timeout=2 * upload, poll_interval=upload / 40))

        fetched = fetches(emulator, auth_type)
    assert states(result) == {"READY"}
    assert 401 not in {record.status for record in emulator.requests}
    assert len(fetched) >= 2
    if mode.clock:
        # A margin is kept, but nobody asks all the time either.
        pauses = [later - earlier for earlier, later in pairwise(fetched)]
        assert lifetime / 2 < min(pauses) <= max(pauses) < lifetime


@pytest.mark.parametrize("auth_type", ["metadata"])
def test_many_waits_of_a_triggerer_fetch_once(
    use: Callable[..., None], monkeypatch: pytest.MonkeyPatch, auth_type: str
) -> None:
    """On desks of their own, since they wait for their answers differently long."""
    with running() as emulator:
        emulator.put_group("g", {"a.jar": "UPLOADING"})
        for number in range(10):
            own = fields(emulator, auth_type)
            own["extra"] |= {"read_timeout": 5 + number}
            monkeypatch.setenv(f"AIRFLOW_CONN_DLI_{number}", json.dumps(own))
        triggers = [
            PackageGroupTrigger(group="g", poll_interval=0.5, dli_conn_id=f"dli_{number % 10}")
            for number in range(40)
        ]

        async def run() -> list[list[dict[str, Any]]]:
            async with asyncio.timeout(HANG):
                waiting = asyncio.gather(*map(events, triggers))
                await eventually(lambda: looks(emulator).count(200) >= 10)
                first = len(fetches(emulator, auth_type))
                emulator.expire_credentials()
                seen = len(looks(emulator))
                await eventually(lambda: looks(emulator)[seen:].count(200) >= 10)
                assert (first, len(fetches(emulator, auth_type))) == (1, 2)
                emulator.put_group("g", {"a.jar": "READY"})
                return await waiting

        outcomes = asyncio.run(run())

    assert [outcome["status"] for (outcome,) in outcomes] == ["ready"] * 40
    assert len(fetches(emulator, auth_type)) == 2


@pytest.mark.parametrize("auth_type", ["agency"])
def test_many_threads_of_a_worker_fetch_once(use: Callable[..., None], auth_type: str) -> None:
    with running(latency=0.02) as emulator:
        use(fields(emulator, auth_type))
        hooks = [DliHook() for _ in range(8)]
        problems: list[BaseException] = []

        def ask(hook: DliHook) -> None:
            try:
                hook.list_packages()
            except BaseException as problem:
                problems.append(problem)

        def all_ask() -> None:
            threads = [threading.Thread(target=ask, args=(hook,)) for hook in hooks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        all_ask()
        emulator.expire_credentials()
        all_ask()
        for hook in hooks:
            hook.close()

    assert problems == []
    assert looks(emulator).count(200) == 16
    assert len(fetches(emulator, auth_type)) == 2


def test_the_old_credential_counts_while_a_new_one_cannot_be_had(use: Callable[..., None]) -> None:
    """The margin is there for that. In the worker alone: in real time it would be too short."""
    mode = Mode("worker", FakeClock())
    life = 2000
    with running(clock=mode.now, upload_seconds=0.96 * life, token_seconds=life) as emulator:
        use(fields(emulator, "password"))
        away = Fault("unavailable", path=ISSUING["password"], times=None)

        result = mode.run(
            mode.upload(timeout=2 * life, poll_interval=life / 100),
            once(lambda: looks(emulator), lambda: emulator.add_fault(away)),
        )

        fetched = [r.status for r in emulator.requests if r.path == ISSUING["password"]]
    assert states(result) == {"READY"}
    assert {record.status for record in emulator.requests} == {200, 201, 503}
    # Tried at each look from the margin on, not more often.
    assert 1 <= fetched.count(503) <= 20


def test_a_token_of_the_connection_that_ends_is_one_error_that_names_its_end(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    token = emulator.credentials.issue_token("emulator-user", emulator.project_id)
    use(emulator.airflow_connection, auth_type="token", auth_token=token.value)
    emulator.upload_seconds = mode.seconds(1000)

    with pytest.raises(AuthenticationError, match=r"token expires, expires_at: 20\d\d-") as caught:
        mode.run(mode.upload(), once(lambda: looks(emulator), emulator.expire_credentials))

    assert looks(emulator).count(401) == 1
    assert looks(emulator)[-1] == 401
    assert token.value not in str(caught.value)


@MOSTLY_WORKER
def test_a_source_that_gives_what_is_refused_is_asked_once_more_and_no_oftener(
    mode: Mode, emulator: Emulator, use: Callable[..., None], auth_type: str
) -> None:
    use(fields(emulator, auth_type))
    before: list[int] = []

    def refuse() -> None:
        before.append(len(fetches(emulator, auth_type)))
        emulator.add_fault(Fault("token-expired", method="GET", path="/resources", times=None))

    with pytest.raises(AuthenticationError) as caught:
        mode.run(mode.upload(), once(lambda: looks(emulator), refuse))

    assert len(fetches(emulator, auth_type)) == before[0] + 1
    notes = "".join(caught.value.__notes__)
    assert "The credential was issued as valid until 20" in notes


def rotated(emulator: Emulator, act: Callable[[], object]) -> Callable[[], bool]:
    """Issue keys that end at the first look, with what happens then."""

    def rotate() -> None:
        emulator.rotate_keys("NEWACCESSKEY", "new-secret-key")
        act()

    return once(lambda: looks(emulator), rotate)


def test_keys_that_were_changed_in_the_connection_let_the_wait_go_on(
    mode: Mode, dli: Emulator, connect: Callable[..., None]
) -> None:
    result = mode.run(mode.upload(), rotated(dli, connect))

    assert states(result) == {"READY"}
    assert looks(dli).count(401) == 1
    assert len(looks(dli)) > looks(dli).index(401) + 1


def test_keys_of_the_environment_that_were_changed_let_the_wait_go_on(
    mode: Mode, emulator: Emulator, use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_variables() -> None:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", emulator.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", emulator.secret_key)

    set_variables()
    use(emulator.airflow_connection | {"login": None, "password": None}, auth_type="environment")

    result = mode.run(mode.upload(), rotated(emulator, set_variables))

    assert states(result) == {"READY"}
    assert looks(emulator).count(401) == 1


def test_keys_of_an_agency_that_were_changed_in_the_connection_let_the_wait_go_on(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    """The temporary keys have to end as well, or nobody would miss the permanent ones."""
    use(fields(emulator, "agency"))

    def change() -> None:
        emulator.expire_credentials()
        use(fields(emulator, "agency"))

    result = mode.run(mode.upload(), rotated(emulator, change))

    assert states(result) == {"READY"}


def test_another_way_to_sign_in_lets_the_wait_go_on(
    mode: Mode, dli: Emulator, use: Callable[..., None]
) -> None:
    result = mode.run(mode.upload(), rotated(dli, lambda: use(fields(dli, "password"))))

    assert states(result) == {"READY"}
    assert dli.issued_tokens != []


def test_keys_that_nobody_changed_in_the_connection_end_the_wait_with_one_error(
    mode: Mode, dli: Emulator
) -> None:
    with pytest.raises(AuthenticationError, match=r"ak \*\*\* not exist") as caught:
        mode.run(mode.upload(), rotated(dli, lambda: None))

    assert looks(dli).count(401) == 1
    assert "connection dli_default, region eu-west-101" in str(caught.value)


def test_a_connection_that_is_gone_or_wrong_by_then_is_said(
    mode: Mode, dli: Emulator, connect: Callable[..., None]
) -> None:
    with pytest.raises(Exception, match="connection 'dli_default': region is 'Mars!'"):
        mode.run(mode.upload(), rotated(dli, lambda: connect(region="Mars!")))


def test_the_triggerer_waits_on_one_desk_for_all_when_keys_were_changed(
    dli: Emulator, connect: Callable[..., None]
) -> None:
    dli.put_group("g", {"a.jar": "UPLOADING"})
    triggers = [PackageGroupTrigger(group="g", poll_interval=0.5) for _ in range(50)]

    async def run() -> list[list[dict[str, Any]]]:
        async with asyncio.timeout(HANG):
            waiting = asyncio.gather(*map(events, triggers))
            await eventually(lambda: looks(dli))
            dli.rotate_keys("NEWACCESSKEY", "new-secret-key")
            connect()
            await eventually(lambda: 401 in looks(dli) and looks(dli)[-1] == 200)
            dli.put_group("g", {"a.jar": "READY"})
            return await waiting

    outcomes = asyncio.run(run())

    assert [outcome["status"] for (outcome,) in outcomes] == ["ready"] * 50
    assert looks(dli).count(401) == 1
    assert len(looks(dli)) < 12


def test_an_identity_of_nobody_is_forgotten(emulator: Emulator, use: Callable[..., None]) -> None:
    """What was fetched does not outlive those who need it."""
    use(fields(emulator, "password"))
    for _ in range(2):
        with DliHook() as hook:
            hook.list_packages()
        del hook
        gc.collect()

    assert len(fetches(emulator, "password")) == 2


def test_a_refused_password_is_one_request_and_one_event(
    emulator: Emulator, use: Callable[..., None]
) -> None:
    """A wrong password that is tried again and again locks the user."""
    use(fields(emulator, "password") | {"password": "not-the-password"})

    payload = event(PackageGroupTrigger(group="g", poll_interval=0.1))

    error = restored(payload)
    assert isinstance(error, AuthenticationError)
    assert "The username or password is wrong." in str(error)
    assert len(fetches(emulator, "password")) == 1
