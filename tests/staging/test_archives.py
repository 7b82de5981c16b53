"""Directories of Python code become zips: what is in them, and that their bytes never vary."""

from __future__ import annotations

import hashlib
import os
import py_compile
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.staging.archives import pack_code, write

Pack = Callable[[Path], Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    place = tmp_path / "place"
    place.mkdir()
    return lambda folder: pack_code(folder, place, folder.name)


def written(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return folder


def members(archive: Path) -> list[str]:
    """Give the names of the files in a zip, without the folders."""
    with zipfile.ZipFile(archive) as opened:
        return [name for name in opened.namelist() if not name.endswith("/")]


def imports(archive: Path, statement: str) -> bool:
    code = f"import sys; sys.path[:0] = [{str(archive)!r}]; {statement}"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_stands_in_the_zip_under_its_name(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "wordtools", "__init__.py", "text.py", "sub/words.txt")

    archive = pack(folder)

    assert archive.name == "wordtools.zip"
    assert members(archive) == [
        "wordtools/__init__.py",
        "wordtools/sub/words.txt",
        "wordtools/text.py",
    ]
    assert imports(archive, "import wordtools.text")


def test_the_contents_of_other_folders_stand_at_the_top(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "my-app", "wordtools/__init__.py", "main.py")

    archive = pack(folder)

    assert members(archive) == ["main.py", "wordtools/__init__.py"]
    assert imports(archive, "import main, wordtools")


def test_caches_and_what_is_hidden_or_built_are_left_out(tmp_path: Path, pack: Pack) -> None:
    folder = written(
        tmp_path / "app",
        "main.py",
        "__pycache__/main.cpython-311.pyc",
        "main.pyc",
        ".git/config",
        ".env",
        "app.egg-info/PKG-INFO",
        "build/lib/main.py",
        "dist/app-1.0.tar.gz",
        "venv/pyvenv.cfg",
        "venv/lib/site.py",
        "tools/__pycache__/x.pyc",
        "tools/x.py",
    )

    assert members(pack(folder)) == ["main.py", "tools/x.py"]


def test_every_folder_has_an_entry_of_its_own(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "repo", "acme/etl/__init__.py", "main.py")

    with zipfile.ZipFile(pack(folder)) as opened:
        entries = {entry.filename: entry for entry in opened.infolist()}

    assert list(entries) == ["acme/", "acme/etl/", "acme/etl/__init__.py", "main.py"]
    assert entries["acme/"].date_time == entries["main.py"].date_time == (1980, 1, 1, 0, 0, 0)
    assert stat.filemode(entries["acme/"].external_attr >> 16) == "drwxr-xr-x"


def test_a_package_in_a_folder_without_init_is_imported(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "repo", "acme/etl/__init__.py", "acme/etl/load.py")

    assert imports(pack(folder), "import acme.etl.load")


def test_parts_of_one_namespace_come_from_two_zips(tmp_path: Path, pack: Pack) -> None:
    one = pack(written(tmp_path / "one", "acme/etl/__init__.py"))
    other = pack(written(tmp_path / "other", "acme/web/__init__.py"))

    assert imports(one, f"sys.path[:0] = [{str(other)!r}]; import acme.etl, acme.web")


def test_a_module_without_its_source_is_kept(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py", "closed.py", "pack/x.py")
    py_compile.compile(str(folder / "closed.py"), cfile=str(folder / "closed.pyc"))
    (folder / "closed.py").unlink()

    archive = pack(folder)

    assert members(archive) == ["closed.pyc", "main.py", "pack/x.py"]
    assert imports(archive, "import closed")


def test_a_package_of_modules_without_source_is_a_package(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "wordtools", "__init__.pyc", "text.pyc")

    assert members(pack(folder)) == ["wordtools/__init__.pyc", "wordtools/text.pyc"]


def test_folders_named_build_that_hold_packages_are_kept(tmp_path: Path, pack: Pack) -> None:
    folder = written(
        tmp_path / "app",
        "main.py",
        "build/lib/main.py",
        "build/lib.linux-x86_64-cpython-311/main.py",
        "build/bdist.linux-x86_64/wheel/main.py",
        "build/rules/__init__.py",
        "build/notes.txt",
        "dist/report/__init__.py",
        "dist/lib/table.py",
    )

    assert members(pack(folder)) == [
        "build/notes.txt",
        "build/rules/__init__.py",
        "dist/lib/table.py",
        "dist/report/__init__.py",
        "main.py",
    ]


def test_a_package_named_as_setuptools_names_its_folder_is_kept(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py", "build/lib/__init__.py")

    assert members(pack(folder)) == ["build/lib/__init__.py", "main.py"]


def test_what_lies_in_a_build_without_code_is_not_looked_at(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py", "build/notes.txt")
    (folder / "build" / "cache").symlink_to(tmp_path)

    assert members(pack(folder)) == ["main.py"]


def test_folders_named_build_that_are_code_are_kept(tmp_path: Path, pack: Pack) -> None:
    project = written(tmp_path / "app", "build/__init__.py", "deep/dist/data.txt")
    package = written(tmp_path / "pack", "__init__.py", "build/data.txt")

    assert members(pack(project)) == ["build/__init__.py", "deep/dist/data.txt"]
    assert members(pack(package)) == ["pack/__init__.py", "pack/build/data.txt"]


def test_the_bytes_depend_on_names_and_contents_alone(tmp_path: Path, pack: Pack) -> None:
    names = ["b.py", "a.py", "sub/ö.py"]
    one = written(tmp_path / "one" / "app", *names)
    other = written(tmp_path / "other" / "app", *reversed(names))
    (other / "a.py").chmod(0o700)
    os.utime(other / "b.py", (1, 1))

    first = pack(one).read_bytes()
    second = pack(other).read_bytes()

    assert first == second


def test_the_bytes_are_those_of_every_other_machine(tmp_path: Path, pack: Pack) -> None:
    # Where this fails, packages that are staged already would be sent once more after an update.
    folder = written(tmp_path / "app", "a.py", "sub/ö.py")

    digest = hashlib.sha256(pack(folder).read_bytes()).hexdigest()

    assert digest == "a51ebc851d0d5ab885f2dac3d173047017ebc1a6084b58f21fa4bd491895e50e"


def test_names_are_utf_8_and_sorted(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "ö.py", "z.py", "A.py")

    assert members(pack(folder)) == ["A.py", "z.py", "ö.py"]


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "a.py")
    (folder / os.fsdecode(b"\xff.txt")).write_text("x")

    with pytest.raises(InputError, match="is not UTF-8; rename it"):
        pack(folder)


def test_a_folder_without_python_is_refused_with_the_way_out(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "jars", "a.jar", "__pycache__/x.py")

    with pytest.raises(InputError, match=r"without a Python file.* or a glob like 'jars/"):
        pack(folder)


def test_a_package_that_python_cannot_import_is_refused(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "word-tools", "__init__.py")

    with pytest.raises(InputError, match="cannot import one named 'word-tools'"):
        pack(folder)


def test_links_that_stay_inside_are_followed(tmp_path: Path, pack: Pack) -> None:
    # So that a mounted ConfigMap can be staged, whose files are links into a hidden folder.
    folder = written(tmp_path / "app", "..2026/main.py", "real/x.py")
    (folder / "..data").symlink_to("..2026")
    (folder / "main.py").symlink_to("..data/main.py")
    (folder / "same").symlink_to("real")

    assert members(pack(folder)) == ["main.py", "real/x.py", "same/x.py"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leads_out_is_named(tmp_path: Path, pack: Pack, kind: str) -> None:
    folder = written(tmp_path / "app", "main.py")
    outside = written(tmp_path / "outside", "secret.py")
    (folder / "way").symlink_to(outside if kind == "folder" else outside / "secret.py")

    with pytest.raises(
        InputError, match=r"the link \S+/app/way points outside of it, to \S+/outside"
    ):
        pack(folder)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py")
    (folder / "gone.py").symlink_to("old.py")

    with pytest.raises(InputError, match=r"app/gone.py is a link to old.py, which does not exist"):
        pack(folder)


def test_a_link_back_to_a_folder_above_is_named(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py", "sub/x.py")
    (folder / "sub" / "up").symlink_to("..")

    with pytest.raises(InputError, match=r"the link \S+/app/sub/up points back to \S+/app"):
        pack(folder)


def test_a_circle_of_links_is_named(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py")
    (folder / "one").symlink_to("other")
    (folder / "other").symlink_to("one")

    with pytest.raises(InputError, match=r"the links at \S+/app/one form a circle"):
        pack(folder)


def test_a_named_pipe_inside_is_named_and_not_waited_for(tmp_path: Path, pack: Pack) -> None:
    folder = written(tmp_path / "app", "main.py")
    os.mkfifo(folder / "pipe.py")

    with pytest.raises(InputError, match=r"app/pipe.py is a named pipe; give a regular file"):
        pack(folder)


def test_a_socket_inside_is_named(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "app", "main.py")
    monkeypatch.chdir(folder)  # the names of sockets have to be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("door")

        with pytest.raises(InputError, match=r"app/door is a socket; give a regular file"):
            pack(folder)


def written_meanwhile(file: Path, change: Callable[[int], None]) -> int:
    """Write a zip of a file into a pipe, do something to the file at each read; count the bytes."""
    reading, writing = os.pipe()
    count = 0

    def read() -> None:
        nonlocal count
        while piece := os.read(reading, 1 << 16):
            count += len(piece)
            change(count)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        write({file.name: file}, Path(f"/dev/fd/{writing}"), file.name)
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)
    return count


def test_a_file_that_grows_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_bytes(b"x" * 3_000_000)
    seen: list[int] = []

    def grow(count: int) -> None:
        seen.append(count)
        if len(seen) < 500:
            with file.open("ab") as log:
                log.write(b"y" * (1 << 16))

    with pytest.raises(DliError, match=r"app\.log, given by 'app\.log', changed while it was read"):
        written_meanwhile(file, grow)

    # No more than it had: what grows on and on would never be packed.
    assert seen[-1] < 3_001_000


def test_a_file_that_shrinks_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_bytes(b"x" * 3_000_000)

    with pytest.raises(DliError, match=r"app\.log, given by 'app\.log', changed while it was read"):
        written_meanwhile(file, lambda count: os.truncate(file, 1000))


def test_a_file_that_stays_as_it_is_is_packed_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_bytes(b"x" * 3_000_000)

    assert written_meanwhile(file, lambda count: None) > 3_000_000
