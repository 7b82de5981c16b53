"""Airflow's paths on objects of any name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AIRFLOW_V_3_0_PLUS
from strange_keys import OF_ADDRESSES, SLASHES, STEPS, STRANGE, UNPRINTABLE

from airflow_provider_dli.api.protocol.errors import InputError

try:
    from airflow.sdk import ObjectStoragePath
except ImportError:
    from airflow.io.path import ObjectStoragePath

Put = Callable[..., None]
PLAIN = ("p/a/b", "p/b", "p/lead")
# Airflow 2.11 builds its paths on those of this machine, which have no such parts.
NOT_IN_2 = {**SLASHES, **STEPS, "scheme": OF_ADDRESSES["scheme"]}
IN_BOTH = {what: name for what, name in STRANGE.items() if what not in NOT_IN_2}
# Airflow takes tabs and line ends out of a path that it reads from text.
AS_TEXT = {what: name for what, name in STRANGE.items() if what != "tab"}

pytestmark = pytest.mark.filterwarnings(
    "ignore:in a future version of UPath this will be set to None:PendingDeprecationWarning"
)
only_3 = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="2.11 changes such paths itself")


@pytest.fixture
def top(conn_id: str, bucket: str) -> Any:
    return ObjectStoragePath(f"obs://{conn_id}@{bucket}/")


@pytest.fixture
def put(store: Any, bucket: str) -> Put:
    def put(*keys: str) -> None:
        for key in keys:
            store.put_object(Bucket=bucket, Key=key, Body=key.encode())

    return put


def each(names: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names.values(), ids=names.keys())


def key_of(path: Any) -> str:
    return str(path.fs._strip_protocol(path.path)).partition("/")[2]


def files_below(path: Any, depth: int = 0) -> Iterator[Any]:
    """Give all files below, as one who knows only `iterdir` and `is_dir`."""
    assert depth < 20, "it goes round"
    for child in path.iterdir():
        if child.is_dir():
            yield from files_below(child, depth + 1)
        else:
            yield child


@each(STRANGE if AIRFLOW_V_3_0_PLUS else IN_BOTH)
def test_iterdir_loses_and_repeats_nothing(top: Any, put: Put, name: str) -> None:
    put(f"p/{name}", *PLAIN)

    found = list(files_below(top))

    assert sorted(map(key_of, found)) == sorted({f"p/{name}", *PLAIN})
    assert {path.read_bytes() for path in found} == {key_of(path).encode() for path in found}


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="there it gives them")
@pytest.mark.parametrize("key", ["p//b", "p/./b", "p/.", "/b"])
def test_iterdir_of_2_refuses_a_key_that_it_would_take_for_another(
    top: Any, put: Put, key: str
) -> None:
    put(key)

    with pytest.raises(InputError, match=r"use ls, walk or find of path\.fs"):
        list(files_below(top))


@only_3
@each(STRANGE)
def test_patterns_and_walks_lose_nothing(top: Any, put: Put, name: str) -> None:
    put(f"p/{name}", *PLAIN)
    there = sorted({f"p/{name}", *PLAIN})

    assert sorted(key_of(path) for path in top.rglob("*") if key_of(path) in there) == there
    assert sorted(key_of(path) for path in (top / "p").rglob("*") if key_of(path) in there) == there
    assert sorted(key_of(folder / one) for folder, _, files in top.walk() for one in files) == there


@each(AS_TEXT if AIRFLOW_V_3_0_PLUS else {k: v for k, v in IN_BOTH.items() if k != "tab"})
def test_a_path_with_the_key_is_read_and_goes_through_xcom(
    top: Any, put: Put, conn_id: str, bucket: str, name: str
) -> None:
    put(f"p/{name}", *PLAIN)
    path = ObjectStoragePath(f"obs://{conn_id}@{bucket}/p/{name}")

    again = ObjectStoragePath.deserialize(path.serialize(), 1)

    assert key_of(path) == key_of(top / "p" / name) == key_of(again) == f"p/{name}"
    assert path.read_bytes() == again.read_bytes() == f"p/{name}".encode()
    assert path.stat().st_size == len(f"p/{name}".encode())


@each(UNPRINTABLE)
def test_a_folder_with_the_key_is_deleted(
    top: Any, put: Put, keys: Callable[[], list[str]], name: str
) -> None:
    put(f"p/{name}", *PLAIN, "kept")

    (top / "p").rmdir()

    assert keys() == ["kept"]


@pytest.mark.parametrize("name", ["q?x", "b[1]", "s*"])
def test_a_path_that_looks_like_a_pattern_is_deleted_and_renamed_alone(
    top: Any, put: Put, keys: Callable[[], list[str]], name: str
) -> None:
    put(name, f"2{name}", "qax", "b1", "sas")

    (top / name).unlink()
    (top / f"2{name}").rename(top / "new")

    assert keys() == ["b1", "new", "qax", "sas"]


@only_3
def test_a_pattern_below_a_folder_whose_name_would_be_one(top: Any, put: Put) -> None:
    put("d[1]/x.txt", "d[1]/e/y.txt", "d1/x.txt")

    assert [key_of(path) for path in (top / "d[1]").glob("*.txt")] == ["d[1]/x.txt"]
    assert [key_of(path) for path in (top / "d[1]").rglob("*.txt")] == [
        "d[1]/e/y.txt",
        "d[1]/x.txt",
    ]


@only_3
def test_parts_of_a_path_with_two_slashes(top: Any) -> None:
    path = top / "a" / "/b.txt"

    assert key_of(path) == "a//b.txt"
    assert (path.name, path.stem, path.suffix) == ("b.txt", "b", ".txt")
    assert key_of(path.parent) == "a"


@only_3
def test_a_relative_path_is_joined_as_ever() -> None:
    from airflow_provider_dli.fs.paths import ObsPath

    top = ObsPath("obs://bucket/")
    relative = (top / "a" / "b").relative_to(top)

    assert str(relative / "c") == "a/b/c"
    assert str(top / "x" / relative) == "obs://bucket/x/a/b"


@only_3
def test_what_is_no_folder_gives_no_paths(top: Any, put: Put) -> None:
    put("file")

    with pytest.raises(NotADirectoryError):
        list((top / "file").iterdir())
