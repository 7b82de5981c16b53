# SPDX-License-Identifier: Apache-2.0
"""Zips of Python code for Spark: the same files always give the same bytes."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Collection, Iterator, Mapping
from io import FileIO
from pathlib import Path, PurePosixPath

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.files import is_directory, opened, unusable

CHUNK = 1 << 20
"""Bytes that are copied at a time."""

# The earliest time that a zip can hold. The files' own times would differ with each checkout.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = stat.S_IFREG | 0o644
_FOLDER_MODE = stat.S_IFDIR | 0o755
_DOS_FOLDER = 0x10
_UNIX = 3
_BUILT = {"build", "dist"}
# Folders in which setuptools copies the code below `build`.
_SETUPTOOLS = re.compile(r"lib(\..*)?|(bdist|temp)\..*|scripts-.*")
_JUNK_SUFFIXES = (".pyc", ".pyo", ".egg-info")
_CODE_SUFFIXES = (".py", ".pyc")
_INITS = {"__init__.py", "__init__.pyc"}


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or one that Python makes when needed."""
    return name.startswith(".") or name == "__pycache__" or name.endswith(_JUNK_SUFFIXES)


def is_sourceless(name: str, beside: Collection[str]) -> bool:
    """Whether a file is a compiled module that Python imports, since its source is missing."""
    return name.endswith(".pyc") and name.removesuffix("c") not in beside


def code_name(folder: Path) -> str:
    """Returns the name of the zip of a directory of Python code."""
    return f"{folder.name}.zip"


def pack_code(folder: Path, place: Path, source: str) -> Path:
    """Packs a directory of Python code into a zip in `place`, so that Spark can import from it.

    A directory with an `__init__.py` is a package and becomes the top level of the zip; otherwise
    its content does. Raises `InputError` if there is no code, or something cannot be packed.
    """
    root = folder.resolve()
    files = {
        path.relative_to(folder).as_posix(): path for path in _files(folder, root, (root,), source)
    }
    if not any(name.endswith(_CODE_SUFFIXES) for name in files):
        raise InputError(
            "sources",
            source,
            f"{folder} is a directory without a Python file, and only code is packed into a zip; "
            "give its files, or a glob like 'jars/*.jar'",
        )
    is_package = not _INITS.isdisjoint(files)
    if is_package and not folder.name.isidentifier():
        raise InputError(
            "sources",
            source,
            f"{folder} has an __init__.py, so it is a package, but Python cannot import one named "
            f"{folder.name!r}; rename it, or remove that file if the packages are inside",
        )
    top = f"{folder.name}/" if is_package else ""
    target = place / code_name(folder)
    write({f"{top}{name}": path for name, path in files.items()}, target, source)
    return target


def write(members: Mapping[str, Path], target: Path, source: str) -> None:
    """Writes a zip of the members, by their names in it, sorted.

    Each folder gets an entry: without one, Python does not find packages without an `__init__.py`.
    Only the bytes of the files are stored, and uncompressed, since the output of zlib differs
    between its builds and versions.
    """
    folders = {f"{folder}/" for name in members for folder in PurePosixPath(name).parents} - {"./"}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted({*members, *folders}):
            if name in folders:
                archive.writestr(_entry(name, _FOLDER_MODE << 16 | _DOS_FOLDER), b"")
            else:
                _add(archive, name, members[name], source)


def _add(archive: zipfile.ZipFile, name: str, path: Path, source: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "sources", source, f"the name of {path} is not UTF-8; rename it"
        ) from error
    member = _entry(name, _FILE_MODE << 16)
    with opened(path, source) as file:
        member.file_size = os.fstat(file.fileno()).st_size
        with archive.open(member, "w") as target:
            for piece in _pieces(file, member.file_size, path, source):
                target.write(piece)


def _entry(name: str, attributes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = attributes
    return entry


def _pieces(file: FileIO, size: int, path: Path, source: str) -> Iterator[bytes]:
    """Yields the `size` bytes that the file had when it was opened.

    A file that is written to all the time would have no end; `opened` reports it.
    """
    while size > 0:
        try:
            piece = file.read(min(size, CHUNK))
        except OSError as error:
            raise unusable(path, source, error) from error
        if not piece:
            break
        size -= len(piece)
        yield piece


def _files(
    folder: Path, root: Path, above: tuple[Path, ...], source: str, *, may_be_built: bool = False
) -> Iterator[Path]:
    """Yields the files for the zip of a directory.

    `above` are the folders on the path to this one and itself, with all links resolved.
    """
    entries = _entries(folder, source)
    names = {path.name for path in entries}
    # A virtual environment.
    if "pyvenv.cfg" in names:
        return
    is_package = not _INITS.isdisjoint(names)
    for path in entries:
        is_folder = is_directory(path, source)
        if is_folder and may_be_built and not is_package and _is_of_setuptools(path):
            continue
        real = path.resolve()
        if not real.is_relative_to(root):
            raise InputError("sources", source, f"the link {path} points outside of it, to {real}")
        if not is_folder:
            yield path
        elif real in above:
            raise InputError("sources", source, f"the link {path} points back to {real}")
        else:
            is_built = above == (root,) and not is_package and path.name in _BUILT
            if not is_built or _holds_code(path, source):
                yield from _files(path, root, (*above, real), source, may_be_built=is_built)


def _holds_code(folder: Path, source: str) -> bool:
    """Whether a folder `build` or `dist` has code that is not the output of a build."""

    def refuse(error: OSError) -> None:
        raise unusable(Path(error.filename), source, error) from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        if any(name.endswith(_CODE_SUFFIXES) and not name.startswith(".") for name in names):
            return True
        here = Path(place)
        folders[:] = [
            name
            for name in folders
            if not is_junk(name) and not (here == folder and _is_of_setuptools(here / name))
        ]
    return False


def _is_of_setuptools(folder: Path) -> bool:
    is_named_so = folder.parent.name == "build" and _SETUPTOOLS.fullmatch(folder.name)
    return bool(is_named_so) and not any((folder / name).exists() for name in _INITS)


def _entries(folder: Path, source: str) -> list[Path]:
    try:
        found = {path.name: path for path in folder.iterdir()}
    except OSError as error:
        raise unusable(folder, source, error) from error
    return sorted(
        path
        for name, path in found.items()
        if not is_junk(name) or (is_sourceless(name, found) and not name.startswith("."))
    )
