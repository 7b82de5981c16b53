# SPDX-License-Identifier: Apache-2.0
"""A bucket and DLI in memory, and every order in which stagers may take their steps on them.

The stagers run the real rules of `staging/records/upload_flow.py`. DLI answers as documented and
worse: an answer may name any copy that was ever there, and an upload may be carried out after its
answer, in any order, also when its stager is dead. A stager that is killed takes no more steps, so
that what holds in every state holds wherever one is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.api.protocol.errors import NotFoundError
from airflow_provider_dli.staging.records import upload_flow
from airflow_provider_dli.staging.records.comparison import GroupContent
from airflow_provider_dli.staging.records.groups import (
    Content,
    RecordFolder,
    RecordListing,
    read_held,
)
from airflow_provider_dli.staging.records.steps import (
    DeleteObjects,
    ListObjects,
    ReadObject,
    Step,
    UploadGroup,
    WriteObject,
)
from airflow_provider_dli.staging.records.upload_flow import PackageOutcome, UploadOutcome

FOLDER = RecordFolder.of("spark", "project", "g")

Copies = tuple[tuple[str, str], ...]
"""Names of packages with the copies that are there, sorted."""


@dataclass(frozen=True)
class Wait:
    """Wait until DLI shows all packages as READY."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Stager:
    """Stages `contents` once: packages with what they are to hold."""

    id: str
    contents: tuple[tuple[str, str], ...]
    owner: str = "dag"
    on_conflict: str = "replace"
    waits: bool = True

    @property
    def wanted(self) -> tuple[Content, ...]:
        return tuple(Content(name, content) for name, content in self.contents)

    def run(self) -> Generator[Step | Wait, Any, str]:
        """Do what the hook does; returns how it ended."""
        check = yield from upload_flow.check_group(FOLDER, self.wanted, self.owner)
        if check.comparison.content is GroupContent.SAME:
            yield from upload_flow.renew_records(check, self.wanted, self.owner, self.id, 0.0)
            return "held"
        if check.comparison.content is GroupContent.FOREIGN and self.on_conflict == "fail":
            return "refused"
        upload, _ = yield from upload_flow.announce_and_upload(
            check, self.wanted, self.owner, self.id
        )
        group = None
        if self.waits:
            group = yield Wait(tuple(name for name, _ in self.contents))
        outcome: UploadOutcome = yield from upload_flow.confirm_upload(FOLDER, upload, group)
        lost = outcome.of(PackageOutcome.REPLACED, PackageOutcome.DISPLACED, PackageOutcome.UNCLEAR)
        if self.on_conflict == "fail" and any(who != self.owner for who in lost.values()):
            return "refused"
        lost = outcome.of(PackageOutcome.REPLACED, PackageOutcome.UNCLEAR)
        return "stale" if outcome.of(PackageOutcome.STALE) else "lost" if lost else "held"


@dataclass(frozen=True)
class World:
    """The bucket, what DLI shows, what it was given and has not carried out, and every copy."""

    objects: frozenset[tuple[str, bytes]] = frozenset()
    current: Copies = ()
    pending: tuple[Copies, ...] = ()
    copies: frozenset[tuple[str, str, str]] = frozenset()

    def listed(self, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key, len(body), "", 1.0)
            for key, body in sorted(self.objects)
            if key.startswith(prefix)
        ]

    def without(self, keys: set[str]) -> World:
        return replace(self, objects=frozenset(o for o in self.objects if o[0] not in keys))

    def applied(self, number: int) -> World:
        """Return what is there after one of the pending uploads was carried out."""
        rest = self.pending[:number] + self.pending[number + 1 :]
        current = dict(self.current) | dict(self.pending[number])
        return replace(self, current=tuple(sorted(current.items())), pending=rest)

    def content(self, name: str) -> str | None:
        """Return what DLI really holds."""
        copy = dict(self.current).get(name)
        return next((text for n, c, text in self.copies if (n, c) == (name, copy)), None)

    def lies(self) -> list[tuple[str, str, str]]:
        """Return all that records claim and that is not so."""
        bodies = dict(self.objects)
        listed = RecordListing.of(FOLDER, self.listed(FOLDER.path))
        facts = [
            (fact.name, fact.copy, fact.content)
            for key in listed.held
            for fact in read_held(listed.objects[key], bodies[key]).facts
        ]
        return [fact for fact in facts if fact not in self.copies]


Event = tuple[str, Any]
History = tuple[Event, ...]


def group_of(copies: Copies) -> PackageGroup | None:
    packages = tuple(
        Package(name, "g", raw_state="READY", underlying_name=copy) for name, copy in copies
    )
    return PackageGroup("g", packages=packages) if packages else None


def result_of(event: Event) -> Any:
    """Return what a step gives its stager; an event is what is left of it that has a hash."""
    kind, value = event
    if kind == "listed":
        return [StoredObject(key, 1, "", 1.0) for key in value]
    return group_of(value) if kind == "group" else value


