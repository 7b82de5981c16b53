"""What fsspec's methods give and do on an object store."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    BadRequestError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_dli.fs.obs import ObsFileSystem, get_fs, schemes

if TYPE_CHECKING:
    from fs.conftest import Gate

Keys = Callable[[], list[str]]


@pytest.fixture
def tree(files: ObsFileSystem, bucket: str) -> str:
    """Put a small tree there: two files at the top, two folders, one in the other."""
    names = ("a.txt", "b.csv", "dir/c.txt", "dir/deep/d.txt")
    files.pipe({f"{bucket}/{name}": name.encode() for name in names})
    return bucket


def test_a_file_tells_size_type_etag_and_time(files: ObsFileSystem, tree: str) -> None:
    info = files.info(f"{tree}/dir/c.txt")

    assert (info["name"], info["size"], info["type"]) == (f"{tree}/dir/c.txt", 9, "file")
    assert len(info["ETag"]) == 32
    assert abs(info["LastModified"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert files.modified(f"{tree}/a.txt") == files.created(f"{tree}/a.txt")


@pytest.mark.parametrize("folder", ["", "/dir", "/dir/", "/dir/deep"])
def test_a_bucket_and_a_common_prefix_are_folders(
    files: ObsFileSystem, tree: str, folder: str
) -> None:
    assert files.info(f"{tree}{folder}")["type"] == "directory"
    assert files.isdir(f"obs://{tree}{folder}")
    assert not files.isfile(f"{tree}{folder}")


def test_the_top_is_a_folder_without_a_request(files: ObsFileSystem, gate: Gate) -> None:
    assert files.isdir("obs://")
    assert gate.asked == []


def test_buckets_cannot_be_listed(files: ObsFileSystem) -> None:
    with pytest.raises(InputError, match="give a bucket: obs://bucket"):
        files.ls("obs://")


def test_a_listing_has_files_and_folders_in_order(files: ObsFileSystem, tree: str) -> None:
    assert files.ls(tree, detail=False) == [f"{tree}/a.txt", f"{tree}/b.csv", f"{tree}/dir"]
    assert [(one["type"], one["size"]) for one in files.ls(tree)] == [
        ("file", 5),
        ("file", 5),
        ("directory", 0),
    ]


def test_a_file_lists_as_itself(files: ObsFileSystem, tree: str) -> None:
    assert files.ls(f"{tree}/a.txt", detail=False) == [f"{tree}/a.txt"]


def test_a_listing_sees_what_came_after_the_last_one(
    files: ObsFileSystem, tree: str, store: Any
) -> None:
    files.ls(tree)
    store.put_object(Bucket=tree, Key="new", Body=b"")

    assert f"{tree}/new" in files.ls(tree, detail=False)


def test_a_folder_of_the_console_is_a_folder_and_no_file(
    files: ObsFileSystem, bucket: str, store: Any
) -> None:
    store.put_object(Bucket=bucket, Key="made/", Body=b"")

    assert files.isdir(f"{bucket}/made")
    assert files.ls(f"{bucket}/made") == []
    assert files.find(bucket) == []
    assert files.find(bucket, withdirs=True) == [bucket, f"{bucket}/made"]


def test_an_empty_bucket_has_an_empty_listing(files: ObsFileSystem, bucket: str) -> None:
    assert files.ls(bucket) == []
    assert files.find(bucket) == []


def test_find_takes_one_listing_whatever_the_depth(
    files: ObsFileSystem, tree: str, gate: Gate
) -> None:
    gate.asked.clear()

    found = files.find(tree)

    assert found == [f"{tree}/{name}" for name in ("a.txt", "b.csv", "dir/c.txt", "dir/deep/d.txt")]
    assert len(gate.asked) == 1


def test_find_gives_folders_too_and_details(files: ObsFileSystem, tree: str) -> None:
    found = files.find(f"{tree}/dir", withdirs=True, detail=True)

    assert {name: info["type"] for name, info in found.items()} == {
        f"{tree}/dir": "directory",
        f"{tree}/dir/c.txt": "file",
        f"{tree}/dir/deep": "directory",
        f"{tree}/dir/deep/d.txt": "file",
    }


def test_find_goes_no_deeper_than_it_is_told(files: ObsFileSystem, tree: str) -> None:
    assert files.find(tree, maxdepth=1) == [f"{tree}/a.txt", f"{tree}/b.csv"]


@pytest.mark.parametrize(("name", "count"), [("a.txt", 1), ("no", 0)])
def test_find_gives_a_file_itself_and_nothing_for_what_is_not_there(
    files: ObsFileSystem, tree: str, name: str, count: int
) -> None:
    assert files.find(f"{tree}/{name}") == [f"{tree}/{name}"] * count


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "dir/c.txt", "dir/deep/d.txt"]),
        ("dir/*", ["dir/c.txt", "dir/deep"]),
        ("?.csv", ["b.csv"]),
        ("no/*", []),
        ("a.txt", ["a.txt"]),
    ],
)
def test_globs_match_as_in_a_shell(
    files: ObsFileSystem, tree: str, pattern: str, names: list[str]
) -> None:
    assert files.glob(f"obs://{tree}/{pattern}") == [f"{tree}/{name}" for name in names]


def test_walk_gives_folder_after_folder(files: ObsFileSystem, tree: str) -> None:
    assert list(files.walk(tree)) == [
        (tree, ["dir"], ["a.txt", "b.csv"]),
        (f"{tree}/dir", ["deep"], ["c.txt"]),
        (f"{tree}/dir/deep", [], ["d.txt"]),
    ]
    assert list(files.walk(f"{tree}/no")) == []


def test_a_long_folder_is_listed_whole_and_looked_at_by_one_page(
    files: ObsFileSystem, bucket: str, gate: Gate
) -> None:
    files.pipe({f"{bucket}/many/{number:04}": b"" for number in range(1003)})

    gate.asked.clear()
    assert len(files.ls(f"{bucket}/many")) == 1003
    assert len(gate.asked) == 2

    gate.asked.clear()
    assert files.exists(f"{bucket}/many")
    assert [asked.split()[0] for asked in gate.asked] == ["HEAD", "GET"]


def test_the_connection_in_a_url_is_no_part_of_the_path() -> None:
    assert ObsFileSystem._strip_protocol("obs://dli@bucket/a@b/c/") == "bucket/a@b/c"
    assert ObsFileSystem._strip_protocol(["obs:///bucket/k", "bucket/a@b"]) == [
        "bucket/k",
        "bucket/a@b",
    ]


def test_fsspec_opens_a_url_with_its_connection(conn_id: str, tree: str) -> None:
    with fsspec.open(f"obs://{conn_id}@{tree}/a.txt", "rt") as file:
        assert file.read() == "a.txt"


def test_a_url_without_a_connection_is_of_the_default_one() -> None:
    files, path = fsspec.url_to_fs("obs://bucket/key")

    assert files == get_fs(None)
    assert path == "bucket/key"
    assert schemes == ["obs"]


def test_a_range_is_read_as_a_slice(files: ObsFileSystem, tree: str, gate: Gate) -> None:
    name, data = f"{tree}/dir/deep/d.txt", b"dir/deep/d.txt"

    for start, end in [(None, None), (2, 5), (-4, None), (0, -4), (3, 3), (5, 2), (10, 99)]:
        assert files.cat_file(name, start, end) == data[start:end]
    assert files.cat_file(name, 99) == b""


def test_a_whole_object_is_read_with_one_request(
    files: ObsFileSystem, tree: str, gate: Gate
) -> None:
    gate.asked.clear()

    assert files.cat_file(f"{tree}/a.txt") == b"a.txt"
    assert len(gate.asked) == 1


def test_ranges_come_in_the_order_that_was_asked_for(files: ObsFileSystem, tree: str) -> None:
    names = [f"{tree}/b.csv", f"{tree}/no", f"{tree}/a.txt"]

    first, second, third = files.cat_ranges(names, [0, 0, 2], 3)

    assert (first, third) == (b"b.c", b"t")
    assert isinstance(second, FileNotFoundError)


def test_ranges_raise_when_they_are_to(files: ObsFileSystem, tree: str) -> None:
    with pytest.raises(FileNotFoundError):
        files.cat_ranges([f"{tree}/no"], 0, 3, on_error="raise")


def test_several_are_read_by_their_names(files: ObsFileSystem, tree: str) -> None:
    one, two = f"{tree}/a.txt", f"{tree}/b.csv"

    assert files.cat([one, two]) == {one: b"a.txt", two: b"b.csv"}
    assert files.cat([one, f"{tree}/no"], on_error="omit") == {one: b"a.txt"}
    assert files.cat(f"{tree}/*.csv") == {two: b"b.csv"}
    assert files.cat(one) == b"a.txt"


def test_a_folder_is_read_with_all_its_files(files: ObsFileSystem, tree: str) -> None:
    assert set(files.cat(f"{tree}/dir", recursive=True).values()) == {
        b"dir/c.txt",
        b"dir/deep/d.txt",
    }
    with pytest.raises(FileNotFoundError):
        files.cat(f"{tree}/no", recursive=True)


def test_touch_makes_an_empty_file_and_leaves_one_alone(files: ObsFileSystem, tree: str) -> None:
    files.touch(f"{tree}/new")

    assert files.size(f"{tree}/new") == 0
    with pytest.raises(NotImplementedError, match="cannot be set"):
        files.touch(f"{tree}/a.txt", truncate=False)
    files.touch(f"{tree}/other", truncate=False)
    assert files.exists(f"{tree}/other")


def test_a_file_is_copied_inside_the_store(files: ObsFileSystem, tree: str, gate: Gate) -> None:
    gate.asked.clear()

    files.cp_file(f"{tree}/a.txt", f"obs://{tree}/copy")

    assert gate.asked == [f"PUT /{tree}/copy"]
    assert files.cat_file(f"{tree}/copy") == b"a.txt"


def test_a_folder_is_copied_with_all_in_it(files: ObsFileSystem, tree: str) -> None:
    files.copy(f"{tree}/dir", f"{tree}/other", recursive=True)

    assert files.find(f"{tree}/other") == [f"{tree}/other/c.txt", f"{tree}/other/deep/d.txt"]


def test_moving_leaves_nothing_behind(files: ObsFileSystem, tree: str) -> None:
    files.mv(f"{tree}/dir", f"{tree}/moved", recursive=True)

    assert not files.exists(f"{tree}/dir")
    assert files.cat_file(f"{tree}/moved/deep/d.txt") == b"dir/deep/d.txt"


def test_moving_to_the_same_place_in_other_words_keeps_the_file(
    files: ObsFileSystem, tree: str
) -> None:
    files.mv(f"obs://{tree}/a.txt", f"{tree}/a.txt")

    assert files.cat_file(f"{tree}/a.txt") == b"a.txt"


@pytest.mark.parametrize(("name", "recursive"), [("dir/c.txt", False), ("dir/deep", True)])
def test_moving_into_the_folder_where_it_lies_loses_nothing(
    files: ObsFileSystem, tree: str, keys: Keys, name: str, recursive: bool
) -> None:
    before = keys()

    with pytest.raises(InputError, match="onto itself"):
        files.mv(f"{tree}/{name}", f"{tree}/{name.rpartition('/')[0]}", recursive=recursive)

    assert keys() == before


def test_moving_a_folder_into_itself_loses_nothing(
    files: ObsFileSystem, tree: str, keys: Keys
) -> None:
    files.mv(f"{tree}/dir", f"{tree}/dir/in", recursive=True)

    assert keys() == ["a.txt", "b.csv", "dir/in/c.txt", "dir/in/deep/d.txt"]


def test_moving_takes_the_objects_of_folders_along(
    files: ObsFileSystem, bucket: str, store: Any, keys: Keys
) -> None:
    for key in ("made/", "made/in/", "made/in/file"):
        store.put_object(Bucket=bucket, Key=key, Body=b"even bytes")

    files.mv(f"{bucket}/made", f"{bucket}/moved", recursive=True)

    assert keys() == ["moved/", "moved/in/", "moved/in/file"]


def test_moving_into_a_folder_that_is_not_there_yet(
    files: ObsFileSystem, tree: str, keys: Keys
) -> None:
    files.mv(f"obs://{tree}/a.txt", f"obs://{tree}/new/")

    assert keys() == ["b.csv", "dir/c.txt", "dir/deep/d.txt", "new/a.txt"]


def test_moving_several_files_by_a_pattern(files: ObsFileSystem, tree: str, keys: Keys) -> None:
    files.mv(f"{tree}/*.*", f"{tree}/dir/")

    assert keys() == ["dir/a.txt", "dir/b.csv", "dir/c.txt", "dir/deep/d.txt"]


@pytest.mark.parametrize("method", ["mv", "cp_file", "copy"])
def test_copying_what_is_not_there_says_so(files: ObsFileSystem, tree: str, method: str) -> None:
    with pytest.raises(FileNotFoundError):
        getattr(files, method)(f"{tree}/no", f"{tree}/x")


def test_a_folder_is_not_moved_by_half(files: ObsFileSystem, tree: str, keys: Keys) -> None:
    before = keys()

    with pytest.raises(IsADirectoryError):
        files.mv(f"{tree}/dir", f"{tree}/moved")

    assert keys() == before


def test_a_file_is_deleted(files: ObsFileSystem, tree: str, keys: Keys) -> None:
    files.rm(f"{tree}/a.txt")

    assert keys() == ["b.csv", "dir/c.txt", "dir/deep/d.txt"]


def test_deleting_what_is_not_there_says_so(files: ObsFileSystem, tree: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such object or folder"):
        files.rm(f"{tree}/no")
    with pytest.raises(FileNotFoundError):
        files.rm(f"{tree}/no", recursive=True)


def test_a_folder_is_deleted_only_when_asked_to(
    files: ObsFileSystem, tree: str, keys: Keys
) -> None:
    with pytest.raises(IsADirectoryError):
        files.rm(f"{tree}/dir")

    files.rm(f"{tree}/dir", recursive=True)

    assert keys() == ["a.txt", "b.csv"]


def test_a_folder_of_the_console_is_deleted_with_what_it_holds(
    files: ObsFileSystem, bucket: str, store: Any, keys: Keys
) -> None:
    for key in ("made/", "made/in/", "made/in/file"):
        store.put_object(Bucket=bucket, Key=key, Body=b"")

    files.rm(f"{bucket}/made", recursive=True)

    assert keys() == []


def test_all_of_a_bucket_is_deleted_but_not_the_bucket(
    files: ObsFileSystem, tree: str, keys: Keys
) -> None:
    files.rm(tree, recursive=True)

    assert keys() == []
    assert files.exists(tree)


def test_many_are_deleted_with_one_request(files: ObsFileSystem, tree: str, gate: Gate) -> None:
    names = files.find(tree)
    gate.asked.clear()

    files.rm(names)

    assert len(gate.asked) == 1
    assert files.find(tree) == []


def test_files_by_pattern_are_deleted(files: ObsFileSystem, tree: str, keys: Keys) -> None:
    files.rm(f"{tree}/*.txt")

    assert keys() == ["b.csv", "dir/c.txt", "dir/deep/d.txt"]


def test_folders_need_not_be_made(files: ObsFileSystem, bucket: str, gate: Gate) -> None:
    files.mkdir(f"{bucket}/x")
    files.makedirs(f"{bucket}/x/y", exist_ok=True)
    files.rmdir(f"{bucket}/x")

    assert gate.asked == []


def test_ukey_and_checksum_change_with_the_content(files: ObsFileSystem, tree: str) -> None:
    name = f"{tree}/a.txt"
    before = (files.ukey(name), files.checksum(name))

    assert (files.ukey(name), files.checksum(name)) == before
    files.pipe_file(name, b"other")
    assert files.ukey(name) != before[0]
    assert files.checksum(name) != before[1]


# What goes wrong.


def test_an_absent_object_is_said_in_the_words_of_the_service(
    files: ObsFileSystem, bucket: str
) -> None:
    with pytest.raises(FileNotFoundError, match="NoSuchKey") as caught:
        files.cat_file(f"{bucket}/no")

    assert isinstance(caught.value.__cause__, NotFoundError)
    assert str(caught.value.__cause__) in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda files, name: files.open(f"{name}/x"),
        lambda files, name: files.ls(name),
        lambda files, name: files.pipe_file(f"{name}/x", b""),
        lambda files, name: files.info(name),
        lambda files, name: files.rm(f"{name}/x"),
    ],
)
def test_an_absent_bucket_is_no_such_file(
    files: ObsFileSystem, ask: Callable[[ObsFileSystem, str], Any]
) -> None:
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        ask(files, "there-is-no-such-bucket")
    assert not files.exists("there-is-no-such-bucket")


@pytest.mark.parametrize(
    ("code", "cause"),
    [("AccessDenied", PermissionDeniedError), ("SignatureDoesNotMatch", AuthenticationError)],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda files, name: files.cat_file(f"{name}/a.txt"),
        lambda files, name: files.pipe_file(f"{name}/a.txt", b""),
        lambda files, name: files.ls(name),
        lambda files, name: files.find(name),
        lambda files, name: files.find(name, maxdepth=2),
        lambda files, name: files.glob(f"{name}/*"),
        lambda files, name: list(files.walk(name)),
        lambda files, name: files.exists(f"{name}/dir"),
        lambda files, name: files.isdir(f"{name}/dir"),
        lambda files, name: files.isfile(f"{name}/dir"),
        lambda files, name: files.cp_file(f"{name}/a.txt", f"{name}/x"),
        lambda files, name: files.rm([f"{name}/a.txt"]),
    ],
)
def test_a_refusal_is_a_permission_error_and_never_an_empty_folder(
    files: ObsFileSystem,
    tree: str,
    gate: Gate,
    code: str,
    cause: type[Exception],
    ask: Callable[[ObsFileSystem, str], Any],
) -> None:
    for verb in ("GET", "PUT", "POST"):
        gate.refuse(verb, "403 Forbidden", code)

    with pytest.raises(PermissionError, match=code) as caught:
        ask(files, tree)

    assert isinstance(caught.value.__cause__, cause)
    assert str(caught.value.__cause__) in str(caught.value)


def test_a_deeper_folder_that_may_not_be_read_is_not_passed_over(
    files: ObsFileSystem, tree: str, gate: Gate
) -> None:
    gate.refuse(
        f"GET /{tree}?delimiter=%2F&max-keys=1000&prefix=dir", "403 Forbidden", "AccessDenied"
    )

    with pytest.raises(PermissionError):
        list(files.walk(tree))


def test_other_errors_stay_what_they_are(files: ObsFileSystem, tree: str, gate: Gate) -> None:
    gate.refuse("PUT", "400 Bad Request", "InvalidArgument")

    with pytest.raises(BadRequestError):
        files.pipe_file(f"{tree}/x", b"data")


@pytest.mark.parametrize("path", ["", "obs://bucket", "bucket/"])
def test_a_path_without_a_key_is_refused_before_any_request(
    files: ObsFileSystem, gate: Gate, path: str
) -> None:
    with pytest.raises(InputError, match="obs://bucket/key"):
        files.cat_file(path)
    assert gate.asked == []


def test_a_folder_cannot_be_read_nor_dated(files: ObsFileSystem, tree: str) -> None:
    for ask in (files.open, files.modified):
        with pytest.raises(IsADirectoryError, match="not an object"):
            ask(f"{tree}/dir")


def test_an_option_that_would_be_a_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="storage option secret ") as caught:
        get_fs("dli_default", {"secret": "s3cr3t"})

    assert "s3cr3t" not in str(caught.value)


# One file system in threads, processes and texts.


def test_nothing_but_the_connection_is_known_of_it(files: ObsFileSystem, conn_id: str) -> None:
    files.exists("there-is-no-such-bucket")  # the keys are read by now

    known = [repr(files), files.to_json(), str(files.to_dict()), repr(files.__reduce__())]
    known += [repr(pickle.dumps(files)), str(files._fs_token), repr(files.storage_options)]

    assert json.loads(files.to_json())["conn_id"] == conn_id
    assert not [text for text in known if "secret" in text or "ACCESSKEY" in text]


def test_equal_arguments_give_one_instance(conn_id: str) -> None:
    assert get_fs(conn_id) is get_fs(conn_id, {})
    assert get_fs(conn_id) != get_fs(conn_id, {"region": "eu-de"})


def test_it_works_in_another_process(files: ObsFileSystem, tree: str, tmp_path: Path) -> None:
    pickled = tmp_path / "files"
    pickled.write_bytes(pickle.dumps(files))
    code = "import pickle, pathlib, sys; f = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())"
    code += "; print(f.cat_file(sys.argv[2]))"

    answer = subprocess.run(
        [sys.executable, "-c", code, str(pickled), f"{tree}/a.txt"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.splitlines()[-1] == "b'a.txt'"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_connections_of_its_own(files: ObsFileSystem, tree: str) -> None:
    before = files.hook

    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, b"other" if files.hook is not before else b"same")
        os._exit(0)
    os.wait()

    assert os.read(reading, 10) == b"other"
    assert files.hook is before
    os.close(reading)
    os.close(writing)


def test_threads_may_share_it(files: ObsFileSystem, bucket: str) -> None:
    def there_and_back(number: int) -> bool:
        name, data = f"{bucket}/{number}", os.urandom(10_000)
        files.pipe_file(name, data)
        return bool(files.cat_file(name) == data)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(40)))


def test_importing_it_loads_neither_hook_nor_client() -> None:
    code = """
import fsspec, json, sys
before = set(sys.modules)
import airflow_provider_dli.fs.obs
print(json.dumps(sorted(set(sys.modules) - before)))
airflow_provider_dli.fs.obs.get_fs("dli_default")
print(json.dumps(sorted({"airflow", "requests", "obs"} & set(sys.modules))))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    new, clients = map(json.loads, answer.stdout.splitlines()[-2:])

    assert len([name for name in new if name.startswith("airflow_provider_dli")]) <= 10
    assert clients == []
