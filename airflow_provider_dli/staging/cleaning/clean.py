# SPDX-License-Identifier: Apache-2.0
"""Deletes what earlier runs staged and nothing uses any more: objects, package groups, records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_dli.api.protocol.errors import DliError, NotFoundError
from airflow_provider_dli.staging.cleaning.plan import (
    Deletion,
    Keep,
    StagedBefore,
    in_use,
    plan,
)
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.plan import check_delete_after
from airflow_provider_dli.staging.records.inventory import Inventory, is_record

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.dli import DliHook


LEFT_FOR = 24 * 3600.0
"""Seconds after which a record goes that does not help to tell what DLI holds."""


class ObjectStore(Protocol):
    """What cleaning needs of OBS."""

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Return the objects whose keys begin so."""

    def read_object(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; raises `NotFoundError` when there is none."""

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
    check_delete_after(after)
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
    """`bodies` are records that were read: they are looked at twice, and few are ever changed."""

    dli: DliHook
    obs: ObjectStore
    bucket: str
    prefix: str
    bodies: dict[StoredObject, bytes] = field(default_factory=dict)

    @property
    def _folder(self) -> str:
        return folder_of(self.prefix)

    def look(self, after: timedelta | int, keep: Keep) -> tuple[Deletion, Inventory]:
        """Plan by what is there now; returns also all that is written down."""
        objects = list(self.obs.list_objects(self.bucket, self._folder))
        known = self._inventory(objects)
        own = known.of_project(self.dli.project_id)
        # What jobs of other projects use cannot be told.
        foreign = known.keys_of_others(self.dli.project_id)
        used = in_use(self._active_batches())
        deletion = plan(
            objects,
            own,
            replace(used, unknown=used.unknown + known.unreadable),
            prefix=self.prefix,
            keep=replace(keep, keys=keep.keys.union(foreign)),
            after=after,
            now=self.dli.now(),
            is_shared=known.has_others(self.dli.project_id),
        )
        return self._with_superseded(deletion, known, own), known

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

    def delete(self, deletion: Deletion, known: Inventory) -> None:
        """Delete the groups first: one that is left half deleted is tried again next time."""
        listing = self.dli.list_packages() if deletion.groups else None
        for name in deletion.groups:
            group = listing.group(name) if listing else None
            if group:
                records = known.group(self.dli.project_id, name)
                packages = tuple(one.name for one in group.packages if records.is_ours(one))
                self.dli.delete_package_group(name, packages)
        for keys in (deletion.records, deletion.keys):
            if keys:
                self.obs.delete_objects(self.bucket, keys)

    def _inventory(self, objects: Sequence[StoredObject]) -> Inventory:
        """Read all records."""
        bodies: dict[StoredObject, bytes] = {}
        for one in objects:
            if not is_record(self.prefix, one.key):
                continue
            try:
                bodies[one] = self.bodies.get(one) or self.obs.read_object(self.bucket, one.key)
            except NotFoundError:
                continue  # Another run deleted it just now.
        self.bodies.update(bodies)
        return Inventory.of(self.prefix, bodies)

    def _with_superseded(
        self, deletion: Deletion, known: Inventory, own: Sequence[StagedBefore]
    ) -> Deletion:
        """Add the records of groups that stay, where they do not help to tell what DLI holds."""
        before = self.dli.now() - LEFT_FOR
        staying = [
            one.group
            for one in own
            if one.group is not None
            and one.group not in deletion.groups
            and known.group(self.dli.project_id, one.group).is_piled_up
        ]
        if not staying:
            return deletion
        # Newer than the listing of the records: a copy that it does not show will not come back.
        listing = self.dli.list_packages()
        more: list[str] = []
        for name in staying:
            group = listing.group(name)
            if group is not None:
                more += known.group(self.dli.project_id, name).superseded(group, before)
        return replace(deletion, records=(*deletion.records, *more))

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
