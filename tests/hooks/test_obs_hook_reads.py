# SPDX-License-Identifier: Apache-2.0
"""A read returns the bytes that were asked for, or raises; there is no third."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import other_client
from fake_clock import FakeClock
from faults.store import BROKEN, RANGE_BROKEN, Asked, Fault, Said, Store, etag, refusal, storing

from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    DliError,
    NotFoundError,
    TransportError,
)
from airflow_provider_dli.fs.obs import ObsFileSystem
from airflow_provider_dli.hooks.obs import ObsHook

DATA = bytes(range(256)) * 40
OTHER = bytes(reversed(DATA))
PATH = "bucket-1/k"

WHOLE, RANGE, REST = (0, None), (100, 200), (100, None)
CASES: dict[str, tuple[tuple[int, int | None], Fault]] = {
    **{f"whole: {name}": (WHOLE, fault) for name, fault in BROKEN.items()},
    **{f"range: {name}": (RANGE, fault) for name, fault in (BROKEN | RANGE_BROKEN).items()},
    **{f"rest: {name}": (REST, fault) for name, fault in RANGE_BROKEN.items()},
}
A_SENTENCE = r"(?s)^[A-Z].*bucket-1/k.*[.!]$"


@pytest.fixture
def store(connect_obs: Callable[..., None]) -> Iterator[Store]:
    with storing() as store:
        store.objects["k"] = DATA
        connect_obs(store.origin)
        yield store


@pytest.fixture
def reader(store: Store, clock: FakeClock) -> Iterator[ObsHook]:
    with ObsHook(clock=clock) as hook:
        yield hook


class _Files(ObsFileSystem):
    """The file system over a hook of the test's own, whose clock waits for nobody."""

    given: ObsHook

    @property
    def hook(self) -> ObsHook:
        return self.given


@pytest.fixture
def files(reader: ObsHook) -> _Files:
    return over(reader)


def over(hook: ObsHook) -> _Files:
    files = _Files(skip_instance_cache=True)
    files.given = hook
    return files


# what is broken once, and what stays broken


@pytest.mark.parametrize("case", CASES)
def test_a_read_that_was_broken_is_repeated(store: Store, reader: ObsHook, case: str) -> None:
    (start, end), store.fault = CASES[case]
    store.broken = lambda number: number == 0

    assert reader.read_object("bucket-1", "k", start, end) == DATA[start:end]

    assert len(store.reads) == 2


@pytest.mark.parametrize("case", CASES)
def test_a_read_that_stays_broken_is_an_error(
    store: Store, reader: ObsHook, clock: FakeClock, case: str
) -> None:
    (start, end), store.fault = CASES[case]

    with pytest.raises((AnswerError, TransportError), match=A_SENTENCE):
        reader.read_object("bucket-1", "k", start, end)

    assert 1 < len(store.reads) <= 10
    assert clock.slept


def test_a_whole_object_is_read_from_a_store_that_ignores_ranges(
    store: Store, reader: ObsHook
) -> None:
    store.fault = RANGE_BROKEN["Range ignored"]

    assert reader.read_object("bucket-1", "k") == DATA


def test_a_read_that_was_cut_and_begins_anew_does_not_mix_two_objects(
    store: Store, reader: ObsHook
) -> None:
    def overwrite(_: Asked) -> None:
        if store.reads:
            store.objects["k"] = OTHER

    store.fault = BROKEN["cut in the body"]
    store.broken = lambda number: number == 0
    store.before = overwrite

    assert reader.read_object("bucket-1", "k") == OTHER


@pytest.mark.parametrize("size", [1, 2, 255, len(DATA)])
def test_a_range_that_ends_behind_the_object_ends_with_it(
    store: Store, reader: ObsHook, size: int
) -> None:
    store.objects["k"] = DATA[:size]

    assert reader.read_object("bucket-1", "k", 0, 200_000) == DATA[:size]
    assert reader.read_object("bucket-1", "k", size - 1, size + 7) == DATA[:size][-1:]


def test_a_range_that_ends_before_the_object_does_not_end_early_because_it_may(
    store: Store, reader: ObsHook
) -> None:
    """Behind the end of an object a read is shorter; nothing else makes it so."""
    store.fault = RANGE_BROKEN["a range that ends earlier"]

    with pytest.raises(DliError, match=A_SENTENCE):
        reader.read_object("bucket-1", "k", 10_000, 20_000)


