"""What Airflow learns about the package, and what the README promises."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger

import airflow_provider_dli
from airflow_provider_dli.connection_form import FIELDS
from airflow_provider_dli.get_provider_info import get_provider_info
from airflow_provider_dli.operators.packages import (
    DeletePackageGroupOperator,
    UploadPackageGroupOperator,
)
from airflow_provider_dli.operators.spark import CancelSparkBatchOperator, SparkBatchOperator
from airflow_provider_dli.operators.staging import StagePackagesOperator
from airflow_provider_dli.sensors.packages import PackageGroupSensor
from airflow_provider_dli.sensors.spark import SparkBatchSensor

ROOT = Path(__file__).parent.parent
FOR_USERS = (BaseOperator, BaseOperatorLink, BaseTrigger)
BASES = {
    f"airflow_provider_dli.{module}"
    for module in (
        "operators.base",
        "sensors.base",
        "triggers.base",
    )
}


def test_the_entry_point_gives_the_provider_info() -> None:
    points = entry_points(group="apache_airflow_provider")

    [point] = [
        point for point in points if point.dist and point.dist.name == "airflow-provider-dli"
    ]

    assert point.load()() == get_provider_info()


def test_the_provider_info_fits_airflows_schema() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())

    jsonschema.validate(get_provider_info(), schema)


def airflow_answers(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), *arguments, "--output", "plain"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def airflow_says(*arguments: str) -> str:
    return airflow_answers(*arguments).stdout


def test_airflow_lists_the_provider() -> None:
    listed = airflow_says("providers", "list")

    assert re.search(rf"airflow-provider-dli .* {airflow_provider_dli.__version__}", listed)


def test_airflow_lists_the_hook() -> None:
    listed = airflow_says("providers", "hooks")

    assert re.search(r"dli +airflow_provider_dli\.hooks\.dli\.DliHook +dli_conn_id", listed)


def test_airflow_finds_the_file_system() -> None:
    code = """
try:
    from airflow.sdk.io import has_fs
except ImportError:
    from airflow.io import has_fs
print(has_fs("obs"), has_fs("s3"))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert get_provider_info()["filesystems"] == ["airflow_provider_dli.fs.obs"]
    assert answer.stdout.splitlines()[-1] == "True False"


def test_paths_know_the_scheme() -> None:
    [point] = entry_points(group="universal_pathlib.implementations", name="obs")

    assert point.load().__mro__[1].__name__ == "CloudPath"


def test_airflow_lists_the_form_and_warns_of_nothing() -> None:
    answer = airflow_answers("providers", "widgets", PYTHONWARNINGS="always")

    listed = re.findall(r"extra__dli__(\w+)", answer.stdout)
    assert sorted(listed) == sorted(FIELDS)
    assert "DliHook" not in answer.stderr


def test_every_module_that_the_info_names_can_be_imported() -> None:
    info = get_provider_info()

    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)


@pytest.mark.parametrize("room", ["operators", "sensors", "triggers", "links"])
def test_the_info_names_every_class_that_users_and_airflow_look_for(room: str) -> None:
    info = get_provider_info()
    named = {
        "links": info["extra-links"],
        **{
            kind: info[kind][0]["python-modules"]
            for kind in ("hooks", "operators", "sensors", "triggers")
        },
    }[room]
    package = importlib.import_module(f"airflow_provider_dli.{room}")
    there = set()
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for thing in vars(importlib.import_module(found.name)).values():
            is_own = inspect.isclass(thing) and thing.__module__ == found.name
            if is_own and issubclass(thing, FOR_USERS) and not thing.__name__.startswith("_"):
                there.add(f"{found.name}.{thing.__name__}" if room == "links" else found.name)

    # Beside these are the base classes of operators and sensors.
    assert there - set(named) == BASES & there
    assert set(named) <= there


@pytest.mark.parametrize(
    "operator",
    [
        UploadPackageGroupOperator,
        DeletePackageGroupOperator,
        StagePackagesOperator,
        SparkBatchOperator,
        CancelSparkBatchOperator,
        PackageGroupSensor,
        SparkBatchSensor,
    ],
)
def test_every_templated_field_is_an_argument_and_documented_as_such(operator: type) -> None:
    arguments = inspect.signature(operator.__init__).parameters
    documentation = inspect.getdoc(operator) or ""

    for field in operator.template_fields:
        assert field in arguments
        description = documentation.split(f":param {field}:")[1].split(":param")[0]
        assert "(templated)" in description


def test_no_module_imports_anything_deprecated() -> None:
    modules = [
        module.name
        for module in pkgutil.walk_packages(airflow_provider_dli.__path__, "airflow_provider_dli.")
        if not module.name.endswith("__main__")
    ]
    # Shown with the file that caused it: only what our own files cause is ours.
    code = f"import warnings; warnings.simplefilter('always'); import {', '.join(modules)}"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )

    ours = str(Path(airflow_provider_dli.__file__).parent)
    assert [line for line in answer.stderr.splitlines() if ours in line] == []


def test_the_commands_of_the_readme_are_those_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci" / "run").read_text()

    assert re.findall(r"make (demo|test)\b", readme)[:2] == ["demo", "test"]
    assert "make demo" in ci
    assert "make test" in ci


@pytest.mark.parametrize(
    "words", ["deprecated since 2023", "Spark 3.3.1", "OTC still documents", "obs://"]
)
@pytest.mark.parametrize("place", ["README.md", "operator"])
def test_a_user_learns_of_the_deprecation_before_building_on_it(place: str, words: str) -> None:
    text = inspect.getdoc(UploadPackageGroupOperator) if place == "operator" else None
    text = text or (ROOT / place).read_text()

    assert words in re.sub(r"\s+", " ", text)
