# SPDX-License-Identifier: Apache-2.0
"""What the records of a group say about the copies that DLI holds, and whether those are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageState
from airflow_provider_dli.staging.records.groups import (
    OPEN_FOR,
    Begun,
    Content,
    Fact,
    Held,
    RecordListing,
)
from airflow_provider_dli.staging.records.tasks import Member, Record

NAMELESS = ""
"""Stands for a copy that cannot be told from another one."""

UNKNOWN_OWNER = "unknown"

# The time of an upload may change until it is over.
_OVER = (PackageState.READY, PackageState.FAILED)


def copy_id(package: Package) -> str:
    """Returns what distinguishes a listed copy of a package from every other copy, or `NAMELESS`.

    It is DLI's own name of the copy, `<uuid>_<name>`. If the service uses the package's name
    instead, it is the time of the upload, as soon as that is over.
    """
    if own_name := answered_id(package):
        return own_name
    if package.state in _OVER and package.update_time:
        return f"{package.name}@{package.create_time or 0}-{package.update_time}"
    return NAMELESS


def answered_id(package: Package | None) -> str:
    """Returns the same for a package in the answer to an upload, whose times may be wrong."""
    own_name = package.underlying_name if package else None
    return NAMELESS if package is None or own_name in (None, package.name) else str(own_name)


def copies_of(group: PackageGroup | None) -> dict[str, str]:
    """Returns the copies that a listing shows, by the names of the packages."""
    return {package.name: copy_id(package) for package in (group.packages if group else ())}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the copy of a package comes from.

    `content` is what it contains, `None` if that is not certain. `owner` is who uploaded it,
    `None` for someone who wrote no record. `begun` are the contents of uploads by this owner that
    it may come from.
    """

    content: str | None = None
    owner: str | None = None
    begun: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupRecords:
    """The records of a group, read: what is `held`, `open` uploads, and the record of 0.1."""

    listed: RecordListing
    held: tuple[Held, ...] = ()
    open: tuple[Begun, ...] = ()
    old: Record | None = None
    facts: Mapping[tuple[str, str], tuple[Fact, str]] = field(init=False)

    def __post_init__(self) -> None:
        facts = {
            (fact.name, fact.copy): (fact, held.owner) for held in self.held for fact in held.facts
        }
        object.__setattr__(self, "facts", facts)

    def origin(self, package: Package) -> Origin:
        """Returns where a package of DLI's listing comes from."""
        name, copy = package.name, copy_id(package)
        if copy and (claim := self.facts.get((name, copy))):
            fact, owner = claim
            return Origin(fact.content, owner)
        if candidates := sorted((one for one in self.open if one.may_be(name, copy)), key=_age):
            owner = candidates[0].owner
            contents = (one.content(name) for one in candidates if one.owner == owner)
            return Origin(owner=owner, begun=frozenset(filter(None, contents)))
        member = self.old.members.get(name) if self.old else None
        if member is None or self._has_newer(name) or not member.may_be(package):
            return Origin()
        # The copy that an answer named may have been an older one: only a listing confirmed it.
        if member.confirmed and copy != NAMELESS and member.underlying_name == copy:
            return Origin(member.content, member.owner)
        return Origin(owner=member.owner, begun=frozenset({member.content}))

    def _has_newer(self, name: str) -> bool:
        """Whether a record newer than that of 0.1 has this package."""
        return any(fact.name == name for held in self.held for fact in held.facts) or any(
            one.content(name) is not None for one in self.open
        )

    def rivals(self, begun: Begun, name: str) -> list[Begun]:
        """Returns the other uploads that may still replace a package, oldest first."""
        return sorted(
            (
                one
                for one in self.open
                if one.id != begun.id
                and one.content(name) is not None
                and begun.modified - one.modified <= OPEN_FOR
            ),
            key=_age,
        )

    def owner_since(self, seen: Iterable[str], member: Content) -> str | None:
        """Returns who put other bytes into a package, by records that were not `seen` before."""
        before = set(seen)
        folder = self.listed.folder
        return next(
            (
                held.owner
                for held in self.held
                if folder.held_key(held) not in before
                for fact in held.facts
                if fact.name == member.name and fact.content != member.content
            ),
            None,
        )

    def about(self, names: Iterable[str]) -> Iterator[Held]:
        """Returns the records that claim something about these packages."""
        wanted = set(names)
        return (held for held in self.held if wanted.intersection(fact.name for fact in held.facts))

    def replaced_by(self, names: Iterable[str]) -> tuple[str, ...]:
        """Returns the keys of records that are obsolete once all these packages are uploaded."""
        wanted = set(names)
        return self._keys_of(
            (one for one in self.held if wanted.issuperset(fact.name for fact in one.facts)),
            (one for one in self.open if wanted.issuperset(c.name for c in one.members)),
        )

    def superseded(self, group: PackageGroup, before: float) -> tuple[str, ...]:
        """Returns the keys of records older than `before` that say nothing about DLI's copies.

        The listing of the group must be newer than that of the records.
        """
        copies = set(copies_of(group).items())
        unexplained = {name for name, copy in copies if (name, copy) not in self.facts}
        return self._keys_of(
            (
                one
                for one in self.held
                if one.modified < before
                and copies.isdisjoint((fact.name, fact.copy) for fact in one.facts)
            ),
            (
                one
                for one in self.open
                if one.modified < before and unexplained.isdisjoint(c.name for c in one.members)
            ),
        )

    def _keys_of(self, held: Iterable[Held], begun: Iterable[Begun]) -> tuple[str, ...]:
        """Returns the keys of these records, and of what the held ones ended.

        Begun uploads come first: if only part of the keys is deleted, none of them looks open.
        """
        held, folder = tuple(held), self.listed.folder
        ids = {one.id for one in held}.union(one.id for one in begun)
        keys = map(folder.begun_key, ids)
        return (*sorted(set(self.listed.begun).intersection(keys)), *map(folder.held_key, held))

    @property
    def is_piled_up(self) -> bool:
        """Whether there is more than one upload and its end."""
        return len(self.held) > 1 or bool(self.open)

    @property
    def members(self) -> tuple[Member, ...]:
        """The packages in these records; several may have one name."""
        return (
            *(self.old.members.values() if self.old else ()),
            *(Member(c.name, c.content, b.owner, c.key) for b in self.open for c in b.members),
            *(
                Member(f.name, f.content, h.owner, f.key, f.copy)
                for h in self.held
                for f in h.facts
            ),
        )


