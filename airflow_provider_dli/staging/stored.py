# SPDX-License-Identifier: Apache-2.0
"""What lies below a prefix already: read from one listing as far as that is cheap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from airflow_provider_dli.staging.content import folder_of, object_key, old_object_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.staging.content import LocalPackage
    from airflow_provider_dli.staging.records.uploads import Folder

PAGE = 1000
"""Objects that a listing tells with one request."""

FILES = 4
"""Files for which one page may be listed: the listing is read page by page, files are looked at
several at once."""


class ObjectStore(Protocol):
    """What this needs of OBS."""

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Return the objects whose keys begin so."""

    def find_objects(self, bucket: str, keys: Iterable[str]) -> dict[str, StoredObject]:
        """Describe several objects, and return those that are there by their keys."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The objects of a listing by their keys; unless it `is_whole`, there are more."""

    obs: ObjectStore
    bucket: str
    prefix: str
    objects: Mapping[str, StoredObject]
    is_whole: bool

    @classmethod
    def listed(cls, obs: ObjectStore, bucket: str, prefix: str, *, files: int) -> Stored:
        """List what lies below a prefix, if that costs less than a look at so many files."""
        limit = PAGE * max(1, files // FILES)
        objects = {
            one.key: one for one in islice(obs.list_objects(bucket, folder_of(prefix)), limit)
        }
        return cls(obs, bucket, prefix, objects, len(objects) < limit)

    def records_of(self, folder: Folder) -> list[StoredObject] | None:
        """Return the records of a group, `None` where the listing does not tell them all."""
        if not self.is_whole:
            return None
        return [
            one
            for key, one in self.objects.items()
            if key.startswith(folder.path) or key == folder.old_key
        ]

    def modified(self, key: str, folder: str) -> float | None:
        """Return when an object of a small folder was written, `None` where there is none."""
        objects = self.objects
        if not self.is_whole and key not in objects:
            objects = {one.key: one for one in self.obs.list_objects(self.bucket, folder)}
        found = objects.get(key)
        return None if found is None else found.modified

    def keys_of(self, files: Sequence[LocalPackage], *, force: bool) -> dict[str, tuple[str, bool]]:
        """Return the key of each file by its name, and whether its bytes lie there.

        A listed object of the right key and size is taken for the right one: the key has 128 bits
        of the digest, and only whole objects that were checked get such keys. The keys of 0.1 have
        48, so that such an object is asked for its digest.
        """
        new = {one.name: object_key(self.prefix, one) for one in files}
        if force:
            return {name: (key, False) for name, key in new.items()}
        there = {one.name for one in files if self._is_listed(new[one.name], one)}
        left = [one for one in files if one.name not in there]
        if not self.is_whole:
            there |= self._proven(left, new)
            left = [one for one in left if one.name not in there]
        old = {one.name: old_object_key(self.prefix, one) for one in left}
        if self.is_whole:
            left = [one for one in left if self._is_listed(old[one.name], one)]
        kept = self._proven(left, old)
        return {
            name: (old[name], True) if name in kept else (key, name in there)
            for name, key in new.items()
        }

    def _is_listed(self, key: str, file: LocalPackage) -> bool:
        found = self.objects.get(key)
        return found is not None and found.size == file.size

    def _proven(self, files: Sequence[LocalPackage], keys: Mapping[str, str]) -> set[str]:
        """Return the names of the files whose objects have their size and their digest."""
        if not files:
            return set()
        found = self.obs.find_objects(self.bucket, [keys[one.name] for one in files])
        return {
            one.name
            for one in files
            if (at := found.get(keys[one.name])) is not None
            and (at.size, at.sha256) == (one.size, one.sha256)
        }
