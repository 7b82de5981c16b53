# SPDX-License-Identifier: Apache-2.0
"""Files that Airflow's `ObjectStoragePath` names, fetched in chunks.

Only what all paths of universal-pathlib have is used, since staging does not import Airflow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.staging.archives import CHUNK
from airflow_provider_dli.staging.files import check_filled, without_secrets


def check_file(path: Any, source: str) -> None:
    """Raises `InputError` for anything but a file."""
    with _reading(source):
        if path.is_file():
            return
        is_folder = path.is_dir()
    if is_folder:
        rule = "it is a folder; give its files, for example sorted(path.glob('*.jar'))"
        raise InputError("sources", source, rule)
    raise InputError("sources", source, "there is no such file")


def name_of(path: Any) -> str:
    """Returns the name of a file, without the query of its address."""
    return str(path.name).partition("?")[0] if str(path.protocol).startswith("http") else path.name


def fetch(path: Any, folder: Path, source: str) -> Path:
    """Copies a file into a new folder."""
    folder.mkdir()
    target = folder / name_of(path)
    with closing(_chunks(path, source)) as chunks, target.open("xb") as file:
        file.writelines(chunks)
    check_filled(target, source)
    return target


def _chunks(path: Any, source: str) -> Generator[bytes]:
    with _reading(source), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


@contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = without_secrets(str(error))
        # The cause shows its own text, which may quote the whole address.
        cause = error if text == str(error) else None
        raise InputError("sources", source, f"it cannot be read: {text}") from cause
    except Exception as error:
        # Each file system has errors of its own, which may not name the file.
        text = without_secrets(str(error))
        if text != str(error):
            raise DliError(
                f"{source!r} of sources cannot be read: {type(error).__name__}: {text}"
            ) from None
        error.add_note(f"Raised while {source!r} of sources was read.")
        raise
