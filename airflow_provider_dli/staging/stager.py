# SPDX-License-Identifier: Apache-2.0
"""Stages packages: from files to objects in OBS and, if wanted, to a package group."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs.engines import find_engine
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import DliError, InputError, PackageGroupExistsError
from airflow_provider_dli.staging.cleaning.clean import clean
from airflow_provider_dli.staging.cleaning.deletion import Keep
from airflow_provider_dli.staging.content import LocalPackage, content_id, kind_of, versioned
from airflow_provider_dli.staging.existing_objects import ExistingObjects
from airflow_provider_dli.staging.plan import StagingPlan
from airflow_provider_dli.staging.records import tasks, upload_flow
from airflow_provider_dli.staging.records.comparison import Comparison, GroupContent
from airflow_provider_dli.staging.records.groups import RecordFolder
from airflow_provider_dli.staging.records.steps import StepRunner
from airflow_provider_dli.staging.records.tasks import Record
from airflow_provider_dli.staging.records.upload_flow import (
    GroupCheck,
    PackageOutcome,
    Upload,
    UploadOutcome,
)
from airflow_provider_dli.staging.result import StagedPackage, StagingResult
from airflow_provider_dli.staging.sources import collect

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.content import Package

LONG_SENDING = 60.0
"""Seconds of sending files after which a group is checked again before the upload."""

FRESH = 600.0
"""Age in seconds up to which a record that is still true is not written again."""


class Stager:
    """Carries out staging plans on one account: DLI by one hook, OBS by the other.

    `new_id` returns an id for an upload, unique hex digits.
    """

    def __init__(
        self, dli: DliHook, obs: ObsHook, new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    ) -> None:
        self._dli = dli
        self._obs = obs
        self._new_id = new_id
        self._log = dli.log

    def stage(self, plan: StagingPlan, *, dry_run: bool = False) -> StagingResult:
        """Sends what OBS lacks and uploads what the group lacks; does not wait for the group.

        In a dry run nothing is sent, uploaded or recorded.
        """
        self._warn_of_engine(plan)
        with _workspace() as workspace:
            packages = collect(
                plan.sources,
                workspace,
                base=plan.base,
                python_version=plan.python_version,
                warn=self._log.warning,
            )
            group = plan.group if plan.target == "group" else None
            # DLI before the records: what it shows was announced in them before.
            found = None if group is None else self._dli.get_package_group(group)
            # Even if there is nothing to look up: a bucket that refuses access is reported first.
            existing = ExistingObjects.listed(
                self._obs, plan.bucket, plan.prefix, files=len(packages)
            )
            staged, to_send = self._with_keys(plan, packages, existing)
            kind = plan.kind or kind_of([package.name for package in packages])
            result = StagingResult(plan, group, kind, staged, found=found)
            # Before anything is sent: the group may belong to someone else.
            checked_at = self._dli.now()
            check = None
            if group is not None:
                result, check = self._decide(result, self._first_check(result, group, existing))
            result = result.sending({file.key for file in to_send})
            self._log_sending(result, dry_run)
            if dry_run:
                return result
            if to_send:
                self._obs.upload_files(plan.bucket, to_send)
        if check is None:
            self._record_task(result, existing)
            return result
        if result.uploaded and self._dli.now() - checked_at > LONG_SENDING:
            # Meanwhile someone else may have uploaded packages to the group.
            result, check = self._decide(result, self._check(result, check.folder.group))
        if result.uploaded:
            return self._upload(result, check)
        before = self._dli.now() - FRESH
        steps = upload_flow.renew_records(
            check, result.contents, plan.owner, self._new_id(), before
        )
        self._runner(plan).run(steps)
        return result

    def finish(
        self,
        plan: StagingPlan,
        staged: Mapping[str, Any],
        upload: Upload | None = None,
        group: PackageGroup | None = None,
    ) -> None:
        """Records what DLI holds, and cleans up if the plan says so.

        Raises `PackageGroupExistsError` if someone else put other bytes into the group at the same
        time, unless the plan is to replace them.

        `staged` is what `StagingResult.as_dict` returned, `upload` is its `upload`, and `group` the
        group by a listing that is newer than the upload; without it DLI is asked.
        """
        if upload is not None:
            folder = self._record_folder(plan, upload.group)
            steps = upload_flow.confirm_upload(folder, upload, group)
            self._check_outcome(plan, upload.group, self._runner(plan).run(steps))
        if plan.delete_after is not None:
            here = f"obs://{plan.bucket}/"
            paths = [package["obs_path"] for package in staged["packages"]]
            keys = {path.removeprefix(here) for path in paths if path.startswith(here)}
            clean(
                self._dli,
                self._obs,
                plan.bucket,
                plan.prefix,
                plan.delete_after,
                keep=Keep(frozenset(keys), frozenset({staged["group"]} - {None})),
                dry_run=plan.delete_dry_run,
            )

    def _with_keys(
        self, plan: StagingPlan, packages: Sequence[Package], existing: ExistingObjects
    ) -> tuple[tuple[StagedPackage, ...], list[FileToSend]]:
        """Returns the packages with their objects, and the files that have to be sent."""
        files = [package for package in packages if isinstance(package, LocalPackage)]
        keys = existing.keys_of(files, force=plan.force)
        to_send = [
            FileToSend(one.path, keys[one.name][0], one.size, one.sha256, one.tags)
            for one in files
            if not keys[one.name][1]
        ]
        staged = []
        for package in packages:
            if isinstance(package, LocalPackage):
                bucket, key = plan.bucket, keys[package.name][0]
                size, content = package.size, package.sha256
                sha256: str | None = content
            else:
                bucket, key = checks.obs_location(package.url, "sources")
                found = self._obs.find_object(bucket, key)
                if found is None:
                    raise InputError("sources", package.url, "there is no such object")
                size, sha256, content = found.size, found.sha256, found.etag
            staged.append(
                StagedPackage(
                    name=package.name,
                    path=self._obs.object_url(bucket, key),
                    obs_path=f"obs://{bucket}/{key}",
                    size=size,
                    sha256=sha256,
                    content=content,
                    key=key if bucket == plan.bucket else None,
                )
            )
        return tuple(staged), to_send

    def _first_check(
        self, result: StagingResult, group: str, existing: ExistingObjects
    ) -> GroupCheck:
        """Checks the group that was found before, by the records in the listing of the bucket."""
        plan, folder = result.plan, self._record_folder(result.plan, group)
        steps = upload_flow.check_found_group(
            folder,
            result.contents,
            plan.owner,
            result.found,
            existing.records_of(folder),
            is_forced=plan.force,
        )
        return self._runner(plan).run(steps)

    def _check(self, result: StagingResult, group: str) -> GroupCheck:
        plan, folder = result.plan, self._record_folder(result.plan, group)
        steps = upload_flow.check_group(folder, result.contents, plan.owner, is_forced=plan.force)
        return self._runner(plan).run(steps)

    def _decide(self, result: StagingResult, check: GroupCheck) -> tuple[StagingResult, GroupCheck]:
        """Decides whether packages have to be uploaded, and to which group."""
        plan, group = result.plan, check.folder.group
        if check.comparison.content is GroupContent.FOREIGN and plan.on_conflict == "version":
            contents = [(package.name, package.content) for package in result.packages]
            group = versioned(group, content_id(contents))
            self._log.info("Package group %r is another's, taking %r", plan.group, group)
            check = self._check(result, group)
        uploaded = self._has_to_upload(plan, group, check.comparison)
        return replace(result, group=group, found=check.found, uploaded=uploaded), check

    def _upload(self, result: StagingResult, check: GroupCheck) -> StagingResult:
        plan = result.plan

        def upload() -> PackageGroup:
            return self._dli.upload_package_group(
                [package.path for package in result.packages],
                result.group,
                result.kind,
                plan.is_async,
                plan.tags,
            )

        steps = upload_flow.announce_and_upload(check, result.contents, plan.owner, self._new_id())
        done, answer = self._runner(plan).run(steps, upload)
        return replace(result, found=answer, upload=done)

    def _record_task(self, result: StagingResult, existing: ExistingObjects) -> None:
        """Records what a task staged without a group, or that it is still in use."""
        plan = result.plan
        folder = tasks.task_folder(plan.prefix, self._dli.project_id, plan.task)
        key = tasks.task_key(folder, result.members.values())
        now = self._dli.now()
        modified = existing.modified(key, folder)
        # What is used every day must not look old, nor be written again every minute.
        if modified is None or now - modified > FRESH:
            record = Record(key, None, plan.owner, now, result.members)
            self._obs.write_object(plan.bucket, key, record.encoded())

    def _check_outcome(self, plan: StagingPlan, group: str, outcome: UploadOutcome) -> None:
        """Raises or logs that DLI does not certainly hold what was uploaded."""
        if stale := outcome.of(PackageOutcome.STALE):
            self._log.warning(
                "Package group %r: %s of %s. The next run uploads it again.",
                group,
                PackageOutcome.STALE.value,
                ", ".join(stale),
            )
        for kind in (PackageOutcome.DISPLACED, PackageOutcome.REPLACED, PackageOutcome.UNCLEAR):
            if not (lost := outcome.of(kind)):
                continue
            shown = ", ".join(f"{name} ({who or 'unknown'})" for name, who in lost.items())
            text = f"Package group {group!r}: {kind.value}: {shown}"
            own = {plan.owner} if kind is PackageOutcome.REPLACED else {plan.owner, None}
            if plan.on_conflict == "fail" and not own.issuperset(lost.values()):
                raise PackageGroupExistsError(
                    f"{text}. Use another name, or on_conflict 'version' for a group of its own, "
                    "or 'replace' to overwrite it with the next run"
                )
            self._log.warning("%s. The next run checks it again.", text)

    def _has_to_upload(self, plan: StagingPlan, group: str, comparison: Comparison) -> bool:
        where = f"package group {group!r}"
        content = f"{comparison.content.value}: {comparison}"
        match comparison.content:
            case GroupContent.SAME:
                if not plan.force:
                    self._log.info("Not uploaded, %s holds the same bytes", where)
                return plan.force
            case GroupContent.FOREIGN if plan.on_conflict != "replace":
                raise PackageGroupExistsError(
                    f"{where} holds {content}. Nothing was uploaded: use another name, or "
                    "on_conflict 'version' for a group of its own, or 'replace' to overwrite it"
                )
            case GroupContent.FOREIGN:
                self._log.warning("Replacing what someone else put into %s: %s", where, comparison)
            case GroupContent.OLDER if plan.if_exists == "fail":
                raise PackageGroupExistsError(
                    f"{where} holds {content}, and if_exists is 'fail': "
                    "use another name, or 'replace' or 'skip', or delete it first"
                )
            case GroupContent.OLDER if plan.if_exists == "skip" and comparison.is_whole:
                self._log.warning("Not uploaded, %s keeps its older bytes: %s", where, comparison)
                return False
        return True

    def _record_folder(self, plan: StagingPlan, group: str) -> RecordFolder:
        return RecordFolder.of(plan.prefix, self._dli.project_id, group)

    def _runner(self, plan: StagingPlan) -> StepRunner:
        return StepRunner(self._dli, self._obs, plan.bucket)

    def _log_sending(self, result: StagingResult, dry_run: bool) -> None:
        kept = [package.name for package in result.packages if not package.sent]
        if kept:
            self._log.info("Not sent, OBS has the same bytes: %s", ", ".join(kept))
        if dry_run and result.bytes_sent:
            sent = [package.name for package in result.packages if package.sent]
            self._log.info("Would send %d bytes: %s", result.bytes_sent, ", ".join(sent))

    def _warn_of_engine(self, plan: StagingPlan) -> None:
        version = plan.spark_version
        if plan.target == "group" and version and not find_engine(version).takes_groups:
            self._log.warning(
                "Spark %s takes no package groups, only obs:// paths: a job on it cannot use group "
                "%r. Stage with target='obs' and name the job's files by their obs_path.",
                version,
                plan.group,
            )


@contextmanager
def _workspace() -> Iterator[Path]:
    """Yields a temporary folder for files that have to be made."""
    try:
        made = tempfile.TemporaryDirectory(prefix="dli-staging-")
    except OSError as error:
        raise DliError(
            f"Cannot create a folder in {tempfile.gettempdir()}: {error.strerror or error}. Free "
            "some space there, or set TMPDIR to another folder."
        ) from error
    with made as path:
        yield Path(path)
