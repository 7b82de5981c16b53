# SPDX-License-Identifier: Apache-2.0
"""From a look at a group to an upload and to the proof that DLI holds it: the order of the steps.

DLI first, the records afterwards: a copy that DLI shows was announced before it was uploaded. An
upload is announced before it is sent. What DLI holds is written down only when nothing else that
was announced can have put it there.
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
from airflow_provider_dli.staging.records.copies import (
    NAMELESS,
    answered_id,
    copies_of,
    copy_id,
)
from airflow_provider_dli.staging.records.decision import (
    SAME,
    UNKNOWN_OWNER,
    Comparison,
    GroupContent,
    compare,
)
from airflow_provider_dli.staging.records.known import Known
from airflow_provider_dli.staging.records.steps import (
    DeleteObjects,
    FindGroup,
    ListObjects,
    ReadObject,
    Steps,
    UploadGroup,
    WriteObject,
)
from airflow_provider_dli.staging.records.uploads import (
    OPEN_FOR,
    Begun,
    Content,
    Fact,
    Folder,
    Held,
    Listed,
    read_begun,
    read_held,
)

LOOKS = 3
"""How often records are listed again when one of them is gone before it was read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A group of a project, and where its records lie."""

    group: str
    folder: Folder


@dataclass(frozen=True, slots=True)
class Look:
    """A group as DLI shows it, and what its records say.

    `same` is the key of a record that claims all that is wanted; then no record was read, and
    `known` is `None`. `held` are the keys of what was known to be held before DLI was asked last,
    or is what DLI shows.
    """

    place: Place
    found: PackageGroup | None
    comparison: Comparison
    listed: Listed
    known: Known | None = None
    same: str | None = None
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that DLI answered, for who goes on after the wait.

    `answered` are the copies that the answer names. `seen` are the keys of what was known to be
    held before, `replaces` those of records that say nothing more once DLI holds this.
    """

    group: str
    begun: Begun
    answered: Mapping[str, str]
    seen: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Upload:
        """Read what `as_dict` gave."""
        return msgspec.convert(plain, cls)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON, fit for XCom."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Verdict(Enum):
    """What became of a package that was uploaded."""

    HELD = "DLI holds it"
    DISPLACED = "it took the place of other bytes that were uploaded since this run looked"
    STALE = "DLI still shows the copy from before"
    REPLACED = "other bytes were put in its place"
    UNCLEAR = "other bytes were uploaded at the same time, and DLI does not tell which it holds"


