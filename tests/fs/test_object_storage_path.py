"""Airflow's own class for paths, on `obs://`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dli.fs.obs import ObsFileSystem

try:
    from airflow.sdk import ObjectStoragePath
except ImportError:
    from airflow.io.path import ObjectStoragePath

# Airflow 2.11 itself asks its paths for what universal-pathlib will not have for ever.
pytestmark = pytest.mark.filterwarnings(
    "ignore:in a future version of UPath this will be set to None:PendingDeprecationWarning"
)

FRESH = """
import sys
try:
    from airflow.sdk import ObjectStoragePath
except ImportError:
    from airflow.io.path import ObjectStoragePath

top = ObjectStoragePath(sys.argv[1])
(top / "dir" / "a.txt").write_text("text")
[folder] = top.iterdir()
[path] = folder.iterdir()
[again] = top.glob("**/*.txt")
same = ObjectStoragePath.deserialize(path.serialize(), 1)
assert path == again == same == top / "dir" / "a.txt"
same.rename(top / "b.txt")
assert [one.name for one in top.iterdir()] == ["b.txt"]
assert ObjectStoragePath(str(top / "b.txt")).read_text() == "text"
"""


@pytest.fixture
def top(conn_id: str, bucket: str) -> Any:
    return ObjectStoragePath(f"obs://{conn_id}@{bucket}")


def test_airflow_gives_the_file_system_of_the_connection(top: Any, conn_id: str) -> None:
    assert isinstance(top.fs, ObsFileSystem)
    assert top.fs.storage_options == {"conn_id": conn_id}


def test_a_path_without_a_connection_is_of_the_default_one() -> None:
    assert ObjectStoragePath("obs://bucket/key").fs == ObsFileSystem()


def test_bytes_and_text_go_there_and_back(top: Any) -> None:
    path = top / "dir" / "file.txt"

    path.write_bytes(b"some text")

    assert path.read_text() == "some text"
    assert path.read_bytes() == b"some text"


def test_a_path_says_whether_it_is_there_and_how_large(top: Any) -> None:
    path = top / "dir" / "file.txt"
    path.write_text("text")

    assert path.exists()
    assert path.is_file()
    assert path.parent.is_dir()
    assert not (top / "no").exists()
    assert path.stat().st_size == 4
    assert path.stat().st_mtime > 1_700_000_000


def test_a_folder_gives_its_paths(top: Any) -> None:
    for name in ("a.txt", "b.csv", "dir/c.txt"):
        (top / name).write_text(name)

    assert sorted(path.name for path in top.iterdir()) == ["a.txt", "b.csv", "dir"]
    assert sorted(path.name for path in top.glob("*.txt")) == ["a.txt"]
    assert sorted(path.name for path in top.glob("**/*.txt")) == ["a.txt", "c.txt"]
    assert [path.read_text() for path in (top / "dir").iterdir()] == ["dir/c.txt"]


def test_what_a_folder_gives_is_of_the_same_connection(top: Any, conn_id: str) -> None:
    (top / "a.txt").touch()

    [path] = top.iterdir()

    assert str(path).startswith(f"obs://{conn_id}@")
    assert path == top / "a.txt"


def test_a_path_is_deleted(top: Any) -> None:
    path = top / "file"
    path.touch()

    path.unlink()

    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.unlink()
    path.unlink(missing_ok=True)


def test_a_folder_is_deleted_with_what_it_holds(top: Any) -> None:
    (top / "dir" / "deep" / "file").touch()

    (top / "dir").rmdir()

    assert list(top.iterdir()) == []


@pytest.mark.parametrize("method", ["rename", "replace"])
def test_a_path_is_renamed(top: Any, method: str) -> None:
    (top / "old").write_text("text")
    (top / "new").write_text("replaced")

    getattr(top / "old", method)(top / "new")

    assert (top / "new").read_text() == "text"
    assert not (top / "old").exists()


def test_a_path_is_copied_and_moved_in_the_store(top: Any) -> None:
    (top / "file").write_text("text")

    (top / "file").copy(top / "copy")
    (top / "file").move(top / "moved")

    assert (top / "copy").read_text() == (top / "moved").read_text() == "text"
    assert not (top / "file").exists()


def test_a_path_is_copied_to_this_machine_and_back(top: Any, tmp_path: Path) -> None:
    (top / "file").write_text("text")
    local = ObjectStoragePath(f"file://{tmp_path}/file")

    (top / "file").copy(local)
    local.copy(top / "back")

    assert (tmp_path / "file").read_text() == "text"
    assert (top / "back").read_text() == "text"


def test_a_folder_is_copied_from_this_machine(top: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("text")

    ObjectStoragePath(f"file://{tmp_path}").copy(top / "dir", recursive=True)

    assert (top / "dir" / "in" / "file").read_text() == "text"


def test_an_open_path_can_be_read_from_anywhere(top: Any) -> None:
    path = top / "file"
    path.write_bytes(b"0123456789")

    with path.open("rb") as file:
        file.seek(7)
        assert file.read() == b"789"
        assert file.tell() == 10


def test_nothing_is_stored_when_the_block_raises(top: Any) -> None:
    path = top / "file"

    with pytest.raises(RuntimeError), path.open("w") as file:  # noqa: PT012 - the block raises
        file.write("half")
        raise RuntimeError

    assert not path.exists()


def test_50_mb_are_written_and_read_in_chunks(top: Any) -> None:
    path, piece, size = top / "large", os.urandom(1_000_000), 0

    with path.open("wb") as file:
        for _ in range(50):
            file.write(piece)
    with path.open("rb") as file:
        while data := file.read(700_000):
            assert data[0] == piece[size % 1_000_000]
            size += len(data)

    assert size == path.stat().st_size == 50_000_000


def test_a_path_goes_through_xcom(top: Any, conn_id: str) -> None:
    path = top / "dir" / "file"
    path.write_text("text")

    plain = path.serialize()
    other = ObjectStoragePath.deserialize(dict(plain), 1)

    assert plain["conn_id"] == conn_id
    assert other == path
    assert other.read_text() == "text"


def test_a_path_goes_through_airflows_serializer(top: Any) -> None:
    from airflow.providers.common.compat.sdk import AIRFLOW_V_3_0_PLUS

    if AIRFLOW_V_3_0_PLUS:
        from airflow.sdk.serde import deserialize, serialize
    else:
        from airflow.serialization.serde import deserialize, serialize
    path = top / "file"

    assert deserialize(serialize(path)) == path


def test_a_refused_option_of_a_path_names_it(top: Any) -> None:
    with pytest.raises(ValueError, match="cannot be appended to"):
        (top / "file").open("a")


def test_a_path_in_a_dag_file_loads_no_client() -> None:
    code = """
import sys
try:
    from airflow.sdk import ObjectStoragePath
except ImportError:
    from airflow.io.path import ObjectStoragePath
before = set(sys.modules)
ObjectStoragePath("obs://dli_default@bucket/key") / "more"
new = set(sys.modules) - before
print([name for name in new if name.split(".")[0] in ("requests", "obs") or ".hooks" in name])
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.splitlines()[-1] == "[]"


def test_a_process_that_knows_only_the_path_finds_its_way(conn_id: str, bucket: str) -> None:
    url = f"obs://{conn_id}@{bucket}"

    done = subprocess.run([sys.executable, "-c", FRESH, url], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_the_tasks_of_the_page_pass_a_path_on(conn_id: str, bucket: str) -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")
    page = (Path(__file__).parents[2] / "docs" / "object-storage.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}

    exec(code.replace("dli_default@my-bucket", f"{conn_id}@{bucket}"), names)  # noqa: S102 - ours

    path = names["write_report"].function("2026-11-20")
    assert names["count_lines"].function(path) == 2
