# SPDX-License-Identifier: Apache-2.0
"""What operators and sensors have in common: where a task that succeeded did its work."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.base import DliHookMixin

log = logging.getLogger("task")


class Task(DliHookMixin):
    """A task on a hook of the test's."""

    def __init__(self, hook: DliHook) -> None:
        self.hook = hook


def test_project_and_region_are_looked_up(hook: DliHook, emulator: Emulator) -> None:
    where = Task(hook).project_and_region(log)

    assert where == {"project_id": emulator.project_id, "region": hook.account.region}


def test_a_project_that_iam_does_not_tell_is_left_out(
    hook: DliHook,
    connect: Callable[..., None],
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(project_id=None, iam_endpoint=emulator.url)
    emulator.add_fault(Fault("unavailable", path="/v3/projects", times=None))

    where = Task(hook).project_and_region(log)

    assert where == {"project_id": None, "region": hook.account.region}
    assert "without its project_id" in caplog.text


def test_a_connection_that_cannot_be_read_leaves_both_out_and_its_words_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Locked(DliHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> BaseHook:
            raise RuntimeError("password=swordfish")

    where = Task(Locked("any")).project_and_region(log)

    assert where == {"project_id": None, "region": None}
    assert "RuntimeError" in caplog.text
    assert "swordfish" not in caplog.text
