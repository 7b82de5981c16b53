# SPDX-License-Identifier: Apache-2.0
"""The file system behind `obs://`, for Airflow's `ObjectStoragePath`."""

from __future__ import annotations

import io
import os
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
from airflow_provider_dli.fs.failures import as_os_errors
from airflow_provider_dli.fs.files import LayeredFile, ObsFile
from airflow_provider_dli.fs.listing import ObsListing, may_begin
from airflow_provider_dli.fs.places import check_places

schemes = ["obs"]
"""What Airflow is told: paths of these schemes come here."""

_OF_TEXT = ("encoding", "errors", "newline")
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

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> list[str]:
        """Return the names that paths and patterns mean, and with `recursive` those below.

        A path is no pattern when something lies at just that name, such as `a[1].txt`.
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
            # What matched is one level of it already.
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
        """Copy inside OBS as fsspec does; of a whole folder each object by its exact key."""
        on_error = on_error or ("ignore" if recursive else "raise")
        if isinstance(path1, list) and isinstance(path2, list):
            # The caller named each place.
            super().copy(path1, path2, on_error=on_error, **kwargs)
            return
        if self._is_tree(path1, recursive, maxdepth):
            self._copy_tree(path1, path2, on_error)
            return
        into = isinstance(path2, str) and (path2.endswith("/") or self.isdir(path2))
        names, targets = self._pairs(path1, path2, recursive, maxdepth, into=into)
        super().copy(names, targets, on_error=on_error, **kwargs)

    def _is_tree(self, path: Any, recursive: bool, maxdepth: int | None) -> bool:
        """Whether all below one path is meant."""
        is_whole = recursive and maxdepth is None
        return is_whole and isinstance(path, str) and not self.is_pattern(path)

    def _copy_tree(self, path1: str, path2: str, on_error: str) -> list[str]:
        """Copy an object and all below, and return the names of what was copied."""
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
                # A folder need not have an object of its name.
                if on_error == "raise" and (name != source or not keys):
                    raise
                failed = error
            else:
                copied.append(name)
        if not copied:
            raise failed
        return copied

    def _copy_exactly(self, name: str, to_name: str) -> None:
        """Copy one object; slashes at the end of its key count."""
        (bucket, _, key), (to_bucket, _, to_key) = name.partition("/"), to_name.partition("/")
        if name == to_name:
            # It would be deleted next, if it is moved.
            raise InputError("path2", to_name, "nothing can be copied onto itself")
        with as_os_errors():
            self.hook.copy_object(bucket, key, to_bucket, to_key)

    def _pairs(
        self, source: Any, target: Any, recursive: bool, maxdepth: int | None, *, into: bool
    ) -> tuple[list[str], list[str]]:
        """Return the names that are meant, and where each of them goes, by the rules of fsspec.

        `into` says that the target is a folder, into which one source goes by its own name.
        """
        is_one = isinstance(source, str)
        is_pattern = is_one and self.is_pattern(self._strip_protocol(source))
        names = self.expand_path(source, recursive=recursive, maxdepth=maxdepth)
        if is_one and (not recursive or maxdepth is not None):
            # Without it no folder is copied, as in a shell.
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
        """Copy to this machine as fsspec does.

        Raises `InputError` before anything is written when a key leads out of the target folder, or
        when two of them would be one file.
        """
        if not (isinstance(rpath, list) and isinstance(lpath, list)):
            # Else the caller named each place.
            folder = make_path_posix(lpath) if isinstance(lpath, str) else lpath
            into = isinstance(folder, str) and (folder.endswith("/") or Path(folder).is_dir())
            rpath, lpath = self._pairs(rpath, folder, recursive, maxdepth, into=into)
            if isinstance(folder, str):
                check_places(rpath, lpath, folder)
        super().get(rpath, lpath, callback=callback, **kwargs)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy an object inside OBS; of a folder, its own object, where it has one."""
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
        """Copy, then delete: OBS has no renaming. After an error all is still at the old place."""
        _refuse_doubled_end(path1)
        source = self._strip_protocol(path1)
        if source == self._strip_protocol(path2):
            return
        # What comes meanwhile is not copied, and so not deleted.
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
        for one in [path] if isinstance(path, str) else path:
            _refuse_doubled_end(one)
        if not recursive and isinstance(path, str) and not self.is_pattern(path):
            self.rm_file(path)
        elif recursive and maxdepth is None:
            names = [name for one in self.expand_path(path) for name in self._tree(one)]
            is_one = isinstance(path, str) and not self.is_pattern(path)
            # Of a bucket or a pattern there may be nothing.
            if is_one and len(names) == 1 and "/" in names[0]:
                self.rm_file(names[0])
            else:
                self._delete(names)
        else:
            names = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
            self._delete(_with_folders(names) if recursive else names)

    def _tree(self, path: str) -> list[str]:
        """Return the exact names of the object at a path, if there is one, and of all below."""
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
    """Raise `InputError` where less may be meant than what would go."""
    if str(path).endswith("//") and str(path).strip("/"):
        rule = "more than one slash at its end counts as none: all that the folder holds would go"
        raise InputError("path", path, rule)


def _with_folders(names: list[str]) -> list[str]:
    """Return the names, and for each of them that of the object which would make it a folder."""
    short = [name for name in names if may_begin(name.partition("/")[2])]
    return [*names, *(f"{name}/" for name in short)]


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
