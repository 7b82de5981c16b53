# SPDX-License-Identifier: Apache-2.0
"""Local files: whether they can be read, their digests, and how messages show them."""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.transfer.files import Digest, digest_of

# hashlib releases the GIL, so threads hash in parallel.
_THREADS = 4
_NAMES_COMPARED = 1000
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def is_directory(path: Path, source: str) -> bool:
    """Whether a path, with its links followed, is a directory and not a regular file.

    Raises `InputError` if it is absent, or something without bytes to send.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise unusable(path, source, error) from error
    _refuse_special(mode, path, source)
    return stat.S_ISDIR(mode)


def check_filled(path: Path, source: str) -> None:
    """Raises `InputError` for an empty file, which is never meant to be staged."""
    if not path.stat().st_size:
        is_init = path.name == "__init__.py"
        remedy = "; give the folder that it is in, which becomes one zip" if is_init else ""
        raise InputError("sources", source, f"{path} is empty{remedy}")


@contextmanager
def opened(path: Path, source: str) -> Iterator[FileIO]:
    """Opens a file for reading, and raises `DliError` if it was changed meanwhile."""
    with _opened(path, source) as file:
        before = os.fstat(file.fileno())
        _refuse_special(before.st_mode, path, source)
        yield file
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DliError(
            f"{path}, given by {source!r}, changed while it was read. Stage it when it is "
            "complete: write it under another name and rename it."
        )


def digests(files: Sequence[tuple[Path, str]]) -> list[Digest]:
    """Returns the digests of files, each given with its source, in their order."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(_digest, *zip(*files, strict=True)))


def _digest(path: Path, source: str) -> Digest:
    with opened(path, source) as file:
        try:
            return digest_of(file)
        except OSError as error:
            raise unusable(path, source, error) from error


def unusable(path: Path, source: str, error: OSError) -> InputError:
    """Returns the error for a file that cannot be read, with the reason and what may help."""
    return InputError("sources", source, _reason(path, source, error))


def _opened(path: Path, source: str) -> FileIO:
    def opener(name: str, flags: int) -> int:
        # It may have become a named pipe since it was checked, and opening that would block.
        return os.open(name, flags | os.O_NONBLOCK)

    try:
        # Unbuffered, since it is read in large chunks.
        return open(path, "rb", buffering=0, opener=opener)
    except OSError as error:
        raise unusable(path, source, error) from error


def _refuse_special(mode: int, path: Path, source: str) -> None:
    if special := _SPECIAL.get(stat.S_IFMT(mode)):
        raise InputError("sources", source, f"{path} is {special}; give a regular file")


def _reason(path: Path, source: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"the links at {path} form a circle"
    if error.errno == errno.EACCES:
        return f"the user of this process (uid {os.geteuid()}) may not read {path}"
    if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
        return f"{path} cannot be read: {error.strerror}"
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which does not exist"
    return f"there is no {path}{_hint(source) or _similar(path)}"


def _hint(source: str) -> str:
    if re.match(r"~[^/]*/", source):
        return ". '~' is not replaced, since a worker's home is not yours; give the whole path"
    if re.match(r"[a-z0-9]{2,}:/[^/]", source):
        return ". pathlib removes a slash from an address; give it as text"
    return ""


def _similar(path: Path) -> str:
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_NAMES_COMPARED), strict=False)]
    except OSError:
        return f", nor its folder {path.parent}"
    similar = difflib.get_close_matches(path.name, names)
    return f"; similar names: {', '.join(similar)}" if similar else ""


def without_secrets(text: str) -> str:
    """Returns text without the user, password and query of any address in it.

    A query may contain a signature. If in doubt, more is removed.
    """
    return re.sub(r"\?[^\s?]\S*", "?…", re.sub(r"//\S*@", "//***@", text))
