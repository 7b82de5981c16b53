# SPDX-License-Identifier: Apache-2.0
"""The records of uploads into a package group, since DLI does not show what its packages contain.

Each upload writes small JSON objects of its own below `PREFIX/.staged/groups/PROJECT/GROUP/`. No
two uploads ever write the same object:

* `begun-ID.json`, before the upload: what it will put there, and which copies were there.
* `held-ID-FACTS.json`, once DLI holds its copies: which copy has which content. It also ends the
  upload that was begun. FACTS is a hash of everything it claims, so that a listing of the keys is
  enough to see that nothing changed.
* `part-ID-FACTS.json`, the same if it does not end the upload: only some of the copies are known,
  or another upload of the same bytes was in progress.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.staging.content import folder_of

RECORDS = ".staged"
"""The folder of the records, below the prefix."""

OPEN_FOR = 2 * 3600.0
"""Seconds for which an upload without a known end may still put a package into the group. A signed
request is valid for 15 minutes, and DLI copies within its region."""

T = TypeVar("T")
_KEY = re.compile(r"(?P<kind>begun|held|part)-(?P<id>[0-9a-f]+)(-(?P<facts>[0-9a-f]+))?\.json")


@dataclass(frozen=True, slots=True)
class Content:
    """What a package is to contain.

    `content` identifies the bytes: the hex SHA-256 of a file, or the ETag of an object that is
    used from where it is. `key` is the key of the object, `None` if it is in another bucket.
    """

    name: str
    content: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Fact(Content):
    """What one copy of a package contains, for ever: copies are replaced, never changed."""

    copy: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload as it was before it was sent.

    `before` are the copies that DLI showed, by the names of the packages. `modified` is the time
    the record was written, by the clock of the bucket.
    """

    id: str
    owner: str
    members: tuple[Content, ...]
    before: Mapping[str, str]
    modified: float = 0.0

    def content(self, name: str) -> str | None:
        """Returns what the upload was to put into a package."""
        return next((one.content for one in self.members if one.name == name), None)

    def may_be(self, name: str, copy: str) -> bool:
        """Whether a copy may come from this upload."""
        return self.content(name) is not None and (not copy or self.before.get(name) != copy)

    def encoded(self) -> bytes:
        """Returns the record as JSON."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class Held:
    """What DLI was seen to hold of an upload; `whole` if that is all of it."""

    id: str
    owner: str
    facts: tuple[Fact, ...]
    whole: bool = True
    modified: float = 0.0

    def encoded(self) -> bytes:
        """Returns the record as JSON."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class RecordFolder:
    """The folder with the records of one group."""

    group: str
    path: str

    @classmethod
    def of(cls, prefix: str, project_id: str, group: str) -> RecordFolder:
        """Returns the folder of a group."""
        return cls(group, f"{folder_of(prefix)}{RECORDS}/groups/{project_id}/{group}/")

    @property
    def old_key(self) -> str:
        """The key of the group's record in version 0.1."""
        return f"{self.path[:-1]}.json"

    def begun_key(self, upload_id: str) -> str:
        """Returns the key of the record that an upload writes before it is sent."""
        return f"{self.path}begun-{upload_id}.json"

    def held_key(self, held: Held) -> str:
        """Returns the key of the record of what DLI holds of an upload."""
        kind = "held" if held.whole else "part"
        return f"{self.path}{kind}-{held.id}-{_digest_of(held.facts)}.json"


@dataclass(frozen=True, slots=True)
class RecordListing:
    """The records of a group as far as their keys tell, from one listing."""

    folder: RecordFolder
    objects: Mapping[str, StoredObject] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: RecordFolder, objects: Iterable[StoredObject]) -> RecordListing:
        """Returns the records of a group out of a listing."""
        return cls(folder, {one.key: one for one in objects if _parsed(folder, one.key)})

    def modified(self, key: str) -> float | None:
        """Returns the time an object was written, `None` if it is absent."""
        found = self.objects.get(key)
        return None if found is None else found.modified

    @property
    def newest(self) -> float:
        """The time the newest record was written."""
        return max((one.modified for one in self.objects.values()), default=0.0)

    def key_claiming(self, facts: Iterable[Fact]) -> str | None:
        """Returns the key of a record that claims exactly these facts."""
        digest = _digest_of(facts)
        return next((key for key in self.held if self._part(key, "facts") == digest), None)

    @property
    def held(self) -> tuple[str, ...]:
        """The keys of the records of what DLI was seen to hold."""
        return tuple(key for key in self.objects if self._part(key, "kind") != "begun")

    @property
    def begun(self) -> tuple[str, ...]:
        """The keys of all uploads that were begun."""
        return tuple(key for key in self.objects if self._part(key, "kind") == "begun")

    @property
    def open(self) -> tuple[str, ...]:
        """The keys of uploads that were begun and have no known end."""
        ended = {self._part(key, "id") for key in self.held if self._part(key, "kind") == "held"}
        return tuple(key for key in self.begun if self._part(key, "id") not in ended)

    def _part(self, key: str, part: str) -> str:
        found = _parsed(self.folder, key)
        return found[part] if found else ""


def read_begun(found: StoredObject, body: bytes) -> Begun:
    """Reads the record of a begun upload; raises `DliError` for a damaged or foreign one."""
    return replace(_decoded(found.key, body, Begun), modified=found.modified)


def read_held(found: StoredObject, body: bytes) -> Held:
    """Reads the record of what DLI holds; raises `DliError` for a damaged or foreign one."""
    return replace(_decoded(found.key, body, Held), modified=found.modified)


def unreadable(key: str, error: Exception) -> DliError:
    """Returns the error for a record that cannot be read."""
    return DliError(
        f"The staging record {key} cannot be read ({error}). Delete it; the packages that it "
        "describes then count as uploaded by someone else."
    )


def _digest_of(facts: Iterable[Fact]) -> str:
    """Returns 32 hex digits that identify these facts in any order."""
    text = "\n".join(sorted(f"{fact.name}\t{fact.copy}\t{fact.content}" for fact in facts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _parsed(folder: RecordFolder, key: str) -> re.Match[str] | None:
    return _KEY.fullmatch(key.removeprefix(folder.path)) if key.startswith(folder.path) else None


def _decoded(key: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise unreadable(key, error) from error


def _json(record: Begun | Held) -> bytes:
    # The bucket keeps the time it was written.
    return msgspec.json.format(msgspec.json.encode(replace(record, modified=0.0)))
