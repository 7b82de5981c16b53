"""The recipe for a field of a Spark job works as CONTRIBUTING.md has it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECIPE = re.compile(r"^```diff\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = "--- "


def follow(recipe: str, root: Path) -> None:
    """Put each added line of a recipe after the line that it shows before it."""
    path, last = root, ""
    for line in recipe.splitlines():
        if line.startswith(FILE):
            path = root / line.removeprefix(FILE)
        elif line.startswith("+"):
            text = path.read_text()
            assert text.count(f"\n{last}\n") == 1, f"{path.name} has to have this line once: {last}"
            path.write_text(text.replace(f"\n{last}\n", f"\n{last}\n{line[1:]}\n"))
            last = f"{last}\n{line[1:]}"
        else:
            last = line[1:]


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the package after somebody has followed the recipe."""
    for folder in ("airflow_provider_dli", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (recipe,) = RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text())
    follow(recipe, tmp_path)
    return tmp_path


@pytest.fixture
def python(changed: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python on the copy."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=changed,
            env=os.environ | {"PYTHONPATH": str(changed)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


Python = Callable[..., subprocess.CompletedProcess[str]]

JOB = """
from airflow_provider_dli.api.jobs.spark_job import SparkJob
fields = {"file": "obs://bucket/a.py", "queue": "q", "spark_version": "3.3.1"}
"""


def test_a_field_that_was_added_is_sent(python: Python) -> None:
    ran = python("-c", f"{JOB}print(SparkJob(**fields, job_priority='7').as_wire()['jobPriority'])")

    assert ran.stdout.splitlines()[-1:] == ["7"], ran.stderr


def test_a_field_that_was_added_is_checked(python: Python) -> None:
    ran = python("-c", f"{JOB}SparkJob(**fields, job_priority=0)")

    assert "InputError: job_priority is 0: use a whole number of at least 1" in ran.stderr


def test_a_field_that_was_added_is_rendered_kept_and_explained_by_the_operator(
    python: Python,
) -> None:
    agreement = ROOT / "tests" / "api" / "test_fields.py"
    options = ("-q", "--noconftest", "-c", os.devnull, "-k", "job_priority")

    ran = python("-m", "pytest", *options, str(agreement))

    assert "4 passed" in ran.stdout, ran.stdout


def test_a_field_that_was_added_is_documented(python: Python, changed: Path) -> None:
    ran = python("docs/tables.py")

    assert ran.stdout == "spark.md has new tables\n", ran.stderr
    row = "| `job_priority` | `jobPriority` | priority in the queue, at least 1 |\n"
    assert row in (changed / "docs" / "spark.md").read_text()


def test_a_recipe_that_lost_its_place_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("\nx = 1\n")

    with pytest.raises(AssertionError, match="has to have this line once: y = 1"):
        follow("--- a.py\n y = 1\n+z = 1\n", tmp_path)
