"""A folder of DAGs, and what staging makes of a source in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_dli.staging.content import LocalPackage
from airflow_provider_dli.staging.sources import collect


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def gather(tmp_path: Path) -> Callable[..., LocalPackage]:
    """Collect one source of the folder `dags`, anew in each call."""
    calls: list[Path] = []

    def gather(source: str, **options: str) -> LocalPackage:
        calls.append(tmp_path / f"workspace-{len(calls)}")
        calls[-1].mkdir()
        [package] = collect([source], calls[-1], base=tmp_path / "dags", **options)
        assert isinstance(package, LocalPackage)
        return package

    return gather