@pytest.mark.parametrize(("start", "end"), [WHOLE, RANGE])
def test_a_refusal_of_ranges_by_something_else_is_an_error(
    store: Store, reader: ObsHook, start: int, end: int | None
) -> None:
    page = (("Content-Type", "text/html"), ("Content-Range", "bytes */10"))
    store.rule = lambda _: Said("416 Range Not Satisfiable", page, b"<html>No</html>")

    with pytest.raises(DliError, match=A_SENTENCE):
        reader.read_object("bucket-1", "k", start, end)


# what is behind the end


def test_behind_the_end_there_is_nothing(store: Store, reader: ObsHook) -> None:
    assert reader.read_object("bucket-1", "k", len(DATA)) == b""
    assert reader.read_object("bucket-1", "k", len(DATA) + 5, len(DATA) + 9) == b""


def test_an_empty_object_is_read_as_nothing(store: Store, reader: ObsHook) -> None:
    store.objects["k"] = b""

    assert reader.read_object("bucket-1", "k") == b""
    assert reader.read_object("bucket-1", "k", 0, 10) == b""


@pytest.mark.parametrize(("data", "start"), [(b"", 0), (DATA, len(DATA))])
def test_where_a_refused_range_tells_no_size_the_object_is_looked_at(
    store: Store, reader: ObsHook, data: bytes, start: int
) -> None:
    store.objects["k"] = data
    store.fault = BROKEN["416 that tells no size"]

    assert reader.read_object("bucket-1", "k", start, start + 10) == b""


def test_a_refused_range_of_an_object_that_is_gone_is_no_end(store: Store, reader: ObsHook) -> None:
    def vanish(asked: Asked) -> None:
        if asked.method == "HEAD":
            store.objects.clear()

    store.before = vanish
    store.fault = BROKEN["416 that tells no size"]

    with pytest.raises(DliError, match="bucket-1/k"):
        reader.read_object("bucket-1", "k", 0, 10)


def test_an_absent_object_is_told_as_such(store: Store, reader: ObsHook) -> None:
    with pytest.raises(NotFoundError, match=r"GET bucket-1/nothing .*NoSuchKey"):
        reader.read_object("bucket-1", "nothing", 5, 10)

    assert len(store.reads) == 1


# the same through the file system

SOME = {
    name: BROKEN[name] for name in BROKEN if name.startswith(("cut in", "no ", "the page", "4"))
}
WAYS: dict[str, Callable[[ObsFileSystem, Path], tuple[bytes, bytes]]] = {
    "cat": lambda files, _: (files.cat_file(PATH, 100, 200), DATA[100:200]),
    "cat from the end": lambda files, _: (files.cat_file(PATH, -500), DATA[-500:]),
    "open": lambda files, _: (_in_blocks(files), DATA),
    "open and seek": lambda files, _: (_sought(files), DATA[5000:5003]),
    "get": lambda files, path: (_got(files, path), DATA),
}


def _in_blocks(files: ObsFileSystem) -> bytes:
    with files.open(PATH, block_size=1000) as file:
        return b"".join(iter(lambda: file.read(1000), b""))


def _sought(files: ObsFileSystem) -> bytes:
    with files.open(PATH, block_size=16) as file:
        file.seek(5000)
        return bytes(file.read(3))


def _got(files: ObsFileSystem, path: Path) -> bytes:
    files.get_file(PATH, str(path))
    return path.read_bytes()


@pytest.mark.parametrize("fault", SOME | RANGE_BROKEN)
@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"get"}))
def test_a_file_gives_no_bytes_but_those_of_the_object(
    store: Store, files: ObsFileSystem, tmp_path: Path, fault: str, way: str
) -> None:
    store.fault = (SOME | RANGE_BROKEN)[fault]
    # From the first byte on some of them would be right.
    store.broken = lambda _: not store.asked[-1].range.startswith("0-")

    with pytest.raises((AnswerError, TransportError), match=A_SENTENCE):
        WAYS[way](files, tmp_path / "got")


@pytest.mark.parametrize("fault", SOME)
def test_an_object_that_cannot_be_got_is_no_file_of_fewer_bytes(
    store: Store, files: ObsFileSystem, tmp_path: Path, fault: str
) -> None:
    store.fault = BROKEN[fault]

    with pytest.raises((AnswerError, TransportError), match=A_SENTENCE):
        files.get_file(PATH, str(tmp_path / "got"))


