# SPDX-License-Identifier: Apache-2.0
"""Objects in OBS, as far as staging needs to know them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket.

    `size` is bytes, `modified` Unix seconds, `sha256` the hex digest that staging wrote into the
    object's metadata, or `None`; a listing never tells it.
    """

    key: str
    size: int
    etag: str
    modified: float
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file on this machine and the key that it is to have; `sha256` is the digest of its bytes.

    Nothing but these bytes may come to lie under the key.
    """

    path: Path
    key: str
    size: int
    sha256: str
