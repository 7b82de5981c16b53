# SPDX-License-Identifier: Apache-2.0
"""Stages packages: from files to objects in OBS and, where it is wanted, to a package group."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs.engines import find_engine
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import DliError, InputError, PackageGroupExistsError
from airflow_provider_dli.staging.cleaning.clean import clean
from airflow_provider_dli.staging.cleaning.plan import Keep
from airflow_provider_dli.staging.content import LocalPackage, content_id, kind_of
from airflow_provider_dli.staging.plan import StagingPlan
from airflow_provider_dli.staging.records import filling, tasks
from airflow_provider_dli.staging.records.decision import Comparison, GroupContent, versioned
from airflow_provider_dli.staging.records.filling import Look, Outcome, Place, Upload, Verdict
from airflow_provider_dli.staging.records.steps import (
    DeleteObjects,
    FindGroup,
    ListObjects,
    ReadObject,
    Step,
    Steps,
    UploadGroup,
    WriteObject,
)
from airflow_provider_dli.staging.records.tasks import Record
from airflow_provider_dli.staging.records.uploads import Folder
from airflow_provider_dli.staging.result import StagedPackage, StagingResult
from airflow_provider_dli.staging.sources import collect
from airflow_provider_dli.staging.stored import Stored

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.content import Package

T = TypeVar("T")

LONG = 60.0
"""Seconds of sending after which a group is looked at once more before it is filled."""

FRESH = 600.0
"""Seconds for which a record that still holds is not written again, only to say so."""


class Stager:
    """Carries out orders on one account: DLI by one hook, OBS by the other.

    `new_id` gives an upload its id, hex digits that no other has.
    """

    def __init__(
        self, dli: DliHook, obs: ObsHook, new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    ) -> None:
        self._dli = dli
        self._obs = obs
        self._new_id = new_id
        self._log = dli.log

    def stage(self, order: StagingPlan, *, dry_run: bool = False) -> StagingResult:
        """Send what OBS lacks, and upload what the group lacks; does not wait for the group.

        In a dry run nothing is sent, uploaded or written.
        """
        self._warn_of_engine(order)
        with _workspace() as workspace:
            packages = collect(
                order.sources,
                workspace,
                base=order.base,
                python_version=order.python_version,
                warn=self._log.warning,
            )
            group = order.group if order.target == "group" else None
            # DLI before the records: what it shows was announced there before.
            found = None if group is None else self._dli.get_package_group(group)
            # Also when there is nothing to look for: a bucket that refuses is told of first.
            stored = Stored.listed(self._obs, order.bucket, order.prefix, files=len(packages))
            placed, to_send = self._placed(order, packages, stored)
            kind = order.kind or kind_of([package.name for package in packages])
            staged = StagingResult(order, group, kind, placed, found=found)
            # Before anything is sent: the group may be somebody else's.
            looked_at = self._dli.now()
            seen = None if group is None else self._look(staged, group, stored)
            if seen is not None:
                staged, seen = self._decided(staged, seen)
            staged = staged.sending({file.key for file in to_send})
            self._tell(staged, dry_run)
            if dry_run:
                return staged
            if to_send:
                self._obs.upload_files(order.bucket, to_send)
        if seen is None:
            self._keep_task(order, staged, stored)
            return staged
        if staged.uploaded and self._dli.now() - looked_at > LONG:
            # Sending took its time: somebody else may have filled the group.
            staged, seen = self._decided(staged, self._looked_again(staged, seen.place.group))
        if staged.uploaded:
            return self._uploaded(staged, seen)
        old = self._dli.now() - FRESH
        self._run(order, filling.keep(seen, staged.contents, order.owner, self._new_id(), old))
        return staged

    def finish(
        self,
        order: StagingPlan,
        staged: Mapping[str, Any],
        upload: Upload | None = None,
        group: PackageGroup | None = None,
    ) -> None:
        """Write down what DLI holds, and clean up where the order says so.

        Raises `PackageGroupExistsError` where somebody else put other bytes into the group at the
        same time, and the order is not to replace them.

        `staged` is what `StagingResult.as_dict` returned, `upload` is its `upload`, and `group` the
        group by a listing that is newer than the upload; without it DLI is asked.
        """
        if upload is not None:
            folder = self._place(order, upload.group).folder
            outcome = self._run(order, filling.settle(folder, upload, group))
            self._check(order, upload.group, outcome)
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

    def _placed(
        self, order: StagingPlan, packages: Sequence[Package], stored: Stored
    ) -> tuple[tuple[StagedPackage, ...], list[FileToSend]]:
        """Return where each package is to lie, or lies, and the files that are to be sent."""
        files = [package for package in packages if isinstance(package, LocalPackage)]
        keys = stored.keys_of(files, force=order.force)
        to_send = [
            FileToSend(one.path, keys[one.name][0], one.size, one.sha256, one.tags)
            for one in files
            if not keys[one.name][1]
        ]
        placed = []
        for package in packages:
            if isinstance(package, LocalPackage):
                where = (order.bucket, keys[package.name][0])
                told: tuple[int, str | None, str] = (package.size, package.sha256, package.sha256)
            else:
                where = checks.obs_location(package.url, "sources")
                told = self._told(package.url, *where)
            placed.append(self._package(order, package.name, where, told))
        return tuple(placed), to_send

    def _told(self, url: str, bucket: str, key: str) -> tuple[int, str | None, str]:
        """Return size, digest and what tells the bytes apart of an object that lies in OBS."""
        found = self._obs.find_object(bucket, key)
        if found is None:
            raise InputError("sources", url, "there is no such object")
        return found.size, found.sha256, found.etag

    def _package(
        self,
        order: StagingPlan,
        name: str,
        where: tuple[str, str],
        told: tuple[int, str | None, str],
    ) -> StagedPackage:
        bucket, key = where
        size, sha256, content = told
        return StagedPackage(
            name=name,
            path=self._obs.object_url(bucket, key),
            obs_path=f"obs://{bucket}/{key}",
            size=size,
            sha256=sha256,
            content=content,
            key=key if bucket == order.bucket else None,
        )

    def _place(self, order: StagingPlan, group: str) -> Place:
        return Place(group, Folder.of(order.prefix, self._dli.project_id, group))

    def _look(self, staged: StagingResult, group: str, stored: Stored) -> Look:
        order, place = staged.order, self._place(staged.order, group)
        objects = stored.records_of(place.folder)
        steps = filling.compared(
            place, staged.contents, order.owner, staged.found, objects, is_forced=order.force
        )
        return self._run(order, steps)

    def _looked_again(self, staged: StagingResult, group: str) -> Look:
        order, place = staged.order, self._place(staged.order, group)
        steps = filling.look(place, staged.contents, order.owner, is_forced=order.force)
        return self._run(order, steps)

    def _decided(self, staged: StagingResult, seen: Look) -> tuple[StagingResult, Look]:
        """Return it with whether packages have to be uploaded, and to which group."""
        order, group = staged.order, seen.place.group
        if seen.comparison.holds is GroupContent.FOREIGN and order.on_conflict == "version":
            contents = [(package.name, package.content) for package in staged.packages]
            group = versioned(group, content_id(contents))
            self._log.info("Package group %r is another's, taking %r", order.group, group)
            seen = self._looked_again(staged, group)
        uploaded = self._is_to_upload(order, group, seen.comparison)
        return replace(staged, group=group, found=seen.found, uploaded=uploaded), seen

    def _uploaded(self, staged: StagingResult, seen: Look) -> StagingResult:
        order = staged.order

        def upload() -> PackageGroup:
            return self._dli.upload_package_group(
                [package.path for package in staged.packages],
                staged.group,
                staged.kind,
                order.is_async,
                order.tags,
            )

        steps = filling.begin(seen, staged.contents, order.owner, self._new_id())
        done, answer = self._run(order, steps, upload)
        return replace(staged, found=answer, upload=done)

    def _keep_task(self, order: StagingPlan, staged: StagingResult, stored: Stored) -> None:
        """Write down what a task staged without a group, or that this is in use still."""
        folder = tasks.task_folder(order.prefix, self._dli.project_id, order.task)
        key = tasks.task_key(folder, staged.members.values())
        now = self._dli.now()
        modified = stored.modified(key, folder)
        # What is used each day must not look old, nor be written anew each minute.
        if modified is None or now - modified > FRESH:
            record = Record(key, None, order.owner, now, staged.members)
            self._obs.write_object(order.bucket, key, record.encoded())

    def _check(self, order: StagingPlan, group: str, outcome: Outcome) -> None:
        """Raise or log where DLI does not hold for sure what was uploaded."""
        if stale := outcome.of(Verdict.STALE):
            self._log.warning(
                "Package group %r: %s of %s. The next run uploads it again.",
                group,
                Verdict.STALE.value,
                ", ".join(stale),
            )
        for verdict in (Verdict.DISPLACED, Verdict.REPLACED, Verdict.UNCLEAR):
            if not (lost := outcome.of(verdict)):
                continue
            shown = ", ".join(f"{name} ({who or 'unknown'})" for name, who in lost.items())
            text = f"Package group {group!r}: {verdict.value}: {shown}"
            own = {order.owner} if verdict is Verdict.REPLACED else {order.owner, None}
            if order.on_conflict == "fail" and not own.issuperset(lost.values()):
                raise PackageGroupExistsError(
                    f"{text}. Use another name, or on_conflict 'version' for one of its own, or "
                    "'replace' to upload this over it with the next run"
                )
            self._log.warning("%s. The next run looks at it again.", text)

    def _is_to_upload(self, order: StagingPlan, group: str, comparison: Comparison) -> bool:
        where = f"package group {group!r}"
        if comparison.holds is GroupContent.SAME:
            if not order.force:
                self._log.info("Not uploaded, %s holds the same bytes", where)
            return order.force
        if comparison.holds is GroupContent.FOREIGN:
            if order.on_conflict != "replace":
                raise PackageGroupExistsError(
                    f"{where} holds {comparison.holds.value}: {comparison}. Nothing was uploaded: "
                    "use another name, or on_conflict 'version' for one of its own, or 'replace' "
                    "to overwrite it"
                )
            self._log.warning(
                "Replacing, in %s, what somebody else put there: %s", where, comparison
            )
        if comparison.holds is GroupContent.OLDER:
            return self._is_to_replace(order, where, comparison)
        return True

    def _is_to_replace(self, order: StagingPlan, where: str, comparison: Comparison) -> bool:
        if order.if_exists == "fail":
            raise PackageGroupExistsError(
                f"{where} holds {comparison.holds.value}: {comparison}, and if_exists is 'fail': "
                "use another name, or 'replace' or 'skip', or delete it first"
            )
        if order.if_exists == "skip" and comparison.is_whole:
            self._log.warning("Not uploaded, %s keeps its older bytes: %s", where, comparison)
            return False
        return True

    def _run(
        self, order: StagingPlan, steps: Steps[T], upload: Callable[[], PackageGroup] | None = None
    ) -> T:
        """Carry out steps to their end."""
        try:
            step = next(steps)
            while True:
                try:
                    result = self._carry_out(order, step, upload)
                except DliError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as ended:
            value: T = ended.value
            return value

    def _carry_out(
        self, order: StagingPlan, step: Step, upload: Callable[[], PackageGroup] | None
    ) -> object:
        match step:
            case ListObjects(prefix):
                return list(self._obs.list_objects(order.bucket, prefix))
            case ReadObject(key):
                return self._obs.read_object(order.bucket, key)
            case WriteObject(key, body):
                return self._obs.write_object(order.bucket, key, body)
            case DeleteObjects(keys):
                self._obs.delete_objects(order.bucket, keys)
                return None
            case FindGroup(group):
                return self._dli.get_package_group(group)
            case UploadGroup():
                assert upload is not None, "only `begin` uploads"  # noqa: S101
                return upload()

    def _tell(self, staged: StagingResult, dry_run: bool) -> None:
        kept = [package.name for package in staged.packages if not package.sent]
        if kept:
            self._log.info("Not sent, OBS has the same bytes: %s", ", ".join(kept))
        if dry_run and staged.bytes_sent:
            sent = [package.name for package in staged.packages if package.sent]
            self._log.info("Would send %d bytes: %s", staged.bytes_sent, ", ".join(sent))

    def _warn_of_engine(self, order: StagingPlan) -> None:
        version = order.spark_version
        if order.target == "group" and version and not find_engine(version).takes_groups:
            self._log.warning(
                "Spark %s takes no package groups, only obs:// paths: a job on it cannot use group "
                "%r. Stage with target='obs' and name the job's files by their obs_path.",
                version,
                order.group,
            )


@contextmanager
def _workspace() -> Iterator[Path]:
    """Return a folder for what has to be made, which goes again."""
    try:
        made = tempfile.TemporaryDirectory(prefix="dli-staging-")
    except OSError as error:
        raise DliError(
            f"No folder can be made in {tempfile.gettempdir()}: {error.strerror or error}. Make "
            "room there, or set TMPDIR to another folder."
        ) from error
    with made as path:
        yield Path(path)
