# SPDX-License-Identifier: Apache-2.0
"""Files as they are sent: what was hashed is what goes out, or nothing does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.api.obs.models import FileToSend


def parts_of(
    file: FileToSend, size: int, ready: Callable[[], None] = lambda: None
) -> Iterator[bytes]:
    """Read a file once, and return its parts of `size` bytes; one part where it is empty.

    The last one comes only when all was what it should be; else `InputError` is raised. `ready` is
    called before each is read, so that nothing is held for which there is no use yet.
    """
    digest, left = hashlib.sha256(), file.size
    with _opened(file.path) as stream:
        while True:
            ready()
            data = stream.read(min(size, left))
            left -= len(data)
            digest.update(data)
            if not left:
                break
            if len(data) < size:
                raise _changed(file.path)
            yield data
            del data  # or it would stay while the next one is read
        if stream.read(1) or digest.hexdigest() != file.sha256:
            raise _changed(file.path)
    yield data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, and name it where it cannot be read."""
    try:
        # Unbuffered, since it is read in large pieces.
        with path.open("rb", buffering=0) as file:
            yield file
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise InputError("files", str(path), rule) from error


def _changed(path: Path) -> InputError:
    """Return the error for a file that somebody wrote to meanwhile."""
    rule = "it changed while it was read; nothing of it was kept. Send it again when it is done"
    return InputError("files", str(path), rule)
