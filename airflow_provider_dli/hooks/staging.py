# SPDX-License-Identifier: Apache-2.0
"""Stages packages: from files to objects in OBS and, where it is wanted, to a package group."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api import checks, engines
from airflow_provider_dli.api.errors import InputError, PackageGroupExistsError
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.readiness import Verdict, judge
from airflow_provider_dli.hooks.cleaning import clean
from airflow_provider_dli.staging import records
from airflow_provider_dli.staging.cleaning import Keep
from airflow_provider_dli.staging.content import (
    LocalPackage,
    content_id,
    folder_of,
    kind_of,
    object_key,
)
from airflow_provider_dli.staging.decision import Comparison, Holds, compare, versioned
from airflow_provider_dli.staging.orders import Order, Staged, StagedPackage
from airflow_provider_dli.staging.records import Record
from airflow_provider_dli.staging.sources import collect

if TYPE_CHECKING:
    from airflow_provider_dli.api.models import PackageGroup
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.content import Package
    from airflow_provider_dli.staging.records import Member

MANY = 20
"""Files from which on a listing is asked for; per file, it may have as many objects."""

FRESH = 600.0
"""Seconds for which a record that still holds is not written again, only to say so."""


class Stager:
    """Carries out orders on one account: DLI by one hook, OBS by the other."""

    def __init__(self, dli: DliHook, obs: ObsHook) -> None:
        self._dli = dli
        self._obs = obs
        self._log = dli.log

    def stage(self, order: Order, *, dry_run: bool = False) -> Staged:
        """Send what OBS lacks, and upload what the group lacks; does not wait for the group.

        In a dry run nothing is sent, uploaded or written.
        """
        self._warn_of_engine(order)
        with tempfile.TemporaryDirectory(prefix="dli-staging-") as workspace:
            packages = collect(
                order.sources,
                Path(workspace),
                base=order.base,
                python_version=order.python_version,
                warn=self._log.warning,
            )
            # Also when there is nothing to look for: a bucket that refuses is told of first.
            self._obs.check_bucket(order.bucket)
            staged = Staged(
                order,
                order.group if order.target == "group" else None,
                order.kind or kind_of([package.name for package in packages]),
                tuple(self._placed(order, package) for package in packages),
            )
            # Before anything is sent: the group may be somebody else's.
            staged, record = self._compared(staged)
            to_send = self._missing(order, packages, record)
            staged = staged.sending({file.key for file in to_send})
            self._tell(staged, dry_run)
            if dry_run:
                return staged
            self._obs.upload_files(order.bucket, to_send)
        if staged.uploaded:
            return self._uploaded(staged, record)
        self._keep(order, record, staged)
        return staged

    def finish(self, order: Order, staged: Mapping[str, Any], group: PackageGroup | None) -> None:
        """Write down what DLI calls its copies, and clean up where the order says so.

        `staged` is what :meth:`Staged.as_dict` gave, `group` the group as it is now.
        """
        if group is not None:
            self._confirm(order, group, [package["name"] for package in staged["packages"]])
        if order.delete_after is not None:
            here = f"obs://{order.bucket}/"
            paths = [package["obs_path"] for package in staged["packages"]]
            keys = {path.removeprefix(here) for path in paths if path.startswith(here)}
            clean(
                self._dli,
                self._obs,
                order.bucket,
                order.prefix,
                order.delete_after,
                keep=Keep(frozenset(keys), frozenset({staged["group"]} - {None})),
                dry_run=order.delete_dry_run,
            )

    def _confirm(self, order: Order, group: PackageGroup, names: Sequence[str]) -> None:
        if group.name is None or judge(group, names).verdict is not Verdict.READY:
            return
        key = records.group_key(order.prefix, self._dli.project_id, group.name)
        record = self._record(order, key, group.name)
        if (confirmed := record.confirmed(group, names)) != record:
            self._write(order, confirmed)

    def _placed(self, order: Order, package: Package) -> StagedPackage:
        """Say where a package is to lie, or lies."""
        sha256: str | None
        if isinstance(package, LocalPackage):
            bucket, key = order.bucket, object_key(order.prefix, package)
            size, sha256, content = package.size, package.sha256, package.sha256
        else:
            bucket, key = checks.obs_location(package.url, "sources")
            found = self._obs.find_object(bucket, key)
            if found is None:
                raise InputError("sources", package.url, "there is no such object")
            size, sha256, content = found.size, found.sha256, found.etag
        return StagedPackage(
            name=package.name,
            path=self._obs.object_url(bucket, key),
            obs_path=f"obs://{bucket}/{key}",
            size=size,
            sha256=sha256,
            content=content,
            key=key if bucket == order.bucket else None,
        )

    def _missing(
        self, order: Order, packages: Sequence[Package], record: Record
    ) -> list[FileToSend]:
        files = [
            FileToSend(
                package.path, object_key(order.prefix, package), package.size, package.sha256
            )
            for package in packages
            if isinstance(package, LocalPackage)
        ]
        if order.force:
            return files
        unlisted = self._unlisted(order, files, record)
        there = self._obs.find_objects(order.bucket, [file.key for file in unlisted])
        return [
            file
            for file in unlisted
            if (known := there.get(file.key)) is None
            or (known.size, known.sha256) != (file.size, file.sha256)
        ]

    def _unlisted(
        self, order: Order, files: Sequence[FileToSend], record: Record
    ) -> Sequence[FileToSend]:
        """Leave out the files that the record vouches for and a listing has with their size.

        A listing costs a request for a thousand objects, a look at each digest one for each.
        """
        known = {(member.key, member.content) for member in record.members.values()}
        vouched = {file.key for file in files if (file.key, file.sha256) in known}
        if len(vouched) < MANY:
            return files
        listed = islice(
            self._obs.list_objects(order.bucket, folder_of(order.prefix)), MANY * len(vouched)
        )
        sizes = {found.key: found.size for found in listed if found.key in vouched}
        return [file for file in files if sizes.get(file.key) != file.size]

    def _compared(self, staged: Staged) -> tuple[Staged, Record]:
        """Say whether packages have to be uploaded, and give the record of the group or task."""
        order, group = staged.order, staged.group
        if group is None:
            key = records.task_key(order.prefix, order.task)
            return staged, self._record(order, key, None)
        found, record = self._looked_up(order, group)
        comparison = compare(found, record, staged.members)
        if comparison.holds is Holds.FOREIGN and order.on_conflict == "version":
            contents = [(package.name, package.content) for package in staged.packages]
            group = versioned(group, content_id(contents))
            self._log.info("Package group %r is another's, taking %r", order.group, group)
            found, record = self._looked_up(order, group)
            comparison = compare(found, record, staged.members)
        uploaded = self._is_to_upload(order, group, comparison)
        return replace(staged, group=group, found=found, uploaded=uploaded), record

    def _looked_up(self, order: Order, group: str) -> tuple[PackageGroup | None, Record]:
        key = records.group_key(order.prefix, self._dli.project_id, group)
        return self._dli.get_package_group(group), self._record(order, key, group)

    def _uploaded(self, staged: Staged, record: Record) -> Staged:
        order = staged.order
        # Before the upload: if this process ends in between, the next one knows whose it was.
        record = self._join(order, record, staged.members.values())
        answer = self._dli.upload_package_group(
            [package.path for package in staged.packages],
            staged.group,
            staged.kind,
            order.is_async,
            order.tags,
        )
        answered = record.answered(answer).members
        self._join(order, record, [answered[name] for name in staged.members])
        return replace(staged, found=answer)

    def _keep(self, order: Order, record: Record, staged: Staged) -> None:
        """Write down that this is in use still, and what a task staged without a group."""
        now = self._dli.now()
        if staged.group is None and record.members != staged.members:
            self._write(order, Record(record.key, None, order.owner, now, staged.members))
        # What is used each day must not look old, nor be written anew each minute.
        elif record.members and now - record.staged_at > FRESH:
            self._join(order, record, ())

    def _is_to_upload(self, order: Order, group: str, comparison: Comparison) -> bool:
        where = f"package group {group!r}"
        if comparison.holds is Holds.SAME:
            if not order.force:
                self._log.info("Not uploaded, %s holds the same bytes", where)
            return order.force
        if comparison.holds is Holds.FOREIGN:
            if order.on_conflict != "replace":
                raise PackageGroupExistsError(
                    f"{where} holds {comparison.holds.value}: {comparison}. Nothing was uploaded: "
                    "use another name, or on_conflict 'version' for one of its own, or 'replace' "
                    "to overwrite it"
                )
            self._log.warning(
                "Replacing, in %s, what somebody else put there: %s", where, comparison
            )
        if comparison.holds is Holds.OLDER:
            return self._is_to_replace(order, where, comparison)
        return True

    def _is_to_replace(self, order: Order, where: str, comparison: Comparison) -> bool:
        if order.if_exists == "fail":
            raise PackageGroupExistsError(
                f"{where} holds {comparison.holds.value}: {comparison}, and if_exists is 'fail': "
                "use another name, or 'replace' or 'skip', or delete it first"
            )
        if order.if_exists == "skip" and comparison.is_whole:
            self._log.warning("Not uploaded, %s keeps its older bytes: %s", where, comparison)
            return False
        return True

    def _record(self, order: Order, key: str, group: str | None) -> Record:
        """Read a record; where there is none, give one of nothing."""
        if self._obs.find_object(order.bucket, key) is None:
            return Record(key, group, order.owner, 0.0)
        return records.decoded(key, self._obs.read_object(order.bucket, key))

    def _join(self, order: Order, record: Record, members: Iterable[Member]) -> Record:
        """Write members into a record as it is by now: other tasks may fill the same group."""
        latest = self._record(order, record.key, record.group)
        joined = latest.joined(members, order.owner, self._dli.now())
        self._write(order, joined)
        return joined

    def _write(self, order: Order, record: Record) -> None:
        self._obs.write_object(order.bucket, record.key, record.encoded())

    def _tell(self, staged: Staged, dry_run: bool) -> None:
        kept = [package.name for package in staged.packages if not package.sent]
        if kept:
            self._log.info("Not sent, OBS has the same bytes: %s", ", ".join(kept))
        if dry_run and staged.bytes_sent:
            sent = [package.name for package in staged.packages if package.sent]
            self._log.info("Would send %d bytes: %s", staged.bytes_sent, ", ".join(sent))

    def _warn_of_engine(self, order: Order) -> None:
        version = order.spark_version
        if order.target == "group" and version and not engines.takes_groups(version):
            self._log.warning(
                "Spark %s takes no package groups, only obs:// paths: a job on it cannot use group "
                "%r. Stage with target='obs' and name the job's files by their obs_path.",
                version,
                order.group,
            )
