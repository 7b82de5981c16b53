# SPDX-License-Identifier: Apache-2.0
"""From the check of a group to an upload, and to the proof that DLI holds it: the order of steps.

DLI is read first, the records afterwards: a copy that DLI shows was announced before it was
uploaded. An upload is announced before it is sent. What DLI holds is recorded only if no other
announced upload can have put it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import msgspec

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.packages.models import PackageGroup, PackageState
from airflow_provider_dli.api.protocol.errors import DliError, NotFoundError
from airflow_provider_dli.staging.records import tasks
from airflow_provider_dli.staging.records.comparison import (
    NAMELESS,
    SAME,
    UNKNOWN_OWNER,
    Comparison,
    GroupContent,
    GroupRecords,
    answered_id,
    compare,
    copies_of,
    copy_id,
)
from airflow_provider_dli.staging.records.groups import (
    OPEN_FOR,
    Begun,
    Content,
    Fact,
    Held,
    RecordFolder,
    RecordListing,
    read_begun,
    read_held,
)
from airflow_provider_dli.staging.records.steps import (
    DeleteObjects,
    FindGroup,
    ListObjects,
    ReadObject,
    Steps,
    UploadGroup,
    WriteObject,
)

LISTINGS = 3
"""How often records are listed again if one of them is deleted before it was read."""


@dataclass(frozen=True, slots=True)
class GroupCheck:
    """A group as DLI shows it, and what its records say.

    `same` is the key of a record that claims everything wanted; then no record was read, and
    `records` is `None`. `held` are the keys of records that existed before DLI was asked last, or
    that describe what DLI shows.
    """

    found: PackageGroup | None
    comparison: Comparison
    listed: RecordListing
    records: GroupRecords | None = None
    same: str | None = None
    held: tuple[str, ...] = ()

    @property
    def folder(self) -> RecordFolder:
        """The folder of the group's records."""
        return self.listed.folder


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that DLI answered, for the code that runs after the wait.

    `answered` are the copies that the answer names. `seen` are the keys of the records that
    existed before, `replaces` those of records that are obsolete once DLI holds this.
    """

    group: str
    begun: Begun
    answered: Mapping[str, str]
    seen: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Upload:
        """Reads what `as_dict` returned."""
        return msgspec.convert(plain, cls)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON, suitable for XCom."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class PackageOutcome(Enum):
    """What became of a package that was uploaded."""

    HELD = "DLI holds it"
    DISPLACED = "it replaced other bytes that were uploaded after this run checked the group"
    STALE = "DLI still shows the previous copy"
    REPLACED = "other bytes replaced it"
    UNCLEAR = "other bytes were uploaded at the same time, and DLI does not show which it holds"


_HELD = (PackageOutcome.HELD, PackageOutcome.DISPLACED)


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """What became of each package, and who else uploaded it."""

    packages: Mapping[str, tuple[PackageOutcome, str | None]]

    def of(self, *outcomes: PackageOutcome) -> dict[str, str | None]:
        """Returns the packages with these outcomes, each with who else uploaded it."""
        return {name: who for name, (outcome, who) in self.packages.items() if outcome in outcomes}


def check_group(
    folder: RecordFolder, wanted: Iterable[Content], owner: str, *, is_forced: bool = False
) -> Steps[GroupCheck]:
    """Looks up a group in DLI and its records, and compares it with what is wanted."""
    found = yield FindGroup(folder.group)
    return (yield from check_found_group(folder, wanted, owner, found, is_forced=is_forced))


def check_found_group(
    folder: RecordFolder,
    wanted: Iterable[Content],
    owner: str,
    found: PackageGroup | None,
    objects: Iterable[StoredObject] | None = None,
    *,
    is_forced: bool = False,
) -> Steps[GroupCheck]:
    """Compares a group that was just `found` with what is wanted.

    `objects` are all that are in the folder of its records, and the record of 0.1, listed after
    the group was found. A forced upload replaces records, so they are always read for one.
    """
    contents = {one.name: one.content for one in wanted}
    if objects is None:
        objects, has_old = (yield ListObjects(folder.path)), True
    else:
        objects = list(objects)
        has_old = any(one.key == folder.old_key for one in objects)
    listed = RecordListing.of(folder, objects)
    if not is_forced and (same := _key_claiming(found, contents, listed)) is not None:
        return GroupCheck(found, SAME, listed, same=same)
    check = yield from _check_by_records(contents, owner, found, listed, has_old=has_old)
    held = check.listed.held
    if _may_have_changed(check, contents):
        found = yield FindGroup(folder.group)
        listed = RecordListing.of(folder, (yield ListObjects(folder.path)))
        check = yield from _check_by_records(contents, owner, found, listed, has_old=True)
    return replace(check, held=held)


def announce_and_upload(
    check: GroupCheck, wanted: Iterable[Content], owner: str, upload_id: str
) -> Steps[tuple[Upload, PackageGroup]]:
    """Announces an upload and sends it; returns it, and the group as DLI answered it."""
    folder, members = check.folder, tuple(wanted)
    begun = Begun(upload_id, owner, members, copies_of(check.found))
    key = folder.begun_key(upload_id)
    yield WriteObject(key, begun.encoded())
    try:
        answer: PackageGroup = yield UploadGroup(folder.group)
    except DliError as error:
        # Certainly refused: nothing will come of it.
        if not error.may_be_done:
            yield DeleteObjects((key,))
        raise
    answered = {one.name: answered_id(answer.package(one.name)) for one in members}
    names = [one.name for one in members]
    replaces = check.records.replaced_by(names) if check.records else ()
    return Upload(folder.group, begun, answered, check.held, replaces), answer


def confirm_upload(
    folder: RecordFolder, upload: Upload, group: PackageGroup | None = None
) -> Steps[UploadOutcome]:
    """Finds out what DLI holds of an upload, and records it.

    `group` is the group by a listing that is newer than the upload; without it DLI is asked. The
    answer to the upload is not enough: it may name a copy older than the previous one.
    """
    begun = upload.begun
    if group is None:
        group = yield FindGroup(upload.group)
    records, listed = yield from _read_group_records(folder, own=folder.begun_key(begun.id))
    own = _if_announced(begun, listed)
    packages = {
        one.name: _outcome(one, own, upload, records, copy)
        for one, copy in _copies(begun.members, group)
    }
    yield from _record_held(upload, own, records, group, packages)
    return UploadOutcome(packages)


def renew_records(
    check: GroupCheck, wanted: Iterable[Content], owner: str, record_id: str, before: float
) -> Steps[None]:
    """Writes records that are still true again if they were written before a time.

    Their age shows when they were last in use. What only 0.1 recorded is recorded anew.
    """
    if check.same is not None:
        modified = check.listed.modified(check.same)
        if modified is not None and modified < before:
            yield from _rewrite(check.same)
        return
    if check.records is None:
        return
    wanted = tuple(wanted)
    for held in check.records.about(one.name for one in wanted):
        if held.modified < before:
            yield WriteObject(check.folder.held_key(held), held.encoded())
    if check.comparison.content is GroupContent.SAME:
        copies = copies_of(check.found)
        facts = (Fact(one.name, one.content, one.key, copies[one.name]) for one in wanted)
        new = tuple(fact for fact in facts if (fact.name, fact.copy) not in check.records.facts)
        if new:
            held = Held(record_id, owner, new, whole=False)
            yield WriteObject(check.folder.held_key(held), held.encoded())


def _rewrite(key: str) -> Steps[None]:
    try:
        body = yield ReadObject(key)
    except NotFoundError:
        return  # A cleaning has just deleted it.
    yield WriteObject(key, body)


def _check_by_records(
    contents: Mapping[str, str],
    owner: str,
    found: PackageGroup | None,
    listed: RecordListing,
    *,
    has_old: bool,
) -> Steps[GroupCheck]:
    """Compares by the content of all records, also of the one that 0.1 wrote if there is one."""
    folder, records = listed.folder, GroupRecords(listed)
    if found is not None or listed.objects:
        records, listed = yield from _read_group_records(folder, listed.objects.values())
        if has_old:
            try:
                body = yield ReadObject(folder.old_key)
            except NotFoundError:
                pass
            else:
                records = replace(records, old=tasks.decoded(folder.old_key, body))
    return GroupCheck(found, compare(found, records, contents, owner), listed, records)


def _may_have_changed(check: GroupCheck, contents: Mapping[str, str]) -> bool:
    """Whether a copy, and perhaps its record, may have been replaced since DLI was asked."""
    if UNKNOWN_OWNER in check.comparison.because.values():
        return True
    copies = copies_of(check.found)
    facts = check.records.facts if check.records else ()
    return any(name in contents and copies.get(name) != copy for name, copy in facts)


def _key_claiming(
    found: PackageGroup | None, contents: Mapping[str, str], listed: RecordListing
) -> str | None:
    """Returns the key of a record that claims exactly what is wanted of DLI's copies."""
    facts = []
    for name, content in contents.items():
        package = found.package(name) if found else None
        if package is None or package.state is PackageState.FAILED:
            return None
        if (copy := copy_id(package)) == NAMELESS:
            return None
        facts.append(Fact(name, content, None, copy))
    return listed.key_claiming(facts)


