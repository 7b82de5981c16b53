"""What will not work from a zip is told when it is made, with what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from airflow_provider_dli.staging.archives import write
from airflow_provider_dli.staging.content import LocalPackage
from airflow_provider_dli.staging.sources import collect
from airflow_provider_dli.staging.zip_limits import limits

BY_PATH = "import os\nDATA = os.path.join(os.path.dirname(__file__), 'data')\n"


def warnings(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """Give what is said of a folder with these files, staged as `app`."""
    for name, text in files.items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    place = tmp_path / "place"
    place.mkdir()
    said: list[str] = []
    [package] = collect(["app"], place, base=tmp_path, warn=said.append)
    assert isinstance(package, LocalPackage)
    return said


def test_of_plain_code_nothing_is_said(tmp_path: Path) -> None:
    files = {"main.py": "print(__file__)", "acme/etl/__init__.py": "", "words.txt": "a"}

    assert warnings(tmp_path, files) == []


@pytest.mark.parametrize("name", ["_fast.so", "_fast.cpython-311-x86_64-linux-gnu.so", "f.pyd"])
def test_compiled_modules_are_named(tmp_path: Path, name: str) -> None:
    [said] = warnings(tmp_path, {"main.py": "", f"lib/{name}": "ELF"})

    assert said == (
        f"app.zip, made of 'app': Python loads no compiled modules from a zip, and it has "
        f"lib/{name}; put what needs them into the image of the job"
    )


@pytest.mark.parametrize(
    "code",
    [
        BY_PATH,
        "from pathlib import Path\nROOT = Path(__file__).parent\n",
        "import os\nROOT = os.path.dirname(os.path.abspath(__file__))\n",
    ],
)
def test_code_that_looks_for_data_by_its_path_is_named(tmp_path: Path, code: str) -> None:
    [said] = warnings(tmp_path, {"main.py": "", "words/__init__.py": code, "words/data/a.json": ""})

    assert "which does not exist in a zip: words/__init__.py (words/data/a.json)" in said
    assert said.endswith("or read the files with importlib.resources")


@pytest.mark.parametrize(
    "reading",
    ["from importlib.resources import files", "import pkgutil", "from importlib import resources"],
)
def test_code_that_reads_from_zips_as_well_is_not(tmp_path: Path, reading: str) -> None:
    files = {"words/__init__.py": f"{reading}\n{BY_PATH}", "words/data/a.json": ""}

    assert warnings(tmp_path, files) == []


def test_data_of_other_folders_is_not_meant(tmp_path: Path) -> None:
    files = {"words/__init__.py": BY_PATH, "words/README.md": "", "other/a.json": "", "b.json": ""}

    assert warnings(tmp_path, files) == []


def test_of_many_modules_a_few_are_shown(tmp_path: Path) -> None:
    files = {f"p{n}/__init__.py": BY_PATH for n in range(8)} | {f"p{n}/a.csv": "" for n in range(8)}

    [said] = warnings(tmp_path, files)

    assert "p4/__init__.py (p4/a.csv) and 3 more;" in said


def test_a_project_with_its_packages_in_src_is_told(tmp_path: Path) -> None:
    files = {"pyproject.toml": "", "src/wordtools/__init__.py": "", "src/main.py": ""}

    [said] = warnings(tmp_path, files)

    assert said == (
        "app.zip, made of 'app': its folder src has no __init__.py, so main.py, wordtools can "
        "only be imported as part of 'src'; give the folder src itself if that is not intended"
    )


def test_a_package_named_src_is_none_of_these(tmp_path: Path) -> None:
    assert warnings(tmp_path, {"main.py": "", "src/__init__.py": "", "src/a.py": ""}) == []


def test_code_that_imports_from_src_means_it(tmp_path: Path) -> None:
    assert warnings(tmp_path, {"main.py": "from src.tools import x\n", "src/tools.py": ""}) == []


def test_more_entries_than_old_pythons_can_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("")
    archive = tmp_path / "app.zip"
    write({f"{number}.py": file for number in range(70_000)}, archive, "app")

    [said] = limits(archive)

    assert len(zipfile.ZipFile(archive).namelist()) == 70_000
    assert said.startswith("it has 70000 entries and ")
    assert "Python before 3.13 cannot import from a zip of more than 65535" in said


def test_more_bytes_than_old_pythons_can_read_are_told(tmp_path: Path) -> None:
    archive = tmp_path / "app.zip"
    with archive.open("wb") as file:
        # What stands before the zip takes no room on the disk.
        file.seek(5_000_000_000)
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("a.py", "")

    [said] = limits(archive)

    assert "it has 1 entries and 50000000" in said