@pytest.mark.parametrize("fault", SOME)
@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_read_right_although_one_answer_was_broken(
    store: Store, files: ObsFileSystem, tmp_path: Path, fault: str, way: str
) -> None:
    store.fault = BROKEN[fault]
    store.broken = lambda number: number == 0

    read, asked_for = WAYS[way](files, tmp_path / "got")

    assert read == asked_for


# one read is of one object


@pytest.mark.parametrize("careful", [True, False], ids=["If-Match", "another ETag"])
@pytest.mark.parametrize("size", [len(OTHER), 5000, 20_000])
def test_an_object_that_is_overwritten_between_two_blocks_is_not_read_on(
    store: Store, files: ObsFileSystem, clock: FakeClock, careful: bool, size: int
) -> None:
    store.careful = careful
    with files.open(PATH, block_size=1000) as file:
        assert file.read(500) == DATA[:500]
        store.objects["k"] = (OTHER * 2)[:size]

        with pytest.raises(DliError, match=r"bucket-1/k.*changed while it was read"):
            file.read()

    assert clock.slept == []


@pytest.mark.parametrize("careful", [True, False], ids=["If-Match", "another ETag"])
def test_an_object_that_is_overwritten_after_it_was_opened_is_not_read(
    store: Store, files: ObsFileSystem, careful: bool
) -> None:
    """Its size was told when it was opened, so that a longer one would be read by half."""
    store.careful = careful
    with files.open(PATH, block_size=1000) as file:
        store.objects["k"] = OTHER * 2

        with pytest.raises(DliError, match="changed while it was read"):
            file.read()


def test_an_object_that_is_deleted_between_two_blocks_is_not_read_on(
    store: Store, files: ObsFileSystem
) -> None:
    with files.open(PATH, block_size=1000) as file:
        file.read(500)
        store.objects.clear()

        with pytest.raises((DliError, FileNotFoundError), match="bucket-1/k"):
            file.read()


def test_an_object_that_is_overwritten_by_the_same_bytes_is_read_on(
    store: Store, files: ObsFileSystem
) -> None:
    with files.open(PATH, block_size=1000) as file:
        begun = file.read(500)
        store.objects["k"] = bytes(DATA)

        assert begun + file.read() == DATA


def test_all_parts_of_one_read_ask_for_the_same_object(store: Store, files: ObsFileSystem) -> None:
    with files.open(PATH, block_size=1000) as file:
        for _ in range(5):
            file.read(2000)

    assert len(store.reads) > 1
    assert {one.headers.get("if-match") for one in store.reads} == {etag(DATA)}


@pytest.mark.parametrize("careful", [True, False], ids=["If-Match", "another ETag"])
def test_an_object_that_is_overwritten_while_it_is_got_is_no_success(
    store: Store, files: ObsFileSystem, tmp_path: Path, careful: bool
) -> None:
    store.objects["k"] = os.urandom(20 * 2**20)
    other = os.urandom(20 * 2**20)

    def overwrite(_: Asked) -> None:
        if len(store.reads) == 1:
            store.objects["k"] = other

    store.careful = careful
    before = store.objects["k"]
    store.before = overwrite

    try:
        files.get_file(PATH, str(tmp_path / "got"))
    except DliError as error:
        assert "changed while it was read" in str(error)  # noqa: PT017 - both ends are right
    else:
        assert (tmp_path / "got").read_bytes() in {before, other}


@pytest.mark.parametrize("careful", [True, False], ids=["If-Match", "another ETag"])
def test_the_end_of_an_object_that_is_overwritten_meanwhile_is_not_its_middle(
    store: Store, files: ObsFileSystem, careful: bool
) -> None:
    """Where the end is has to be looked up first."""
    other = OTHER * 2

    def overwrite(asked: Asked) -> None:
        if asked.method == "GET":
            store.objects["k"] = other

    store.careful = careful
    store.before = overwrite

    try:
        read = files.cat_file(PATH, -500)
    except DliError as error:
        assert "changed while it was read" in str(error)  # noqa: PT017 - both ends are right
    else:
        assert read in {DATA[-500:], other[-500:]}


