# SPDX-License-Identifier: Apache-2.0
"""The file system behind `obs://`, for Airflow's `ObjectStoragePath`."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from glob import has_magic
from itertools import groupby
from typing import Any

import fsspec

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.fs.failures import as_os_errors
from airflow_provider_dli.fs.files import LayeredFile, ObsFile
from airflow_provider_dli.fs.listing import ObsListing, folder_key

schemes = ["obs"]
"""What Airflow is told: paths of these schemes come here."""

_OF_TEXT = ("encoding", "errors", "newline")
_LONGEST_KEY = 1024
_AT_ONCE = 8


def get_fs(conn_id: str | None, storage_options: dict[str, Any] | None = None) -> ObsFileSystem:
    """Give Airflow the file system of a connection; without one, of `dli_default`."""
    # As fsspec does it for a URL, so that both find the same instance.
    known = {"conn_id": conn_id} if conn_id else {}
    return ObsFileSystem(**known, **(storage_options or {}))


class ObsFileSystem(ObsListing):
    """OBS, as the account of a connection sees it.

    It is known by the name of its connection alone: no key or token is in its arguments, its cache
    token, its JSON or its pickle. Connection and network are looked for at the first use. Threads
    may share it.

    :param conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    """

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        **kwargs: Any,
    ) -> ObsFile:
        return ObsFile(self, path, mode, block_size, autocommit=autocommit, **kwargs)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open as fsspec does; text and compression, too, are stored as a whole or not at all."""
        if "r" in mode:
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        text = {name: kwargs.pop(name) for name in _OF_TEXT if name in kwargs}
        binary = mode.replace("t", "").replace("b", "") + "b"
        stored = super().open(path, binary, block_size, cache_options, **kwargs)
        top = _compressed(stored, compression)
        if "b" not in mode:
            top = io.TextIOWrapper(_AtItsBeginning(top), **text)
        return stored if top is stored else LayeredFile(top, stored)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Read an object, or a range of it, as a slice would."""
        bucket, key = self.object_of(path)
        if (start or 0) < 0 or (end or 0) < 0:
            start, end, _ = slice(start, end).indices(self.info(path)["size"])
        start = start or 0
        if end is not None and end <= start:
            return b""
        with as_os_errors():
            return self.hook.read_object(bucket, key, start, end)

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int],
        ends: int | list[int],
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Read ranges of one or more objects, several at once, in the order that was asked for."""
        begins = starts if isinstance(starts, list) else [starts] * len(paths)
        stops = ends if isinstance(ends, list) else [ends] * len(paths)
        return self._read_all(list(zip(paths, begins, stops, strict=True)), on_error)

    def cat(
        self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any
    ) -> Any:
        """Read one object, or several at once into a dictionary by their paths."""
        paths = self.expand_path(path)
        if recursive:
            paths = [inside for one in paths for inside in self.find(one)]
            if not paths:
                raise self.absent(str(path))
        elif isinstance(path, str) and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0], **kwargs)
        read = self._read_all([(one, None, None) for one in paths], on_error)
        found = dict(zip(paths, read, strict=True))
        if on_error == "omit":
            return {one: data for one, data in found.items() if isinstance(data, bytes)}
        return found

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> None:
        """Write one object, or several at once: a dictionary of bytes by their paths."""
        items = path if isinstance(path, dict) else {path: value}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda item: self.pipe_file(*item, **kwargs), items.items()))

    def _read_all(
        self, ranges: list[tuple[str, int | None, int | None]], on_error: str
    ) -> list[bytes | Exception]:
        def read(asked: tuple[str, int | None, int | None]) -> bytes | Exception:
            try:
                return self.cat_file(*asked)
            except Exception as error:
                if on_error == "raise":
                    raise
                return error

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(read, ranges))

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Write an empty object; the time of one that is there cannot be set."""
        if not truncate and self.exists(path):
            raise NotImplementedError("an object has the time when it was written, and no other")
        super().touch(path, truncate=True, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy an object inside OBS; of a folder, its own object, where it has one."""
        bucket, key = self.object_of(path1)
        to_bucket, to_key = self.object_of(path2)
        if (bucket, key) == (to_bucket, to_key):
            # It would be deleted next, if it is moved.
            raise InputError("path2", path2, "nothing can be copied onto itself")
        try:
            with as_os_errors():
                self.hook.copy_object(bucket, key, to_bucket, to_key)
        except FileNotFoundError:
            if not self.isdir(path1):
                raise
            with as_os_errors():
                if self.hook.find_object(bucket, folder_key(key)):
                    to = (to_bucket, folder_key(to_key))
                    self.hook.copy_object(bucket, folder_key(key), *to)

    def mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy, then delete: OBS has no renaming. After an error all is still at the old place."""
        source = self._strip_protocol(path1)
        if source == self._strip_protocol(path2):
            return
        # What comes meanwhile is not copied, and so not deleted.
        names = self.expand_path(path1, recursive=recursive, maxdepth=maxdepth)
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise")
        if names == [source] and not recursive:
            self.rm_file(source)
        else:
            self._delete(names, with_folders=recursive)

    def rm_file(self, path: str) -> None:
        """Delete one object, which has to be there."""
        bucket, key = self.object_of(path)
        if self.info(path)["type"] == "directory":
            raise self.is_folder(path)
        with as_os_errors():
            self.hook.delete_objects(bucket, [key])

    def rm(
        self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None
    ) -> None:
        """Delete objects, many with one request; `recursive` for folders with all they hold.

        One path has to be there. Of a list, what is not there is passed over.
        """
        if not recursive and isinstance(path, str) and not has_magic(path):
            self.rm_file(path)
            return
        names = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        self._delete(names, with_folders=recursive)

    def _delete(self, names: list[str], with_folders: bool) -> None:
        for bucket, group in groupby(map(self.parts_of, names), lambda parts: parts[0]):
            keys = [key for _, key in group if key]
            if with_folders:
                keys += [folder_key(key) for key in keys if len(key.encode()) < _LONGEST_KEY]
            with as_os_errors():
                self.hook.delete_objects(bucket, keys)


class _AtItsBeginning:
    """A file to be written that says so: else `TextIOWrapper` leaves out the mark of UTF-16."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def seekable(self) -> bool:
        return True


def _compressed(stored: ObsFile, compression: str | None) -> Any:
    if compression is None:
        return stored
    from fsspec.compression import compr
    from fsspec.core import get_compression

    name = get_compression(stored.path, compression)
    return stored if name is None else compr[name](stored, mode="w")


# Also for paths without a connection, which fsspec looks up by their scheme.
fsspec.register_implementation("obs", ObsFileSystem, clobber=True)
