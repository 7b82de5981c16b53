# SPDX-License-Identifier: Apache-2.0
"""The documented engines: what each takes, and when a job on one is warned of."""

from __future__ import annotations

from datetime import date

import pytest

from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.jobs.engines import ENGINES, Engine, find_engine
from airflow_provider_dli.api.protocol.errors import InputError

# version, takes groups, loads data sources as modules, needs an agency
DOCUMENTED = [
    ("2.3.2", True, True, False),
    ("2.4.5", True, True, False),
    ("3.1.1", True, False, False),
    ("3.3.1", False, False, True),
]


def test_the_documented_engines_take_what_is_documented() -> None:
    assert [
        (engine.version, engine.takes_groups, engine.takes_modules, engine.needs_agency)
        for engine in ENGINES
    ] == DOCUMENTED


@pytest.mark.parametrize(
    ("version", "like"),
    [
        ("1.6", "2.3.2"),
        ("3.0.2", "2.4.5"),
        ("3.1", "3.1.1"),
        ("3.2.4", "3.1.1"),
        ("3.3", "3.3.1"),
        ("3.10.0", "3.3.1"),
        ("4.0.0", "3.3.1"),
    ],
)
def test_an_undocumented_engine_is_like_the_one_before_it(version: str, like: str) -> None:
    engine, older = find_engine(version), find_engine(like)

    assert engine.version == version
    assert engine.takes_groups == older.takes_groups
    assert engine.takes_modules == older.takes_modules
    assert engine.needs_agency == older.needs_agency


@pytest.mark.parametrize("version", ["", "3", "v3.1", "3.1x", "latest", 3.3, None])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match=r"spark_version is .*: give it as 3\.1\.1 or 3\.3\.1"):
        find_engine(version)


@pytest.mark.parametrize(
    ("version", "cloud", "today", "ended"),
    [
        ("3.3.1", "huawei", date(2027, 6, 30), None),
        ("3.3.1", "huawei", date(2027, 7, 1), " on 2027-06-30"),
        ("3.3.1", "otc", date(2030, 1, 1), None),
        ("3.1.1", "huawei", date(2026, 11, 27), " on 2024-12-31"),
        ("3.1.1", "otc", date(2026, 11, 27), None),
        ("2.3.2", "otc", date(2026, 11, 27), ""),
        ("2.3.2", None, date(2026, 11, 27), None),
        ("3.2.4", "huawei", date(2030, 1, 1), None),
    ],
)
def test_an_engine_is_warned_of_once_its_support_is_known_to_have_ended(
    version: str, cloud: str | None, today: date, ended: str | None
) -> None:
    warning = find_engine(version).support_warning(cloud, today)

    if ended is None:
        assert warning is None
    else:
        assert warning is not None
        assert warning.startswith(f"Support for Spark {version} has ended{ended} on this cloud.")


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.version)
def test_an_engine_has_the_source_of_its_support_for_each_cloud(engine: Engine) -> None:
    assert set(engine.lifecycles) == set(Cloud)
    assert all(one.source.startswith("https://") for one in engine.lifecycles.values())
