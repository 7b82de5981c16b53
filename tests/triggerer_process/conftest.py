"""A stage for each test: an emulator on the machine's clock, and an Airflow connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import connection
from triggerer_process.probe import Probe
from triggerer_process.stage import HERE, Stage, staged

from airflow_provider_dli.emulator import Emulator, running


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that knows the DAG of the waits."""
    home = tmp_path_factory.mktemp("triggerer") / "first"
    with staged(home, "") as stage:
        stage.read_dags(HERE / "dags" / "waits.py")
    return home / "airflow.db"


@pytest.fixture
def stage(tmp_path: Path, database: Path, emulator: Emulator) -> Iterator[Stage]:
    with staged(tmp_path / "airflow", connection(emulator), database) as stage:
        yield stage


@pytest.fixture
def probe(stage: Stage, tmp_path: Path) -> Probe:
    """The first trigger of the stage."""
    return Probe(stage, tmp_path / "gaps.json")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a whole triggerer: `make test-triggerer` runs it, `make test` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.triggerer)
