# SPDX-License-Identifier: Apache-2.0
"""Which names somebody may have meant."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.packages.similar import similar_names

NAMES = ["word-stats", "word-stats-2", "word_stats", "other", "Word-Stats"]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("word-stat", "word-stats"),
        ("wordstats", "word_stats"),
        ("word-stats2", "word-stats-2"),
        ("WORD-STATS", "word-stats"),
        ("othr", "other"),
    ],
)
def test_the_most_similar_name_comes_first(name: str, first: str) -> None:
    assert similar_names(name, NAMES)[0] == first


def test_at_most_three_are_offered() -> None:
    assert len(similar_names("word-stats", NAMES)) == 3


@pytest.mark.parametrize("name", ["", "x", "quite another one"])
def test_where_none_reads_alike_none_is_offered(name: str) -> None:
    assert similar_names(name, NAMES) == ()


def test_it_is_found_among_ten_thousand_of_the_same_length() -> None:
    names = [f"team-{number % 50:02}-daily-{number:05}" for number in range(10_000)]

    found = similar_names("team-07-dialy-04707", names)

    assert found[0] == "team-07-daily-04707"
