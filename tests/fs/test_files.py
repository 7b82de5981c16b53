"""An open file: what is written is there as a whole or not at all."""

from __future__ import annotations

import gzip
import io
import os
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dli.api.protocol.errors import BadRequestError, InputError
from airflow_provider_dli.fs.files import GROW_AFTER, PART, READ_AHEAD, SMALLEST_PART, ObsFile
from airflow_provider_dli.fs.obs import ObsFileSystem

if TYPE_CHECKING:
    from fs.conftest import Gate

Keys = Callable[[], list[str]]
Count = Callable[[], int]
LARGE = os.urandom(2 * PART + 1000)


def verbs(gate: Gate) -> list[str]:
    return [asked.split()[0] for asked in gate.asked]


def test_a_small_file_is_one_request(files: ObsFileSystem, bucket: str, gate: Gate) -> None:
    with files.open(f"{bucket}/small", "wb") as file:
        file.write(b"some")
        file.write(b" bytes")

    assert verbs(gate) == ["PUT"]
    assert files.cat_file(f"{bucket}/small") == b"some bytes"


def test_an_empty_file_can_be_written(files: ObsFileSystem, bucket: str) -> None:
    files.open(f"{bucket}/empty", "wb").close()

    with files.open(f"{bucket}/empty", "rb") as file:
        assert file.read() == b""


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1000])
def test_a_file_of_any_size_is_what_was_written(
    files: ObsFileSystem, bucket: str, parts_left: Count, size: int
) -> None:
    with files.open(f"{bucket}/file", "wb") as file:
        for start in range(0, size, 3_000_000):
            file.write(LARGE[start : min(start + 3_000_000, size)])

    assert files.cat_file(f"{bucket}/file") == LARGE[:size]
    assert parts_left() == 0


def test_a_large_piece_goes_in_parts_of_one_size(
    files: ObsFileSystem, bucket: str, gate: Gate
) -> None:
    with files.open(f"{bucket}/file", "wb") as file:
        file.write(LARGE)

    sent = [asked for asked in gate.asked if "partNumber" in asked]
    assert len(sent) == 3
    assert files.cat_file(f"{bucket}/file") == LARGE


@pytest.mark.parametrize(("given", "used"), [(None, PART), (-1, PART), (8192, SMALLEST_PART)])
def test_no_part_is_too_small_for_the_store(
    files: ObsFileSystem, bucket: str, given: int | None, used: int
) -> None:
    with files.open(f"{bucket}/file", "wb", block_size=given) as file:
        assert file.blocksize == used


def test_parts_grow_so_that_their_number_suffices(files: ObsFileSystem, bucket: str) -> None:
    with files.open(f"{bucket}/file", "wb") as file:
        file._parts = GROW_AFTER - 1
        file.write(LARGE)
        assert file.blocksize == 2 * PART

    assert files.cat_file(f"{bucket}/file") == LARGE


@pytest.mark.parametrize("mode", ["wb", "w", "xb", "xt"])
@pytest.mark.parametrize("size", [10, 2 * PART + 10])
def test_nothing_is_stored_when_the_block_raises(
    files: ObsFileSystem, bucket: str, keys: Keys, parts_left: Count, mode: str, size: int
) -> None:
    with (  # noqa: PT012 - it is the block that raises
        pytest.raises(RuntimeError, match="the caller's"),
        files.open(f"{bucket}/file", mode) as file,
    ):
        file.write(b"x" * size if "b" in mode else "x" * size)
        raise RuntimeError("the caller's")

    assert file.closed
    assert keys() == []
    assert parts_left() == 0


def test_what_was_there_stays_when_the_block_raises(files: ObsFileSystem, bucket: str) -> None:
    files.pipe_file(f"{bucket}/file", b"before")

    with pytest.raises(ZeroDivisionError), files.open(f"{bucket}/file", "w") as file:
        file.write(str(1 / 0))

    assert files.cat_file(f"{bucket}/file") == b"before"


def test_nothing_is_stored_when_a_part_is_refused(
    files: ObsFileSystem, bucket: str, gate: Gate, keys: Keys, parts_left: Count
) -> None:
    gate.refuse(f"PUT /{bucket}/file?partNumber=2", "400 Bad Request", "InvalidArgument")

    with pytest.raises(BadRequestError), files.open(f"{bucket}/file", "wb") as file:
        file.write(LARGE)

    assert keys() == []
    assert parts_left() == 0
    with pytest.raises(ValueError, match="not in write mode"):
        file.write(b"more")


