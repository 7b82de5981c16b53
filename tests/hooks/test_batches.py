# SPDX-License-Identifier: Apache-2.0
"""The hook lists and shows the emulator's Spark batch jobs."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.errors import (
    InputError,
    NotFoundError,
    PermissionDeniedError,
    UnusableAnswerError,
)
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook


def test_all_pages_of_a_listing_are_read(hook: DliHook, emulator: Emulator) -> None:
    ids = {emulator.add_batch({"name": f"job-{number}"}) for number in range(101)}

    listed = hook.list_batches()

    assert {batch.id for batch in listed} == ids
    assert [record.query["from"] for record in emulator.requests] == ["0", "99"]


def test_filters_are_sent(hook: DliHook, emulator: Emulator) -> None:
    wanted = emulator.add_batch({"name": "n", "queue": "q"}, "dead")
    emulator.add_batch({"name": "n", "queue": "q"}, "running")

    listed = hook.list_batches(name="n", queue="q", state="dead")

    assert [batch.id for batch in listed] == [wanted]


def test_a_job_is_shown_with_its_request(hook: DliHook, emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"file": "g/a.jar"}, "starting", listed=False)

    shown = hook.get_batch(batch_id)

    assert (shown.raw_state, shown.named_groups) == ("starting", {"g"})


def test_an_absent_job_is_not_found(hook: DliHook) -> None:
    with pytest.raises(NotFoundError, match="0a324461-d9d9-45da-a52a-3b3c7a3d809e"):
        hook.get_batch("0a324461-d9d9-45da-a52a-3b3c7a3d809e")


def test_a_wrong_id_is_refused_before_any_request(hook: DliHook, emulator: Emulator) -> None:
    with pytest.raises(InputError, match="batch_id"):
        hook.get_batch("")

    assert emulator.requests == []


def test_an_answer_that_is_no_listing_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_fault(Fault("empty-object", times=None))

    with pytest.raises(UnusableAnswerError, match="the body has no sessions"):
        hook.list_batches()


def test_a_missing_right_is_an_error(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_fault(Fault("forbidden", path="/batches"))

    with pytest.raises(PermissionDeniedError):
        hook.list_batches()


def test_a_listing_is_asked_for_again_after_a_blip(hook: DliHook, emulator: Emulator) -> None:
    emulator.add_batch({})
    emulator.add_fault(Fault("unavailable", path="/batches"))

    assert len(hook.list_batches()) == 1
