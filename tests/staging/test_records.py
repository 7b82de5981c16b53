"""Records of what was staged, as they are written and read."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.errors import DliError
from airflow_provider_dli.api.models import Package, PackageGroup
from airflow_provider_dli.staging.records import (
    Member,
    Record,
    decoded,
    folder,
    group_key,
    task_key,
)

A = Member("a.jar", "sha", "dag d", "spark/a.jar")
B = Member("b.jar", "sha", "dag d", None)


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record("key", "g", "dag d", 12.5, {"a.jar": A, "b.jar": B})

    assert decoded("key", record.encoded()) == record


def test_a_record_stands_for_the_objects_in_its_bucket() -> None:
    assert Record("key", "g", "dag d", 0.0, {"a.jar": A, "b.jar": B}).keys == ("spark/a.jar",)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"group": 1}', b"[1]", b"\xff"])
def test_a_damaged_record_says_where_it_lies(body: bytes) -> None:
    with pytest.raises(DliError, match=r"The record spark/\.staged/x\.json .* cannot be read"):
        decoded("spark/.staged/x.json", body)


def test_what_others_staged_in_the_same_group_is_kept() -> None:
    record = Record("key", "g", "dag d", 0.0, {"b.jar": B})

    joined = record.joined([A], "dag e", 5.0)

    assert (joined.owner, joined.staged_at) == ("dag e", 5.0)
    assert joined.members == {"a.jar": A, "b.jar": B}


def test_an_answer_names_the_copies_and_confirms_none() -> None:
    answer = PackageGroup("g", packages=(Package("a.jar", "g", underlying_name="1_a.jar"),))

    member = Record("key", "g", "dag d", 0.0, {"a.jar": A}).answered(answer).members["a.jar"]

    assert (member.underlying_name, member.confirmed) == ("1_a.jar", False)


def test_a_listing_confirms_the_named_copies_only() -> None:
    listed = PackageGroup("g", packages=(Package("a.jar", "g", underlying_name="1_a.jar"),))
    record = Record("key", "g", "dag d", 0.0, {"a.jar": A, "b.jar": B})

    members = record.confirmed(listed, ["a.jar", "absent.jar"]).members

    assert [member.confirmed for member in members.values()] == [True, False]
    assert members["a.jar"].underlying_name == "1_a.jar"


@pytest.mark.parametrize("prefix", ["spark", "spark/", "/spark/"])
def test_records_lie_in_a_folder_of_their_own_below_the_prefix(prefix: str) -> None:
    assert folder(prefix) == "spark/.staged/"
    assert group_key(prefix, "p", "g.1") == "spark/.staged/groups/p/g.1.json"


def test_without_a_prefix_the_folder_is_at_the_top() -> None:
    assert folder("") == ".staged/"


def test_the_name_of_a_task_may_hold_anything() -> None:
    assert task_key("", "däg/x.task") == ".staged/tasks/d%C3%A4g%2Fx.task.json"
