# SPDX-License-Identifier: Apache-2.0
"""Deletes objects, package groups and records that earlier runs staged and nothing uses anymore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_dli.api.protocol.errors import DliError, NotFoundError
from airflow_provider_dli.staging.cleaning.deletion import (
    Deletion,
    Keep,
    StagedBefore,
    in_use,
    plan_deletion,
)
from airflow_provider_dli.staging.cleaning.inventory import Inventory, is_record
from airflow_provider_dli.staging.content import folder_of
from airflow_provider_dli.staging.plan import check_delete_after

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook

SUPERSEDED_FOR = 24 * 3600.0
"""Age in seconds from which a record is deleted that says nothing about what DLI holds."""


def clean(
    dli: DliHook,
    obs: ObsHook,
    bucket: str,
    prefix: str,
    after: timedelta | int,
    *,
    keep: Keep,
    dry_run: bool = True,
) -> Deletion:
    """Deletes what was staged below a prefix, is older than `after` and is not in use.

    Returns what was deleted, or would be. Right before deleting it checks again what exists and
    what jobs use. See `plan_deletion` for the rules.

    :param after: a ``timedelta`` (older ones are deleted) or a count (that many newest versions
        are kept)
    :param keep: what this run staged
    :param dry_run: only log what would be deleted
    """
    check_delete_after(after)
    cleaning = _Cleaning(dli, obs, bucket, prefix)
    deletion, inventory = cleaning.plan(after, keep)
    if deletion and not dry_run:
        again, inventory = cleaning.plan(after, keep)
        deletion = deletion.agreed(again)
    cleaning.log_plan("Would delete" if dry_run else "Deleting", deletion)
    if not dry_run:
        cleaning.delete(deletion, inventory)
    return deletion


@dataclass(frozen=True, slots=True)
class _Cleaning:
    """The cleaning of one prefix.

    `bodies` are the records read so far: each is needed twice, and few ever change.
    """

    dli: DliHook
    obs: ObsHook
    bucket: str
    prefix: str
    bodies: dict[StoredObject, bytes] = field(default_factory=dict)

    @property
    def _folder(self) -> str:
        return folder_of(self.prefix)

    def plan(self, after: timedelta | int, keep: Keep) -> tuple[Deletion, Inventory]:
        """Plans by what exists now; returns also all records."""
        project_id = self.dli.project_id
        objects = list(self.obs.list_objects(self.bucket, self._folder))
        inventory = self._inventory(objects)
        own = inventory.of_project(project_id)
        # What jobs of other projects use is not visible.
        foreign = inventory.keys_of_others(project_id)
        used = in_use(self._active_batches())
        deletion = plan_deletion(
            objects,
            own,
            replace(used, unknown=used.unknown + inventory.unreadable),
            prefix=self.prefix,
            keep=replace(keep, keys=keep.keys.union(foreign)),
            after=after,
            now=self.dli.now(),
            is_shared=inventory.has_others(project_id),
        )
        return self._with_superseded(deletion, inventory, own), inventory

    def log_plan(self, action: str, deletion: Deletion) -> None:
        """Logs what is deleted and what is kept, line by line."""
        log = self.dli.log
        for group in deletion.groups:
            log.info("%s package group %r", action, group)
        for key in (*deletion.records, *deletion.keys):
            log.info("%s obs://%s/%s", action, self.bucket, key)
        for reason in deletion.kept:
            log.info("Kept: %s", reason)
        if not deletion:
            log.info("Nothing to delete in obs://%s/%s", self.bucket, self._folder)

    def delete(self, deletion: Deletion, inventory: Inventory) -> None:
        """Deletes the groups first: one that is only half deleted is tried again next time."""
        listing = self.dli.list_packages() if deletion.groups else None
        for name in deletion.groups:
            group = listing.group(name) if listing else None
            if group:
                records = inventory.group(self.dli.project_id, name)
                packages = tuple(
                    one.name for one in group.packages if records.origin(one).owner is not None
                )
                self.dli.delete_package_group(name, packages)
        for keys in (deletion.records, deletion.keys):
            if keys:
                self.obs.delete_objects(self.bucket, keys)

    def _inventory(self, objects: Sequence[StoredObject]) -> Inventory:
        bodies: dict[StoredObject, bytes] = {}
        for one in objects:
            if not is_record(self.prefix, one.key):
                continue
            try:
                bodies[one] = self.bodies.get(one) or self.obs.read_object(self.bucket, one.key)
            except NotFoundError:
                continue  # Another run has just deleted it.
        self.bodies.update(bodies)
        return Inventory.of(self.prefix, bodies)

    def _with_superseded(
        self, deletion: Deletion, inventory: Inventory, own: Sequence[StagedBefore]
    ) -> Deletion:
        """Adds records that say nothing about what DLI holds, of groups that are kept."""
        before = self.dli.now() - SUPERSEDED_FOR
        kept = [
            (one.group, records)
            for one in own
            if one.group is not None
            and one.group not in deletion.groups
            and (records := inventory.group(self.dli.project_id, one.group)).is_piled_up
        ]
        if not kept:
            return deletion
        # Newer than the listing of the records: a copy that it does not show will not come back.
        listing = self.dli.list_packages()
        more: list[str] = []
        for name, records in kept:
            group = listing.group(name)
            if group is not None:
                more += records.superseded(group, before)
        return replace(deletion, records=(*deletion.records, *more))

    def _active_batches(self) -> list[SparkBatch]:
        try:
            active = [batch for batch in self.dli.list_batches() if not batch.is_terminal]
            # A listing may leave out what a job was submitted with.
            return [self._with_request(b) if b.request is None else b for b in active]
        except DliError as error:
            reason = (
                f"Nothing was deleted in obs://{self.bucket}/{self._folder}: cleaning must know "
                "what Spark batch jobs use, and needs the permission to list them (dli:jobs:list)."
            )
            self.dli.log.error(reason)
            error.add_note(reason)
            raise

    def _with_request(self, batch: SparkBatch) -> SparkBatch:
        try:
            return self.dli.get_batch(batch.id)
        except NotFoundError:
            return batch
