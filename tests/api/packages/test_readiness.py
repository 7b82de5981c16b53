# SPDX-License-Identifier: Apache-2.0
"""The verdict on a group is the verdict on its packages, and its text says why."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.api.packages.readiness import Readiness, Verdict, judge


def group(raw_state: str = "", **states: str) -> PackageGroup:
    packages = tuple(Package(name, "g", raw_state=state) for name, state in states.items())
    return PackageGroup("g", raw_state, packages)


ALL = ("a", "b", "c")


@pytest.mark.parametrize(
    ("found", "wanted", "verdict", "text"),
    [
        pytest.param(
            group("READY", a="READY", b="READY", c="READY"),
            ALL,
            Verdict.READY,
            "all packages are READY",
            id="all ready",
        ),
        pytest.param(
            group("UPLOADING", a="READY", b="READY", c="FAILED"),
            ALL,
            Verdict.FAILED,
            "c is FAILED",
            id="two ready, one failed",
        ),
        pytest.param(
            group("READY", a="READY", b="READY", c="FAILED"),
            ALL,
            Verdict.FAILED,
            "c is FAILED",
            id="a ready group with a failed package",
        ),
        pytest.param(
            group("UPLOADING", a="READY", b="UPLOADING", c="READY"),
            ALL,
            Verdict.PENDING,
            "b is UPLOADING",
            id="uploading",
        ),
        pytest.param(
            group("READY", a="READY", b="READY"),
            ALL,
            Verdict.PENDING,
            "c is ABSENT",
            id="a ready group that lacks a package",
        ),
        pytest.param(
            group("UPLOADING", a="READY"),
            ["a"],
            Verdict.READY,
            "all packages are READY",
            id="the group's own word counts for nothing when its packages are ready",
        ),
        pytest.param(
            group("READY"), ["a"], Verdict.PENDING, "a is ABSENT", id="an empty group, one wanted"
        ),
        pytest.param(group("READY"), None, Verdict.PENDING, "no packages", id="an empty group"),
        pytest.param(None, None, Verdict.PENDING, "no packages", id="no group"),
        pytest.param(
            None, ["a", "b"], Verdict.PENDING, "a is ABSENT, b is ABSENT", id="no group, two wanted"
        ),
        pytest.param(
            group("READY", a="READY", b="FAILED"),
            ["a"],
            Verdict.READY,
            "all packages are READY",
            id="a failed package that was not asked for",
        ),
        pytest.param(
            group("FAILED", a="READY", b="FAILED"),
            ["a"],
            Verdict.READY,
            "all packages are READY",
            id="a failed group, explained by a package that was not asked for",
        ),
        pytest.param(
            group("FAILED", a="READY", b="READY"),
            ["a"],
            Verdict.FAILED,
            "the group itself is FAILED",
            id="a failed group with ready packages",
        ),
        pytest.param(
            group("FAILED", a="READY", b="FAILED"),
            ["a", "b"],
            Verdict.FAILED,
            "b is FAILED",
            id="a failed group, explained by a wanted package",
        ),
        pytest.param(
            group("FAILED", a="UPLOADING"),
            ["a"],
            Verdict.FAILED,
            "a is UPLOADING, the group itself is FAILED",
            id="a failed group with a package that is uploading",
        ),
        pytest.param(
            group("FAILED"), None, Verdict.FAILED, "the group itself is FAILED", id="failed, empty"
        ),
        pytest.param(
            group("READY", a="READY", b="PAUSED"),
            ["a", "b"],
            Verdict.PENDING,
            "b is PAUSED",
            id="an unknown word",
        ),
        pytest.param(
            group("READY", a="READY", b=" "),
            ["a", "b"],
            Verdict.PENDING,
            "b is UNKNOWN",
            id="no word",
        ),
        pytest.param(
            group("ready", a=" Ready ", b="ready"),
            None,
            Verdict.READY,
            "all packages are READY",
            id="any case, with blanks",
        ),
        pytest.param(
            group("READY", a="failed"), None, Verdict.FAILED, "a is FAILED", id="failed in any case"
        ),
        pytest.param(
            group("READY", a="READY"), [], Verdict.PENDING, "no packages", id="nothing wanted"
        ),
    ],
)
def test_the_verdict_follows_from_the_packages_that_were_asked_for(
    found: PackageGroup | None, wanted: list[str] | None, verdict: Verdict, text: str
) -> None:
    readiness = judge(found, wanted)

    assert readiness.verdict is verdict
    assert str(readiness) == text


def test_the_states_are_those_of_the_wanted_packages_in_their_order() -> None:
    readiness = judge(group(a="READY", b="uploading", d="FAILED"), ["c", "b", "a"])

    assert list(readiness.states.items()) == [("c", "ABSENT"), ("b", "UPLOADING"), ("a", "READY")]


def test_without_a_wish_the_states_are_those_of_all_packages() -> None:
    assert judge(group(a="READY", b="odd")).states == {"a": "READY", "b": "odd"}


def test_a_verdict_is_compared_by_its_facts() -> None:
    assert judge(group(a="READY")) == Readiness(Verdict.READY, {"a": "READY"})
