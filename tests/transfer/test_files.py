# SPDX-License-Identifier: Apache-2.0
"""A file is sent as it was hashed, or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.transfer.files import SLICE, TAG, digest_of, part_of, tags_of, whole

SIZES = [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 7]


def written(path: Path, size: int) -> tuple[FileToSend, bytes]:
    """Write a file that was hashed; returns it and its bytes."""
    data = Random(size).randbytes(size)  # noqa: S311 - no secret
    path.write_bytes(data)
    with path.open("rb", buffering=0) as stream:
        digest = digest_of(stream)
    return FileToSend(path, "key", digest.size, digest.sha256, digest.tags), data


@pytest.mark.parametrize("size", SIZES)
def test_one_pass_gives_size_digest_and_a_tag_for_each_slice(tmp_path: Path, size: int) -> None:
    file, data = written(tmp_path / "a", size)

    assert (file.size, file.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert len(file.tags) == -(-size // SLICE) * TAG


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_tagged", [True, False])
def test_a_file_that_is_as_it_was_is_read(tmp_path: Path, size: int, is_tagged: bool) -> None:
    file, data = written(tmp_path / "a", size)
    file = file if is_tagged else replace(file, tags=b"")

    assert whole(file) == data
    assert tags_of(file) == written(tmp_path / "b", size)[0].tags


@pytest.mark.parametrize(
    ("start", "size"), [(0, SLICE), (SLICE, 2 * SLICE), (2 * SLICE, SLICE + 7)]
)
def test_a_part_is_read_by_itself(tmp_path: Path, start: int, size: int) -> None:
    file, data = written(tmp_path / "a", 3 * SLICE + 7)

    assert part_of(file, file.tags, start, size) == data[start : start + size]


@pytest.mark.parametrize("at", [0, SLICE - 1, SLICE, 2 * SLICE - 1])
def test_a_part_in_which_one_byte_is_another_is_refused(tmp_path: Path, at: int) -> None:
    file, data = written(tmp_path / "a", 3 * SLICE)
    file.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    with pytest.raises(InputError, match="it changed while it was read"):
        part_of(file, file.tags, 0, 2 * SLICE)
    assert part_of(file, file.tags, 2 * SLICE, SLICE) == data[2 * SLICE :]


@pytest.mark.parametrize("is_tagged", [True, False])
@pytest.mark.parametrize("change", ["longer", "shorter", "another", "slices swapped"])
def test_a_file_that_changed_is_refused(tmp_path: Path, change: str, is_tagged: bool) -> None:
    file, data = written(tmp_path / "a", 2 * SLICE)
    changed = {
        "longer": data + b"x",
        "shorter": data[:-1],
        "another": bytes(len(data)),
        "slices swapped": data[SLICE:] + data[:SLICE],
    }
    file.path.write_bytes(changed[change])
    file = file if is_tagged else replace(file, tags=b"")

    with pytest.raises(InputError, match="it changed while it was read"):
        whole(file)
    with pytest.raises(InputError, match="it changed while it was read"):
        part_of(file, file.tags or tags_of(file), SLICE, SLICE)


def test_threads_that_hash_first_at_the_same_time_tag_alike(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"data")
    code = f"""
import threading
from airflow_provider_dli.transfer.files import digest_of
barrier, tags = threading.Barrier(16), []
def tag():
    with open({str(path)!r}, "rb", buffering=0) as file:
        barrier.wait()
        tags.append(digest_of(file).tags)
threads = [threading.Thread(target=tag) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(set(tags)) == 1, tags
"""

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    file, _ = written(tmp_path / "a", 5)
    file.path.unlink()

    with pytest.raises(InputError, match=r"files is '.*a': it cannot be read \(No such file"):
        whole(file)