_HELD = (Verdict.HELD, Verdict.DISPLACED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each package, and who else put something there."""

    verdicts: Mapping[str, tuple[Verdict, str | None]]

    def of(self, *verdicts: Verdict) -> dict[str, str | None]:
        """Return the packages of these verdicts, each with who else uploaded it."""
        return {name: who for name, (verdict, who) in self.verdicts.items() if verdict in verdicts}


def look(
    place: Place, wanted: Iterable[Content], owner: str, *, is_forced: bool = False
) -> Steps[Look]:
    """Look at a group in DLI and at its records, and compare it with what is wanted."""
    found = yield FindGroup(place.group)
    return (yield from compared(place, wanted, owner, found, is_forced=is_forced))


def compared(
    place: Place,
    wanted: Iterable[Content],
    owner: str,
    found: PackageGroup | None,
    objects: Iterable[StoredObject] | None = None,
    *,
    is_forced: bool = False,
) -> Steps[Look]:
    """Compare a group that was `found` just now with what is wanted.

    `objects` are all that lie in the folder of its records, and the record of 0.1, listed after the
    group was found. What is uploaded by force replaces records, so that they are read in any case.
    """
    contents = {one.name: one.content for one in wanted}
    if objects is None:
        objects, has_old = (yield ListObjects(place.folder.path)), True
    else:
        objects = list(objects)
        has_old = any(one.key == place.folder.old_key for one in objects)
    listed = Listed.of(place.folder, objects)
    if not is_forced and (same := _claimed(found, contents, listed)) is not None:
        return Look(place, found, SAME, listed, same=same)
    seen = yield from _read_through(place, contents, owner, found, listed, has_old=has_old)
    held = seen.listed.held
    if _has_moved(seen, contents):
        found = yield FindGroup(place.group)
        objects = yield ListObjects(place.folder.path)
        listed = Listed.of(place.folder, objects)
        seen = yield from _read_through(place, contents, owner, found, listed, has_old=True)
    return replace(seen, held=held)


def begin(
    seen: Look, wanted: Iterable[Content], owner: str, upload_id: str
) -> Steps[tuple[Upload, PackageGroup]]:
    """Announce an upload and send it; returns it, and the group by DLI's answer."""
    place, members = seen.place, tuple(wanted)
    begun = Begun(upload_id, owner, members, copies_of(seen.found))
    key = place.folder.begun_key(upload_id)
    yield WriteObject(key, begun.encoded())
    try:
        answer: PackageGroup = yield UploadGroup(place.group)
    except DliError as error:
        # Refused for sure: nothing will come of it.
        if not error.may_be_done:
            yield DeleteObjects((key,))
        raise
    answered = {one.name: answered_id(answer.package(one.name)) for one in members}
    names = [one.name for one in members]
    replaces = seen.known.replaced_by(names) if seen.known else ()
    return Upload(place.group, begun, answered, seen.held, replaces), answer


def settle(folder: Folder, upload: Upload, group: PackageGroup | None = None) -> Steps[Outcome]:
    """Find out what DLI holds of an upload, and write it down.

    `group` is the group by a listing that is newer than the upload; without it DLI is asked. The
    answer to the upload will not do: it may name a copy that is older than the one before.
    """
    begun = upload.begun
    if group is None:
        group = yield FindGroup(upload.group)
    known, listed = yield from _records(folder, own=folder.begun_key(begun.id))
    own = _announced(begun, listed)
    verdicts = {
        one.name: _verdict(one, own, upload, known, copy)
        for one, copy in _copies(begun.members, group)
    }
    yield from _write_down(upload, own, known, group, verdicts)
    return Outcome(verdicts)


def keep(
    seen: Look, wanted: Iterable[Content], owner: str, record_id: str, old: float
) -> Steps[None]:
    """Write records that still hold once more, if they are older than `old`.

    Their age tells when they were of use last. What only 0.1 wrote down is written anew.
    """
    if seen.same is not None:
        yield from _touch(seen.listed, seen.same, old)
        return
    if seen.known is None:
        return
    wanted = tuple(wanted)
    folder = seen.place.folder
    for held in seen.known.telling_of(one.name for one in wanted):
        if held.modified < old:
            yield WriteObject(folder.held_key(held), held.encoded())
    if seen.comparison.holds is GroupContent.SAME:
        copies = copies_of(seen.found)
        facts = (Fact(one.name, one.content, one.key, copies[one.name]) for one in wanted)
        new = tuple(fact for fact in facts if (fact.name, fact.copy) not in seen.known.facts)
        if new:
            held = Held(record_id, owner, new, whole=False)
            yield WriteObject(folder.held_key(held), held.encoded())


def _touch(listed: Listed, key: str, old: float) -> Steps[None]:
    modified = listed.modified(key)
    if modified is None or modified >= old:
        return
    try:
        body = yield ReadObject(key)
    except NotFoundError:
        return  # A cleaning deleted it just now.
    yield WriteObject(key, body)


def read(
    folder: Folder, listed: Iterable[StoredObject] | None = None
) -> Steps[tuple[Known, Listed]]:
    """Read the records of a group with what 0.1 wrote."""
    known, found = yield from _records(folder, listed)
    try:
        body = yield ReadObject(folder.old_key)
    except NotFoundError:
        return known, found
    return replace(known, old=tasks.decoded(folder.old_key, body)), found


def _read_through(
    place: Place,
    contents: Mapping[str, str],
    owner: str,
    found: PackageGroup | None,
    listed: Listed,
    *,
    has_old: bool,
) -> Steps[Look]:
    """Compare by all that the records say."""
    known = Known(listed)
    if found is not None or listed.objects:
        reading = read if has_old else _records
        known, listed = yield from reading(place.folder, listed.objects.values())
    return Look(place, found, compare(found, known, contents, owner), listed, known)


def _has_moved(seen: Look, contents: Mapping[str, str]) -> bool:
    """Whether somebody may have replaced a copy, and perhaps its record, since DLI was asked."""
    if UNKNOWN_OWNER in seen.comparison.because.values():
        return True
    copies = copies_of(seen.found)
    facts = seen.known.facts if seen.known else ()
    return any(name in contents and copies.get(name) != copy for name, copy in facts)


def _claimed(found: PackageGroup | None, contents: Mapping[str, str], listed: Listed) -> str | None:
    """Return the key of a record that claims of DLI's copies just what is wanted."""
    facts = []
    for name, content in contents.items():
        package = found.package(name) if found else None
        if package is None or package.state is PackageState.FAILED:
            return None
        if (copy := copy_id(package)) == NAMELESS:
            return None
        facts.append(Fact(name, content, None, copy))
    return listed.claiming(facts)


def _records(
    folder: Folder, objects: Iterable[StoredObject] | None = None, own: str = ""
) -> Steps[tuple[Known, Listed]]:
    """Read what is held and what is open; lists again while some of it goes away meanwhile.

    What this upload wrote itself, under the key `own`, need not be read.
    """
    for again in range(LOOKS):
        if objects is None:
            objects = yield ListObjects(folder.path)
        listed = Listed.of(folder, objects)
        objects = None
        try:
            held = []
            for key in listed.held:
                held.append(read_held(listed.objects[key], (yield ReadObject(key))))
            begun = []
            for key in listed.open:
                if key == own:
                    continue
                begun.append(read_begun(listed.objects[key], (yield ReadObject(key))))
        except NotFoundError:
            if again == LOOKS - 1:
                raise
            continue
        return Known(listed, tuple(held), tuple(begun)), listed
    raise AssertionError  # pragma: no cover


def _copies(members: Iterable[Content], group: PackageGroup | None) -> list[tuple[Content, str]]:
    copies = {
        package.name: copy_id(package)
        for package in (group.packages if group else ())
        if package.state is not PackageState.FAILED
    }
    return [(one, copies.get(one.name, NAMELESS)) for one in members]


def _announced(begun: Begun, listed: Listed) -> Begun | None:
    """Return what was begun if others still take it into account."""
    modified = listed.modified(listed.folder.begun_key(begun.id))
    if modified is None or listed.newest - modified > OPEN_FOR:
        return None
    return replace(begun, modified=modified)


def _verdict(
    member: Content, own: Begun | None, upload: Upload, known: Known, copy: str
) -> tuple[Verdict, str | None]:
    """Judge one package by the copy that DLI shows."""
    name = member.name
    if (claim := known.facts.get((name, copy))) is not None:
        fact, owner = claim
        same = fact.content == member.content
        return (Verdict.HELD, None) if same else (Verdict.REPLACED, owner)
    if own is None:
        # Nobody has known of it since, so that anything may have been put there.
        return Verdict.UNCLEAR, None
    before = own.before.get(name)
    if NAMELESS in (copy, before) or copy == before:
        return Verdict.STALE, None
    others = [one for one in known.rivals(own, name) if one.content(name) != member.content]
    if others:
        return Verdict.UNCLEAR, others[0].owner
    answered = upload.answered.get(name, NAMELESS)
    is_new = answered not in (NAMELESS, before) and (name, answered) not in known.facts
    if is_new and answered != copy:
        return Verdict.REPLACED, None
    displaced = known.owner_since(upload.seen, member)
    return (Verdict.HELD, None) if displaced is None else (Verdict.DISPLACED, displaced)


def _write_down(
    upload: Upload,
    own: Begun | None,
    known: Known,
    group: PackageGroup | None,
    verdicts: Mapping[str, tuple[Verdict, str | None]],
) -> Steps[None]:
    """Write down what is held and was not known; where that is all, what it replaces goes."""
    if own is None:
        return
    folder = known.listed.folder
    facts = tuple(
        Fact(one.name, one.content, one.key, copy)
        for one, copy in _copies(own.members, group)
        if verdicts[one.name][0] in _HELD and (one.name, copy) not in known.facts
    )
    # Another upload of the same bytes may have made this copy: then ours may still turn up.
    whole = len(facts) == len(own.members) and not any(
        known.rivals(own, one.name) for one in own.members
    )
    if not facts:
        return
    held = Held(own.id, own.owner, facts, whole)
    yield WriteObject(folder.held_key(held), held.encoded())
    if whole and upload.replaces:
        # What of it was open is too old to count by now: else it would be a rival.
        yield DeleteObjects((folder.begun_key(own.id), *upload.replaces))
