# SPDX-License-Identifier: Apache-2.0
"""What is to be staged: files of this machine by their content, and objects that lie in OBS."""

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
    """A file of this machine that is to be a package.

    `name` is the package's name, `source` what the user gave for it, `size` bytes and `sha256` the
    hex digest of its bytes; `tags` let it be sent without being hashed again.
    """

    name: str
    path: Path
    source: str
    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """An object in OBS that is taken from where it lies, `https://…` or `obs://bucket/key`."""

    name: str
    url: str


Package = LocalPackage | StoredPackage


def kind_of(names: Sequence[str]) -> str:
    """Return the kind of these packages by their suffixes; for a mixture it is `file`."""
    kinds = set(map(calls.kind_of, names))
    return kinds.pop() if len(kinds) == 1 else "file"


def object_key(prefix: str, package: LocalPackage) -> str:
    """Return the key of a package's object: other bytes have another key, the name stays its end.

    Half of the digest stands in it: so much that nobody makes two files whose keys are the same, so
    that an object of this key and of the right size need not be looked at.
    """
    return _key(prefix, package, DIGITS)


def old_object_key(prefix: str, package: LocalPackage) -> str:
    """Return the key that version 0.1 gave to it: too short a part of the digest to prove much."""
    return _key(prefix, package, OLD_DIGITS)


def _key(prefix: str, package: LocalPackage, digits: int) -> str:
    return f"{folder_of(prefix)}{package.name}-{package.sha256[:digits]}/{package.name}"


def folder_of(prefix: str) -> str:
    """Return what all keys below a prefix begin with: nothing, or a folder with its slash."""
    bare = prefix.strip("/")
    return f"{bare}/" if bare else ""


def content_id(contents: Iterable[tuple[str, str]]) -> str:
    """Return eight hex digits that stand for these pairs of name and digest in any order."""
    # Neither names nor digests have line ends or tabs, so that no two sets give one text.
    text = "\n".join(sorted(f"{name}\t{digest}" for name, digest in contents))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
