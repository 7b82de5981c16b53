"""Fault: a credential ends while a task waits for its Spark job: a token or temporary key expires,
keys are rotated.

Expected: what can be fetched is fetched once and the wait goes on, and so does the driver's log,
without a line told twice; keys that the connection has by now are used. A token that nobody can
renew is one clear error that names its end, and then the job is what `on_failure` says: it cannot
be cancelled with that token, so that is said. The same holds in both modes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from scenarios.credentials import MOSTLY_WORKER, fetches, fields
from scenarios.jobs import NEVER, asked, cancels, job, looks, submissions
from scenarios.modes import Mode, once
from task_runs import first, retried

from airflow_provider_dli.api.protocol.errors import AuthenticationError
from airflow_provider_dli.emulator import Emulator

LINE = re.compile(r"\[driver\] line (\d+)")


def shown(logged: Callable[[str], str]) -> tuple[str, list[int]]:
    """Returns what was logged, and the numbers of the driver's lines in it."""
    text = logged("[driver] line ")
    return text, [int(number) for number in LINE.findall(text)]


def talkative(mode: Mode, emulator: Emulator) -> None:
    """Make a job write thirty lines and succeed."""
    log = [(mode.seconds(5 * number), f"line {number}") for number in range(30)]
    emulator.set_batch_timeline("*", [(0, "running"), (mode.seconds(150), "success")], log)


@MOSTLY_WORKER
def test_an_expired_credential_is_fetched_again_once_and_the_wait_goes_on(
    mode: Mode,
    emulator: Emulator,
    use: Callable[..., None],
    auth_type: str,
    logged: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    use(fields(emulator, auth_type))
    talkative(mode, emulator)
    before: list[int] = []

    def expire() -> None:
        before.append(len(fetches(emulator, auth_type)))
        emulator.expire_credentials()

    result = mode.run(mode.spark(), once(lambda: asked(emulator, "GET", "/log"), expire))

    assert result["state"] == "success"
    assert (submissions(emulator), cancels(emulator)) == (1, 0)
    assert looks(emulator).count(401) + asked(emulator, "GET", "/log").count(401) == 1
    assert len(fetches(emulator, auth_type)) == before[0] + 1
    assert shown(logged)[1] == [*range(30)]


def test_keys_that_were_changed_in_the_connection_let_the_wait_and_the_log_go_on(
    mode: Mode,
    dli: Emulator,
    connect: Callable[..., None],
    logged: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    talkative(mode, dli)

    def rotate() -> None:
        dli.rotate_keys("NEWACCESSKEY", "new-secret-key")
        connect()

    result = mode.run(mode.spark(), once(lambda: len(asked(dli, "GET", "/log")) > 1, rotate))

    text, numbers = shown(logged)
    assert result["state"] == "success"
    assert numbers == [*range(30)]
    assert "no longer followed" not in text


def with_token(emulator: Emulator, use: Callable[..., None]) -> str:
    """Connect with a token that ends."""
    token = emulator.credentials.issue_token("emulator-user", emulator.project_id)
    use(emulator.airflow_connection, auth_type="token", auth_token=token.value)
    return token.value


def test_a_token_of_the_connection_that_ends_is_one_error_that_names_its_end(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    token = with_token(emulator, use)
    emulator.set_batch_timeline("*", NEVER)
    operator = mode.spark(driver_log=False)

    with pytest.raises(AuthenticationError, match=r"token expires, expires_at: 20\d\d-") as caught:
        mode.run(operator, once(lambda: looks(emulator), emulator.expire_credentials))

    (note,) = caught.value.__notes__
    assert f"Spark job {job(emulator)['id']} may still be running: it could not be can" in note
    assert looks(emulator).count(401) == 1
    assert asked(emulator, "DELETE") == [401]
    assert token not in str(caught.value) + note


def test_the_next_try_takes_the_job_over_with_another_token(
    mode: Mode, emulator: Emulator, use: Callable[..., None]
) -> None:
    with_token(emulator, use)
    emulator.set_batch_timeline("*", [(0, "running"), (mode.seconds(200), "success")])
    arguments: dict[str, Any] = {"retries": 1, "driver_log": False}
    operator = mode.spark(**arguments)
    run = first(operator)
    with pytest.raises(AuthenticationError):
        mode.run(operator, once(lambda: looks(emulator), emulator.expire_credentials), run)
    with_token(emulator, use)

    result = mode.run(mode.spark(**arguments), run=retried(run))

    assert result["state"] == "success"
    assert (submissions(emulator), cancels(emulator)) == (1, 0)
