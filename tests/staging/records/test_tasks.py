"""Records of what was staged, as they are written and read."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.staging.records.groups import RecordFolder
from airflow_provider_dli.staging.records.tasks import (
    Member,
    Record,
    decoded,
    records_folder,
    task_folder,
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
    with pytest.raises(DliError, match=r"The staging record spark/\.staged/x\.json cannot be read"):
        decoded("spark/.staged/x.json", body)


@pytest.mark.parametrize("prefix", ["spark", "spark/", "/spark/"])
def test_records_lie_in_a_folder_of_their_own_below_the_prefix(prefix: str) -> None:
    assert records_folder(prefix) == "spark/.staged/"
    folder = RecordFolder.of(prefix, "p", "g.1")
    assert folder.path == "spark/.staged/groups/p/g.1/"
    assert folder.old_key == "spark/.staged/groups/p/g.1.json"


def test_without_a_prefix_the_folder_is_at_the_top() -> None:
    assert records_folder("") == ".staged/"


def test_the_name_of_a_task_may_hold_anything() -> None:
    assert task_folder("", "p", "däg/x.task") == ".staged/tasks/p/d%C3%A4g%2Fx.task/"


def test_the_key_of_a_tasks_record_stands_for_all_that_it_says() -> None:
    keys = {
        task_key("f/", [A, B]),
        task_key("f/", [A]),
        task_key("f/", [A, Member("b.jar", "other", "dag d", None)]),
        task_key("f/", [A, Member("b.jar", "sha", "dag d", "spark/b.jar")]),
    }

    assert task_key("f/", [B, A]) == task_key("f/", [A, B])
    assert len(keys) == 4
