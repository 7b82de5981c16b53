# SPDX-License-Identifier: Apache-2.0
"""Files as they are hashed and as they are sent: what goes out is what was hashed, or nothing does.

The hash that names an object is made in one pass. So that nothing has to be hashed twice, that pass
also tags each slice of the file, and whoever reads a part of it later compares the tags.
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
"""Bytes that are read at once, so that they are hashed while the processor has them at hand."""

TAG = 16
"""Bytes of a tag."""

# Made when this is imported, which happens once: threads that make their first tags at the same
# time must not make keys of their own.
_KEY = os.urandom(16)


@dataclass(frozen=True, slots=True)
class Digest:
    """Size in bytes and hex SHA-256 of a file, and the tags of its slices, one after the other."""

    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False)


def digest_of(file: FileIO) -> Digest:
    """Read a file to its end, from where it is."""
    place = memoryview(bytearray(SLICE))
    digest, tags, size = hashlib.sha256(), bytearray(), 0
    while count := _filled(file, place):
        piece = place[:count]
        digest.update(piece)
        tags += _tag(piece)
        size += count
    return Digest(size, digest.hexdigest(), bytes(tags))


def tags_of(file: FileToSend) -> bytes:
    """Return the tags of a file; raises `InputError` where it is not what it should be."""
    if file.tags or not file.size:
        return file.tags
    with _opened(file.path) as stream:
        found = digest_of(stream)
    if (found.size, found.sha256) != (file.size, file.sha256):
        raise _changed(file.path)
    return found.tags


def whole(file: FileToSend) -> bytes:
    """Read a small file; raises `InputError` where it is not what it should be."""
    if file.tags:
        return part_of(file, file.tags, 0, file.size)
    with _opened(file.path) as stream:
        data = stream.read(file.size + 1)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(file.path)
    return data


def part_of(file: FileToSend, tags: bytes, start: int, size: int) -> bytes:
    """Read a part that begins with a slice; raises `InputError` for other bytes than were hashed.

    `tags` are those of the whole file.
    """
    with _opened(file.path) as stream:
        stream.seek(start)
        # One byte more where the file should end.
        data = stream.read(size + (start + size == file.size))
    if len(data) != size:
        raise _changed(file.path)
    view = memoryview(data)
    for at in range(0, size, SLICE):
        place = (start + at) // SLICE * TAG
        if _tag(view[at : at + SLICE]) != tags[place : place + TAG]:
            raise _changed(file.path)
    return data


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    try:
        # Unbuffered, since it is read in large pieces.
        with path.open("rb", buffering=0) as file:
            yield file
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise InputError("files", str(path), rule) from error


def _filled(file: FileIO, place: memoryview) -> int:
    """Fill a place, as far as there is something to read; returns how far."""
    filled = 0
    while filled < len(place) and (count := file.readinto(place[filled:])):
        filled += count
    return filled


def _changed(path: Path) -> InputError:
    rule = "it changed while it was read; nothing of it was kept. Send it again when it is done"
    return InputError("files", str(path), rule)


def _tag(data: memoryview) -> bytes:
    # GMAC: nine times as fast as SHA-256, and nobody finds other bytes of the same tag without the
    # key, which does not leave this process. So a nonce may serve for all.
    return _cipher().encrypt(bytes(12), b"", data)


@cache
def _cipher() -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_KEY)