def test_a_condition_that_nobody_set_is_told_as_it_is(store: Store, reader: ObsHook) -> None:
    store.rule = lambda _: refusal("412 Precondition Failed", "PreconditionFailed")

    with pytest.raises(AnswerError, match=r"bucket-1/k.*PreconditionFailed"):
        reader.read_object("bucket-1", "k")


# objects that are packed as they lie there

PLAIN = b"word,count\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(5000))
PACKED = gzip.compress(PLAIN, mtime=0)


@pytest.fixture
def packed(object_store: str, bucket: str) -> str:
    """Store an object as `aws s3 cp --content-encoding gzip` does, and give its path."""
    put(object_store, bucket, "day.csv.gz", PACKED, "gzip")
    return f"{bucket}/day.csv.gz"


def put(object_store: str, bucket: str, key: str, data: bytes, encoding: str) -> None:
    other_client(object_store).put_object(
        Bucket=bucket, Key=key, Body=data, ContentEncoding=encoding
    )


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "aws-chunked"])
def test_an_object_that_is_packed_is_read_as_it_is_stored(
    obs: ObsHook, object_store: str, bucket: str, encoding: str
) -> None:
    data = zlib.compress(PLAIN) if encoding == "deflate" else PACKED
    put(object_store, bucket, "k", data, encoding)

    assert obs.read_object(bucket, "k") == data
    assert obs.read_object(bucket, "k", 100, 200) == data[100:200]
    assert obs.read_object(bucket, "k", 100) == data[100:]


def test_an_object_that_says_it_is_packed_and_is_not_is_read_as_it_is_stored(
    obs: ObsHook, object_store: str, bucket: str
) -> None:
    put(object_store, bucket, "k", PLAIN, "gzip")

    assert obs.read_object(bucket, "k") == PLAIN


def test_a_packed_object_has_one_size_wherever_it_is_told(
    obs: ObsHook, bucket: str, packed: str
) -> None:
    (listed,) = obs.list_objects(bucket)
    found = obs.find_object(bucket, "day.csv.gz")

    assert found is not None
    assert {listed.size, found.size, over(obs).info(packed)["size"]} == {len(PACKED)}


def test_a_packed_object_is_the_same_through_cat_open_get_and_ranges(
    obs: ObsHook, packed: str, tmp_path: Path
) -> None:
    files = over(obs)
    files.get_file(packed, str(tmp_path / "got"))

    assert files.cat_file(packed) == PACKED
    assert files.cat_file(packed, 0, 100) == PACKED[:100]
    assert files.cat_file(packed, 100, 200) == PACKED[100:200]
    assert files.open(packed).read() == PACKED
    assert files.open(packed, block_size=4096).read() == PACKED
    assert (tmp_path / "got").read_bytes() == PACKED


def test_a_packed_object_is_unpacked_where_the_caller_says_so(obs: ObsHook, packed: str) -> None:
    with over(obs).open(packed, compression="gzip") as file:
        assert file.read() == PLAIN


def test_an_answer_that_was_packed_on_the_way_is_not_the_object(
    store: Store, reader: ObsHook
) -> None:
    """Some proxies pack although nobody asks; of a part the range tells that it was done."""

    def pack(asked: Asked) -> Said | None:
        if asked.method != "GET":
            return None
        told = (
            ("ETag", etag(DATA)),
            ("Content-Encoding", "gzip"),
            ("Content-Range", f"bytes 100-199/{len(DATA)}"),
        )
        return Said("206 Partial Content", told, gzip.compress(DATA[100:200]))

    store.rule = pack

    with pytest.raises((AnswerError, TransportError), match=A_SENTENCE):
        reader.read_object("bucket-1", "k", 100, 200)


def test_nobody_asks_for_packed_bytes(store: Store, reader: ObsHook) -> None:
    reader.read_object("bucket-1", "k")

    assert {one.headers.get("accept-encoding", "identity") for one in store.reads} == {"identity"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_the_mark_of_the_byte_order_stays(obs: ObsHook, bucket: str, encoding: str) -> None:
    text = "größer ü\n\ufeffnichts\n"
    files = over(obs)
    with files.open(f"{bucket}/text", "w", encoding=encoding, newline="") as file:
        file.write(text[:5])
        file.write(text[5:])

    assert obs.read_object(bucket, "text") == text.encode(encoding)
    with files.open(f"{bucket}/text", "r", encoding=encoding, newline="") as file:
        assert file.read() == text
