"""What users give as sources, and the packages that it becomes."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import resource
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from told import told
from upath import UPath

from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.staging import files
from airflow_provider_dli.staging.content import LocalPackage, Package, StoredPackage
from airflow_provider_dli.staging.sources import collect

Gather = Callable[..., list[Package]]


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def gather(dags: Path, workspace: Path) -> Gather:
    return lambda *sources: collect(list(sources), workspace, base=dags)


@pytest.fixture
def storage() -> Iterator[fsspec.AbstractFileSystem]:
    """An object store in memory."""
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


class RemotePath:
    """As much of Airflow's path as is used, on a store that fails."""

    protocol = "s3"
    name = "a.jar"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __str__(self) -> str:
        return "s3://lake/a.jar"

    def is_file(self) -> bool:
        return True

    def open(self, mode: str) -> Any:
        raise self._error


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def strange_folder() -> Iterator[Path]:
    """A folder that this test, as somebody else if it runs as root, may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextmanager
def without_rights() -> Iterator[None]:
    """Be nobody: root may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_is_taken_as_it_lies(dags: Path, gather: Gather, workspace: Path) -> None:
    (dags / "jars").mkdir()
    (dags / "jars" / "a.jar").write_bytes(b"some bytes")

    packages = gather("jars/a.jar")

    digest = hashlib.sha256(b"some bytes").hexdigest()
    path = dags / "jars" / "a.jar"
    assert packages == [LocalPackage("a.jar", path, "jars/a.jar", 10, digest)]
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize(
    "form",
    [
        lambda path: str(path),
        lambda path: path,
        lambda path: path.name,
        lambda path: f"./{path.name}",
        lambda path: path.as_uri(),
        lambda path: f"file://localhost{path}",
        lambda path: UPath(str(path)),
        lambda path: UPath(path.as_uri()),
    ],
)
def test_a_file_may_be_given_in_many_ways(
    dags: Path, gather: Gather, form: Callable[[Path], object]
) -> None:
    path = dags / "a.jar"
    path.write_text("x")

    [package] = gather(form(path))

    assert isinstance(package, LocalPackage)
    assert (package.name, package.path.resolve()) == ("a.jar", path)


def test_the_address_of_a_file_is_decoded(dags: Path, gather: Gather) -> None:
    folder = dags / "with blank"
    folder.mkdir()
    (folder / "a.jar").write_text("x")

    assert [package.name for package in gather((folder / "a.jar").as_uri())] == ["a.jar"]


def test_packages_keep_the_order_of_their_sources(dags: Path, gather: Gather) -> None:
    names = [f"{number:02}.jar" for number in range(20)]
    for name in names:
        (dags / name).write_text(name * int(name[:2]) or "x")
    wanted = [*reversed(names), "z.jar"]

    packages = gather(*reversed(names), "obs://bucket/z.jar")

    assert [package.name for package in packages] == wanted
    assert [package.sha256 for package in packages if isinstance(package, LocalPackage)] == [
        hashlib.sha256((dags / name).read_bytes()).hexdigest() for name in wanted[:-1]
    ]


@pytest.mark.parametrize("source", ["wordtools", "wordtools/", "./wordtools", "other/../wordtools"])
def test_a_folder_of_code_becomes_a_zip(
    dags: Path, gather: Gather, workspace: Path, source: str
) -> None:
    (dags / "other").mkdir()
    (dags / "wordtools").mkdir()
    (dags / "wordtools" / "__init__.py").write_text("")

    [package] = gather(source)

    assert isinstance(package, LocalPackage)
    assert (package.name, package.source) == ("wordtools.zip", source)
    assert package.path.is_relative_to(workspace)
    assert zipfile.ZipFile(package.path).namelist() == ["wordtools/", "wordtools/__init__.py"]


def test_the_folder_itself_has_a_name_too(dags: Path, gather: Gather) -> None:
    (dags / "a.py").write_text("x")

    assert [package.name for package in gather(".")] == ["dags.zip"]


def test_a_link_to_a_folder_names_the_zip(dags: Path, gather: Gather) -> None:
    (dags / "v12").mkdir()
    (dags / "v12" / "__init__.py").write_text("x")
    (dags / "wordtools").symlink_to("v12")

    [package] = gather("wordtools")

    assert isinstance(package, LocalPackage)
    assert zipfile.ZipFile(package.path).namelist() == ["wordtools/", "wordtools/__init__.py"]


