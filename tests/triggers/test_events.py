# SPDX-License-Identifier: Apache-2.0
"""What a task reads of the event that ends its wait."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.triggers.events import check_complete, states_of


def test_a_good_event_gives_its_states() -> None:
    event = {"status": "ready", "states": {"a.jar": "READY"}}

    assert states_of(event) == {"a.jar": "READY"}


@pytest.mark.parametrize(
    "error",
    [
        PackageGroupFailedError("a.jar is FAILED"),
        PackageGroupTimeoutError("not READY in time"),
        AuthenticationError("refused", status=401, code="APIGW.0301", request_id="r1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bad_event_raises_the_error_of_the_triggerer(error: DliError) -> None:
    with pytest.raises(type(error)) as caught:
        states_of({"status": "failed", **error.as_dict()})

    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)


def test_the_execution_timeout_is_the_same_error_as_in_the_worker() -> None:
    event = {"status": "failed", **PackageGroupTimeoutError("not READY in time").as_dict()}

    with pytest.raises(AirflowTaskTimeout, match="not READY in time") as caught:
        states_of({**event, "limit": "execution_timeout"})

    assert isinstance(caught.value.__cause__, PackageGroupTimeoutError)


def test_another_error_stays_what_it_is_under_an_execution_timeout() -> None:
    event = {"status": "failed", **PackageGroupFailedError("a.jar is FAILED").as_dict()}

    with pytest.raises(PackageGroupFailedError):
        states_of({**event, "limit": "execution_timeout"})


@pytest.mark.parametrize(
    "event",
    [
        {"status": "failed", "error": "LaterError", "message": "of a later version"},
        {"status": "new"},
    ],
)
def test_an_event_of_another_version_is_an_error_of_this_package(event: dict[str, Any]) -> None:
    with pytest.raises(DliError) as caught:
        states_of(event)

    assert event.get("message", "") in str(caught.value)


def test_an_event_that_says_nothing_is_not_an_error_that_says_none() -> None:
    with pytest.raises(DliError) as caught:
        states_of({"status": "failed"})

    assert str(caught.value) != "None"


def test_states_of_all_packages_are_complete_and_others_do_not_matter() -> None:
    check_complete("g", ["a.jar"], {"a.jar": "READY", "other.jar": "FAILED"})


def test_a_ready_event_that_leaves_a_package_out_is_an_error_that_names_it() -> None:
    with pytest.raises(DliError, match=r"'g' failed: a\.jar is ABSENT"):
        check_complete("g", ["a.jar"], states_of({"status": "ready"}))
