# SPDX-License-Identifier: Apache-2.0
"""OBS as a file system sees it: objects are files, common prefixes are folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import EACCES, EEXIST, EISDIR, ENOENT
from glob import has_magic
from threading import Lock
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate, stringify_path

from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.obs import ObsHook

DEFAULT_CONNECTION = "dli_default"
# Options that fsspec itself uses of any file system.
_OF_FSSPEC = {"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths"}

Info = dict[str, Any]
"""A file as fsspec describes it: name, size and type, here with ETag and LastModified."""


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raises an absent object as `FileNotFoundError`, a refusal as `PermissionError`.

    Their text is that of our error, which is their cause. Other errors are raised unchanged.
    """
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(ENOENT, str(error)) from error
    except (PermissionDeniedError, AuthenticationError) as error:
        raise PermissionError(EACCES, str(error)) from error


def raise_unless_absent(error: OSError) -> None:
    """Ignores a folder that was deleted meanwhile, but not one that may not be read."""
    if not isinstance(error, FileNotFoundError):
        raise error


class ObsListing(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The part of `ObsFileSystem` that reads names, sizes and times. It caches no listing."""

    protocol = "obs"

    def __init__(
        self, conn_id: str = DEFAULT_CONNECTION, region: str | None = None, **options: Any
    ) -> None:
        for name in sorted(options.keys() - _OF_FSSPEC):
            rule = "the only options are conn_id and region; the rest is in the connection"
            raise InputError(f"storage option {name}", "***", rule)
        super().__init__(**options)
        self._conn_id = conn_id
        self._region = region
        self._hook: ObsHook | None = None
        self._hook_of = 0
        self._lock = Lock()

    @property
    def hook(self) -> ObsHook:
        """The hook, made on first use in each process: connections do not survive a fork."""
        # Imported here so that a DAG file with a path in it loads no client; and before the lock,
        # which would stay locked in a process that is forked meanwhile.
        from airflow_provider_dli.hooks.obs import ObsHook

        with self._lock:
            if self._hook is None or self._hook_of != os.getpid():
                self._hook = ObsHook(self._conn_id, region=self._region)
                self._hook_of = os.getpid()
            return self._hook

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Returns `bucket/key`, without the connection in a URL and without slashes around."""
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        plain: str = super()._strip_protocol(path)
        if stringify_path(path).startswith("obs://"):
            bucket, slash, key = plain.partition("/")
            plain = bucket.rpartition("@")[2] + slash + key
        return plain.lstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        authority = path.removeprefix("obs://").partition("/")[0]
        conn_id = authority.rpartition("@")[0] if path.startswith("obs://") else ""
        return {"conn_id": conn_id} if conn_id else {}

    def object_of(self, path: str) -> tuple[str, str]:
        """Returns bucket and key of a path that must have both."""
        bucket, key = self.parts_of(path)
        if not bucket or not key:
            raise InputError("path", f"obs://{bucket}", "give a bucket and a key: obs://bucket/key")
        return bucket, key

    def parts_of(self, path: str) -> tuple[str, str]:
        """Returns bucket and key, either of which may be empty."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key

    def is_pattern(self, path: str) -> bool:
        """Whether a path with *, ? or [ is a pattern: nothing has exactly that name."""
        bucket, key = self.parts_of(path)
        if has_magic(bucket) or not has_magic(key):
            return has_magic(bucket)
        with suppress(FileNotFoundError), as_os_errors():
            # The shortest key comes first.
            first = next(self.hook.list_objects(bucket, key), None)
            is_name = first is not None and first.key == key
            return not is_name and (first is None or not self._is_folder_key(bucket, key))
        return True

    def _is_folder_key(self, bucket: str, key: str) -> bool:
        return next(self._objects_in(bucket, key), None) is not None

    def is_folder(self, path: str) -> IsADirectoryError:
        """Returns the error for a folder where a file is required."""
        text = "It is a folder, not an object"
        return IsADirectoryError(EISDIR, text, self.unstrip_protocol(path))

    def absent(self, path: str) -> FileNotFoundError:
        """Returns the error for a path that does not exist."""
        text = f"There is no such object or folder (connection {self._conn_id!r})"
        return FileNotFoundError(ENOENT, text, self.unstrip_protocol(path))

    def refuse_existing(self, path: str) -> None:
        """Raises `FileExistsError` if there is an object."""
        bucket, key = self.object_of(path)
        with as_os_errors():
            found = self.hook.find_object(bucket, key)
        if found is not None:
            text = "The object exists already"
            raise FileExistsError(EEXIST, text, self.unstrip_protocol(path))

    def info(self, path: str, **kwargs: Any) -> Info:
        """Returns name, size, type, ETag and LastModified; a folder has neither ETag nor time.

        An object takes precedence over a folder of the same name. A bucket is a folder.
        """
        path = self._strip_protocol(path)
        bucket, key = self.parts_of(path)
        with as_os_errors():
            if not key:
                if bucket:
                    self.hook.check_bucket(bucket)
                return _folder(path)
            found = self.hook.find_object(bucket, key)
            if found is not None:
                return _file(bucket, found)
            if self._is_folder_key(bucket, key):
                return _folder(path)
        raise self.absent(path)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is an object or a folder; a refusal is raised, not taken as a no."""
        return self._type_of(path) is not None

    def isdir(self, path: str) -> bool:
        """Whether the path is a folder; a refusal is raised."""
        return self._type_of(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Whether the path is an object; a refusal is raised."""
        return self._type_of(path) == "file"

    def _type_of(self, path: str) -> str | None:
        with suppress(FileNotFoundError):
            kind: str = self.info(path)["type"]
            return kind
        return None

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Lists a folder, or the one object that the path names."""
        path = self._strip_protocol(path)
        bucket, key = self.parts_of(path)
        if not bucket:
            raise InputError("path", "obs://", "give a bucket: obs://bucket")
        prefix = folder_key(key)
        with as_os_errors():
            objects, folders = self._entries(bucket, prefix) if may_begin(prefix) else ([], [])
        # The console of OBS creates a folder as an empty object with its name.
        infos = [_file(bucket, one) for one in objects if not one.key.endswith("/")]
        infos += [_folder(f"{bucket}/{one.removesuffix('/')}") for one in folders]
        if not objects and not infos and key:
            infos = [self.info(path)]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def _entries(self, bucket: str, prefix: str) -> tuple[list[StoredObject], list[str]]:
        """Returns the objects and folders of a folder; the key `a//b` is in the folder `a`.

        A folder between two slashes cannot be named: slashes at the end of a path are ignored.
        """
        objects: list[StoredObject] = []
        folders: list[str] = []
        nameless: str | None = prefix
        while nameless is not None:
            some, others = self.hook.list_folder(bucket, nameless)
            objects += some
            inner = f"{nameless}/"
            folders += (one for one in dict.fromkeys(others) if one != inner)
            nameless = inner if inner in others else None
        return objects, folders

    def listdir(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Lists a folder for callers that use the last part of each name, as `iterdir` does.

        Raises `InputError` for a key whose last part would make another path.
        """
        path = self._strip_protocol(path)
        infos = self.ls(path)
        for name in (info["name"] for info in infos):
            if name.startswith(f"{path}//") or name.endswith("/."):
                rule = (
                    "iterdir cannot return a key with such parts: use ls, walk or find of path.fs"
                )
                raise InputError("path", self.unstrip_protocol(name), rule)
        return infos if detail else [info["name"] for info in infos]

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], None] = raise_unless_absent,
        detail: bool = False,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Walks as fsspec does, but raises a refusal: a folder that may not be read is not empty.

        Each name is what follows the folder and a slash; that of the key `a//b` in `a` is `/b`.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        listed = self._listed(path, on_error)
        if listed is None:
            return
        dirs, files = _by_type(path, listed)
        found: tuple[Any, Any] = (dirs, files) if detail else (list(dirs), list(files))
        if topdown:
            yield path, *found
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for name in found[0]:
                inner = f"{path}/{name}"
                yield from self.walk(inner, deeper, topdown, on_error, detail, **kwargs)
        if not topdown:
            yield path, *found

    def _listed(self, path: str, on_error: str | Callable[[OSError], None]) -> list[Info] | None:
        try:
            return self.ls(path)
        except OSError as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
        return None

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Lists everything below, or the object itself; without `maxdepth` with one listing."""
        path = self._strip_protocol(path)
        infos = self._below(path) if maxdepth is None else self._near(path, maxdepth, **kwargs)
        if not withdirs:
            infos = {name: info for name, info in infos.items() if info["type"] == "file"}
        elif maxdepth is not None and path and self.isdir(path):
            infos[path] = _folder(path)
        if not infos and self.isfile(path):
            infos[path] = self.info(path)
        names = sorted(infos)
        return {name: infos[name] for name in names} if detail else names

    def _below(self, path: str) -> dict[str, Info]:
        """Returns all files and folders below a path, and the folder itself."""
        bucket, key = self.parts_of(path)
        infos: dict[str, Info] = {}
        with suppress(FileNotFoundError), as_os_errors():
            for found in self._objects_in(bucket, key):
                name = f"{bucket}/{found.key}"
                for folder in _folders_between(path, name):
                    infos.setdefault(folder, _folder(folder))
                if not found.key.endswith("/"):
                    infos[name] = _file(bucket, found)
        return infos

    def _near(self, path: str, maxdepth: int, **kwargs: Any) -> dict[str, Info]:
        """Returns the files and folders down to a depth."""
        infos: dict[str, Info] = {}
        for _, dirs, files in self.walk(path, maxdepth, detail=True, **kwargs):
            # An object takes precedence over a folder of the same name.
            infos |= {info["name"]: info for info in [*dirs.values(), *files.values()]}
        return infos

    def _objects_in(self, bucket: str, key: str) -> Iterator[StoredObject]:
        """Returns all objects below a folder with one listing, including those of folders."""
        prefix = folder_key(key)
        return self.hook.list_objects(bucket, prefix) if may_begin(prefix) else iter(())

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """Matches as fsspec does; `**/` stands for any folders, including one without a name."""
        plain = self._strip_protocol(path)
        if "**/" not in plain or maxdepth is not None:
            return super().glob(path, maxdepth, **kwargs)
        is_of_folders = path.endswith("/")
        regex = glob_translate(f"{plain}/" if is_of_folders else plain)
        pattern = re.compile(regex.replace("(?:.+/)?", "(?:.*/)?"))
        closes = is_of_folders or plain.endswith("/**")
        detail, withdirs = kwargs.pop("detail", False), kwargs.pop("withdirs", True)
        top = plain[: min(map(plain.index, set("*?[") & set(plain)))].rpartition("/")[0]
        found = {
            name: info
            for name, info in self.find(top, withdirs=withdirs, detail=True, **kwargs).items()
            if pattern.match(f"{name}/" if closes and info["type"] == "directory" else name)
        }
        return found if detail else list(found)

    def created(self, path: str) -> datetime:
        """Returns when the object was written: each write creates a new one."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Returns when the object was written."""
        info = self.info(path)
        if info["type"] == "directory":
            raise self.is_folder(path)
        when: datetime = info["LastModified"]
        return when


def folder_key(key: str) -> str:
    """Returns what the keys in a folder start with, which is also the folder's own key."""
    return f"{key}/" if key else ""


def _file(bucket: str, found: StoredObject) -> Info:
    return {
        "name": f"{bucket}/{found.key}",
        "size": found.size,
        "type": "file",
        "ETag": found.etag,
        "LastModified": datetime.fromtimestamp(found.modified, UTC),
    }


def _folder(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}


def _folders_between(top: str, name: str) -> list[str]:
    """Returns the folders from `top` down to a name."""
    return [
        name[:at]
        for at, letter in enumerate(name)
        if letter == "/" and at >= len(top) and name[at - 1] != "/"
    ]


def _by_type(folder: str, listed: list[Info]) -> tuple[dict[str, Info], dict[str, Info]]:
    """Returns folders and files of a listing, by their names relative to the folder."""
    dirs: dict[str, Info] = {}
    files: dict[str, Info] = {}
    for info in listed:
        kind = dirs if info["type"] == "directory" else files
        kind[info["name"][len(folder) + 1 :]] = info
    return dirs, files


def may_begin(prefix: str) -> bool:
    """Whether a key can start with this: OBS may refuse to list longer prefixes."""
    # Imported here since Airflow imports all file systems whenever it looks for one.
    from airflow_provider_dli.api.checks import LONGEST_KEY

    return len(prefix.encode()) < LONGEST_KEY
