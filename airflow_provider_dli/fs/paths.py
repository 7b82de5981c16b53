# SPDX-License-Identifier: Apache-2.0
"""Paths `obs://…` for universal-pathlib, which Airflow 3 builds its paths on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from glob import escape
from typing import Any, Self

from upath.implementations.cloud import CloudPath

# Importing it registers the file system with fsspec.
from airflow_provider_dli.fs import obs  # noqa: F401
from airflow_provider_dli.fs.listing import raise_unless_absent


class ObsPath(CloudPath):
    """A path `obs://bucket/key`, with each key unchanged.

    In a file system paths have no empty parts, and `/b` starts from the root. Here `/b` below `a`
    is the key `a//b`.
    """

    __slots__ = ()

    def with_segments(self, *pathsegments: Any) -> Self:
        """Returns the path of all segments joined by slashes, whatever they start with."""
        first, *others = pathsegments
        is_plain = all(isinstance(one, str) and "://" not in one for one in others)
        if others and is_plain and self.is_absolute():
            folder = self.parser.strip_protocol(first)
            return super().with_segments(f"{self.protocol}://{'/'.join([folder, *others])}")
        return super().with_segments(*pathsegments)

    def iterdir(self) -> Iterator[Self]:
        """Yields the paths in this folder; the key `a//b` is in the folder `a`."""
        if not self.fs.isdir(self.path):
            raise NotADirectoryError(str(self))
        for name in dict.fromkeys(self.fs.ls(self.path, detail=False)):
            yield self._at(name)

    def glob(
        self, pattern: str, *, case_sensitive: bool | None = None, recurse_symlinks: bool = False
    ) -> Iterator[Self]:
        """Yields what matches a pattern below this path, which is not part of the pattern."""
        for name in self.fs.glob(f"{escape(self.path.rstrip('/'))}/{pattern}"):
            yield self._at(name)

    def rglob(
        self, pattern: str, *, case_sensitive: bool | None = None, recurse_symlinks: bool = False
    ) -> Iterator[Self]:
        """Returns what matches a pattern at any depth below this path."""
        return self.glob(f"**/{pattern}")

    def walk(
        self,
        top_down: bool = True,
        on_error: Callable[[OSError], Any] | None = None,
        follow_symlinks: bool = False,
    ) -> Iterator[tuple[Self, list[str], list[str]]]:
        """Walks from folder to folder; a refusal is raised, unless `on_error` handles it."""
        listed = self.fs.walk(self.path, None, top_down, on_error or raise_unless_absent)
        for folder, dirs, files in listed:
            yield self._at(folder), dirs, files

    def _at(self, name: str) -> Self:
        return self.with_segments(f"{self.protocol}://{name}")
