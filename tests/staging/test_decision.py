"""What a group holds, compared with what is to be staged."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.models import Package, PackageGroup
from airflow_provider_dli.staging.decision import Holds, compare, versioned
from airflow_provider_dli.staging.records import Member, Record

US, THEM = "dag ours", "dag theirs"


def member(
    name: str = "a.jar",
    content: str = "new",
    owner: str = US,
    underlying_name: str | None = None,
    confirmed: bool = False,
) -> Member:
    return Member(name, content, owner, f"spark/{name}", underlying_name, confirmed)


def staged(
    name: str = "a.jar", content: str = "new", owner: str = US, underlying_name: str = "1_a.jar"
) -> Member:
    """Give a member that a listing confirmed."""
    return member(name, content, owner, underlying_name, confirmed=True)


def record(*members: Member) -> Record:
    return Record("key", "g", US, 0.0, {one.name: one for one in members})


def group(**underlying_names: str | None) -> PackageGroup:
    """Give a group of READY packages: `a="1_a.jar"` is `a.jar`."""
    packages = [
        Package(f"{name}.jar", "g", raw_state="READY", underlying_name=underlying)
        for name, underlying in underlying_names.items()
    ]
    return PackageGroup("g", packages=tuple(packages))


def held(found: PackageGroup | None, known: Record | None, *wanted: Member) -> Holds:
    return compare(found, known, {one.name: one for one in wanted or (member(),)}).holds


def test_an_absent_group_holds_less() -> None:
    assert held(None, None) is Holds.LESS


def test_a_group_that_is_as_it_was_staged_holds_the_same() -> None:
    assert held(group(a="1_a.jar"), record(staged())) is Holds.SAME


def test_bytes_that_another_owner_staged_are_the_same_bytes() -> None:
    assert held(group(a="1_a.jar"), record(staged(owner=THEM))) is Holds.SAME


def test_packages_beside_the_wanted_ones_do_not_count_when_those_are_the_same() -> None:
    assert held(group(a="1_a.jar", b="1_b.jar"), record(staged())) is Holds.SAME


def test_a_service_that_tells_no_underlying_names_is_believed() -> None:
    known = record(member(underlying_name=None, confirmed=True))

    assert held(group(a=None), known) is Holds.SAME


def test_a_failed_package_counts_as_missing() -> None:
    found = PackageGroup("g", packages=(Package("a.jar", "g", raw_state="FAILED"),))

    assert held(found, record(member(confirmed=True))) is Holds.LESS


def test_a_missing_package_leaves_less() -> None:
    assert held(group(a="1_a.jar"), record(staged()), member(), member("b.jar")) is Holds.LESS


def test_other_bytes_of_the_same_owner_are_older() -> None:
    assert held(group(a="1_a.jar"), record(staged(content="old"))) is Holds.OLDER


def test_other_bytes_of_another_owner_are_foreign() -> None:
    assert held(group(a="1_a.jar"), record(staged(content="old", owner=THEM))) is Holds.FOREIGN


def test_a_group_without_a_record_is_foreign() -> None:
    assert held(group(a="1_a.jar"), None) is Holds.FOREIGN


def test_a_group_with_a_foreign_package_beside_changed_ones_is_foreign() -> None:
    found = group(a="1_a.jar", b="1_b.jar")

    assert held(found, record(staged(content="old"))) is Holds.FOREIGN


def test_a_copy_that_was_replaced_after_it_was_staged_is_foreign() -> None:
    assert held(group(a="2_a.jar"), record(staged(underlying_name="1_a.jar"))) is Holds.FOREIGN


def test_an_upload_that_was_interrupted_is_begun_again() -> None:
    assert held(group(a="1_a.jar"), record(member())) is Holds.LESS


def test_an_upload_that_nobody_waited_for_is_known_by_its_answer() -> None:
    assert held(group(a="1_a.jar"), record(member(underlying_name="1_a.jar"))) is Holds.SAME


def test_an_interrupted_upload_of_older_bytes_is_older() -> None:
    assert held(group(a="1_a.jar"), record(member(content="old"))) is Holds.OLDER


def test_what_is_foreign_is_named_with_its_owner() -> None:
    found = group(a="1_a.jar", b="1_b.jar")
    known = record(staged(content="old", owner=THEM))

    comparison = compare(found, known, {"a.jar": member()})

    assert str(comparison) == "a.jar (dag theirs), b.jar (unknown)"


@pytest.mark.parametrize(("wanted", "is_whole"), [(["a.jar"], True), (["a.jar", "c.jar"], False)])
def test_a_comparison_says_whether_every_package_is_there(
    wanted: list[str], is_whole: bool
) -> None:
    known = record(staged(content="old"))

    comparison = compare(group(a="1_a.jar"), known, {name: member(name) for name in wanted})

    assert comparison.is_whole is is_whole


def test_a_version_keeps_the_name_as_short_as_it_may_be() -> None:
    assert versioned("g" * 64, "12345678") == f"{'g' * 55}-12345678"
    assert versioned("g", "12345678") == "g-12345678"
