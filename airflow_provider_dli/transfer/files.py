# SPDX-License-Identifier: Apache-2.0
"""Hashes files, and reads them to be sent: only bytes that were hashed are ever sent.

The hash that names an object takes one pass over the file. The same pass tags each slice, and
whatever reads a part later compares the tags, so that nothing is hashed twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dli.api.protocol.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from airflow_provider_dli.api.obs.models import FileToSend

SLICE = 256 * 1024
"""Bytes that are read at a time, few enough to stay in the processor's cache."""

TAG = 16
"""Bytes of a tag."""

# Made at import, which happens once: threads that make their first tags at the same time must not
# each make a key.
_KEY = os.urandom(16)


@dataclass(frozen=True, slots=True)
class Digest:
    """Size in bytes and hex SHA-256 of a file, and the concatenated tags of its slices."""

    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False)


def digest_of(file: FileIO) -> Digest:
    """Reads a file from its current position to its end."""
    buffer = memoryview(bytearray(SLICE))
    digest, tags, size = hashlib.sha256(), bytearray(), 0
    while count := _fill(file, buffer):
        data = buffer[:count]
        digest.update(data)
        tags += _tag(data)
        size += count
    return Digest(size, digest.hexdigest(), bytes(tags))


def tags_of(file: FileToSend) -> bytes:
    """Returns the tags of a file; raises `InputError` if it changed since it was hashed."""
    if file.tags or not file.size:
        return file.tags
    with _opened(file.path) as stream:
        found = digest_of(stream)
    if (found.size, found.sha256) != (file.size, file.sha256):
        raise _changed(file.path)
    return found.tags


def whole(file: FileToSend) -> bytes:
    """Returns a small file; raises `InputError` if it changed since it was hashed."""
    if file.tags:
        return part_of(file, file.tags, 0, file.size)
    with _opened(file.path) as stream:
        data = stream.read(file.size + 1)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(file.path)
    return data


def part_of(file: FileToSend, tags: bytes, start: int, size: int) -> bytes:
    """Returns a part that starts at a slice; raises `InputError` if it changed since it was hashed.

    `tags` are those of the whole file.
    """
    with _opened(file.path) as stream:
        stream.seek(start)
        # One more byte at the end of the file, to see that it ends there.
        data = stream.read(size + (start + size == file.size))
    if len(data) != size:
        raise _changed(file.path)
    view = memoryview(data)
    for at in range(0, size, SLICE):
        begin = (start + at) // SLICE * TAG
        if _tag(view[at : at + SLICE]) != tags[begin : begin + TAG]:
            raise _changed(file.path)
    return data


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    try:
        # Unbuffered, since it is read in large chunks.
        with path.open("rb", buffering=0) as file:
            yield file
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise InputError("files", str(path), rule) from error


def _fill(file: FileIO, buffer: memoryview) -> int:
    """Fills a buffer as far as the file has bytes; returns how many."""
    filled = 0
    while filled < len(buffer) and (count := file.readinto(buffer[filled:])):
        filled += count
    return filled


def _changed(path: Path) -> InputError:
    rule = "it changed while it was read, and nothing was stored. Send it again when it is complete"
    return InputError("files", str(path), rule)


def _tag(data: memoryview) -> bytes:
    # GMAC: nine times as fast as SHA-256. To find other bytes with the same tag one needs the key,
    # which never leaves this process, so one nonce may be used for all.
    return _cipher().encrypt(bytes(12), b"", data)


@cache
def _cipher() -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_KEY)