@dataclass
class Runs:
    """Where each stager is after what it was answered: a number for each history."""

    stagers: tuple[Stager, ...]
    histories: list[tuple[int, History]] = field(default_factory=list)
    steps: list[Step | Wait | str] = field(default_factory=list)
    numbers: dict[tuple[int, Event], int] = field(default_factory=dict)

    def begun(self, stager: int) -> int:
        """Return the history of a stager that has taken no step."""
        return self._added(stager, ())

    def after(self, history: int, event: Event) -> int:
        """Return the history that goes on with an event."""
        if (history, event) not in self.numbers:
            stager, events = self.histories[history]
            self.numbers[history, event] = self._added(stager, (*events, event))
        return self.numbers[history, event]

    def next(self, history: int) -> Step | Wait | str:
        """Return the next step of a stager, or how it ended."""
        return self.steps[history]

    def _added(self, stager: int, history: History) -> int:
        self.histories.append((stager, history))
        self.steps.append(self._replayed(self.stagers[stager], history))
        return len(self.histories) - 1

    def _replayed(self, stager: Stager, history: History) -> Step | Wait | str:
        steps = stager.run()
        try:
            step = next(steps)
            for event in history:
                if event[0] == "absent":
                    step = steps.throw(NotFoundError("no such key", status=404))
                else:
                    step = steps.send(result_of(event))
        except StopIteration as ended:
            return str(ended.value)
        return step


def outcomes(
    world: World, stager: Stager, step: Step | Wait, *, honest: bool = False
) -> Iterator[tuple[World, Event | None]]:
    """Return all that may come of a step; without an event the stager was killed in its middle."""
    match step:
        case UploadGroup():
            yield from _uploads(world, stager, honest=honest)
        case DeleteObjects(keys):
            yield world.without(set(keys)), ("done", None)
            some = [set(part) for n in range(1, len(keys)) for part in combinations(keys, n)]
            yield from ((world.without(part), None) for part in some if not honest)
        case Wait(names) if not set(names) <= {name for name, _ in world.current}:
            return
        case _:
            yield _answered(world, step)


def _answered(world: World, step: Step | Wait) -> tuple[World, Event]:
    """Return what comes of a step of which only one thing can come."""
    match step:
        case ListObjects(prefix):
            return world, ("listed", tuple(one.key for one in world.listed(prefix)))
        case ReadObject(key):
            body = dict(world.objects).get(key)
            return world, ("absent", None) if body is None else ("body", body)
        case WriteObject(key, body):
            rest = world.without({key})
            return replace(rest, objects=rest.objects | {(key, body)}), ("done", None)
        case _:
            return world, ("group", world.current)


def _uploads(world: World, stager: Stager, *, honest: bool) -> Iterator[tuple[World, Event]]:
    new = tuple((name, f"{stager.id}_{name}") for name, _ in stager.contents)
    copies = {(name, f"{stager.id}_{name}", content) for name, content in stager.contents}
    sent = replace(world, pending=(*world.pending, new), copies=world.copies | copies)
    done = sent.applied(len(world.pending))
    answers = [new]
    if not honest:
        # One package of the answer may be of any time.
        older = ({name: copy} for name, copy, _ in sorted(world.copies) if name in dict(new))
        answers += [tuple(sorted((dict(new) | one).items())) for one in older]
    for then in (done,) if honest else (done, sent):
        for answer in answers:
            yield then, ("group", answer)


State = tuple[World, tuple[int | None, ...]]
"""What is there, and the history of each stager, `None` for one that was killed."""


def explore(
    stagers: tuple[Stager, ...],
    world: World,
    check: Callable[[State, Runs], None],
    *,
    in_turn: int = 2,
    honest: bool = False,
) -> int:
    """Walk through all orders; returns how many states there are.

    The first `in_turn` stagers take their steps in any order; each later one begins when those
    before it take none any more. A DLI that is `honest` carries out an upload before it answers,
    and names the new copies.
    """
    runs = Runs(stagers)
    start: State = (world, tuple(map(runs.begun, range(len(stagers)))))
    seen, left = {start}, [start]
    while left:
        state = left.pop()
        check(state, runs)
        for then in _after(state, runs, in_turn, honest=honest):
            if then not in seen:
                seen.add(then)
                left.append(then)
    return len(seen)


def _after(state: State, runs: Runs, in_turn: int, *, honest: bool) -> Iterator[State]:
    world, histories = state
    for number in range(len(world.pending)):
        yield world.applied(number), histories
    for number, history in enumerate(histories):
        if history is None or isinstance(step := runs.next(history), str):
            continue
        before = histories[:number]
        if number >= in_turn:
            before = tuple(None for _ in before)
        for then, event in outcomes(world, runs.stagers[number], step, honest=honest):
            mine = None if event is None else runs.after(history, event)
            yield then, (*before, mine, *histories[number + 1 :])


def staged_alone(world: World, stager: Stager) -> tuple[World, str]:
    """Stage while nobody else does, on a DLI that answers well: what is there then."""
    runs = Runs((stager,))
    history = runs.begun(0)
    while not isinstance(step := runs.next(history), str):
        world, event = next(outcomes(world, stager, step, honest=True))
        assert event is not None
        history = runs.after(history, event)
    return world, step
