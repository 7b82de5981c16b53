"""The words of staging: kinds, keys and the id of a set of packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dli.staging.content import (
    LocalPackage,
    content_id,
    kind_of,
    object_key,
    old_object_key,
)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a.jar", "b.jar"], "jar"),
        (["a.py", "b.zip", "c.egg", "d.whl"], "pyFile"),
        (["a.txt", "b.tar.gz", "c"], "file"),
        (["a.jar", "b.py"], "file"),
        (["a.jar", "b.txt"], "file"),
        (["a.JAR"], "file"),  # Spark knows suffixes in lower case only
    ],
)
def test_suffixes_tell_the_kind_and_a_mixture_is_a_file(names: list[str], kind: str) -> None:
    assert kind_of(names) == kind


@pytest.mark.parametrize("prefix", ["staged/spark", "/staged/spark/", "staged/spark/"])
def test_a_key_has_prefix_digest_and_name(prefix: str) -> None:
    package = LocalPackage("a.jar", Path("a.jar"), "a.jar", 3, "0123456789abcdef" * 4)

    assert object_key(prefix, package) == f"staged/spark/a.jar-{'0123456789abcdef' * 2}/a.jar"
    assert old_object_key(prefix, package) == "staged/spark/a.jar-0123456789ab/a.jar"


@pytest.mark.parametrize("prefix", ["", "/"])
def test_a_key_without_a_prefix_begins_with_the_name(prefix: str) -> None:
    package = LocalPackage("a.jar", Path("a.jar"), "a.jar", 3, "0123456789abcdef" * 4)

    assert object_key(prefix, package) == f"a.jar-{'0123456789abcdef' * 2}/a.jar"


def test_the_id_of_a_set_does_not_depend_on_its_order() -> None:
    contents = [("a.jar", "00"), ("b.jar", "11")]

    assert content_id(contents) == content_id(reversed(contents))
    assert len(content_id(contents)) == 8
    assert int(content_id(contents), 16) >= 0


@pytest.mark.parametrize(
    "other",
    [
        [("a.jar", "00"), ("b.jar", "12")],
        [("a.jar", "11"), ("b.jar", "00")],
        [("a.jar", "00")],
        [("a.jar", "0"), ("0b.jar", "11")],
    ],
)
def test_other_contents_have_another_id(other: list[tuple[str, str]]) -> None:
    assert content_id([("a.jar", "00"), ("b.jar", "11")]) != content_id(other)