def _read_group_records(
    folder: RecordFolder, objects: Iterable[StoredObject] | None = None, own: str = ""
) -> Steps[tuple[GroupRecords, RecordListing]]:
    """Reads what is held and what is open; lists again if a record is deleted meanwhile.

    The record that this upload wrote itself, under the key `own`, is not read.
    """
    for remaining in reversed(range(LISTINGS)):
        if objects is None:
            objects = yield ListObjects(folder.path)
        listed = RecordListing.of(folder, objects)
        objects = None
        try:
            held = []
            for key in listed.held:
                held.append(read_held(listed.objects[key], (yield ReadObject(key))))
            begun = []
            for key in listed.open:
                if key != own:
                    begun.append(read_begun(listed.objects[key], (yield ReadObject(key))))
        except NotFoundError:
            if not remaining:
                raise
            continue
        return GroupRecords(listed, tuple(held), tuple(begun)), listed
    raise AssertionError  # pragma: no cover


def _copies(members: Iterable[Content], group: PackageGroup | None) -> list[tuple[Content, str]]:
    copies = {
        package.name: copy_id(package)
        for package in (group.packages if group else ())
        if package.state is not PackageState.FAILED
    }
    return [(one, copies.get(one.name, NAMELESS)) for one in members]


def _if_announced(begun: Begun, listed: RecordListing) -> Begun | None:
    """Returns what was begun if others still take it into account."""
    modified = listed.modified(listed.folder.begun_key(begun.id))
    if modified is None or listed.newest - modified > OPEN_FOR:
        return None
    return replace(begun, modified=modified)


