# SPDX-License-Identifier: Apache-2.0
"""Copies buckets of the object store to local folders, for a job that runs here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from airflow_provider_dli.emulator.messages import RefusedError
from airflow_provider_dli.emulator.object_store import ObjectStore

# Whole buckets are copied, and a job on a laptop must not take too long.
MAX_BYTES = 1024**3
MAX_OBJECTS = 10_000

# What changes when a file is written: size, modification time, and inode.
_Stamp: TypeAlias = tuple[int, int, int]


class BucketCopies:
    """Copies of whole buckets below one folder, with the changes made there."""

    def __init__(
        self,
        store: ObjectStore,
        folder: Path,
        *,
        max_objects: int = MAX_OBJECTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._store = store
        self._folder = folder
        self._max_objects = max_objects
        self._max_bytes = max_bytes
        self._brought: dict[str, dict[str, _Stamp]] = {}

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each copied bucket."""
        return {bucket: self._folder / bucket for bucket in self._brought}

    def bring(self, buckets: Iterable[str]) -> list[str]:
        """Copies the buckets; returns the keys that no file can have, as BUCKET/KEY.

        Raises RefusedError if one cannot be read or all together are too large.
        """
        contents = {bucket: dict(self._store.sizes(bucket)) for bucket in buckets}
        self._check_size(contents)
        left_out: list[str] = []
        for bucket, sizes in contents.items():
            self._brought[bucket] = {}
            (self._folder / bucket).mkdir(parents=True)
            # Shorter keys first: of `a` and `a/b` always `a` is copied.
            for key in sorted(sizes):
                if not self._bring(bucket, key):
                    left_out.append(f"{bucket}/{key}")
        return left_out

    def send_back(self) -> None:
        """Applies the changes of the folders to the object store: new, changed and deleted files.

        An empty folder creates no object.
        """
        for bucket, brought in self._brought.items():
            found = dict(_files(self._folder / bucket))
            for key, path in found.items():
                if brought.get(key) != _stamp(path):
                    self._store.send(bucket, key, path)
            for key in brought.keys() - found.keys():
                self._store.delete(bucket, key)

    def _check_size(self, contents: dict[str, dict[str, int]]) -> None:
        objects = sum(map(len, contents.values()))
        size = sum(sum(sizes.values()) for sizes in contents.values())
        if objects > self._max_objects or size > self._max_bytes:
            raise RefusedError(
                400,
                "DLI.0009",
                f"The OBS buckets {', '.join(contents)} hold {objects:,} objects of {size:,} "
                f"bytes. Local Spark copies them whole, up to {self._max_objects:,} objects of "
                f"{self._max_bytes:,} bytes: name smaller buckets.",
            )

    def _bring(self, bucket: str, key: str) -> bool:
        parts = key.removesuffix("/").split("/")
        # Such a key would point outside the folder, or to the file of another key.
        if any(part in ("", ".", "..") for part in parts):
            return False
        path = self._folder.joinpath(bucket, *parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if key.endswith("/"):
                path.mkdir(exist_ok=True)
                return True
        except (FileExistsError, NotADirectoryError):
            # There is a file where this key needs a folder.
            return False
        self._store.fetch(bucket, key, path)
        self._brought[bucket][key] = _stamp(path)
        return True


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
