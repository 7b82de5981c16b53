"""What a group holds, compared with what is to be staged."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.staging.content import versioned
from airflow_provider_dli.staging.records.comparison import GroupContent, GroupRecords, compare
from airflow_provider_dli.staging.records.groups import (
    Begun,
    Content,
    Fact,
    Held,
    RecordFolder,
    RecordListing,
)
from airflow_provider_dli.staging.records.tasks import Member, Record

US, THEM = "dag ours", "dag theirs"
LISTED = RecordListing(RecordFolder("g", "f/"))


def staged(
    name: str = "a.jar", content: str = "new", owner: str = US, copy: str = "1_a.jar"
) -> Held:
    """Return what DLI was seen to hold."""
    return Held("1", owner, (Fact(name, content, None, copy),))


def begun(content: str = "new", owner: str = US, before: str = "0_a.jar") -> Begun:
    """Return an upload of whose end nothing is known."""
    return Begun("2", owner, (Content("a.jar", content),), {"a.jar": before})


def known(*records: Held | Begun, old: Member | None = None) -> GroupRecords:
    return GroupRecords(
        LISTED,
        tuple(one for one in records if isinstance(one, Held)),
        tuple(one for one in records if isinstance(one, Begun)),
        Record("key", "g", US, 0.0, {old.name: old}) if old else None,
    )


def group(update_time: int = 0, **underlying_names: str | None) -> PackageGroup:
    """Give a group of READY packages: `a="1_a.jar"` is `a.jar`."""
    packages = [
        Package(
            f"{name}.jar",
            "g",
            raw_state="READY",
            underlying_name=underlying,
            create_time=1,
            update_time=update_time,
        )
        for name, underlying in underlying_names.items()
    ]
    return PackageGroup("g", packages=tuple(packages))


def held(found: PackageGroup | None, records: GroupRecords, *wanted: str) -> GroupContent:
    return compare(found, records, dict.fromkeys(wanted or ("a.jar",), "new"), US).content


def test_an_absent_group_holds_less() -> None:
    assert held(None, known()) is GroupContent.LESS


def test_a_group_that_is_as_it_was_staged_holds_the_same() -> None:
    assert held(group(a="1_a.jar"), known(staged())) is GroupContent.SAME


def test_bytes_that_another_owner_staged_are_the_same_bytes() -> None:
    assert held(group(a="1_a.jar"), known(staged(owner=THEM))) is GroupContent.SAME


def test_packages_beside_the_wanted_ones_do_not_count_when_those_are_the_same() -> None:
    assert held(group(a="1_a.jar", b="1_b.jar"), known(staged())) is GroupContent.SAME


def test_a_copy_that_is_called_like_its_package_is_known_by_its_time() -> None:
    records = known(staged(copy="a.jar@1-5"))

    assert held(group(5, a="a.jar"), records) is GroupContent.SAME
    assert held(group(6, a="a.jar"), records) is GroupContent.FOREIGN


@pytest.mark.parametrize("underlying", [None, "a.jar"])
def test_a_copy_that_nothing_tells_from_another_one_is_never_known(underlying: str | None) -> None:
    records = known(staged(copy=""), staged(copy="a.jar"), staged(copy="a.jar@1-0"))

    assert held(group(a=underlying), records) is GroupContent.FOREIGN


def test_a_failed_package_counts_as_missing() -> None:
    found = PackageGroup(
        "g", packages=(Package("a.jar", "g", raw_state="FAILED", underlying_name="1_a.jar"),)
    )

    assert held(found, known(staged())) is GroupContent.LESS


def test_a_missing_package_leaves_less() -> None:
    assert held(group(a="1_a.jar"), known(staged()), "a.jar", "b.jar") is GroupContent.LESS


def test_other_bytes_of_the_same_owner_are_older() -> None:
    assert held(group(a="1_a.jar"), known(staged(content="old"))) is GroupContent.OLDER


def test_other_bytes_of_another_owner_are_foreign() -> None:
    records = known(staged(content="old", owner=THEM))

    assert held(group(a="1_a.jar"), records) is GroupContent.FOREIGN


def test_a_group_without_a_record_is_foreign() -> None:
    assert held(group(a="1_a.jar"), known()) is GroupContent.FOREIGN


def test_a_group_with_a_foreign_package_beside_changed_ones_is_foreign() -> None:
    found = group(a="1_a.jar", b="1_b.jar")

    assert held(found, known(staged(content="old"))) is GroupContent.FOREIGN


def test_a_copy_that_was_replaced_after_it_was_staged_is_foreign() -> None:
    assert held(group(a="2_a.jar"), known(staged())) is GroupContent.FOREIGN


def test_an_upload_that_was_interrupted_is_begun_again() -> None:
    assert held(group(a="1_a.jar"), known(begun())) is GroupContent.LESS


def test_an_interrupted_upload_of_older_bytes_is_older() -> None:
    assert held(group(a="1_a.jar"), known(begun("old"))) is GroupContent.OLDER


def test_a_copy_that_was_there_before_an_upload_does_not_come_from_it() -> None:
    assert held(group(a="0_a.jar"), known(begun(before="0_a.jar"))) is GroupContent.FOREIGN


def test_a_copy_that_two_owners_may_have_uploaded_is_that_of_the_first() -> None:
    theirs = Begun("1", THEM, (Content("a.jar", "theirs"),), {})

    assert held(group(a="1_a.jar"), known(begun(), theirs)) is GroupContent.FOREIGN


# what version 0.1 wrote down


def old(
    content: str = "new", underlying_name: str | None = "1_a.jar", *, confirmed: bool = True
) -> Member:
    return Member("a.jar", content, US, "spark/a.jar", underlying_name, confirmed)


def test_a_record_of_0_1_counts_for_the_copy_that_it_confirms() -> None:
    assert held(group(a="1_a.jar"), known(old=old())) is GroupContent.SAME
    assert held(group(a="1_a.jar"), known(old=old("old"))) is GroupContent.OLDER
    assert held(group(a="2_a.jar"), known(old=old())) is GroupContent.FOREIGN


@pytest.mark.parametrize("underlying_name", [None, "1_a.jar", "0_a.jar"])
def test_what_0_1_did_not_confirm_is_an_upload_that_was_interrupted(
    underlying_name: str | None,
) -> None:
    member = old(underlying_name=underlying_name, confirmed=False)

    assert held(group(a="1_a.jar"), known(old=member)) is GroupContent.LESS


def test_what_0_1_confirmed_of_a_copy_without_a_name_of_its_own_is_uploaded_again() -> None:
    assert held(group(5, a="a.jar"), known(old=old(underlying_name="a.jar"))) is GroupContent.LESS


@pytest.mark.parametrize("newer", [staged(copy="9_a.jar"), begun(before="1_a.jar")])
def test_a_record_of_0_1_does_not_count_beside_a_newer_one(newer: Held | Begun) -> None:
    assert held(group(a="1_a.jar"), known(newer, old=old())) is GroupContent.FOREIGN


def test_what_is_foreign_is_named_with_its_owner() -> None:
    found = group(a="1_a.jar", b="1_b.jar")
    records = known(staged(content="old", owner=THEM))

    comparison = compare(found, records, {"a.jar": "new"}, US)

    assert str(comparison) == "a.jar (dag theirs), b.jar (unknown)"


@pytest.mark.parametrize(("wanted", "is_whole"), [(["a.jar"], True), (["a.jar", "c.jar"], False)])
def test_a_comparison_says_whether_every_package_is_there(
    wanted: list[str], is_whole: bool
) -> None:
    records = known(staged(content="old"))

    comparison = compare(group(a="1_a.jar"), records, dict.fromkeys(wanted, "new"), US)

    assert comparison.is_whole is is_whole


def test_a_version_keeps_the_name_as_short_as_it_may_be() -> None:
    assert versioned("g" * 64, "12345678") == f"{'g' * 55}-12345678"
    assert versioned("g", "12345678") == "g-12345678"
