# SPDX-License-Identifier: Apache-2.0
"""Paths with wildcards, and the files that they match."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.archives import is_junk
from airflow_provider_dli.staging.files import is_directory, unusable

_WILDCARD = re.compile(r"[*?\[]")


def expand(text: str, base: Path) -> list[Path]:
    """Returns the path, or its matches if it has wildcards and no file has exactly that name.

    The matches are sorted, without hidden files and Python's caches. With `**` only files match,
    since folders would add them again. Raises `InputError` if nothing matches, a folder cannot be
    read, or a link takes a match outside the folder in which the wildcards start.
    """
    path = base / text
    if not _WILDCARD.search(text) or os.path.lexists(path):
        return [path]
    root, pattern = _split(text, base)
    if not is_directory(root, text):
        raise InputError("sources", text, f"{root} is a file, so nothing can match in it")
    try:
        matches = sorted(set(_matches(root, pattern)))
    except OSError as error:
        raise unusable(Path(error.filename), text, error) from error
    if "**" in pattern:
        matches = [match for match in matches if not is_directory(match, text)]
    if not matches:
        raise InputError("sources", text, f"nothing in {root} matches {'/'.join(pattern)!r}")
    for match in matches:
        _check_inside(match, root, text)
    return matches


def _split(text: str, base: Path) -> tuple[Path, list[str]]:
    """Returns the folder before the first wildcard, and the parts of the pattern."""
    parts = PurePath(text).parts
    first = next(index for index, part in enumerate(parts) if _WILDCARD.search(part))
    pattern = list(parts[first:])
    if ".." in pattern:
        raise InputError("sources", text, "'..' may only stand before the first wildcard")
    if any("**" in part and part != "**" for part in pattern):
        raise InputError("sources", text, "'**' must stand alone between slashes")
    if pattern[-1] == "**":
        pattern.append("*")
    return base.joinpath(*parts[:first]), pattern


def _matches(folder: Path, pattern: Sequence[str]) -> list[Path]:
    # Not by pathlib, which skips folders that it may not read, and searches hidden ones.
    first, *rest = pattern
    entries = [path for path in folder.iterdir() if not is_junk(path.name)]
    if first == "**":
        # A link to a folder is not followed: it may point back.
        inside = [path for path in entries if path.is_dir() and not path.is_symlink()]
        found = [*_matches(folder, rest), *(m for path in inside for m in _matches(path, pattern))]
    else:
        found = [path for path in entries if fnmatchcase(path.name, first)]
        if rest:
            found = [m for path in found if path.is_dir() for m in _matches(path, rest)]
    return found


def _check_inside(match: Path, root: Path, text: str) -> None:
    is_directory(match, text)  # raises for a broken or circular link
    real = match.resolve()
    if not real.is_relative_to(root.resolve()):
        raise InputError("sources", text, f"the link {match} points outside of {root}, to {real}")
