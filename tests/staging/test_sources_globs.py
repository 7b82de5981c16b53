"""Sources with wildcards, and what they match."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage
from airflow_provider_dli.staging.sources import collect

Names = Callable[..., list[str]]


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def names(tmp_path: Path, dags: Path) -> Names:
    """Give the names of the packages of one source."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return lambda source: [one.name for one in collect([source], workspace, base=dags)]


def written(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("jars/*.jar", ["a.jar", "b.jar"]),
        ("jars/?.jar", ["a.jar", "b.jar"]),
        ("jars/[b-z].jar", ["b.jar"]),
        ("jars/[!b-z].jar", ["a.jar"]),
        ("*/a.jar", ["a.jar"]),
        ("j*/*.jar", ["a.jar", "b.jar"]),
        ("**/*.jar", ["a.jar", "b.jar", "c.jar"]),
        ("jars/**/*.jar", ["a.jar", "b.jar", "c.jar"]),
        ("jars/**", ["a.jar", "b.jar", "notes.txt", "c.jar"]),
        ("jars/**/deep/*", ["c.jar"]),
        ("./jars/*.jar", ["a.jar", "b.jar"]),
        ("../dags/jars/*.jar", ["a.jar", "b.jar"]),
    ],
)
def test_matches_are_sorted_packages(dags: Path, names: Names, glob: str, found: list[str]) -> None:
    written(dags, "jars/b.jar", "jars/a.jar", "jars/sub/deep/c.jar", "jars/notes.txt")

    assert names(glob) == found


def test_whole_paths_and_addresses_may_have_wildcards(dags: Path, names: Names) -> None:
    written(dags, "a.jar", "b.txt")

    assert names(f"{dags}/*.jar") == names(f"file://{dags}/*.jar") == ["a.jar"]
    assert names(dags / "*.jar") == ["a.jar"]


def test_the_source_of_a_match_is_its_path(tmp_path: Path, dags: Path) -> None:
    written(dags, "a.jar")

    [package] = collect(["*.jar"], tmp_path, base=dags)

    assert isinstance(package, LocalPackage)
    assert package.source == str(dags / "a.jar")


def test_what_is_hidden_or_a_cache_does_not_match(dags: Path, names: Names) -> None:
    written(dags, "a.py", ".b.py", ".git/c.py", "__pycache__/d.py", "sub/__pycache__/e.py", "f.pyc")

    assert names("**/*") == ["a.py"]


def test_hidden_folders_may_be_where_the_wildcards_begin(dags: Path, names: Names) -> None:
    written(dags, ".cache/a.jar")

    assert names(".cache/*.jar") == ["a.jar"]


def test_a_folder_that_matches_is_a_zip_as_if_it_was_written_out(dags: Path, names: Names) -> None:
    written(dags, "code/wordtools/__init__.py", "code/main.py")

    assert names("code/*") == ["main.py", "wordtools.zip"]


def test_a_file_with_wildcards_in_its_name_is_meant_first(dags: Path, names: Names) -> None:
    written(dags, "a[1]/b.jar", "a1/c.jar")

    assert names("a[1]/b.jar") == ["b.jar"]
    assert names("a[1]/c.jar") == ["c.jar"]


def test_one_name_twice_is_refused_with_both_paths(dags: Path, names: Names) -> None:
    written(dags, "one/a.jar", "two/a.jar")

    with pytest.raises(InputError, match=r"\['\S+/one/a.jar', '\S+/two/a.jar'\]: both would be"):
        names("**/*.jar")


@pytest.mark.parametrize("glob", ["*.jar", "sub/*.jar", "**/*.jar", "*.txt/*"])
def test_nothing_that_matches_is_an_error(dags: Path, names: Names, glob: str) -> None:
    written(dags, "a.txt", "sub/b.txt")

    with pytest.raises(InputError, match=r"nothing in \S+/dags\S* matches '\S+'"):
        names(glob)


def test_a_folder_that_is_not_there_is_named(names: Names) -> None:
    with pytest.raises(InputError, match=r"there is no \S+/dags/gone"):
        names("gone/*.jar")


def test_a_file_in_the_place_of_a_folder_is_named(dags: Path, names: Names) -> None:
    written(dags, "jars")

    with pytest.raises(InputError, match=r"/dags/jars is a file, so nothing can match in it"):
        names("jars/*.jar")


@pytest.mark.parametrize(
    ("glob", "rule"),
    [("*/../*.jar", "'..' may only stand before"), ("a**/b.jar", "must stand alone between")],
)
def test_globs_that_mean_other_things_elsewhere_are_refused(
    names: Names, glob: str, rule: str
) -> None:
    with pytest.raises(InputError, match=rule):
        names(glob)


@pytest.mark.parametrize("glob", ["jars/*.jar", "jars/*/*.jar", "jars/**/*.jar"])
def test_a_match_that_leads_outside_is_named(
    tmp_path: Path, dags: Path, names: Names, glob: str
) -> None:
    written(dags, "jars/sub/a.jar")
    written(tmp_path, "secret.jar")
    link = dags / "jars" / ("sub/b.jar" if "/*/" in glob else "b.jar")
    link.symlink_to(tmp_path / "secret.jar")

    with pytest.raises(
        InputError, match=r"the link \S+/b\.jar points outside of \S+/jars, to \S+/sec"
    ):
        names(glob)


def test_a_folder_that_leads_outside_is_named(tmp_path: Path, dags: Path, names: Names) -> None:
    written(dags, "jars/a.jar")
    written(tmp_path, "other/b.jar")
    (dags / "jars" / "sub").symlink_to(tmp_path / "other")

    with pytest.raises(InputError, match=r"the link \S+/sub/b\.jar points outside of \S+/jars"):
        names("jars/*/*.jar")


def test_links_that_stay_inside_match(dags: Path, names: Names) -> None:
    written(dags, "jars/real-1.0.jar")
    (dags / "jars" / "current.jar").symlink_to("real-1.0.jar")

    assert names("jars/*.jar") == ["current.jar", "real-1.0.jar"]


def test_circles_of_folders_end(dags: Path, names: Names) -> None:
    written(dags, "jars/a.jar", "jars/sub/b.jar")
    (dags / "jars" / "again").symlink_to("..")
    (dags / "jars" / "sub" / "again").symlink_to("..")

    assert names("jars/**/*.jar") == ["a.jar", "b.jar"]


def test_a_match_that_leads_nowhere_is_named(dags: Path, names: Names) -> None:
    written(dags, "jars/a.jar")
    (dags / "jars" / "b.jar").symlink_to("gone.jar")

    with pytest.raises(InputError, match=r"b\.jar is a link to gone\.jar, which does not exist"):
        names("jars/*.jar")
