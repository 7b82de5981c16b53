# SPDX-License-Identifier: Apache-2.0
"""No order of the steps of two stagers, killed anywhere, leaves a record that is not true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from staging.records.interleavings import Runs, Stager, State, World, explore, staged_alone


def contents(content: str, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, content) for name in names or ("a",))


EMPTY = World()
BY_HAND = World(current=(("a", "x_a"),), copies=frozenset({("a", "x_a", "by hand")}))
STAGED = staged_alone(BY_HAND, Stager("dd", contents("v0")))[0]
STAGED_BOTH = staged_alone(EMPTY, Stager("dd", contents("v0", "a", "b")))[0]
INTERRUPTED = World(
    objects=frozenset(entry for entry in STAGED.objects if "begun" in entry[0]),
    current=(("a", "dd_a"),),
    copies=STAGED.copies,
)
WORLDS = {
    "new": EMPTY,
    "filled by hand": BY_HAND,
    "staged": STAGED,
    "interrupted": INTERRUPTED,
}


def no_lies() -> Callable[[State, Runs], None]:
    """Return the check that all records are true."""
    looked_at: set[World] = set()

    def check(state: State, runs: Runs) -> None:
        if state[0] not in looked_at:
            looked_at.add(state[0])
            assert state[0].lies() == []

    return check


def settled(world: World) -> set[World]:
    """Return what may be there when DLI has carried out all that it was given."""
    if not world.pending:
        return {world}
    return set().union(*(settled(world.applied(n)) for n in range(len(world.pending))))


def ended(state: State, runs: Runs) -> list[str] | None:
    """Return how all stagers ended, `None` where one has not or was killed."""
    steps = [None if history is None else runs.next(history) for history in state[1]]
    ends = [step for step in steps if isinstance(step, str)]
    return ends if len(ends) == len(steps) else None


@pytest.mark.parametrize(
    ("world", "other", "waits"),
    [
        *((world, other, True) for world in ("new", "filled by hand") for other in ("v1", "v2")),
        ("new", "v2", False),
        ("new", "v1", False),
        ("interrupted", "v1", True),
        ("interrupted", "v2", False),
        ("staged", "v2", True),
    ],
)
def test_no_record_claims_what_dli_does_not_hold(world: str, other: str, waits: bool) -> None:
    stagers = (Stager("aa", contents("v1"), waits=waits), Stager("bb", contents(other)))

    assert explore(stagers, WORLDS[world], no_lies()) > 1000


@pytest.mark.parametrize(
    ("world", "one", "other"),
    [
        (EMPTY, ("a", "b"), ("a",)),
        (EMPTY, ("a", "b"), ("a", "b")),
        (STAGED_BOTH, ("a", "b"), ("a",)),
        (STAGED_BOTH, ("a",), ("b",)),
    ],
)
def test_no_record_of_several_packages_claims_what_dli_does_not_hold(
    world: World, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    stagers = (Stager("aa", contents("v1", *one)), Stager("bb", contents("v2", *other)))

    explore(stagers, world, no_lies())


@pytest.mark.parametrize("third", ["v1", "v3"])
def test_nor_does_one_of_a_third_stager_that_comes_after_them(third: str) -> None:
    stagers = tuple(
        Stager(id, contents(content))
        for id, content in zip(["aa", "bb", "cc"], ["v1", "v2", third], strict=True)
    )

    explore(stagers, EMPTY, no_lies())


@pytest.mark.parametrize("world", ["new", "filled by hand", "interrupted"])
def test_whatever_happened_the_next_staging_ends_with_dli_holding_it(world: str) -> None:
    tried: set[World] = set()

    def next_one_holds(state: State, runs: Runs) -> None:
        for now in settled(state[0]) - tried:
            tried.add(now)
            for content in ("v0", "v1", "v2", "v3"):
                then, _ = staged_alone(now, Stager("ee", contents(content)))
                assert (then.content("a"), then.lies()) == (content, [])

    stagers = (Stager("aa", contents("v1")), Stager("bb", contents("v2")))
    explore(stagers, WORLDS[world], next_one_holds)
    assert len(tried) > 10


@pytest.mark.parametrize("world", [EMPTY, STAGED_BOTH], ids=["new", "staged"])
def test_tasks_that_fill_one_group_at_the_same_time_do_not_lose_each_others_packages(
    world: World,
) -> None:
    stagers = tuple(
        Stager(id, contents("v1", name), on_conflict="fail")
        for id, name in [("aa", "a"), ("bb", "b")]
    )

    def both_are_known(state: State, runs: Runs) -> None:
        if (ends := ended(state, runs)) is None:
            return
        assert ends == ["held", "held"]
        again, end = staged_alone(state[0], Stager("ee", contents("v1", "a", "b")))
        assert (end, again.copies) == ("held", state[0].copies)

    explore(stagers, world, both_are_known, honest=True)


def test_a_task_that_fills_a_group_while_another_package_of_it_is_replaced_is_not_refused() -> None:
    stagers = (
        Stager("aa", contents("v1", "a"), on_conflict="fail"),
        Stager("bb", contents("v1", "b"), on_conflict="fail"),
    )

    def none_is_refused(state: State, runs: Runs) -> None:
        assert "refused" not in (ended(state, runs) or [])

    explore(stagers, STAGED_BOTH, none_is_refused, honest=True)


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("world", ["new", "staged"])
def test_of_two_owners_who_do_not_replace_each_other_at_least_one_fails(
    world: str, honest: bool
) -> None:
    stagers = tuple(
        Stager(id, contents(content), owner=owner, on_conflict="fail")
        for id, content, owner in [("aa", "v1", "dag 1"), ("bb", "v2", "dag 2")]
    )

    def one_fails(state: State, runs: Runs) -> None:
        assert ended(state, runs) != ["held", "held"]

    explore(stagers, WORLDS[world], one_fails, honest=honest)


def test_what_nobody_disturbs_is_uploaded_once_and_known_from_the_keys_alone() -> None:
    first, end = staged_alone(EMPTY, Stager("aa", contents("v1", "a", "b")))
    again, end_again = staged_alone(first, Stager("bb", contents("v1", "a", "b")))

    assert (end, end_again) == ("held", "held")
    assert again == first


def test_an_upload_leaves_nothing_of_those_before_it() -> None:
    world = EMPTY
    for number in range(5):
        world, _ = staged_alone(world, Stager(f"a{number}", contents(f"v{number}")))

    assert len(world.objects) <= 2


def test_a_run_that_was_killed_before_its_upload_is_no_reason_to_refuse_its_next_one() -> None:
    task = Stager("aa", contents("v1"), on_conflict="fail")
    refused: list[State] = []

    def next_run_ends_well(state: State, runs: Runs) -> None:
        _, end = staged_alone(state[0], Stager("bb", contents("v1"), on_conflict="fail"))
        if end != "held":
            refused.append(state)

    explore((task,), EMPTY, next_run_ends_well, honest=True)
    assert refused == []