class GroupContent(Enum):
    """What a group contains, compared with what is to be staged."""

    SAME = "the same bytes"
    LESS = "not all of the packages"
    OLDER = "other bytes that the same owner staged"
    FOREIGN = "bytes that someone else put there"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a group contains, and the packages that show it, each with who uploaded it.

    `is_whole` if it has every wanted package, whatever the bytes.
    """

    content: GroupContent
    is_whole: bool
    because: Mapping[str, str]

    def __str__(self) -> str:
        """Returns the names of the packages."""
        return ", ".join(f"{name} ({who})" for name, who in self.because.items())


SAME = Comparison(GroupContent.SAME, True, {})


def compare(
    found: PackageGroup | None, records: GroupRecords, wanted: Mapping[str, str], owner: str
) -> Comparison:
    """Compares a group, as DLI lists it and as the records describe it, with what is wanted.

    A package that is FAILED counts as missing. `wanted` are contents by the names of the packages,
    to be staged by `owner`.
    """
    packages = {package.name: package for package in (found.packages if found else ())}
    origins = {name: records.origin(package) for name, package in packages.items()}
    there = [
        name
        for name in wanted
        if name in packages and packages[name].state is not PackageState.FAILED
    ]
    same = {name for name in there if origins[name].content == wanted[name]}
    if same.issuperset(wanted):
        return SAME
    is_whole = len(there) == len(wanted)
    foreign = {
        name: origin.owner or UNKNOWN_OWNER
        for name, origin in origins.items()
        if name not in same and origin.owner != owner
    }
    if foreign:
        return Comparison(GroupContent.FOREIGN, is_whole, foreign)
    # An upload that was interrupted is started again, not compared.
    older = {
        name: owner
        for name in there
        if name not in same and wanted[name] not in origins[name].begun
    }
    return Comparison(GroupContent.OLDER if older else GroupContent.LESS, is_whole, older)


def _age(begun: Begun) -> tuple[float, str]:
    return begun.modified, begun.id
