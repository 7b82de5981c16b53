"""The time of the worker: it begins with the machine's, and nobody who sets that changes it."""

from __future__ import annotations

import time

import pytest

from airflow_provider_dli.transport.clock import SystemClock


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_meanwhile_changes_no_wait(step: float) -> None:
    unix, monotonic = [1_800_000_000.0], [50.0]
    clock = SystemClock(unix=lambda: unix[0], monotonic=lambda: monotonic[0])
    deadline = clock.now() + 120

    unix[0] += step
    monotonic[0] += 119

    assert deadline - clock.now() == 1.0


def test_it_tells_the_unix_time_of_the_machine() -> None:
    assert abs(SystemClock().now() - time.time()) < 60