@pytest.mark.parametrize(
    "source",
    ["obs://bucket/jars/a.jar", "https://bucket.obs.eu-de.otc.t-systems.com/jars/a.jar"],
)
def test_objects_in_obs_stay_where_they_are(gather: Gather, source: str) -> None:
    assert gather(source) == [StoredPackage("a.jar", source)]


def test_a_path_of_airflow_in_obs_stays_where_it_is(gather: Gather) -> None:
    class ObsPath:
        protocol = "obs"

        def __str__(self) -> str:
            return "obs://my_connection@bucket/jars/a.jar"

    assert gather(ObsPath()) == [StoredPackage("a.jar", "obs://bucket/jars/a.jar")]


def test_files_of_other_stores_are_fetched(
    storage: fsspec.AbstractFileSystem, gather: Gather, workspace: Path
) -> None:
    body = os.urandom(3_000_000)
    storage.pipe("/lake/a.jar", body)

    [package] = gather(UPath("memory://lake/a.jar"))

    assert isinstance(package, LocalPackage)
    assert package.sha256 == hashlib.sha256(body).hexdigest()
    assert package.path.is_relative_to(workspace)


def test_requirements_of_other_stores_are_collected(
    storage: fsspec.AbstractFileSystem, gather: Gather
) -> None:
    storage.pipe("/lake/requirements.txt", b"--no-index\nno-such-distribution-here\n")

    with pytest.raises(InputError, match="No matching distribution found for no-such-distribution"):
        gather(UPath("memory://lake/requirements.txt"))


def test_a_missing_file_of_another_store_is_named(
    storage: fsspec.AbstractFileSystem, gather: Gather
) -> None:
    with pytest.raises(InputError, match=r"'memory://lake/a.jar': there is no such file"):
        gather(UPath("memory://lake/a.jar"))


def test_a_folder_of_another_store_is_refused_with_the_way_out(
    storage: fsspec.AbstractFileSystem, gather: Gather
) -> None:
    storage.pipe("/lake/jars/a.jar", b"x")

    with pytest.raises(InputError, match=r"it is a folder; give its files, for example sorted"):
        gather(UPath("memory://lake/jars"))


def test_an_empty_file_of_another_store_is_refused(
    storage: fsspec.AbstractFileSystem, gather: Gather
) -> None:
    storage.pipe("/lake/a.jar", b"")

    with pytest.raises(InputError, match=r"a\.jar is empty"):
        gather(UPath("memory://lake/a.jar"))


def test_a_store_that_cannot_be_read_is_told(gather: Gather) -> None:
    with pytest.raises(InputError, match=r"'s3://lake/a.jar': it cannot be read: no right"):
        gather(RemotePath(PermissionError("no right")))


def test_other_errors_of_a_store_come_with_the_source(gather: Gather) -> None:
    with pytest.raises(ImportError, match="Install s3fs") as caught:
        gather(RemotePath(ImportError("Install s3fs")))

    assert caught.value.__notes__ == ["Raised while 's3://lake/a.jar' of sources was read."]


@pytest.mark.parametrize("source", ["s3://lake/a.jar", "hdfs://lake/a.jar", "http://host/a.jar"])
def test_other_addresses_are_left_to_airflow(gather: Gather, source: str) -> None:
    with pytest.raises(InputError) as caught:
        gather(source)

    assert f"sources is '{source}': " in str(caught.value)
    assert f"ObjectStoragePath('{source}')" in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "https://repo.example.com/a.jar",
        "obs://bucket",
        "obs://bucket/folder/",
        "obs://bucket/a b.jar",
        "obs://bucket/ö.jar",
        "OBS://bucket/a.jar",
    ],
)
def test_what_is_no_object_in_obs_is_refused(gather: Gather, source: str) -> None:
    with pytest.raises(InputError, match=r"^sources"):
        gather(source)


@pytest.mark.parametrize(
    "source",
    [
        "https://bucket.obs.eu-de.otc.t-systems.com/a.jar?AccessKeyId=hidden&Signature=hidden",
        "https://user:hidden@bucket.obs.eu-de.otc.t-systems.com/a.jar",
        "s3://key:hidden@bucket/a.jar?X-Amz-Signature=hidden",
    ],
)
def test_secrets_of_an_address_are_not_repeated(gather: Gather, source: str) -> None:
    with pytest.raises(InputError) as caught:
        gather(source)

    assert "hidden" not in told(caught.value).replace(f"gather({source!r})", "")


