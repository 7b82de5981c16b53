# SPDX-License-Identifier: Apache-2.0
"""Deletes what earlier runs staged and nothing uses any more: objects, package groups, records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_dli.api.errors import DliError, NotFoundError
from airflow_provider_dli.staging import records
from airflow_provider_dli.staging.cleaning import (
    Deletion,
    Keep,
    check_after,
    described,
    in_use,
    plan,
)
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.records import Record

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.dli import DliHook


class ObjectStore(Protocol):
    """What cleaning needs of OBS."""

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Give the objects whose keys begin so."""

    def read_object(self, bucket: str, key: str) -> bytes:
        """Give an object's bytes; raises `NotFoundError` when there is none."""

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects; absent ones count as done."""


def clean(
    dli: DliHook,
    obs: ObjectStore,
    bucket: str,
    prefix: str,
    after: timedelta | int,
    *,
    keep: Keep,
    dry_run: bool = True,
) -> Deletion:
    """Delete what was staged below a prefix, is older than `after` and is not in use.

    Gives what was deleted, or would be. Before it deletes it looks once more at what is there and
    at what jobs use. See `plan` for the rules.

    :param after: a ``timedelta`` (older goes) or a count (so many newest versions stay)
    :param keep: what this run staged
    :param dry_run: only log what would go
    """
    check_after(after)
    place = _Place(dli, obs, bucket, prefix)
    deletion, known = place.look(after, keep)
    if deletion and not dry_run:
        again, known = place.look(after, keep)
        deletion = deletion.agreed(again)
    place.tell("Would delete" if dry_run else "Deleting", deletion)
    if not dry_run:
        place.delete(deletion, known)
    return deletion


@dataclass(frozen=True, slots=True)
class _Place:
    dli: DliHook
    obs: ObjectStore
    bucket: str
    prefix: str

    @property
    def _folder(self) -> str:
        return folder_of(self.prefix)

    def look(self, after: timedelta | int, keep: Keep) -> tuple[Deletion, dict[str, Record]]:
        """Plan by what is there now; gives also the records of this project by their keys."""
        objects = list(self.obs.list_objects(self.bucket, self._folder))
        known, unreadable = self._records(objects)
        own = {record.key: record for record in known if self._is_own(record)}
        # What jobs of other projects use cannot be told.
        foreign = [key for record in known if record.key not in own for key in record.keys]
        used = in_use(self._active_batches())
        deletion = plan(
            objects,
            tuple(own.values()),
            replace(used, unknown=used.unknown + unreadable),
            prefix=self.prefix,
            keep=replace(keep, keys=keep.keys.union(foreign)),
            after=after,
            now=self.dli.now(),
        )
        return deletion, own

    def tell(self, doing: str, deletion: Deletion) -> None:
        """Log a plan line by line."""
        log = self.dli.log
        for group in deletion.groups:
            log.info("%s package group %r", doing, group)
        for key in (*deletion.records, *deletion.keys):
            log.info("%s obs://%s/%s", doing, self.bucket, key)
        for reason in deletion.kept:
            log.info("Kept: %s", reason)
        if not deletion:
            log.info("Nothing to delete in obs://%s/%s", self.bucket, self._folder)

    def delete(self, deletion: Deletion, known: dict[str, Record]) -> None:
        """Delete the groups first: one that is left half deleted is tried again next time."""
        listing = self.dli.list_packages() if deletion.groups else None
        for key in deletion.records:
            name = known[key].group
            group = listing.group(name) if listing and name else None
            if name and group:
                self.dli.delete_package_group(name, described(known[key], group))
        for keys in (deletion.records, deletion.keys):
            if keys:
                self.obs.delete_objects(self.bucket, keys)

    def _records(self, objects: Iterable[StoredObject]) -> tuple[list[Record], tuple[str, ...]]:
        """Read all records; gives also why some cannot be read."""
        folder = records.folder(self.prefix)
        known, unreadable = [], []
        for key in (one.key for one in objects):
            if not key.startswith(folder) or not key.endswith(".json"):
                continue
            try:
                body = self.obs.read_object(self.bucket, key)
            except NotFoundError:
                continue  # Another run deleted it just now.
            try:
                known.append(records.decoded(key, body))
            except DliError as error:
                unreadable.append(f"everything. {error}")
        return known, tuple(unreadable)

    def _is_own(self, record: Record) -> bool:
        if record.group is None:
            return True
        return record.key == records.group_key(self.prefix, self.dli.project_id, record.group)

    def _active_batches(self) -> list[SparkBatch]:
        try:
            active = [batch for batch in self.dli.list_batches() if not batch.is_terminal]
            # A listing need not tell what a job was submitted with.
            return [self._shown(batch) if batch.request is None else batch for batch in active]
        except DliError as error:
            why = (
                f"Nothing was deleted in obs://{self.bucket}/{self._folder}: that needs to know "
                "what Spark batch jobs use, and the right to list them (dli:jobs:list)."
            )
            self.dli.log.error(why)
            error.add_note(why)
            raise

    def _shown(self, batch: SparkBatch) -> SparkBatch:
        try:
            return self.dli.get_batch(batch.id)
        except NotFoundError:
            return batch
