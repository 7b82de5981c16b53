# SPDX-License-Identifier: Apache-2.0
"""Files behind Airflow's `ObjectStoragePath`, fetched piece by piece.

Only what all paths of universal-pathlib have is used, since this room knows no Airflow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.staging.archives import CHUNK
from airflow_provider_dli.staging.files import check_filled
from airflow_provider_dli.staging.secrecy import without_secrets


def check_file(path: Any, source: str) -> None:
    """Refuse what is no file."""
    with _reading(source):
        if path.is_file():
            return
        is_folder = path.is_dir()
    if is_folder:
        rule = "it is a folder; give its files, as in sorted(path.glob('*.jar'))"
        raise InputError("sources", source, rule)
    raise InputError("sources", source, "there is no such file")


def name_of(path: Any) -> str:
    """Return the name of a file, without the query that its address may have."""
    return str(path.name).partition("?")[0] if str(path.protocol).startswith("http") else path.name


def fetch(path: Any, folder: Path, source: str) -> Path:
    """Copy a file into a new folder."""
    folder.mkdir()
    target = folder / name_of(path)
    with closing(_pieces(path, source)) as pieces, target.open("xb") as file:
        for piece in pieces:
            file.write(piece)
    check_filled(target, source)
    return target


def _pieces(path: Any, source: str) -> Generator[bytes]:
    with _reading(source), path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


@contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = without_secrets(str(error))
        # The cause repeats its words, which some file systems make of the whole address.
        cause = error if told == str(error) else None
        raise InputError("sources", source, f"it cannot be read: {told}") from cause
    except Exception as error:
        # Each file system has errors of its own, in words that need not name the file.
        told = without_secrets(str(error))
        if told != str(error):
            raise DliError(
                f"{source!r} of sources cannot be read: {type(error).__name__}: {told}"
            ) from None
        error.add_note(f"This came when {source!r} of sources was read.")
        raise
