# SPDX-License-Identifier: Apache-2.0
"""Which objects already exist below a prefix: read from one listing as far as that is cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_dli.staging.content import folder_of, object_key, old_object_key

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.content import LocalPackage
    from airflow_provider_dli.staging.records.groups import RecordFolder

PAGE = 1000
"""Objects in one page of a listing."""

FILES_PER_PAGE = 4
"""Files that make one page worth listing: pages come one after the other, while single objects are
looked up several at a time."""


@dataclass(frozen=True, slots=True)
class ExistingObjects:
    """The objects of a listing by their keys. Unless it `is_whole`, there are more."""

    obs: ObsHook
    bucket: str
    prefix: str
    objects: Mapping[str, StoredObject]
    is_whole: bool

    @classmethod
    def listed(cls, obs: ObsHook, bucket: str, prefix: str, *, files: int) -> ExistingObjects:
        """Lists the objects below a prefix as long as that is faster than looking up each file."""
        limit = PAGE * max(1, files // FILES_PER_PAGE)
        objects = {
            one.key: one for one in islice(obs.list_objects(bucket, folder_of(prefix)), limit)
        }
        return cls(obs, bucket, prefix, objects, len(objects) < limit)

    def records_of(self, folder: RecordFolder) -> list[StoredObject] | None:
        """Returns the records of a group, `None` if the listing may not have all of them."""
        if not self.is_whole:
            return None
        return [
            one
            for key, one in self.objects.items()
            if key.startswith(folder.path) or key == folder.old_key
        ]

    def modified(self, key: str, folder: str) -> float | None:
        """Returns the time an object of a small folder was written, `None` if it is absent."""
        objects = self.objects
        if not self.is_whole and key not in objects:
            objects = {one.key: one for one in self.obs.list_objects(self.bucket, folder)}
        found = objects.get(key)
        return None if found is None else found.modified

    def keys_of(self, files: Sequence[LocalPackage], *, force: bool) -> dict[str, tuple[str, bool]]:
        """Returns the key of each file by its name, and whether the object with its bytes exists.

        A listed object with the right key and size counts as the right one: the key has 128 bits
        of the digest, and only complete objects that were verified get such keys. The keys of 0.1
        have 48 bits, so the digest of such an object is compared.
        """
        new = {one.name: object_key(self.prefix, one) for one in files}
        if force:
            return {name: (key, False) for name, key in new.items()}
        existing = {one.name for one in files if self._is_listed(new[one.name], one)}
        left = [one for one in files if one.name not in existing]
        if not self.is_whole:
            existing |= self._verified(left, new)
            left = [one for one in left if one.name not in existing]
        old = {one.name: old_object_key(self.prefix, one) for one in left}
        if self.is_whole:
            left = [one for one in left if self._is_listed(old[one.name], one)]
        with_old_key = self._verified(left, old)
        return {
            name: (old[name], True) if name in with_old_key else (key, name in existing)
            for name, key in new.items()
        }

    def _is_listed(self, key: str, file: LocalPackage) -> bool:
        found = self.objects.get(key)
        return found is not None and found.size == file.size

    def _verified(self, files: Sequence[LocalPackage], keys: Mapping[str, str]) -> set[str]:
        """Returns the names of the files whose objects have their size and digest."""
        if not files:
            return set()
        found = self.obs.find_objects(self.bucket, [keys[one.name] for one in files])
        return {
            one.name
            for one in files
            if (at := found.get(keys[one.name])) is not None
            and (at.size, at.sha256) == (one.size, one.sha256)
        }
