# SPDX-License-Identifier: Apache-2.0
"""What all records of a group say together of the copies that DLI holds of its packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.staging.records.copies import NAMELESS, copy_id
from airflow_provider_dli.staging.records.tasks import Member, Record
from airflow_provider_dli.staging.records.uploads import (
    OPEN_FOR,
    Begun,
    Content,
    Fact,
    Folder,
    Held,
    Listed,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the copy of a package comes from.

    `content` is what it holds, `None` where that is not known for sure. `owner` is who put it
    there, `None` for somebody who wrote nothing down. `begun` are the contents of uploads by this
    owner that it may come from.
    """

    content: str | None = None
    owner: str | None = None
    begun: frozenset[str] = frozenset()


UNKNOWN = Origin()


@dataclass(frozen=True, slots=True)
class Known:
    """The records of a group, read: what is `held`, uploads that are `open`, the record of 0.1.

    `listed` are their keys.
    """

    listed: Listed
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
        """Return where a package of DLI's listing comes from."""
        copy = copy_id(package)
        if copy and (known := self.facts.get((package.name, copy))):
            fact, owner = known
            return Origin(fact.content, owner)
        if candidates := self._candidates(package.name, copy):
            owner = candidates[0].owner
            contents = (one.content(package.name) for one in candidates if one.owner == owner)
            return Origin(owner=owner, begun=frozenset(filter(None, contents)))
        member = None if self._is_newer(package.name) else self._old_member(package.name)
        return UNKNOWN if member is None else _origin_of_old(member, package, copy)

    def rivals(self, begun: Begun, name: str) -> list[Begun]:
        """Return the other uploads that may still put a copy of a package there, oldest first."""
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
        """Return who put other bytes into a package, by records that were not `seen` before."""
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

    def telling_of(self, names: Iterable[str]) -> Iterator[Held]:
        """Return the records that claim something of these packages."""
        wanted = set(names)
        return (held for held in self.held if wanted.intersection(fact.name for fact in held.facts))

    def replaced_by(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the keys of what says nothing more once all these packages are uploaded anew.

        What was begun comes first: if only a part of them is deleted, nothing looks unfinished that
        is not.
        """
        wanted = set(names)
        folder = self.listed.folder
        held = [one for one in self.held if wanted.issuperset(fact.name for fact in one.facts)]
        begun = {one.id for one in self.open if wanted.issuperset(c.name for c in one.members)}
        keys = {folder.begun_key(upload_id) for upload_id in begun | {one.id for one in held}}
        return (*sorted(keys.intersection(self.listed.begun)), *map(folder.held_key, held))

    def superseded(self, group: PackageGroup, before: float) -> tuple[str, ...]:
        """Return the keys, older than `before`, of what does not help to tell what DLI holds.

        The listing of the group has to be newer than that of the records.
        """
        copies = {(package.name, copy_id(package)) for package in group.packages}
        folder = self.listed.folder
        held = [
            one
            for one in self.held
            if one.modified < before
            and copies.isdisjoint((fact.name, fact.copy) for fact in one.facts)
        ]
        unexplained = {name for name, copy in copies if (name, copy) not in self.facts}
        begun = {
            one.id
            for one in self.open
            if one.modified < before and unexplained.isdisjoint(c.name for c in one.members)
        }
        # With the record that ends it goes what was begun: else it would look unfinished.
        keys = {folder.begun_key(upload_id) for upload_id in begun | {one.id for one in held}}
        return (*sorted(keys.intersection(self.listed.begun)), *map(folder.held_key, held))

    @property
    def is_piled_up(self) -> bool:
        """Whether there is more than one upload and its end."""
        return len(self.held) > 1 or bool(self.open)

    def is_ours(self, package: Package) -> bool:
        """Whether a package may be deleted as one that was staged here."""
        return self.origin(package).owner is not None

    @property
    def members(self) -> tuple[Member, ...]:
        """The packages as these records know them; several may have one name."""
        return (
            *(self.old.members.values() if self.old else ()),
            *(Member(c.name, c.content, b.owner, c.key) for b in self.open for c in b.members),
            *(
                Member(f.name, f.content, h.owner, f.key, f.copy)
                for h in self.held
                for f in h.facts
            ),
        )

    def _candidates(self, name: str, copy: str) -> list[Begun]:
        return sorted((one for one in self.open if one.may_be(name, copy)), key=_age)

    def _is_newer(self, name: str) -> bool:
        """Whether anything newer than the record of 0.1 tells of a package."""
        return any(fact.name == name for held in self.held for fact in held.facts) or any(
            one.content(name) is not None for one in self.open
        )

    def _old_member(self, name: str) -> Member | None:
        return self.old.members.get(name) if self.old else None


def nothing_known(folder: Folder) -> Known:
    """Return what is known of a group without records."""
    return Known(Listed(folder))


def _origin_of_old(member: Member, package: Package, copy: str) -> Origin:
    if not member.may_be(package):
        return UNKNOWN
    # The copy that an answer named may have been an older one: only a listing confirmed it.
    if member.confirmed and copy != NAMELESS and member.underlying_name == copy:
        return Origin(member.content, member.owner)
    return Origin(owner=member.owner, begun=frozenset({member.content}))


def _age(begun: Begun) -> tuple[float, str]:
    return begun.modified, begun.id
