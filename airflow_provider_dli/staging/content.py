# SPDX-License-Identifier: Apache-2.0
"""The packages that are staged, local files or objects in OBS, and keys made from their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_dli.api.packages import calls

DIGITS = 32
"""Hex digits of the digest in a key, 128 bits."""

OLD_DIGITS = 12
"""Hex digits of the digest in a key of version 0.1."""


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """A file of this machine that becomes a package.

    `name` is the package's name, `source` what the user gave for it, `size` is in bytes and
    `sha256` the hex digest of its bytes; with `tags` it can be sent without being hashed again.
    """

    name: str
    path: Path
    source: str
    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """An object in OBS that is used from where it is, `https://…` or `obs://bucket/key`."""

    name: str
    url: str


Package = LocalPackage | StoredPackage


def kind_of(names: Sequence[str]) -> str:
    """Returns the kind of these packages by their suffixes; `file` for a mixture."""
    kinds = set(map(calls.kind_of, names))
    return kinds.pop() if len(kinds) == 1 else "file"


def object_key(prefix: str, package: LocalPackage) -> str:
    """Returns the key of a package's object: it changes with the bytes, and ends with the name.

    It contains half of the digest. That is enough that two files with the same key cannot be made,
    so an object with this key and the right size need not be verified.
    """
    return _key(prefix, package, DIGITS)


def old_object_key(prefix: str, package: LocalPackage) -> str:
    """Returns the key of version 0.1, whose part of the digest is too short to prove much."""
    return _key(prefix, package, OLD_DIGITS)


def _key(prefix: str, package: LocalPackage, digits: int) -> str:
    return f"{folder_of(prefix)}{package.name}-{package.sha256[:digits]}/{package.name}"


def folder_of(prefix: str) -> str:
    """Returns what all keys below a prefix start with: nothing, or a folder with its slash."""
    bare = prefix.strip("/")
    return f"{bare}/" if bare else ""


def content_id(contents: Iterable[tuple[str, str]]) -> str:
    """Returns eight hex digits that identify these pairs of name and digest in any order."""
    # Names and digests have no line ends or tabs, so no two sets give the same text.
    text = "\n".join(sorted(f"{name}\t{digest}" for name, digest in contents))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def versioned(group: str, version: str) -> str:
    """Returns a group's name with a version at its end, no longer than DLI allows."""
    # 64 characters, of which one is the hyphen.
    return f"{group[: 63 - len(version)]}-{version}"
