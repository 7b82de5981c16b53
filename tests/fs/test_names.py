"""Objects of any name: each is seen, read, copied and deleted by its exact key."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hooks.obs_servers import connection, fronting, query
from scenarios.servers import Answer
from strange_keys import OF_ADDRESSES, SLASHES, STEPS, STRANGE, UNPRINTABLE

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.fs.obs import ObsFileSystem

Keys = Callable[[], list[str]]
Put = Callable[..., None]
PLAIN = ("p/a/b", "p/b", "p/good.txt", "p/lead")
LONGEST = ["x" * 1024, "ü" * 512, f"{'f' * 1000}/{'x' * 23}"]
# The names that a local disk can hold as they are.
ON_A_DISK = {**UNPRINTABLE, **{k: v for k, v in OF_ADDRESSES.items() if "//" not in v}}


@pytest.fixture
def put(store: Any, bucket: str) -> Put:
    """Store objects as somebody else: each has its own key as its bytes."""

    def put(*keys: str) -> None:
        for key in keys:
            store.put_object(Bucket=bucket, Key=key, Body=key.encode())

    return put


def each(names: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names.values(), ids=names.keys())


def walked(files: ObsFileSystem, top: str) -> Iterator[str]:
    for folder, _, names in files.walk(top):
        yield from (f"{folder}/{name}" for name in names)


def listed(files: ObsFileSystem, top: str) -> Iterator[str]:
    for info in files.ls(top):
        if info["type"] == "directory":
            yield from listed(files, info["name"])
        else:
            yield info["name"]


# seen


@each(STRANGE)
def test_no_way_to_list_loses_or_repeats_a_key(
    files: ObsFileSystem, bucket: str, put: Put, name: str
) -> None:
    put(f"p/{name}", *PLAIN)
    there = sorted({f"{bucket}/{key}" for key in (f"p/{name}", *PLAIN)})

    assert files.find(bucket) == there
    assert files.find(bucket, maxdepth=20) == there
    assert sorted(walked(files, bucket)) == there
    assert sorted(listed(files, bucket)) == there
    assert [one for one in files.glob(f"{bucket}/**") if one in there] == there
    assert [one for one in files.glob(f"{bucket}/**/*") if one in there] == there


@pytest.mark.parametrize("key", ["/top", "//top", "/folder/in", "./x", "../x"])
def test_no_way_to_list_a_bucket_loses_a_key_at_its_top(
    files: ObsFileSystem, bucket: str, put: Put, key: str
) -> None:
    put(key, "plain")
    there = sorted([f"{bucket}/{key}", f"{bucket}/plain"])

    assert files.find(bucket) == files.find(bucket, maxdepth=5) == there
    assert sorted(walked(files, bucket)) == sorted(listed(files, bucket)) == there
    assert [one for one in files.glob(f"{bucket}/**/*") if one in there] == there


def test_a_key_with_two_slashes_lies_in_the_folder_before_them(
    files: ObsFileSystem, bucket: str, put: Put
) -> None:
    put("a//b", "a//d/e", "a/c")

    assert files.ls(f"{bucket}/a", detail=False) == [
        f"{bucket}/a//b",
        f"{bucket}/a//d",
        f"{bucket}/a/c",
    ]
    assert list(files.walk(f"{bucket}/a")) == [
        (f"{bucket}/a", ["/d"], ["/b", "c"]),
        (f"{bucket}/a//d", [], ["e"]),
    ]
    assert files.find(f"{bucket}/a", maxdepth=1) == [f"{bucket}/a//b", f"{bucket}/a/c"]
    assert files.glob(f"{bucket}/a//*") == [f"{bucket}/a//b", f"{bucket}/a//d"]


def test_a_folder_with_nothing_but_such_a_key_is_a_folder(
    files: ObsFileSystem, bucket: str, put: Put
) -> None:
    put("a///b")

    assert files.isdir(f"{bucket}/a")
    assert files.find(bucket, withdirs=True) == [bucket, f"{bucket}/a", f"{bucket}/a///b"]
    assert files.find(bucket, maxdepth=9, withdirs=True) == files.find(bucket, withdirs=True)


def test_a_walk_from_the_bottom_up_gives_the_same(
    files: ObsFileSystem, bucket: str, put: Put
) -> None:
    put("a//b", "a//d/e", "/top", "x", "x/y")

    assert sorted(files.walk(bucket)) == sorted(files.walk(bucket, topdown=False))


def test_a_walk_leaves_out_what_was_taken_from_its_folders(
    files: ObsFileSystem, bucket: str, put: Put
) -> None:
    put("a//d/e", "a/f/g", "a/h")

    seen = []
    for folder, dirs, names in files.walk(f"{bucket}/a"):
        dirs[:] = [one for one in dirs if one != "/d"]
        seen += [f"{folder}/{name}" for name in names]

    assert seen == [f"{bucket}/a/h", f"{bucket}/a/f/g"]


def test_a_file_and_a_folder_of_one_name_are_both_listed(
    files: ObsFileSystem, bucket: str, put: Put
) -> None:
    put("x", "x/", "x/y")

    assert [info["type"] for info in files.ls(bucket)] == ["file", "directory"]
    assert list(walked(files, bucket)) == [f"{bucket}/x", f"{bucket}/x/y"]
    for depth in (None, 5):
        found = files.find(bucket, maxdepth=depth, withdirs=True, detail=True)
        assert found[f"{bucket}/x"]["type"] == "file"


@pytest.mark.parametrize("depth", [None, 3])
def test_a_refusal_ends_a_walk_at_any_depth(
    files: ObsFileSystem, bucket: str, put: Put, gate: Any, depth: int | None
) -> None:
    put("a/d/e")
    gate.refuse(
        f"GET /{bucket}?delimiter=%2F&max-keys=1000&prefix=a", "403 Forbidden", "AccessDenied"
    )

    with pytest.raises(PermissionError):
        list(files.walk(bucket, depth))
    refused: list[OSError] = []
    list(files.walk(bucket, depth, on_error=refused.append))
    assert len(refused) == 1


# read


@each(STRANGE)
def test_each_is_read_by_its_own_key(
    files: ObsFileSystem, bucket: str, put: Put, name: str
) -> None:
    key = f"p/{name}"
    put(key, *PLAIN)

    assert files.info(f"{bucket}/{key}")["size"] == len(key.encode())
    assert files.isfile(f"obs://{bucket}/{key}")
    assert files.cat_file(f"{bucket}/{key}") == key.encode()
    assert files.cat(f"{bucket}/{key}") == key.encode()
    with files.open(f"{bucket}/{key}") as file:
        assert file.read() == key.encode()
    assert files.cat(f"{bucket}/p", recursive=True) == {
        f"{bucket}/{one}": one.encode() for one in {key, *PLAIN}
    }
    assert files.du(f"{bucket}/p") == sum(len(one.encode()) for one in {key, *PLAIN})


@pytest.mark.parametrize("name", ["br[1].txt", "q?x=1", "star*", "[ab]"])
def test_a_name_that_would_be_a_pattern_is_the_object_of_that_name(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, name: str
) -> None:
    put(name, "br1.txt", "qax=1", "starless", "a", "b")
    others = ["a", "b", "br1.txt", "qax=1", "starless"]

    assert files.cat(f"{bucket}/{name}") == name.encode()
    files.copy(f"{bucket}/{name}", f"{bucket}/copy")
    files.mv(f"{bucket}/{name}", f"{bucket}/moved")
    assert keys() == sorted([*others, "copy", "moved"])
    files.mv(f"{bucket}/moved", f"{bucket}/{name}")
    files.rm(f"{bucket}/{name}")
    assert keys() == sorted([*others, "copy"])


def test_a_folder_whose_name_would_be_a_pattern_is_that_folder(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, tmp_path: Path
) -> None:
    put("dir[1]/x", "dir1/x")

    files.get(f"{bucket}/dir[1]", str(tmp_path / "got"), recursive=True)
    files.copy(f"{bucket}/dir[1]", f"{bucket}/copy", recursive=True)
    files.rm(f"{bucket}/dir[1]", recursive=True)

    assert (tmp_path / "got" / "x").read_bytes() == b"dir[1]/x"
    assert keys() == ["copy/x", "dir1/x"]


def test_a_list_of_names_deletes_those_and_no_others(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys
) -> None:
    put("q?x", "qax", "b[1]", "b1", "kept")

    files.rm([f"{bucket}/q?x", f"{bucket}/b[1]"])

    assert keys() == ["b1", "kept", "qax"]


def test_a_pattern_is_one_where_nothing_has_its_name(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys
) -> None:
    put("a.txt", "b.txt", "c.csv")

    files.rm(f"{bucket}/?.txt")

    assert keys() == ["c.csv"]


# copied, moved, deleted


@each(STRANGE)
def test_a_folder_is_copied_with_its_exact_keys(
    files: ObsFileSystem, bucket: str, put: Put, store: Any, keys: Keys, name: str
) -> None:
    names = {name, *(one.removeprefix("p/") for one in PLAIN)}
    put(*(f"p/{one}" for one in names))

    files.copy(f"{bucket}/p", f"{bucket}/z", recursive=True)

    assert set(keys()) == {f"{top}/{one}" for top in ("p", "z") for one in names}
    copied = store.get_object(Bucket=bucket, Key=f"z/{name}")["Body"].read()
    assert copied == f"p/{name}".encode()


@each(STRANGE)
def test_a_folder_is_moved_with_its_exact_keys(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, name: str
) -> None:
    put(f"p/{name}", *PLAIN, "kept")

    files.mv(f"{bucket}/p", f"{bucket}/z", recursive=True)

    assert set(keys()) == {f"z{key.removeprefix('p')}" for key in (f"p/{name}", *PLAIN)} | {"kept"}


@each(STRANGE)
def test_a_folder_is_deleted_with_all_keys_in_it_and_no_others(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, name: str
) -> None:
    put(f"p/{name}", *PLAIN, "b", "a/b", "p2", "lead")

    files.rm(f"{bucket}/p", recursive=True)

    assert keys() == ["a/b", "b", "lead", "p2"]


@each(STRANGE)
def test_one_object_is_copied_moved_and_deleted_by_its_key(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, name: str
) -> None:
    put(f"p/{name}", "p/b", "b")

    files.cp_file(f"{bucket}/p/{name}", f"{bucket}/z/{name}")
    files.mv(f"{bucket}/z/{name}", f"{bucket}/y/{name}")
    files.rm(f"{bucket}/p/{name}")
    files.rm_file(f"{bucket}/y/{name}")

    assert keys() == ["b", "p/b"]


@pytest.mark.parametrize("marker", ["p/", "p//", "p///", "p/a//", "p//a/"])
def test_the_objects_of_folders_go_along_whatever_slashes_they_end_with(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, marker: str
) -> None:
    put(marker, "p/a/x", "p/a")

    files.copy(f"{bucket}/p", f"{bucket}/y", recursive=True)
    files.mv(f"{bucket}/p", f"{bucket}/z", recursive=True)
    assert set(keys()) == {
        f"{top}{key[1:]}" for top in ("y", "z") for key in (marker, "p/a", "p/a/x")
    }

    files.rm(f"{bucket}/y", recursive=True)
    files.rm(f"{bucket}/z", recursive=True)
    assert keys() == []


@pytest.mark.parametrize("key", ["/", "//", "/x", "//x/y"])
def test_all_of_a_bucket_is_copied_and_deleted(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, key: str
) -> None:
    put(key, "z.txt")

    files.copy(bucket, f"{bucket}/all", recursive=True)
    assert set(keys()) == {key, "z.txt", f"all/{key}", "all/z.txt"}

    files.rm(bucket, recursive=True)
    assert keys() == []


def test_a_folder_is_copied_by_one_listing_and_a_copy_for_each_object(
    files: ObsFileSystem, bucket: str, put: Put, gate: Any
) -> None:
    put("p/a", "p/b/c", "p/b/d", "p/")
    gate.asked.clear()

    files.copy(f"{bucket}/p/", f"{bucket}/z/", recursive=True)

    asked = [one.split()[0] for one in gate.asked]
    # The one more copy is that of an object called like the folder, which need not be there.
    assert (asked.count("PUT"), asked.count("GET"), asked.count("HEAD")) == (5, 1, 0)


def test_what_is_not_there_is_not_copied_moved_or_deleted(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys
) -> None:
    put("kept")

    for act in (
        lambda: files.copy(f"{bucket}/no", f"{bucket}/z", recursive=True),
        lambda: files.mv(f"{bucket}/no", f"{bucket}/z", recursive=True),
        lambda: files.rm(f"{bucket}/no", recursive=True),
    ):
        with pytest.raises(FileNotFoundError):
            act()

    assert keys() == ["kept"]


def test_what_cannot_be_copied_at_all_says_why(files: ObsFileSystem, bucket: str, put: Put) -> None:
    put("p/a", "p/b")

    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        files.copy(f"{bucket}/p", "no-such-bucket/z", recursive=True)


def test_deleting_all_of_an_empty_bucket_is_done(files: ObsFileSystem, bucket: str) -> None:
    files.rm(bucket, recursive=True)

    assert files.ls(bucket) == []


@pytest.mark.parametrize("method", ["rm", "mv"])
def test_two_slashes_at_the_end_would_mean_more_than_they_say(
    files: ObsFileSystem, bucket: str, put: Put, keys: Keys, method: str
) -> None:
    put("a/b", "a//c")
    more = [f"{bucket}/z"] if method == "mv" else []

    with pytest.raises(InputError, match="slashes at its end are ignored"):
        getattr(files, method)(f"obs://{bucket}/a//", *more, recursive=True)

    assert keys() == ["a//c", "a/b"]


# what we make


@each({**UNPRINTABLE, **STEPS})
def test_no_object_is_made_under_a_strange_name(
    files: ObsFileSystem, bucket: str, keys: Keys, name: str
) -> None:
    with pytest.raises(InputError, match="printable text for a new object"):
        files.pipe_file(f"{bucket}/p/{name}", b"x")

    assert keys() == []


# copied to this machine


@each(ON_A_DISK)
def test_a_folder_is_fetched_with_a_strange_name_in_it(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path, name: str
) -> None:
    put(f"p/{name}", "p/good.txt")

    files.get(f"{bucket}/p", str(tmp_path / "got"), recursive=True)

    assert sorted(one.name for one in (tmp_path / "got").iterdir()) == sorted([name, "good.txt"])
    assert (tmp_path / "got" / name).read_bytes() == f"p/{name}".encode()


@each(SLASHES)
def test_a_key_with_an_empty_part_is_fetched_to_its_other_parts(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path, name: str
) -> None:
    put(f"p/{name}", "p/good.txt")

    files.get(f"{bucket}/p", str(tmp_path / "got"), recursive=True)

    got = [str(one.relative_to(tmp_path / "got")) for one in tmp_path.rglob("*") if one.is_file()]
    assert sorted(got) == sorted(["good.txt", os.path.normpath(name).lstrip("/")])


@pytest.mark.parametrize(
    "key",
    ["p/../x", "p/a/../x", "p/a/../../x", "p/..", "p//../x", "p/a/..", "p/../../../../tmp/x"],
)
@pytest.mark.parametrize("form", ["folder", "folder/", "pattern", "list"])
def test_nothing_is_written_where_a_key_leads_out_of_the_folder(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path, key: str, form: str
) -> None:
    put(key, "p/good.txt")
    source: Any = {"folder": "p", "folder/": "p/", "pattern": "p/**", "list": "p"}[form]
    source = [f"{bucket}/{source}"] if form == "list" else f"{bucket}/{source}"
    (tmp_path / "in" / "got").mkdir(parents=True)

    with pytest.raises(InputError, match=rf"obs://{bucket}/p/.*get_file\(path, file\)"):
        files.get(source, str(tmp_path / "in" / "got"), recursive=True)

    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_an_absolute_part_stays_below_the_folder(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path
) -> None:
    put(f"/{tmp_path}/escaped", "good.txt")

    files.get(bucket, str(tmp_path / "got"), recursive=True)

    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "got" / f"{tmp_path}/escaped".lstrip("/")).exists()


@pytest.mark.parametrize(
    "keys_of_one", [("p/a/b", "p/a//b"), ("p/a/b", "p/a/./b"), ("p//b", "p/b")]
)
def test_two_keys_that_would_be_one_file_are_refused_before_one_is_lost(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path, keys_of_one: tuple[str, str]
) -> None:
    put(*keys_of_one)

    with pytest.raises(InputError, match="it would be the same file as obs://"):
        files.get(f"{bucket}/p", str(tmp_path / "got"), recursive=True)

    assert not (tmp_path / "got").exists()


def test_files_of_one_name_are_not_fetched_over_each_other(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path
) -> None:
    put("a/x", "b/x")

    with pytest.raises(InputError, match="it would be the same file as obs://"):
        files.get([f"{bucket}/a/x", f"{bucket}/b/x"], f"{tmp_path}/got/")

    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("end", ["", "/"])
def test_the_target_folder_itself_may_be_named_by_steps(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path, end: str
) -> None:
    put("p/a/x", "p/y")
    (tmp_path / "in").mkdir()

    files.get(f"{bucket}/p/", f"{tmp_path}/in/../got{end}", recursive=True)

    assert (tmp_path / "got" / "a" / "x").read_bytes() == b"p/a/x"


def test_each_of_them_is_fetched_to_a_place_of_its_own(
    files: ObsFileSystem, bucket: str, put: Put, tmp_path: Path
) -> None:
    put("p/a/b", "p/a//b")

    files.get_file(f"{bucket}/p/a//b", str(tmp_path / "one"))
    files.get([f"{bucket}/p/a/b"], [str(tmp_path / "two")])

    assert (tmp_path / "one").read_bytes() == b"p/a//b"
    assert (tmp_path / "two").read_bytes() == b"p/a/b"


# long ones


@pytest.mark.parametrize("key", LONGEST, ids=["letters", "two bytes each", "in a folder"])
def test_a_key_of_1024_bytes_is_like_any_other(
    files: ObsFileSystem, bucket: str, keys: Keys, key: str, gate: Any
) -> None:
    name = f"{bucket}/{key}"
    files.pipe_file(name, b"data")

    assert files.find(bucket) == files.find(bucket, maxdepth=3) == [name]
    assert files.ls(name, detail=False) == files.find(name) == files.glob(name) == [name]
    assert files.cat_file(name) == b"data"
    files.cp_file(name, f"{name[:-1]}z")
    files.rm(f"{name[:-1]}z", recursive=True)
    assert keys() == [key]
    files.rm(name, recursive=True)
    assert not files.exists(name)
    assert files.find(name) == []
    assert not [one for one in gate.asked if f"{key}%2F" in one or f"{key}/" in one]


@pytest.mark.parametrize("key", [f"{key}x" for key in LONGEST])
@pytest.mark.parametrize("method", ["info", "exists", "cat_file", "rm_file", "touch", "ls"])
def test_a_key_of_1025_bytes_is_refused_with_its_length(
    files: ObsFileSystem, bucket: str, method: str, key: str
) -> None:
    with pytest.raises(InputError, match="it has 1025 bytes in UTF-8"):
        getattr(files, method)(f"{bucket}/{key}")


# stored packed


@pytest.fixture
def packed(bucket: str, store: Any) -> bytes:
    data = gzip.compress(os.urandom(50_000))
    more = {"ContentEncoding": "gzip", "ContentType": "text/csv"}
    store.put_object(Bucket=bucket, Key="data.csv.gz", Body=data, **more)
    return data


def test_what_is_stored_packed_has_the_size_and_bytes_that_are_stored(
    files: ObsFileSystem, bucket: str, packed: bytes, tmp_path: Path
) -> None:
    name = f"{bucket}/data.csv.gz"

    assert files.info(name)["size"] == files.ls(bucket)[0]["size"] == len(packed)
    assert files.cat_file(name) == packed
    assert files.cat_file(name, 100, 200) == packed[100:200]
    assert files.cat_file(name, -100) == packed[-100:]
    with files.open(name) as file:
        assert file.read() == packed
    with files.open(name, block_size=4096) as file:
        file.seek(20_000)
        assert file.read(10_000) == packed[20_000:30_000]
    files.get_file(name, str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == packed


def test_what_is_stored_packed_is_unpacked_by_who_asks_for_it(
    files: ObsFileSystem, bucket: str, packed: bytes
) -> None:
    with files.open(f"{bucket}/data.csv.gz", compression="gzip") as file:
        assert file.read() == gzip.decompress(packed)


# pages


def page(folders: list[str], marker: str = "", following: str = "") -> Answer:
    about = f"<Name>bucket-1</Name><Prefix>p/</Prefix><Marker>{marker}</Marker>"
    more = f"<NextMarker>{following}</NextMarker>" if following else ""
    ends = f"<IsTruncated>{'true' if following else 'false'}</IsTruncated>"
    told = "".join(f"<CommonPrefixes><Prefix>{one}</Prefix></CommonPrefixes>" for one in folders)
    limits = "<MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>"
    body = f"<ListBucketResult>{about}{more}{limits}{ends}{told}</ListBucketResult>"
    return 200, {"Content-Type": "application/xml"}, body.encode()


def test_a_folder_that_is_told_on_two_pages_is_listed_once(
    object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = page(["p/d/"], following="p/d/"), page(["p/d/", "p/e/"], marker="p/d/")
    name = f"obs_{uuid.uuid4().hex}"

    with fronting(object_store) as front:
        front.rule = lambda asked: second if query(asked).get("marker") else first
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", connection(front.origin))
        files = ObsFileSystem(conn_id=name)
        listed = files.ls("bucket-1/p", detail=False)
        files.hook.close()

    assert listed == ["bucket-1/p/d", "bucket-1/p/e"]
