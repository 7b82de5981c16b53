# SPDX-License-Identifier: Apache-2.0
"""Zips that Spark can import from: the same files give the same bytes, everywhere."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.staging.files import is_directory, opened, unusable

CHUNK = 1 << 20
"""Bytes that are copied at once."""

# The earliest time that a zip can hold: that of the file would change the bytes with each checkout.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_UNIX = 3
_BUILT = {"build", "dist"}
_JUNK_SUFFIXES = (".pyc", ".pyo", ".egg-info")


def is_junk(name: str) -> bool:
    """Say whether a file or folder of this name is hidden, or made anew by Python when needed."""
    return name.startswith(".") or name == "__pycache__" or name.endswith(_JUNK_SUFFIXES)


def code_name(folder: Path) -> str:
    """Give the name of the zip of a directory of Python code."""
    return f"{folder.name}.zip"


def pack_code(folder: Path, place: Path, source: str) -> Path:
    """Pack a directory of Python code into a zip in `place`, so that Spark can import from it.

    With an `__init__.py` it is a package and its name is the top level, else its content is. Raises
    `InputError` for a directory that has no code, or something in it that cannot be packed.
    """
    root = folder.resolve()
    files = {
        path.relative_to(folder).as_posix(): path for path in _files(folder, root, (root,), source)
    }
    if not any(name.endswith(".py") for name in files):
        raise InputError(
            "sources",
            source,
            f"{folder} is a directory without a Python file, and only code becomes a zip; "
            "give its files, or a glob like 'jars/*.jar'",
        )
    is_package = "__init__.py" in files
    if is_package and not folder.name.isidentifier():
        raise InputError(
            "sources",
            source,
            f"{folder} has an __init__.py, so it is a package, but Python can import none of the "
            f"name {folder.name!r}; rename it, or remove that file if the packages are in it",
        )
    top = f"{folder.name}/" if is_package else ""
    target = place / code_name(folder)
    write({f"{top}{name}": path for name, path in files.items()}, target, source)
    return target


def write(members: Mapping[str, Path], target: Path, source: str) -> None:
    """Write the members, whose keys are their names in the zip, sorted by these.

    Nothing of the files but their bytes goes in. They are stored as they are, since what zlib makes
    of them differs between its builds and versions.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            _add(archive, name, members[name], source)


def _add(archive: zipfile.ZipFile, name: str, path: Path, source: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError("sources", source, f"the name {path} is not UTF-8; rename it") from error
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = _UNIX
    member.external_attr = _MODE << 16
    with opened(path, source) as file:
        member.file_size = os.fstat(file.fileno()).st_size
        with archive.open(member, "w") as target:
            shutil.copyfileobj(file, target, CHUNK)


def _files(
    folder: Path, root: Path, above: tuple[Path, ...], source: str, *, may_be_built: bool = False
) -> Iterator[Path]:
    """Give what belongs into the zip of a directory.

    `above` are the folders on the way to this one, all links resolved, and itself.
    """
    entries = _entries(folder, source)
    names = {path.name for path in entries}
    is_package = "__init__.py" in names
    # A virtual environment, or what setuptools leaves in a project.
    if "pyvenv.cfg" in names or (may_be_built and not is_package):
        return
    for path in entries:
        is_folder = is_directory(path, source)
        real = path.resolve()
        if not real.is_relative_to(root):
            raise InputError("sources", source, f"the link {path} leads out of it, to {real}")
        if not is_folder:
            yield path
        elif real in above:
            raise InputError("sources", source, f"the link {path} leads back to {real}")
        else:
            is_built = above == (root,) and not is_package and path.name in _BUILT
            yield from _files(path, root, (*above, real), source, may_be_built=is_built)


def _entries(folder: Path, source: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not is_junk(path.name))
    except OSError as error:
        raise unusable(folder, source, error) from error