def _outcome(
    member: Content, own: Begun | None, upload: Upload, records: GroupRecords, copy: str
) -> tuple[PackageOutcome, str | None]:
    """Returns what became of one package, by the copy that DLI shows."""
    name = member.name
    if (claim := records.facts.get((name, copy))) is not None:
        fact, owner = claim
        is_same = fact.content == member.content
        return (PackageOutcome.HELD, None) if is_same else (PackageOutcome.REPLACED, owner)
    if own is None:
        # Others stopped taking this upload into account, so anything may have been put there.
        return PackageOutcome.UNCLEAR, None
    before = own.before.get(name)
    if NAMELESS in (copy, before) or copy == before:
        return PackageOutcome.STALE, None
    others = [one for one in records.rivals(own, name) if one.content(name) != member.content]
    if others:
        return PackageOutcome.UNCLEAR, others[0].owner
    answered = upload.answered.get(name, NAMELESS)
    is_new = answered not in (NAMELESS, before) and (name, answered) not in records.facts
    if is_new and answered != copy:
        return PackageOutcome.REPLACED, None
    displaced = records.owner_since(upload.seen, member)
    if displaced is not None:
        return PackageOutcome.DISPLACED, displaced
    return PackageOutcome.HELD, None


def _record_held(
    upload: Upload,
    own: Begun | None,
    records: GroupRecords,
    group: PackageGroup | None,
    packages: Mapping[str, tuple[PackageOutcome, str | None]],
) -> Steps[None]:
    """Records what is held and was not known; if that is all, deletes what it makes obsolete."""
    if own is None:
        return
    folder = records.listed.folder
    facts = tuple(
        Fact(one.name, one.content, one.key, copy)
        for one, copy in _copies(own.members, group)
        if packages[one.name][0] in _HELD and (one.name, copy) not in records.facts
    )
    if not facts:
        return
    # Another upload of the same bytes may have made this copy: then ours may still turn up.
    whole = len(facts) == len(own.members) and not any(
        records.rivals(own, one.name) for one in own.members
    )
    held = Held(own.id, own.owner, facts, whole)
    yield WriteObject(folder.held_key(held), held.encoded())
    if whole and upload.replaces:
        # What was open of these is too old to count by now: otherwise it would be a rival.
        yield DeleteObjects((folder.begun_key(own.id), *upload.replaces))
