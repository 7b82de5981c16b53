# SPDX-License-Identifier: Apache-2.0
"""What lies in OBS as a file system sees it: objects are files, common prefixes are folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from errno import EEXIST, EISDIR, ENOENT
from glob import has_magic
from threading import Lock
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate, stringify_path

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.fs.failures import as_os_errors

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.obs import ObsHook

DEFAULT_CONNECTION = "dli_default"
# What fsspec itself takes out of the options of any file system.
_OF_FSSPEC = {"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths"}

Info = dict[str, Any]
"""What fsspec tells of a file: name, size and type, and here ETag and LastModified."""


def raise_unless_absent(error: OSError) -> None:
    """Pass over a folder that went away, but not over one that may not be read."""
    if not isinstance(error, FileNotFoundError):
        raise error


class ObsListing(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The part of `ObsFileSystem` that looks: names, sizes, times; nothing listed is kept."""

    protocol = "obs"

    def __init__(
        self, conn_id: str = DEFAULT_CONNECTION, region: str | None = None, **options: Any
    ) -> None:
        for name in sorted(options.keys() - _OF_FSSPEC):
            rule = "conn_id and region are all there is; the rest is in the connection"
            raise InputError(f"storage option {name}", "***", rule)
        super().__init__(**options)
        self._conn_id = conn_id
        self._region = region
        self._hook: ObsHook | None = None
        self._hook_of = 0
        self._lock = Lock()

    @property
    def hook(self) -> ObsHook:
        """The hook, made when it is first needed: connections do not survive a fork."""
        # Imported here, so that a DAG file with a path in it loads no client; and before the lock,
        # which a process that forks meanwhile would hold for ever.
        from airflow_provider_dli.hooks.obs import ObsHook

        with self._lock:
            if self._hook is None or self._hook_of != os.getpid():
                self._hook = ObsHook(self._conn_id, region=self._region)
                self._hook_of = os.getpid()
            return self._hook

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Give `bucket/key`; the connection's name in a URL, and slashes around, do not count."""
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
        """Give bucket and key of a path that has to have both."""
        bucket, key = self.parts_of(path)
        if not bucket or not key:
            raise InputError("path", f"obs://{bucket}", "give a bucket and a key: obs://bucket/key")
        return bucket, key

    def parts_of(self, path: str) -> tuple[str, str]:
        """Give bucket and key, of which either may be empty."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key

    def is_pattern(self, path: str) -> bool:
        """Whether a path with *, ? or [ means several: nothing lies at just that name."""
        bucket, key = self.parts_of(path)
        if not has_magic(key) or has_magic(bucket):
            return has_magic(bucket)
        with suppress(FileNotFoundError), as_os_errors():
            # The shortest comes first.
            first = next(self.hook.list_objects(bucket, key), None)
            if first is not None and first.key == key:
                return False
            return first is None or next(self._objects_in(bucket, key), None) is None
        return True

    def is_folder(self, path: str) -> IsADirectoryError:
        """Give the error of a folder where a file is needed."""
        text = "It is a folder, not an object"
        return IsADirectoryError(EISDIR, text, self.unstrip_protocol(path))

    def absent(self, path: str) -> FileNotFoundError:
        """Give the error of a path at which nothing is."""
        text = f"There is no such object or folder (connection {self._conn_id!r})"
        return FileNotFoundError(ENOENT, text, self.unstrip_protocol(path))

    def refuse_existing(self, path: str) -> None:
        """Raise `FileExistsError` if there is an object."""
        bucket, key = self.object_of(path)
        with as_os_errors():
            found = self.hook.find_object(bucket, key)
        if found is not None:
            text = "There is an object already"
            raise FileExistsError(EEXIST, text, self.unstrip_protocol(path))

    def info(self, path: str, **kwargs: Any) -> Info:
        """Give name, size in bytes, type, ETag and LastModified; a folder has neither of these.

        An object goes before a folder of the same name. A bucket is a folder.
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
            if next(self._objects_in(bucket, key), None) is not None:
                return _folder(path)
        raise self.absent(path)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Say whether there is an object or a folder; a refusal is raised, not taken for no."""
        return self._type_of(path) is not None

    def isdir(self, path: str) -> bool:
        """Say whether it is a folder; a refusal is raised."""
        return self._type_of(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Say whether it is an object; a refusal is raised."""
        return self._type_of(path) == "file"

    def _type_of(self, path: str) -> str | None:
        with suppress(FileNotFoundError):
            kind: str = self.info(path)["type"]
            return kind
        return None

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List a folder, or the one object that the path names."""
        path = self._strip_protocol(path)
        bucket, key = self.parts_of(path)
        if not bucket:
            raise InputError("path", "obs://", "give a bucket: obs://bucket")
        prefix = folder_key(key)
        with as_os_errors():
            objects, folders = self._entries(bucket, prefix) if may_begin(prefix) else ([], [])
        # The console of OBS makes a folder by an empty object that is called like it.
        infos = [_file(bucket, one) for one in objects if not one.key.endswith("/")]
        infos += [_folder(f"{bucket}/{one.removesuffix('/')}") for one in folders]
        if not objects and not infos and key:
            infos = [self.info(path)]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def _entries(self, bucket: str, prefix: str) -> tuple[list[StoredObject], list[str]]:
        """Return the objects and folders of a folder, where the key `a//b` lies in the folder `a`.

        Nobody could name a folder between two slashes: slashes at the end of a path do not count.
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
        """List a folder for a caller that takes the last part of each name, as `iterdir` does.

        Raises `InputError` for a key of which the path would be another one, or the folder again.
        """
        path = self._strip_protocol(path)
        infos = self.ls(path)
        for name in (info["name"] for info in infos):
            if name.startswith(f"{path}//") or name.endswith("/."):
                rule = "iterdir cannot give a key with such parts: use ls, walk or find of path.fs"
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
        """Walk as fsspec does, but raise a refusal: a folder that may not be read is not empty.

        Each name is what follows its folder and a slash; that of the key `a//b` in `a` is `/b`.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        listed = self._listed(path, on_error)
        if listed is None:
            return
        dirs, files = _by_type(path, listed)
        told: tuple[Any, Any] = (dirs, files) if detail else (list(dirs), list(files))
        if topdown:
            yield path, *told
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for name in told[0]:
                inner = f"{path}/{name}"
                yield from self.walk(inner, deeper, topdown, on_error, detail, **kwargs)
        if not topdown:
            yield path, *told

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
        """List all below, or the object itself; without `maxdepth` in one listing of the bucket."""
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
        """Return all files and folders below a path, and the folder itself."""
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
        """Return the files and folders that are so near."""
        infos: dict[str, Info] = {}
        for _, dirs, files in self.walk(path, maxdepth, detail=True, **kwargs):
            # An object goes before a folder of the same name.
            infos |= {info["name"]: info for info in [*dirs.values(), *files.values()]}
        return infos

    def _objects_in(self, bucket: str, key: str) -> Iterator[StoredObject]:
        """Return all objects below a folder, by one listing, with those that stand for folders."""
        prefix = folder_key(key)
        return self.hook.list_objects(bucket, prefix) if may_begin(prefix) else iter(())

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """Match as fsspec does; `**/` stands for any folders, also for one without a name."""
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
        """Give when the object was written: each writing makes a new one."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Give when the object was written."""
        info = self.info(path)
        if info["type"] == "directory":
            raise self.is_folder(path)
        when: datetime = info["LastModified"]
        return when


def folder_key(key: str) -> str:
    """Give what the keys in a folder begin with; the folder's own object is called so."""
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
    """Return the folders from `top` on that lie on the way to a name."""
    return [
        name[:at]
        for at, letter in enumerate(name)
        if letter == "/" and at >= len(top) and name[at - 1] != "/"
    ]


def _by_type(folder: str, listed: list[Info]) -> tuple[dict[str, Info], dict[str, Info]]:
    """Return folders and files of a listing, each by what its name has more than the folder's."""
    dirs: dict[str, Info] = {}
    files: dict[str, Info] = {}
    for info in listed:
        kind = dirs if info["type"] == "directory" else files
        kind[info["name"][len(folder) + 1 :]] = info
    return dirs, files


def may_begin(prefix: str) -> bool:
    """Whether a key can be longer than this, which OBS may not even take for a listing."""
    # Imported here, since Airflow imports file systems whenever it looks for one.
    from airflow_provider_dli.api.checks import LONGEST_KEY

    return len(prefix.encode()) < LONGEST_KEY
