"""Which room may import what, as data; and what importing an operator must not bring along."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_provider_dli"
NAME = "airflow_provider_dli"

# The rooms that a room may import from, besides itself. `airflow` stands for Airflow and
# `third party` for the packages that a room may use; the standard library is free.
MAY_IMPORT: dict[str, set[str]] = {
    "api": {"msgspec"},
    "transport": {"api.protocol", "requests", "urllib3", "aiohttp", "certifi", "yarl"},
    "transfer": {"api", "rich", "cryptography"},
    "connection": {"api", "connection_form", "airflow"},
    "connection_form": {"wtforms", "flask_appbuilder"},
    "exceptions": {"api.protocol.errors"},
    "triggerer": {"api", "transport", "connection", "airflow"},
    "hooks": {
        "api",
        "transport",
        "transfer",
        "connection",
        "connection_form",
        "airflow",
        "msgspec",
    },
    "staging": {"api", "hooks", "transfer.files", "msgspec", "packaging"},
    "fs": {"hooks", "transfer.open_upload", "api", "fsspec", "upath"},
    "links": {"airflow"},
    "operators": {"hooks", "triggers", "staging", "links", "api", "airflow"},
    "sensors": {"hooks", "triggers", "operators", "api", "airflow"},
    "triggers": {
        "hooks",
        "triggerer",
        "sensors.outcomes",
        "transport.clock",
        "api",
        "connection",
        "airflow",
        "asgiref",
    },
    "commands": {"hooks", "staging", "api", "airflow", "rich", "sqlalchemy"},
    "emulator": {"starlette", "uvicorn"},
    "__main__": {"commands"},
    "get_provider_info": {"connection_form"},
    "__init__": set(),
}


def modules(*rooms: str) -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if not rooms or parts[0] in rooms:
            yield path


def imported(path: Path) -> Iterator[str]:
    """Give every module that a file imports, ours without the name of the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] not in sys.stdlib_module_names:
                yield name.removeprefix(f"{NAME}.")


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    allowed = MAY_IMPORT[room] | {room}

    foreign = [
        name
        for name in imported(path)
        if not any(name == one or name.startswith(f"{one}.") for one in allowed)
    ]

    assert foreign == []


def test_only_the_transport_sleeps() -> None:
    sleeping = [
        str(path.relative_to(PACKAGE))
        for path in modules(
            "api", "hooks", "operators", "sensors", "triggers", "transport", "connection"
        )
        if re.search(r"\btime\.sleep\b|\basyncio\.sleep\((?!0\))", path.read_text())
    ]

    assert all(path.startswith("transport/") for path in sleeping)


def test_parsing_a_dag_loads_no_client() -> None:
    code = f"""
import json, sys
from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseOperatorLink
from airflow.providers.common.compat.sdk import BaseSensorOperator
before = set(sys.modules)
import {NAME}.operators.packages, {NAME}.operators.staging, {NAME}.operators.spark
import {NAME}.sensors.packages, {NAME}.sensors.spark, {NAME}.links.spark
print("new:", json.dumps(sorted(set(sys.modules) - before)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    new = json.loads(answer.stdout.split("new:")[1])

    assert {name.split(".")[0] for name in new} == {NAME}
    assert len(new) <= 30


def test_no_test_patches_our_own_code() -> None:
    pattern = re.compile(r"patch(\.object)?\(\s*['\"]?" + NAME + r"|monkeypatch\.setattr\(")

    assert [
        path.name for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())
    ] == []
