"""The code in the documentation runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(document: str) -> list[str]:
    return PYTHON.findall((ROOT / document).read_text())


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    return names


def test_the_dag_of_the_readme_has_its_task() -> None:
    pytest.importorskip("airflow.sdk", reason="the README is written for Airflow 3")

    names = run(blocks("README.md")[0].replace('DAG("stage"):', 'DAG("stage") as dag:'))

    assert names["dag"].task_ids == ["stage_jars"]


def test_the_task_of_the_readme_is_a_task() -> None:
    pytest.importorskip("airflow.sdk", reason="the README is written for Airflow 3")

    assert callable(run(blocks("README.md")[1])["packages"].function)


def test_the_test_of_the_emulator_page_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    run(blocks("docs/emulator.md")[0])["test_a_throttled_upload_is_sent_again"](monkeypatch)


def test_no_block_of_code_is_left_out() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]

    assert {d.name: len(PYTHON.findall(d.read_text())) for d in documents} == {
        "README.md": 2,
        "architecture.md": 0,
        "connection.md": 0,
        "emulator.md": 1,
        "operators.md": 0,
        "performance.md": 0,
    }