def test_nothing_is_left_when_completing_is_refused(
    files: ObsFileSystem, bucket: str, gate: Gate, keys: Keys, parts_left: Count
) -> None:
    gate.refuse(f"POST /{bucket}/file?uploadId", "403 Forbidden", "AccessDenied")

    with pytest.raises(PermissionError), files.open(f"{bucket}/file", "wb") as file:
        file.write(LARGE)

    assert keys() == []
    assert parts_left() == 0


def test_parts_that_cannot_be_thrown_away_are_told_beside_the_error(
    files: ObsFileSystem, bucket: str, gate: Gate
) -> None:
    gate.refuse("DELETE", "403 Forbidden", "AccessDenied")

    with (  # noqa: PT012 - it is the block that raises
        pytest.raises(RuntimeError) as caught,
        files.open(f"{bucket}/file", "wb") as file,
    ):
        file.write(LARGE)
        raise RuntimeError

    [note] = caught.value.__notes__
    assert note.startswith(f"Parts of obs://{bucket}/file may still be in the bucket:")
    assert "AccessDenied" in note


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_that_was_never_closed_is_not_stored(
    files: ObsFileSystem,
    bucket: str,
    keys: Keys,
    parts_left: Count,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    file = files.open(f"{bucket}/file", mode)
    file.write(LARGE if mode == "wb" else "x" * len(LARGE))
    del file

    assert keys() == []
    assert parts_left() == 0
    assert f"obs://{bucket}/file was never closed, so nothing is stored." in caplog.text


def test_text_is_written_and_read(files: ObsFileSystem, bucket: str) -> None:
    with files.open(f"{bucket}/text", "w", encoding="latin-1", newline="\r\n") as file:
        file.write("Grüße\n")
        print("again", file=file)

    assert files.cat_file(f"{bucket}/text") == "Grüße\r\nagain\r\n".encode("latin-1")
    with files.open(f"{bucket}/text", "r", encoding="latin-1") as lines:
        assert list(lines) == ["Grüße\n", "again\n"]


def test_a_text_file_looks_like_a_file_to_others(files: ObsFileSystem, bucket: str) -> None:
    with files.open(f"{bucket}/text", "w") as file:
        assert file.writable()
        assert iter(file)  # by this pandas knows a file
        assert not file.closed


def test_text_that_cannot_be_encoded_stores_nothing(
    files: ObsFileSystem, bucket: str, keys: Keys
) -> None:
    with (
        pytest.raises(UnicodeEncodeError),
        files.open(f"{bucket}/text", "w", encoding="ascii") as file,
    ):
        file.write("plain, then ü")

    assert keys() == []


def test_what_fails_in_the_end_stores_nothing(
    files: ObsFileSystem, bucket: str, gate: Gate, keys: Keys
) -> None:
    gate.refuse("PUT", "403 Forbidden", "AccessDenied")
    file = files.open(f"{bucket}/text", "w")
    file.write("text")

    with pytest.raises(PermissionError):
        file.close()

    assert keys() == []


@pytest.mark.parametrize("mode", ["wb", "wt"])
def test_compressed_files_are_whole(files: ObsFileSystem, bucket: str, mode: str) -> None:
    with files.open(f"{bucket}/file.gz", mode, compression="infer") as file:
        file.write(b"squeeze" if mode == "wb" else "squeeze")

    assert gzip.decompress(files.cat_file(f"{bucket}/file.gz")) == b"squeeze"
    with files.open(f"{bucket}/file.gz", "rt", compression="infer") as file:
        assert file.read() == "squeeze"


def test_inferring_no_compression_leaves_a_file_as_it_is(files: ObsFileSystem, bucket: str) -> None:
    with files.open(f"{bucket}/file", "wb", compression="infer") as file:
        file.write(b"plain")

    assert files.cat_file(f"{bucket}/file") == b"plain"


def test_a_compressed_file_is_not_stored_when_the_block_raises(
    files: ObsFileSystem, bucket: str, keys: Keys
) -> None:
    with (  # noqa: PT012 - it is the block that raises
        pytest.raises(RuntimeError),
        files.open(f"{bucket}/file.gz", "wb", compression="gzip") as file,
    ):
        file.write(b"squeeze")
        raise RuntimeError

    assert keys() == []


def test_an_exclusive_file_is_refused_where_one_lies(files: ObsFileSystem, bucket: str) -> None:
    with files.open(f"{bucket}/file", "xb") as file:
        file.write(b"first")

    with pytest.raises(FileExistsError, match="The object exists already"):
        files.open(f"{bucket}/file", "xb")
    assert files.cat_file(f"{bucket}/file") == b"first"


def test_an_exclusive_file_gives_way_to_one_that_came_meanwhile(
    files: ObsFileSystem, bucket: str
) -> None:
    file = files.open(f"{bucket}/file", "xb")
    file.write(b"mine")
    files.pipe_file(f"{bucket}/file", b"theirs")

    with pytest.raises(FileExistsError):
        file.close()

    assert files.cat_file(f"{bucket}/file") == b"theirs"


@pytest.mark.parametrize("mode", ["ab", "a", "r+b", "w+b"])
def test_appending_and_changing_are_refused_before_any_request(
    files: ObsFileSystem, bucket: str, gate: Gate, mode: str
) -> None:
    with pytest.raises(InputError, match="cannot be appended to or changed"):
        files.open(f"{bucket}/file", mode)
    assert gate.asked == []


def test_a_transaction_stores_all_at_its_end(files: ObsFileSystem, bucket: str, keys: Keys) -> None:
    with files.transaction:
        files.pipe_file(f"{bucket}/small", b"small")
        files.pipe_file(f"{bucket}/large", LARGE)
        assert keys() == []

    assert files.cat_file(f"{bucket}/small") == b"small"
    assert files.cat_file(f"{bucket}/large") == LARGE


def test_a_transaction_that_raises_stores_nothing(
    files: ObsFileSystem, bucket: str, keys: Keys, parts_left: Count
) -> None:
    with pytest.raises(RuntimeError), files.transaction:  # noqa: PT012 - it is the block that raises
        files.pipe_file(f"{bucket}/small", b"small")
        files.pipe_file(f"{bucket}/large", LARGE)
        raise RuntimeError

    assert keys() == []
    assert parts_left() == 0


def test_a_file_given_up_stays_so_when_its_transaction_goes_on(
    files: ObsFileSystem, bucket: str, keys: Keys
) -> None:
    with files.transaction, pytest.raises(RuntimeError), files.open(f"{bucket}/file", "wb"):
        raise RuntimeError

    assert keys() == []


def test_reading_jumps_to_where_it_is_told(files: ObsFileSystem, bucket: str) -> None:
    files.pipe_file(f"{bucket}/file", LARGE)

    with files.open(f"{bucket}/file", "rb", block_size=1000) as file:
        assert file.seek(PART) == PART
        assert file.read(10) == LARGE[PART : PART + 10]
        file.seek(-5, io.SEEK_END)
        assert file.read() == LARGE[-5:]
        assert file.read(1) == b""


def test_reading_on_fetches_large_ranges(files: ObsFileSystem, bucket: str, gate: Gate) -> None:
    files.pipe_file(f"{bucket}/file", LARGE)
    gate.asked.clear()

    with files.open(f"{bucket}/file", "rb") as file:
        assert file.blocksize == READ_AHEAD
        assert b"".join(iter(lambda: file.read(1_000_000), b"")) == LARGE

    assert verbs(gate) == ["HEAD", "GET"]


def test_a_file_that_is_read_can_be_pickled(files: ObsFileSystem, bucket: str, gate: Gate) -> None:
    files.pipe_file(f"{bucket}/file", b"0123456789")
    with files.open(f"{bucket}/file", "rb") as file:
        file.seek(4)
        gate.asked.clear()
        other = pickle.loads(pickle.dumps(file))  # noqa: S301 - our own

    with other:
        assert other.read() == b"456789"
    assert verbs(gate) == ["HEAD", "GET"]


def test_a_file_goes_to_this_machine_and_back(
    files: ObsFileSystem, bucket: str, tmp_path: Any
) -> None:
    local = tmp_path / "file"
    local.write_bytes(LARGE)

    files.put(str(local), f"{bucket}/file")
    files.get(f"{bucket}/file", str(tmp_path / "back"))

    assert (tmp_path / "back").read_bytes() == LARGE


def test_a_file_that_could_not_be_opened_leaves_no_noise(files: ObsFileSystem) -> None:
    with pytest.raises(InputError):
        ObsFile(files, "bucket/key", "ab")
