# SPDX-License-Identifier: Apache-2.0
"""What is written down of uploads into a group, since DLI tells nothing of what packages hold.

Each upload writes small JSON objects of its own below `PREFIX/.staged/groups/PROJECT/GROUP/`, and
no object is ever changed by two:

* `begun-ID.json`, before the upload: what it is going to put there, and which copies were there.
* `held-ID-FACTS.json`, when DLI holds its copies: which copy holds which content. It also ends what
  was begun. FACTS is a hash of all that it claims, so that a listing of the keys is enough to find
  out that nothing changed.
* `part-ID-FACTS.json`, the same where it does not end what was begun: only some copies are known,
  or another upload of the same bytes was under way.
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

FOLDER = ".staged"
"""The folder of the records, below the prefix."""

OPEN_FOR = 2 * 3600.0
"""Seconds for which an upload that was begun, and of whose end nothing is known, may still put
something there. A signed request is good for 15 minutes, and DLI copies within its region."""

T = TypeVar("T")
_KEY = re.compile(r"(?P<kind>begun|held|part)-(?P<id>[0-9a-f]+)(-(?P<facts>[0-9a-f]+))?\.json")


@dataclass(frozen=True, slots=True)
class Content:
    """What a package is to hold: `content` tells its bytes apart, `key` is its object's.

    `content` is the hex SHA-256 of a file, the ETag of an object that was taken from where it lies;
    `key` is `None` where that is in another bucket.
    """

    name: str
    content: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Fact(Content):
    """What one copy of a package holds, for ever: a copy is never changed, only replaced."""

    copy: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload as it was before it was sent.

    `before` are the copies that DLI showed, by the names of the packages. `modified` is when it was
    written, by the clock of the bucket.
    """

    id: str
    owner: str
    members: tuple[Content, ...]
    before: Mapping[str, str]
    modified: float = 0.0

    def content(self, name: str) -> str | None:
        """Return what it was to put into a package."""
        return next((one.content for one in self.members if one.name == name), None)

    def may_be(self, name: str, copy: str) -> bool:
        """Whether a copy may come from this upload."""
        return self.content(name) is not None and (not copy or self.before.get(name) != copy)

    def encoded(self) -> bytes:
        """Return it as JSON."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class Held:
    """What DLI was seen to hold of an upload; `whole` says that this is all of it."""

    id: str
    owner: str
    facts: tuple[Fact, ...]
    whole: bool = True
    modified: float = 0.0

    def encoded(self) -> bytes:
        """Return it as JSON."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the records of one group lie."""

    path: str

    @classmethod
    def of(cls, prefix: str, project_id: str, group: str) -> Folder:
        """Return the folder of a group."""
        return cls(f"{folder_of(prefix)}{FOLDER}/groups/{project_id}/{group}/")

    @property
    def old_key(self) -> str:
        """The key of the group's record as version 0.1 wrote it."""
        return f"{self.path[:-1]}.json"

    def begun_key(self, upload_id: str) -> str:
        """Return the key of what an upload writes before it is sent."""
        return f"{self.path}begun-{upload_id}.json"

    def held_key(self, held: Held) -> str:
        """Return the key of what DLI holds of an upload."""
        kind = "held" if held.whole else "part"
        return f"{self.path}{kind}-{held.id}-{digest_of(held.facts)}.json"


@dataclass(frozen=True, slots=True)
class Listed:
    """The records of a group as their keys tell them, read from one listing."""

    folder: Folder
    objects: Mapping[str, StoredObject] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Folder, objects: Iterable[StoredObject]) -> Listed:
        """Take the records of a group out of a listing."""
        return cls(folder, {one.key: one for one in objects if _parsed(folder, one.key)})

    def modified(self, key: str) -> float | None:
        """Return when an object was written, `None` for one that is not there."""
        found = self.objects.get(key)
        return None if found is None else found.modified

    @property
    def newest(self) -> float:
        """When the newest of them was written."""
        return max((one.modified for one in self.objects.values()), default=0.0)

    def claiming(self, facts: Iterable[Fact]) -> str | None:
        """Return the key of a record that claims just these facts."""
        digest = digest_of(facts)
        return next((key for key in self.held if self._part(key, "facts") == digest), None)

    @property
    def held(self) -> tuple[str, ...]:
        """The keys of what DLI was seen to hold."""
        return tuple(key for key in self.objects if self._part(key, "kind") != "begun")

    @property
    def begun(self) -> tuple[str, ...]:
        """The keys of all uploads that were begun."""
        return tuple(key for key in self.objects if self._part(key, "kind") == "begun")

    @property
    def open(self) -> tuple[str, ...]:
        """The keys of uploads that were begun, and of whose end nothing is known."""
        ended = {self._part(key, "id") for key in self.held if self._part(key, "kind") == "held"}
        return tuple(key for key in self.begun if self._part(key, "id") not in ended)

    def _part(self, key: str, part: str) -> str:
        found = _parsed(self.folder, key)
        return found[part] if found else ""


def digest_of(facts: Iterable[Fact]) -> str:
    """Return 32 hex digits that stand for these facts, whatever their order."""
    text = "\n".join(sorted(f"{fact.name}\t{fact.copy}\t{fact.content}" for fact in facts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_begun(found: StoredObject, body: bytes) -> Begun:
    """Read what was begun; raises `DliError` for what somebody else wrote, or is damaged."""
    return replace(_decoded(found.key, body, Begun), modified=found.modified)


def read_held(found: StoredObject, body: bytes) -> Held:
    """Read what DLI was seen to hold; raises `DliError` as `read_begun` does."""
    return replace(_decoded(found.key, body, Held), modified=found.modified)


def unreadable(key: str, error: Exception) -> DliError:
    """Return the error that says which record cannot be read, and what to do."""
    return DliError(
        f"The record {key} of what was staged cannot be read ({error}). Delete it, and what it "
        "stands for counts as filled by somebody else."
    )


def _parsed(folder: Folder, key: str) -> re.Match[str] | None:
    return _KEY.fullmatch(key.removeprefix(folder.path)) if key.startswith(folder.path) else None


def _decoded(key: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise unreadable(key, error) from error


def _json(record: Begun | Held) -> bytes:
    # When it was written is told by the bucket.
    return msgspec.json.format(msgspec.json.encode(replace(record, modified=0.0)))
