# SPDX-License-Identifier: Apache-2.0
"""The options of staging are checked when a plan is made."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.plan import check_delete_after


@pytest.mark.parametrize("after", [1, 50, timedelta(hours=1), timedelta(days=365)])
def test_an_age_or_a_count_is_taken(after: timedelta | int) -> None:
    assert check_delete_after(after) == after


@pytest.mark.parametrize(
    "after", [0, -1, True, False, 1.5, "7", None, timedelta(minutes=59), timedelta(days=-1)]
)
def test_what_is_no_age_and_no_count_is_refused(after: object) -> None:
    with pytest.raises(InputError) as refused:
        check_delete_after(after)

    assert refused.value.field == "delete_after"
