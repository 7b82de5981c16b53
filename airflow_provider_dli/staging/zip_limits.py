# SPDX-License-Identifier: Apache-2.0
"""Warnings about code that is known not to work from a zip, before a job fails on it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

COMPILED = re.compile(r"\.(so(\.[\d.]+)?|pyd|dll|dylib)$")
"""The suffixes of compiled modules and libraries."""

# Above these zipfile writes ZIP64, which zipimport reads since Python 3.13:
# https://docs.python.org/3/library/zipimport.html
_MOST_ENTRIES = (1 << 16) - 1
_MOST_BYTES = (1 << 31) - 1
_BY_PATH = re.compile(rb"\b(dirname|abspath|realpath|normpath|split|Path|PurePath)\(\s*__file__")
# Code that also reads data in this way works in zips.
_BY_LOADER = re.compile(
    rb"importlib[._]resources|importlib import resources|pkg_resources|\bpkgutil\b"
)
_OF_SRC = re.compile(rb"^\s*(from|import)\s+src\b", re.MULTILINE)
_NO_DATA = re.compile(r"\.(py|pyc|pyi|pyx|pxd|c|h|md|rst)$|^(LICEN[CS]E|NOTICE|README|py\.typed)")
_ABOUT = re.compile(r"\.(dist-info|egg-info)$|^tests?$")
_MOST_NAMES = 5


def limits(archive: Path) -> Iterator[str]:
    """Yields a sentence for each thing that will not work, and what to do about it."""
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if not name.endswith("/")]
        entries = len(opened.namelist())
        # The directory of the zip starts there and is its last part.
        size = opened.start_dir
        by_path = _by_path(opened, names)
        inner = _in_src(opened, names)
    if entries > _MOST_ENTRIES or size > _MOST_BYTES:
        yield (
            f"it has {entries} entries and {size} bytes, and Python before 3.13 cannot import from "
            f"a zip of more than {_MOST_ENTRIES} or {_MOST_BYTES}; leave out what is not code"
        )
    if compiled := [name for name in names if COMPILED.search(name)]:
        yield (
            f"Python loads no compiled modules from a zip, and it has {_listed(compiled)}; put "
            "what needs them into the image of the job"
        )
    if by_path:
        yield (
            f"code opens files next to it by their path, which does not exist in a zip: "
            f"{_listed(by_path)}; if that fails, put it into the image of the job, or read the "
            "files with importlib.resources"
        )
    if inner:
        yield (
            f"its folder src has no __init__.py, so {_listed(inner)} can only be imported "
            "as part of 'src'; give the folder src itself if that is not intended"
        )


def _by_path(archive: zipfile.ZipFile, names: Sequence[str]) -> list[str]:
    """Returns the modules that open data next to them by its path, each with an example."""
    paths = [path for path in map(PurePosixPath, names) if not any(map(_ABOUT.search, path.parts))]
    data = _data(paths)
    first: dict[PurePosixPath, str] = {}
    aware = set()
    for module in paths:
        folder = module.parent
        text = archive.read(str(module)) if module.suffix == ".py" and folder in data else b""
        if _BY_LOADER.search(text):
            aware.add(folder)
        elif _BY_PATH.search(text):
            # One module of each package is enough.
            first.setdefault(folder, f"{module} ({data[folder]})")
    return [first[folder] for folder in sorted(first) if folder not in aware]


def _data(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Returns the folders that contain data at any depth, each with an example."""
    data: dict[PurePosixPath, PurePosixPath] = {}
    for path in paths:
        if not _NO_DATA.search(path.name) and not COMPILED.search(path.name):
            # At the top, everything is next to everything.
            for folder in path.parents[:-1] or [path.parent]:
                data.setdefault(folder, path)
    return data


def _in_src(archive: zipfile.ZipFile, names: Sequence[str]) -> list[str]:
    """Returns what is in a folder `src` that is no package, unless the code imports `src`."""
    inner = [name.split("/")[1:] for name in names if name.startswith("src/")]
    if ["__init__.py"] in inner:
        return []
    packages = {parts[0] for parts in inner if parts[1:] == ["__init__.py"]}
    modules = {parts[0] for parts in inner if len(parts) == 1 and parts[0].endswith(".py")}
    found = sorted(packages | modules)
    code = (name for name in names if found and name.endswith(".py"))
    return [] if any(_OF_SRC.search(archive.read(name)) for name in code) else found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