class SignedPath(RemotePath):
    """A file behind an address that has a signature."""

    protocol = "https"
    name = "a.jar?Signature=hidden"

    def __str__(self) -> str:
        return "https://user:hidden@host/a.jar?Signature=hidden"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("https://host/a.jar?Signature=hidden"),
        RuntimeError("403, url='https://host/a.jar?Signature=hidden'"),
        RuntimeError("no"),
    ],
)
def test_a_signature_is_nowhere_in_the_errors_of_a_store(gather: Gather, error: Exception) -> None:
    with pytest.raises((DliError, RuntimeError)) as caught:
        gather(SignedPath(error))

    # The test itself stands in the traceback.
    assert "hidden" not in "".join(
        map(str, [caught.value, *getattr(caught.value, "__notes__", [])])
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "https://***@host/a.jar?…" in str(caught.value) + str(caught.value.__dict__)


def test_a_signature_is_not_in_what_is_known_of_a_package(gather: Gather) -> None:
    class Readable(SignedPath):
        def open(self, mode: str) -> Any:
            return io.BytesIO(b"some bytes")

    [package] = gather(Readable(RuntimeError()))

    assert package.name == "a.jar"
    assert "hidden" not in repr(package)


@pytest.mark.parametrize("source", ["file://host/a.jar", "file://a.jar", "file://localhost"])
def test_files_of_other_machines_are_refused(gather: Gather, source: str) -> None:
    with pytest.raises(InputError, match="it does not name a local file"):
        gather(source)


@pytest.mark.parametrize("sources", ["a.jar", b"a.jar", Path("a.jar"), {"a.jar": 1}, None, 3])
def test_sources_are_a_list(workspace: Path, sources: Any) -> None:
    with pytest.raises(InputError, match=r"sources is .*: give a list"):
        collect(sources, workspace, base=workspace)


@pytest.mark.parametrize("text", ["['a.jar', 'b.jar']", '["a.jar"]', "('a.jar',)", "[]", " ['a']"])
def test_the_text_of_a_list_names_the_setting_that_helps(workspace: Path, text: str) -> None:
    sources: Any = text

    for given in (sources, [sources]):
        with pytest.raises(InputError, match="set render_template_as_native_obj=True on the DAG"):
            collect(given, workspace, base=workspace)


def test_a_glob_that_looks_like_a_list_is_a_glob(dags: Path, gather: Gather) -> None:
    (dags / "1").write_text("x")

    assert [package.name for package in gather("[1]")] == ["1"]


def test_an_empty_list_is_refused(gather: Gather) -> None:
    with pytest.raises(InputError, match=r"sources is \[\]: give at least one"):
        gather()


@pytest.mark.parametrize("source", ["", b"a.jar", None, 3, ["a.jar"], "a\0.jar"])
def test_what_is_no_source_is_refused(gather: Gather, source: object) -> None:
    with pytest.raises(InputError, match="give files, globs, folders of Python code, OBS obj"):
        gather(source)


def test_a_missing_file_is_named_with_its_place_and_similar_names(
    dags: Path, gather: Gather
) -> None:
    (dags / "word-stats.jar").write_text("x")

    with pytest.raises(InputError) as caught:
        gather("word-stat.jar")

    there = f"there is no {dags}/word-stat.jar; similar names: word-stats.jar"
    assert str(caught.value) == f"sources is 'word-stat.jar': {there}"


@pytest.mark.parametrize("source", ["gone/a.jar", "file.txt/a.jar"])
def test_a_missing_folder_is_named(dags: Path, gather: Gather, source: str) -> None:
    (dags / "file.txt").write_text("x")

    with pytest.raises(InputError, match=r"there is no \S+a.jar, nor its folder \S+"):
        gather(source)


def test_a_home_is_not_guessed(gather: Gather) -> None:
    with pytest.raises(InputError, match="'~' is not replaced, since a worker's home"):
        gather("~/jars/a.jar")


def test_a_folder_may_be_named_like_a_home(dags: Path, gather: Gather) -> None:
    (dags / "~").mkdir()
    (dags / "~" / "a.jar").write_text("x")

    assert [package.name for package in gather("~/a.jar")] == ["a.jar"]


def test_an_address_that_went_through_pathlib_is_recognised(gather: Gather) -> None:
    with pytest.raises(InputError, match="pathlib removes a slash from an address"):
        gather(Path("obs://bucket/a.jar"))


def test_a_name_that_is_too_long_is_refused(gather: Gather) -> None:
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        gather("a" * 300)


@pytest.mark.parametrize("name", ["a.jar", "__init__.py"])
def test_an_empty_file_is_refused(dags: Path, gather: Gather, name: str) -> None:
    (dags / name).touch()

    with pytest.raises(InputError, match=f"{name} is empty"):
        gather(name)


def test_a_link_that_leads_nowhere_is_refused(dags: Path, gather: Gather) -> None:
    (dags / "a.jar").symlink_to("gone.jar")

    with pytest.raises(InputError, match=r"a\.jar is a link to gone\.jar, which does not exist"):
        gather("a.jar")


def test_a_circle_of_links_is_refused(dags: Path, gather: Gather) -> None:
    (dags / "a.jar").symlink_to("b.jar")
    (dags / "b.jar").symlink_to("a.jar")

    with pytest.raises(InputError, match=r"the links at \S+a\.jar form a circle"):
        gather("a.jar")


def test_a_link_to_a_file_elsewhere_is_followed(tmp_path: Path, dags: Path, gather: Gather) -> None:
    (tmp_path / "build-12.jar").write_text("x")
    (dags / "a.jar").symlink_to(tmp_path / "build-12.jar")

    assert [package.name for package in gather("a.jar")] == ["a.jar"]


def test_a_named_pipe_is_refused_and_not_waited_for(dags: Path, gather: Gather) -> None:
    os.mkfifo(dags / "a.jar")

    with pytest.raises(InputError, match=r"a\.jar is a named pipe; give a regular file"):
        gather("a.jar")


def test_a_file_that_becomes_a_named_pipe_is_not_waited_for(dags: Path) -> None:
    os.mkfifo(dags / "a.jar")

    with pytest.raises(InputError, match=r"a\.jar is a named pipe"):
        files.digests([(dags / "a.jar", "a.jar")])


def test_a_device_is_refused(gather: Gather) -> None:
    with pytest.raises(InputError, match="/dev/zero is a device"):
        gather("/dev/zero")


def test_a_file_that_may_not_be_read_is_named(strange_folder: Path, gather: Gather) -> None:
    path = strange_folder / "a.jar"
    path.write_text("x")
    path.chmod(0)

    with without_rights(), pytest.raises(InputError) as caught:
        gather(path)

    assert f"may not read {path}" in str(caught.value)


def test_a_folder_that_may_not_be_read_is_named(strange_folder: Path) -> None:
    (strange_folder / "app" / "sub").mkdir(parents=True)
    (strange_folder / "app" / "a.py").write_text("x")
    (strange_folder / "app" / "sub").chmod(0)

    with without_rights(), pytest.raises(InputError) as caught:
        collect(["app"], strange_folder, base=strange_folder)

    assert f"may not read {strange_folder}/app/sub" in str(caught.value)


def test_a_glob_does_not_pass_over_folders_that_may_not_be_read(strange_folder: Path) -> None:
    (strange_folder / "jars" / "sub").mkdir(parents=True)
    (strange_folder / "jars" / "a.jar").write_text("x")
    (strange_folder / "jars" / "sub").chmod(0)

    with without_rights(), pytest.raises(InputError) as caught:
        collect(["jars/**/*.jar"], strange_folder, base=strange_folder)

    assert f"may not read {strange_folder}/jars/sub" in str(caught.value)


def test_bytes_that_the_disk_does_not_give_are_told(dags: Path) -> None:
    # The memory of a process is a file whose first bytes nobody can read.
    with pytest.raises(InputError, match="/proc/self/mem cannot be read: Input/output error"):
        files.digests([(Path("/proc/self/mem"), "mem")])


def test_a_file_that_changes_meanwhile_is_refused(dags: Path, gather: Gather) -> None:
    path = dags / "a.jar"
    path.touch()
    os.truncate(path, 200_000_000)
    done = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.wait(0.001):
                file.write(b"x")

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        with pytest.raises(DliError, match=r"a\.jar, given by 'a\.jar', changed while it was read"):
            gather("a.jar")
    finally:
        done.set()
        growing.join()


def test_two_sources_of_one_name_are_both_named(dags: Path, gather: Gather) -> None:
    (dags / "a.jar").write_text("x")

    with pytest.raises(InputError) as caught:
        gather("a.jar", "obs://bucket/a.jar")

    both = "['a.jar', 'obs://bucket/a.jar']: both would be the package 'a.jar'; rename one of them"
    assert str(caught.value) == f"sources is {both}"


@pytest.mark.parametrize(
    "sources",
    [
        ["jars/*.jar", "jars/a*.jar"],
        ["jars/a.jar", "jars/*.jar"],
        ["jars/*.jar", "**/*.jar"],
        ["jars/*.jar", "./jars/a.jar", "link/a.jar"],
    ],
)
def test_a_file_that_is_given_twice_comes_once(
    dags: Path, gather: Gather, sources: list[str]
) -> None:
    (dags / "jars").mkdir()
    (dags / "jars" / "a.jar").write_text("x")
    (dags / "jars" / "b.jar").write_text("x")
    (dags / "link").symlink_to("jars")

    assert [package.name for package in gather(*sources)] == ["a.jar", "b.jar"]


def test_a_folder_that_is_given_twice_comes_once(dags: Path, gather: Gather) -> None:
    (dags / "code" / "wordtools").mkdir(parents=True)
    (dags / "code" / "wordtools" / "__init__.py").write_text("")

    assert [package.name for package in gather("code/*", "code/wordtools")] == ["wordtools.zip"]


def test_a_folder_and_its_zip_have_one_name(dags: Path, gather: Gather) -> None:
    (dags / "wordtools").mkdir()
    (dags / "wordtools" / "__init__.py").write_text("x")
    (dags / "wordtools.zip").write_text("x")

    with pytest.raises(InputError, match=r"\['wordtools', 'wordtools.zip'\]: both would be"):
        gather("wordtools", "wordtools.zip")


@pytest.mark.parametrize("name", ["my lib.jar", "ö.jar", "a+b.jar", ".hidden", f"{'a' * 125}.jar"])
def test_a_name_that_dli_forbids_is_refused_before_anything_is_made(
    dags: Path, gather: Gather, workspace: Path, name: str
) -> None:
    (dags / "app").mkdir()
    (dags / "app" / "a.py").write_text("x")
    (dags / name).write_text("x")

    with pytest.raises(InputError) as caught:
        gather("app", name)

    text = str(caught.value)
    assert text.startswith(f"sources is {name!r}: rename it; its package's name is {name!r}")
    assert "letters, digits, underscores, exclamation marks, hyphens or dots" in text
    assert list(workspace.iterdir()) == []


def test_a_full_disk_is_told_when_a_zip_is_made(dags: Path, gather: Gather) -> None:
    (dags / "app").mkdir()
    (dags / "app" / "a.py").write_bytes(b"#" * 100_000)

    with room_for(10_000), pytest.raises(DliError) as caught:
        gather("app")

    reason = os.strerror(errno.EFBIG)
    assert str(caught.value).startswith("app.zip, made of 'app', cannot be written to ")
    assert f": {reason}. Free some space there, or set TMPDIR" in str(caught.value)


def test_a_full_disk_is_told_when_requirements_are_unpacked(dags: Path, gather: Gather) -> None:
    with zipfile.ZipFile(dags / "alpha-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("alpha.py", "#" * 1_000_000)
        wheel.writestr("alpha-1.0.dist-info/METADATA", "Name: alpha\nVersion: 1.0\n")
        wheel.writestr("alpha-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("alpha-1.0.dist-info/RECORD", "")

    with room_for(100_000), pytest.raises(DliError, match="Free some space there, or set TMPDIR"):
        gather("alpha-1.0-py3-none-any.whl")


def test_a_full_disk_is_told_when_pip_collects(dags: Path, gather: Gather) -> None:
    with zipfile.ZipFile(dags / "alpha-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("alpha.py", "#" * 1_000_000)
        wheel.writestr("alpha-1.0.dist-info/METADATA", "Name: alpha\nVersion: 1.0\n")
        wheel.writestr("alpha-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("alpha-1.0.dist-info/RECORD", "")

    with room_for(100_000), pytest.raises(DliError, match="Free some space there, or set TMPDIR"):
        gather("alpha-1.0-py3-none-any.whl")


def test_a_full_disk_is_told_when_a_file_is_fetched(
    storage: fsspec.AbstractFileSystem, gather: Gather
) -> None:
    storage.pipe("/lake/a.jar", b"#" * 100_000)

    with room_for(10_000), pytest.raises(DliError, match=r"a\.jar, made of .* cannot be written"):
        gather(UPath("memory://lake/a.jar"))
