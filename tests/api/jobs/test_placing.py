# SPDX-License-Identifier: Apache-2.0
"""Staged packages go where the engine takes them, each into one place, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.jobs.placing import with_packages
from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.api.protocol.errors import InputError

OLD, NEW = "3.1.1", "3.3.1"
NAMES = ("main.py", "lib.zip", "dep.jar", "words.txt")


def staged(*names: str, group: str | None = "g", state: str | None = "READY") -> dict[str, Any]:
    """Give what `StagePackagesOperator` returns, as far as a job needs it."""
    return {
        "group": group,
        "kind": "file",
        "target": "group" if group else "obs",
        "uploaded": True,
        "packages": [
            {
                "name": name,
                "path": f"https://bucket.obs.region.example.com/{group}/{name}",
                "obs_path": f"obs://bucket/{group}/{name}",
                "sha256": "0",
                "state": state if group else None,
            }
            for name in names or NAMES
        ],
    }


def uploaded(*names: str, group: str | None = "u", kind: str = "jar") -> dict[str, Any]:
    """Give what `UploadPackageGroupOperator` returns."""
    return {
        "group": group,
        "kind": kind,
        "project_id": "p",
        "region": "r",
        "packages": [
            {
                "name": name,
                "path": f"https://bucket.obs.region.example.com/a%20b/{name}",
                "state": "READY",
            }
            for name in names
        ],
    }


def filled(packages: object, version: str | None = OLD, **fields: Any) -> dict[str, Any]:
    """Give what was filled in, without what is not set."""
    given = {"file": "main.py", "spark_version": version, **fields}
    changed = with_packages(given, packages)
    return {
        key: value for key, value in changed.items() if value is not None and key != "spark_version"
    }


def refusal(field: str, packages: object, version: str | None = OLD, **fields: Any) -> str:
    with pytest.raises(InputError) as refused:
        filled(packages, version, **fields)
    assert refused.value.field == field
    return str(refused.value)


# where packages go


def test_a_group_goes_as_a_group_where_the_engine_takes_groups() -> None:
    assert filled(staged()) == {
        "file": "g/main.py",
        "groups": [
            {
                "name": "g",
                "resources": [
                    {"name": "lib.zip", "type": "pyFile"},
                    {"name": "dep.jar", "type": "jar"},
                    {"name": "words.txt", "type": "file"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(("group", "version"), [("g", NEW), (None, NEW), (None, OLD), ("g", None)])
def test_all_else_goes_by_its_path(group: str | None, version: str | None) -> None:
    assert filled(staged(group=group), version) == {
        "file": f"obs://bucket/{group}/main.py",
        "py_files": [f"obs://bucket/{group}/lib.zip"],
        "jars": [f"obs://bucket/{group}/dep.jar"],
        "files": [f"obs://bucket/{group}/words.txt"],
    }


def test_an_uploaded_object_is_found_by_its_https_address() -> None:
    assert filled(uploaded("a.jar"), NEW, file="obs://bucket/main.py")["jars"] == [
        "obs://bucket/a b/a.jar"
    ]


def test_a_path_with_a_blank_stays_as_it_is() -> None:
    package = {"name": "a.jar", "obs_path": "obs://bucket/a b/a.jar"}

    assert filled({"packages": [package]})["jars"] == ["obs://bucket/a b/a.jar"]


def test_several_results_go_together() -> None:
    both = [staged("main.py", "lib.zip"), uploaded("a.jar"), staged("c.txt", group=None)]

    assert filled(both) == {
        "file": "g/main.py",
        "groups": [
            {"name": "g", "resources": [{"name": "lib.zip", "type": "pyFile"}]},
            {"name": "u", "resources": [{"name": "a.jar", "type": "jar"}]},
        ],
        "files": ["obs://bucket/None/c.txt"],
    }


def test_a_group_of_the_main_file_alone_is_not_listed() -> None:
    assert filled(staged("main.py")) == {"file": "g/main.py"}


def test_a_result_that_comes_twice_counts_once() -> None:
    assert filled([staged(), staged()]) == filled(staged())
    assert filled([staged(), staged()], NEW) == filled(staged(), NEW)


def test_a_suffix_that_says_nothing_leaves_it_to_the_kind() -> None:
    package = uploaded("code.tar", "a.jar", kind="pyFile")

    assert filled(package)["groups"][0]["resources"] == [
        {"name": "code.tar", "type": "pyFile"},
        {"name": "a.jar", "type": "jar"},
    ]


@pytest.mark.parametrize("kind", ["modelFile", "file", None, ["jar"]])
def test_another_kind_is_a_file(kind: Any) -> None:
    package = uploaded("model.bin", kind=kind)

    assert filled(package)["groups"][0]["resources"] == [{"name": "model.bin", "type": "file"}]


def test_the_group_may_stand_with_each_package() -> None:
    listed = {"name": "g", "packages": [{"name": "a.jar", "group": "g", "state": "READY"}]}

    assert filled(listed)["groups"] == [
        {"name": "g", "resources": [{"name": "a.jar", "type": "jar"}]}
    ]


# what the user gave


@pytest.mark.parametrize("packages", [None, [], ()])
def test_without_packages_nothing_changes(packages: object) -> None:
    assert with_packages({"file": "main.py", "jars": "x"}, packages) == {
        "file": "main.py",
        "jars": "x",
    }


def test_what_was_given_is_not_changed_itself() -> None:
    fields = {"file": "main.py", "spark_version": NEW, "jars": ["obs://bucket/own.jar"]}

    with_packages(fields, staged())

    assert fields == {"file": "main.py", "spark_version": NEW, "jars": ["obs://bucket/own.jar"]}


def test_what_was_given_comes_first_and_nothing_twice() -> None:
    own = ["obs://bucket/own.jar", "obs://bucket/g/dep.jar", "obs://bucket/own.jar"]

    assert filled(staged(), NEW, jars=own)["jars"] == own[:2]


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_list_that_names_a_package_says_what_it_is_for(version: str) -> None:
    changed = filled(staged("main.py", "lib.zip"), version, files=["lib.zip"])

    assert "py_files" not in changed
    if version == NEW:
        assert changed["files"] == ["obs://bucket/g/lib.zip"]
    else:
        assert changed["groups"][0]["resources"] == [{"name": "lib.zip", "type": "file"}]


def test_a_package_that_two_lists_name_is_in_both() -> None:
    changed = filled(staged(), NEW, files=["lib.zip"], py_files=["g/lib.zip"])

    assert "obs://bucket/g/lib.zip" in changed["files"]
    assert changed["py_files"] == ["obs://bucket/g/lib.zip"]


def test_a_package_that_lies_in_dli_already_may_be_named_beside() -> None:
    assert filled(staged(), OLD, jars=["old.jar", "h/other.jar"])["jars"] == [
        "old.jar",
        "h/other.jar",
    ]


def test_a_package_that_is_named_by_its_path_goes_by_it() -> None:
    changed = filled(staged("main.py", "dep.jar"), OLD, jars=["obs://bucket/g/dep.jar"])

    assert changed == {"file": "g/main.py", "jars": ["obs://bucket/g/dep.jar"]}


def test_groups_that_were_given_are_filled_up() -> None:
    own = [{"name": "g", "resources": [{"name": "dep.jar", "type": "jar"}]}, "h"]

    assert filled(staged("main.py", "lib.zip", "dep.jar"), groups=own)["groups"] == [
        {
            "name": "g",
            "resources": [
                {"name": "dep.jar", "type": "jar"},
                {"name": "lib.zip", "type": "pyFile"},
            ],
        },
        {"name": "h"},
    ]


def test_a_group_that_goes_whole_stays_so() -> None:
    assert filled(staged(), groups=["g"])["groups"] == [{"name": "g"}]


def test_groups_that_were_given_are_not_changed_themselves() -> None:
    own = [{"name": "g", "resources": [{"name": "dep.jar", "type": "jar"}]}]

    filled(staged(), groups=own)

    assert own == [{"name": "g", "resources": [{"name": "dep.jar", "type": "jar"}]}]


# the main file


@pytest.mark.parametrize(
    ("file", "version", "place"),
    [
        ("main.py", OLD, "g/main.py"),
        ("g/main.py", OLD, "g/main.py"),
        ("obs://bucket/g/main.py", OLD, "obs://bucket/g/main.py"),
        ("main.py", NEW, "obs://bucket/g/main.py"),
        ("g/main.py", NEW, "obs://bucket/g/main.py"),
        ("obs://bucket/g/main.py", NEW, "obs://bucket/g/main.py"),
    ],
)
def test_the_main_file_is_a_package_and_in_no_list(file: str, version: str, place: str) -> None:
    assert filled(staged("main.py"), version, file=file) == {"file": place}


def test_a_main_file_that_is_no_package_stays_where_the_engine_may_know_it() -> None:
    assert filled(staged("dep.jar"), OLD, file="old.py")["file"] == "old.py"


def test_a_main_file_that_is_no_package_is_refused_where_paths_are_needed() -> None:
    assert refusal("file", staged("a.py", "b.jar"), NEW, file="old.py") == (
        "file is 'old.py': it is none of the packages (a.py, b.jar), and Spark 3.3.1 takes files "
        "as obs:// paths only: name one of these, or use obs://bucket/key"
    )


def test_an_entry_of_a_list_that_is_no_package_is_refused_where_paths_are_needed() -> None:
    assert "none of the packages" in refusal("jars", staged(), NEW, jars=["old.jar"])


def test_a_name_that_two_groups_bear_is_no_choice() -> None:
    said = refusal("file", [staged("main.py"), staged("main.py", group="h")])

    assert said.endswith(
        "several packages have this name, g/main.py and h/main.py: use one of these"
    )


def test_a_name_with_its_group_is_a_choice() -> None:
    both = [staged("main.py"), staged("main.py", group="h")]

    assert filled(both, NEW, file="h/main.py")["file"] == "obs://bucket/h/main.py"


def test_a_missing_main_file_is_left_to_the_job() -> None:
    assert "file" not in filled(staged(), file=None)


# refusals


@pytest.mark.parametrize("state", ["UPLOADING", "failed", "", "MISSING"])
def test_a_package_of_a_group_has_to_be_ready(state: str) -> None:
    said = refusal("packages", staged("dep.jar", state=state))

    assert said.startswith("packages is 'dep.jar': it is ")
    assert "wait for it" in said


@pytest.mark.parametrize("state", ["ready", " READY ", None])
def test_a_state_is_read_without_regard_to_case(state: str | None) -> None:
    assert filled(staged("main.py", state=state)) == {"file": "g/main.py"}


def test_a_state_of_the_group_does_not_count_where_the_path_is_used() -> None:
    assert filled(staged("main.py", state="UPLOADING"), NEW) == {"file": "obs://bucket/g/main.py"}


@pytest.mark.parametrize(
    "packages",
    [
        "g",
        b"g",
        7,
        ["g"],
        [None],
        {},
        {"packages": None},
        {"packages": "a.jar"},
        {"packages": ["a.jar"]},
        {"packages": [{}]},
        {"packages": [{"name": 7}]},
        {"packages": [{"name": "a.jar", "path": 7}]},
        {"group": ["g"], "packages": [{"name": "a.jar"}]},
        {"group": "g", "packages": [{"name": "a.jar", "state": 7}]},
        {"packages": [{"name": "a.jar", "path": "/home/me/a.jar"}]},
        {"packages": [{"name": "a.jar", "path": "obs://a.jar"}]},
    ],
)
def test_what_is_no_result_of_staging_is_refused(packages: object) -> None:
    refusal("packages", packages, NEW, file="obs://bucket/main.py")


def test_a_package_of_which_nobody_says_where_it_lies_is_refused() -> None:
    said = refusal("packages", {"packages": [{"name": "a.jar"}]})

    assert said.startswith("packages is 'a.jar': its path in OBS is not known")


@pytest.mark.parametrize(
    ("field", "value"),
    [("file", "/home/me/main.py"), ("jars", "dep.jar"), ("files", [7]), ("groups", [7])],
)
def test_a_field_of_a_wrong_shape_is_refused_by_its_name(field: str, value: object) -> None:
    refusal(field, staged(), **{field: value})


def test_an_engine_that_nobody_knows_is_refused() -> None:
    refusal("spark_version", staged(), "three")


# every package has a place

SUFFIXES = st.sampled_from([".py", ".zip", ".jar", ".txt", ""])
PACKAGES = st.builds(
    lambda stem, suffix: stem + suffix, st.from_regex("[a-z]{1,3}", fullmatch=True), SUFFIXES
)


@settings(database=None, deadline=None)
@given(
    names=st.lists(PACKAGES, min_size=1, max_size=6, unique=True),
    group=st.sampled_from(["g", None]),
    version=st.sampled_from(["2.3.2", "2.4.5", OLD, NEW]),
)
def test_a_job_has_every_package_in_one_place(
    names: list[str], group: str | None, version: str
) -> None:
    names = [*names, "the_main.py"]
    fields = {"file": "the_main.py", "queue": "q", "spark_version": version}

    wire = SparkJob(**with_packages(fields, staged(*names, group=group))).as_wire()

    places = [wire["file"], *wire.get("jars", []), *wire.get("pyFiles", []), *wire.get("files", [])]
    places += [member["name"] for one in wire.get("groups", []) for member in one["resources"]]
    assert sorted(place.rpartition("/")[2] for place in places) == sorted(names)
