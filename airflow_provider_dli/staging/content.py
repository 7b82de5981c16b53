# SPDX-License-Identifier: Apache-2.0
"""What is to be staged: files of this machine by their content, and objects that lie in OBS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """A file of this machine that is to be a package.

    `name` is the package's name, `source` what the user gave for it, `size` bytes and `sha256` the
    hex digest of its bytes.
    """

    name: str
    path: Path
    source: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """An object in OBS that is taken from where it lies, `https://…` or `obs://bucket/key`."""

    name: str
    url: str


Package = LocalPackage | StoredPackage
