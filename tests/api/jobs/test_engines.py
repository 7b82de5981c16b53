# SPDX-License-Identifier: Apache-2.0
"""The engines that DLI documents, as a table: what each takes, and that docs/spark.md says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dli.api.jobs import engines
from airflow_provider_dli.api.protocol.errors import InputError

# engine, takes groups, loads data sources as modules, wants an agency
ENGINES = [
    ("2.3.2", True, True, False),
    ("2.4.5", True, True, False),
    ("3.1.1", True, False, False),
    ("3.3.1", False, False, True),
]
DOCUMENT = Path(__file__).parents[3] / "docs" / "spark.md"


@pytest.mark.parametrize(("version", "groups", "modules", "agency"), ENGINES)
def test_an_engine_takes_what_is_documented(
    version: str, groups: bool, modules: bool, agency: bool
) -> None:
    assert engines.takes_groups(version) is groups
    assert engines.takes_modules(version) is modules
    assert engines.wants_agency(version) is agency


@pytest.mark.parametrize(("version", "groups", "modules", "agency"), ENGINES)
def test_the_document_says_the_same(
    version: str, groups: bool, modules: bool, agency: bool
) -> None:
    rows = [line.strip("| ") for line in DOCUMENT.read_text().splitlines()]

    [row] = [row for row in rows if row.startswith(f"Spark {version} |")]

    said = [cell.strip().startswith("yes") for cell in row.split("|")]
    assert said[1:4] == [groups, modules, agency]


@pytest.mark.parametrize(
    ("version", "groups"),
    [("3.1", True), ("3.2.4", True), ("3.3", False), ("3.10.0", False), ("4.0.0", False)],
)
def test_an_engine_that_is_not_documented_is_as_its_neighbours(version: str, groups: bool) -> None:
    assert engines.takes_groups(version) is groups


@pytest.mark.parametrize("version", ["", "3", "v3.1", "3.1x", "latest", 3.3, None])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match=r"spark_version is .*: give it as 3\.1\.1 or 3\.3\.1"):
        engines.takes_groups(version)
