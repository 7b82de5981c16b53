# SPDX-License-Identifier: Apache-2.0
"""Zips that Spark can import from: the same files give the same bytes, everywhere."""

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
"""Bytes that are copied at once."""

# The earliest time that a zip can hold: that of the file would change the bytes with each checkout.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = stat.S_IFREG | 0o644
_FOLDER_MODE = stat.S_IFDIR | 0o755
_DOS_FOLDER = 0x10
_UNIX = 3
_BUILT = {"build", "dist"}
# What setuptools makes in `build`: copies of the code.
_SETUPTOOLS = re.compile(r"lib(\..*)?|(bdist|temp)\..*|scripts-.*")
_JUNK_SUFFIXES = (".pyc", ".pyo", ".egg-info")
_CODE_SUFFIXES = (".py", ".pyc")
_INITS = {"__init__.py", "__init__.pyc"}


def is_junk(name: str) -> bool:
    """Say whether a file or folder of this name is hidden, or made anew by Python when needed."""
    return name.startswith(".") or name == "__pycache__" or name.endswith(_JUNK_SUFFIXES)


def is_sourceless(name: str, beside: Collection[str]) -> bool:
    """Whether a file is a compiled module without its source beside it, which Python imports."""
    return name.endswith(".pyc") and name.removesuffix("c") not in beside


def code_name(folder: Path) -> str:
    """Return the name of the zip of a directory of Python code."""
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
    if not any(name.endswith(_CODE_SUFFIXES) for name in files):
        raise InputError(
            "sources",
            source,
            f"{folder} is a directory without a Python file, and only code becomes a zip; "
            "give its files, or a glob like 'jars/*.jar'",
        )
    is_package = not _INITS.isdisjoint(files)
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

    Each folder has an entry as well: without one, Python finds no package in it that has no
    `__init__.py`. Nothing of the files but their bytes goes in. They are stored as they are, since
    what zlib makes of them differs between its builds and versions.
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
        raise InputError("sources", source, f"the name {path} is not UTF-8; rename it") from error
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
    """Read the `size` bytes that the file had when it was opened.

    One that is written to on and on would have no end; `opened` tells of it.
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
    """Return what belongs into the zip of a directory.

    `above` are the folders on the way to this one, all links resolved, and itself.
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
            raise InputError("sources", source, f"the link {path} leads out of it, to {real}")
        if not is_folder:
            yield path
        elif real in above:
            raise InputError("sources", source, f"the link {path} leads back to {real}")
        else:
            is_built = above == (root,) and not is_package and path.name in _BUILT
            if not is_built or _holds_code(path, source):
                yield from _files(path, root, (*above, real), source, may_be_built=is_built)


def _holds_code(folder: Path, source: str) -> bool:
    """Whether a folder `build` or `dist` has more in it than what building leaves there."""

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
