# SPDX-License-Identifier: Apache-2.0
"""The file system behind `obs://`, for Airflow's `ObjectStoragePath`."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import make_path_posix
from fsspec.utils import other_paths

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.fs.files import LayeredFile, ObsFile
from airflow_provider_dli.fs.listing import ObsListing, as_os_errors, may_begin

schemes = ["obs"]
"""The schemes of paths for which Airflow uses this module."""

_OF_TEXT = ("encoding", "errors", "newline")
_CONCURRENCY = 8
_REMEDY = "copy it alone, get_file(path, file), and get the others by their names"


def get_fs(conn_id: str | None, storage_options: dict[str, Any] | None = None) -> ObsFileSystem:
    """Returns the file system of a connection, by default `dli_default`, to Airflow."""
    # As fsspec does it for a URL, so that both find the same instance.
    known = {"conn_id": conn_id} if conn_id else {}
    return ObsFileSystem(**known, **(storage_options or {}))


class ObsFileSystem(ObsListing):
    """OBS as a file system, for the account of a connection.

    It is identified by the name of its connection alone: no key or token is in its arguments, cache
    token, JSON or pickle. The connection is read on first use. Threads may share it.

    :param conn_id: connection of type ``dli``
    :param region: overrides the connection's region
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
        """Opens as fsspec does; text and compressed files, too, are stored whole or not at all."""
        if "r" in mode:
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        text = {name: kwargs.pop(name) for name in _OF_TEXT if name in kwargs}
        binary = mode.replace("t", "").replace("b", "") + "b"
        stored = super().open(path, binary, block_size, cache_options, **kwargs)
        top = _compressed(stored, compression)
        if "b" not in mode:
            top = io.TextIOWrapper(_Seekable(top), **text)
        return stored if top is stored else LayeredFile(top, stored)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Returns an object, or a range of it, as a slice would."""
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
        """Returns ranges of objects, read concurrently, in the given order."""
        begins = starts if isinstance(starts, list) else [starts] * len(paths)
        stops = ends if isinstance(ends, list) else [ends] * len(paths)
        return self._read_all(list(zip(paths, begins, stops, strict=True)), on_error)

    def cat(
        self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any
    ) -> Any:
        """Returns one object, or several, read concurrently, as a dictionary by their paths."""
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
        """Writes one object, or several concurrently: a dictionary of bytes by their paths."""
        items = path if isinstance(path, dict) else {path: value}
        with ThreadPoolExecutor(_CONCURRENCY) as pool:
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

        with ThreadPoolExecutor(_CONCURRENCY) as pool:
            return list(pool.map(read, ranges))

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Writes an empty object; the time of an existing one cannot be set."""
        if not truncate and self.exists(path):
            raise NotImplementedError(
                "the time of an object is that of its write, and cannot be set"
            )
        super().touch(path, truncate=True, **kwargs)

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> list[str]:
        """Returns the names that paths and patterns mean, and with `recursive` those below.

        A path is not a pattern if something has exactly that name, such as `a[1].txt`.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        given = [path] if isinstance(path, str | os.PathLike) else path
        found: set[str] = set()
        for one in map(self._strip_protocol, given):
            if self.is_pattern(one):
                found |= self._matched(one, recursive, maxdepth, **kwargs)
                continue
            below = self.find(one, maxdepth, withdirs=True, **kwargs) if recursive else []
            found |= set(below)
            if one not in found and (not recursive or self.exists(one)):
                found.add(one)
        if not found:
            raise FileNotFoundError(path)
        return sorted(found)

    def _matched(
        self, pattern: str, recursive: bool, maxdepth: int | None, **kwargs: Any
    ) -> set[str]:
        names = set(self.glob(pattern, maxdepth=maxdepth, **kwargs))
        if recursive and maxdepth != 1:
            # The match itself is the first level.
            deeper = None if maxdepth is None else maxdepth - 1
            for name in sorted(names):
                names |= set(self.find(name, deeper, withdirs=True, **kwargs))
        return names

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Copies inside OBS as fsspec does; of a whole folder each object by its exact key."""
        on_error = on_error or ("ignore" if recursive else "raise")
        if isinstance(path1, list) and isinstance(path2, list):
            # The caller named each target.
            super().copy(path1, path2, on_error=on_error, **kwargs)
            return
        if self._is_tree(path1, recursive, maxdepth):
            self._copy_tree(path1, path2, on_error)
            return
        into = isinstance(path2, str) and (path2.endswith("/") or self.isdir(path2))
        names, targets = self._pairs(path1, path2, recursive, maxdepth, into=into)
        super().copy(names, targets, on_error=on_error, **kwargs)

    def _is_tree(self, path: Any, recursive: bool, maxdepth: int | None) -> bool:
        """Whether everything below one path is meant."""
        is_whole = recursive and maxdepth is None
        return is_whole and isinstance(path, str) and not self.is_pattern(path)

    def _copy_tree(self, path1: str, path2: str, on_error: str) -> list[str]:
        """Copies an object and all below it; returns the names that were copied."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if "/" in source and not path1.endswith("/") and (path2.endswith("/") or self.isdir(path2)):
            target = f"{target}/{source.rpartition('/')[2]}"
        bucket, key = self.parts_of(source)
        with as_os_errors():
            keys = [one.key for one in self._objects_in(bucket, key)]
        copied: list[str] = []
        failed = self.absent(source)
        for name in (*([source] if key else []), *(f"{bucket}/{one}" for one in keys)):
            try:
                self._copy_exactly(name, f"{target}{name[len(source) :]}")
            except FileNotFoundError as error:
                # A folder need not have an object with its name.
                if on_error == "raise" and (name != source or not keys):
                    raise
                failed = error
            else:
                copied.append(name)
        if not copied:
            raise failed
        return copied

    def _copy_exactly(self, name: str, to_name: str) -> None:
        """Copies one object; slashes at the end of its key count."""
        (bucket, _, key), (to_bucket, _, to_key) = name.partition("/"), to_name.partition("/")
        if name == to_name:
            # A move would delete it next.
            raise InputError("path2", to_name, "an object cannot be copied onto itself")
        with as_os_errors():
            self.hook.copy_object(bucket, key, to_bucket, to_key)

    def _pairs(
        self, source: Any, target: Any, recursive: bool, maxdepth: int | None, *, into: bool
    ) -> tuple[list[str], list[str]]:
        """Returns the names that are meant, and the target of each, by the rules of fsspec.

        `into` if the target is a folder, into which a single source goes by its own name.
        """
        is_one = isinstance(source, str)
        is_pattern = is_one and self.is_pattern(self._strip_protocol(source))
        names = self.expand_path(source, recursive=recursive, maxdepth=maxdepth)
        if is_one and (not recursive or maxdepth is not None):
            # As in a shell, folders are only copied recursively.
            names = [name for name in names if not self.isdir(name)]
        if not names:
            return [], []
        if is_pattern:
            into = len(names) == 1
        inside = is_one and into and (is_pattern or not source.endswith("/"))
        return names, other_paths(names, target, exists=inside, flatten=not is_one)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copies to this machine as fsspec does.

        Raises `InputError` before anything is written if a key points outside of the target folder,
        or two keys would be one file.
        """
        if not (isinstance(rpath, list) and isinstance(lpath, list)):
            # Otherwise the caller named each target.
            folder = make_path_posix(lpath) if isinstance(lpath, str) else lpath
            into = isinstance(folder, str) and (folder.endswith("/") or Path(folder).is_dir())
            rpath, lpath = self._pairs(rpath, folder, recursive, maxdepth, into=into)
            if isinstance(folder, str):
                _check_places(rpath, lpath, folder)
        super().get(rpath, lpath, callback=callback, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copies an object inside OBS; of a folder, its own object if it has one."""
        bucket, key = self.object_of(path1)
        to_bucket, to_key = self.object_of(path2)
        source, target = f"{bucket}/{key}", f"{to_bucket}/{to_key}"
        try:
            self._copy_exactly(source, target)
        except FileNotFoundError:
            if not self.isdir(path1):
                raise
            with suppress(FileNotFoundError):
                self._copy_exactly(f"{source}/", f"{target}/")

    def mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copies, then deletes, since OBS cannot rename. After an error all sources still exist."""
        _refuse_doubled_end(path1)
        source = self._strip_protocol(path1)
        if source == self._strip_protocol(path2):
            return
        # What is added meanwhile is not copied, so it must not be deleted.
        if self._is_tree(path1, recursive, maxdepth):
            self._delete(self._copy_tree(path1, path2, "raise"))
            return
        names = self.expand_path(path1, recursive=recursive, maxdepth=maxdepth)
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise")
        if names == [source] and not recursive:
            self.rm_file(source)
        else:
            self._delete(_with_folders(names) if recursive else names)

    def rm_file(self, path: str) -> None:
        """Deletes one object, which must exist."""
        bucket, key = self.object_of(path)
        if self.info(path)["type"] == "directory":
            raise self.is_folder(path)
        with as_os_errors():
            self.hook.delete_objects(bucket, [key])

    def rm(
        self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None
    ) -> None:
        """Deletes objects, many with one request; `recursive` for folders with their content.

        A single path must exist. Absent paths of a list are ignored.
        """
        for one in [path] if isinstance(path, str) else path:
            _refuse_doubled_end(one)
        name = path if isinstance(path, str) and not self.is_pattern(path) else None
        if name is not None and not recursive:
            self.rm_file(name)
        elif recursive and maxdepth is None:
            names = [found for one in self.expand_path(path) for found in self._tree(one)]
            # A bucket or a pattern may have nothing.
            if name is not None and len(names) == 1 and "/" in names[0]:
                self.rm_file(names[0])
            else:
                self._delete(names)
        else:
            names = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
            self._delete(_with_folders(names) if recursive else names)

    def _tree(self, path: str) -> list[str]:
        """Returns the exact names of the object at a path, if there is one, and of all below."""
        bucket, key = self.parts_of(path)
        with suppress(FileNotFoundError), as_os_errors():
            return [path, *(f"{bucket}/{one.key}" for one in self._objects_in(bucket, key))]
        return [path]

    def _delete(self, names: list[str]) -> None:
        parts = [name.partition("/") for name in dict.fromkeys(names)]
        for bucket, group in groupby(parts, lambda part: part[0]):
            with as_os_errors():
                self.hook.delete_objects(bucket, [key for _, _, key in group if key])


def _refuse_doubled_end(path: Any) -> None:
    """Raises `InputError` if more would be deleted than may be meant."""
    if str(path).endswith("//") and str(path).strip("/"):
        rule = "slashes at its end are ignored: everything in the folder would be deleted"
        raise InputError("path", path, rule)


def _check_places(names: Sequence[str], places: Sequence[str], folder: str) -> None:
    """Raises `InputError` for a name whose local path is not its own, or not in the folder.

    Keys may have parts that a disk treats as steps, such as `..`, or ignores: `a//b` and `a/./b`
    are both at `a/b` there. `places` are the local paths of `names`.
    """
    folder = folder.rstrip("/")
    top = Path(os.path.abspath(folder or "/"))  # noqa: PTH100 - pathlib keeps the steps
    parents = {name[:at] for name in names for at, letter in enumerate(name) if letter == "/"}
    taken: dict[str, str] = {}
    for name, place in zip(names, places, strict=True):
        there = os.path.abspath(place)  # noqa: PTH100
        if ".." in place.removeprefix(folder).split("/") or not Path(there).is_relative_to(top):
            rule = f"its own name would not be below {folder}: {_REMEDY}"
            raise InputError("path", f"obs://{name}", rule)
        other = taken.setdefault(there, name)
        if other != name and not {name, other} & parents:
            rule = f"it would be the same file as obs://{other}, {there}: {_REMEDY}"
            raise InputError("path", f"obs://{name}", rule)


def _with_folders(names: list[str]) -> list[str]:
    """Returns the names, and for each the name of the object that would make it a folder."""
    short = [name for name in names if may_begin(name.partition("/")[2])]
    return [*names, *(f"{name}/" for name in short)]


class _Seekable:
    """A file at its start that says it can seek: otherwise `TextIOWrapper` omits the UTF-16 BOM."""

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


# For paths without a connection too, which fsspec looks up by their scheme.
fsspec.register_implementation("obs", ObsFileSystem, clobber=True)
