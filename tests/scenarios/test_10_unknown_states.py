"""Fault: a package's state is absent, null, empty or a word that nobody knows; or the listing is
`{}` or HTML.

Expected: never a success and never a second upload; it is waited for as long as the unknown may
last, and then the task fails, showing the word.
"""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.modes import Mode

from airflow_provider_dli.api.errors import (
    DliError,
    PackageGroupFailedError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault

ABSENT = object()


def listing(state: Any, group_state: str = "READY") -> dict[str, Any]:
    odd = {"resource_name": "b.jar"} | ({} if state is ABSENT else {"status": state})
    group = {
        "group_name": "g",
        "status": group_state,
        "details": [{"resource_name": "a.jar", "status": "READY"}, odd],
    }
    return {"resources": [], "groups": [group], "modules": []}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ABSENT, "UNKNOWN"),
        (None, "UNKNOWN"),
        ("", "UNKNOWN"),
        ("  ", "UNKNOWN"),
        ("PAUSED", "PAUSED"),
        ("READYING", "READYING"),
        (True, "UNKNOWN"),
        ([], "UNKNOWN"),
    ],
    ids=["absent", "null", "empty", "blanks", "PAUSED", "READYING", "true", "list"],
)
def test_a_state_that_nobody_knows_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, state: Any, shown: str
) -> None:
    dli.add_fault(Fault(status=200, body=listing(state), method="GET", times=None))

    with pytest.raises(PackageGroupFailedError, match=rf"b\.jar is {shown}\b"):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))

    assert sum(record.method == "POST" for record in dli.requests) == 1


def test_a_state_that_nobody_knows_may_still_become_ready(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault(status=200, body=listing("PAUSED"), method="GET", times=1))

    result = mode.run(mode.upload())

    assert [package["state"] for package in result["packages"]] == ["READY", "READY"]


def test_a_package_that_is_listed_by_name_only_is_not_ready(mode: Mode, dli: Emulator) -> None:
    group = {"group_name": "g", "status": "READY", "resources": ["a.jar", "b.jar"]}
    body = {"resources": [], "groups": [group], "modules": []}
    dli.add_fault(Fault(status=200, body=body, method="GET", times=None))

    with pytest.raises(PackageGroupFailedError, match=r"a\.jar is UNKNOWN, b\.jar is UNKNOWN"):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))


@pytest.mark.parametrize("action", ["empty-object", "html", "empty-body"])
def test_an_answer_without_a_listing_is_no_success_and_fails_in_the_end(
    mode: Mode, dli: Emulator, action: str
) -> None:
    dli.add_fault(Fault(action, method="GET", times=None))

    with pytest.raises(UnusableAnswerError):
        mode.run(mode.upload(max_unknown_time=mode.seconds(40)))


def test_the_wait_for_a_word_that_nobody_knows_ends_at_the_deadline_too(
    mode: Mode, dli: Emulator
) -> None:
    dli.add_fault(Fault(status=200, body=listing("PAUSED"), method="GET", times=None))

    with pytest.raises(DliError, match=r"b\.jar is PAUSED") as caught:
        mode.run(mode.upload(timeout=mode.seconds(40)))

    assert isinstance(caught.value, TimeoutError)
