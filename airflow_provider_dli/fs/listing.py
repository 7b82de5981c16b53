# SPDX-License-Identifier: Apache-2.0
"""What lies in OBS as a file system sees it: objects are files, common prefixes are folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from errno import EEXIST, EISDIR, ENOENT
from threading import Lock
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from airflow_provider_dli.api.errors import InputError
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
            if next(self.hook.list_objects(bucket, folder_key(key)), None) is not None:
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
            objects, folders = self.hook.list_folder(bucket, prefix)
        # The console of OBS makes a folder by an empty object that is called like it.
        infos = [_file(bucket, one) for one in objects if one.key != prefix]
        infos += [_folder(f"{bucket}/{one.removesuffix('/')}") for one in folders]
        if not objects and not infos and key:
            infos = [self.info(path)]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], None] = raise_unless_absent,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Walk as fsspec does, but raise a refusal: a folder that may not be read is not empty."""
        yield from super().walk(path, maxdepth, topdown, on_error, **kwargs)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """List all below, or the object itself; without `maxdepth` in one listing of the bucket."""
        if maxdepth is not None:
            return super().find(path, maxdepth, withdirs, detail, **kwargs)
        path = self._strip_protocol(path)
        bucket, key = self.parts_of(path)
        infos: dict[str, Info] = {}
        with suppress(FileNotFoundError), as_os_errors():
            for found in self.hook.list_objects(bucket, folder_key(key)):
                if withdirs:
                    infos |= _folders_between(path, f"{bucket}/{found.key}")
                if not found.key.endswith("/"):
                    infos[f"{bucket}/{found.key}"] = _file(bucket, found)
        if not infos and self.isfile(path):
            infos[path] = self.info(path)
        names = sorted(infos)
        return {name: infos[name] for name in names} if detail else names

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


def _folders_between(top: str, name: str) -> dict[str, Info]:
    """Give the folders from `top` on that lie on the way to a name."""
    cuts = [at for at, letter in enumerate(name) if letter == "/" and at >= len(top)]
    return {name[:at]: _folder(name[:at]) for at in cuts}
