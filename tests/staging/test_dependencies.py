"""Wheels and requirements files become one zip of pure Python; nothing here needs a network."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from told import told

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage
from airflow_provider_dli.staging.sources import collect

OFFLINE = "--no-index\n--find-links wheels\n"


def build(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    files: dict[str, str] | None = None,
    needs: Iterable[str] = (),
    tag: str = "py3-none-any",
    pure: bool = True,
) -> Path:
    """Make a wheel by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-{tag}.whl"
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (files or {f"{name}/__init__.py": f"VERSION = '{version}'\n"}).items():
            archive.writestr(path, text)
        lines = [f"Requires-Dist: {need}\n" for need in needs]
        archive.writestr(f"{about}/METADATA", metadata + "".join(lines))
        words = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\nTag: {tag}\n"
        archive.writestr(f"{about}/WHEEL", words)
        archive.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.fixture
def gather(tmp_path: Path) -> Callable[..., LocalPackage]:
    """Collect one source of the folder `dags`, anew in each call."""
    calls: list[Path] = []

    def gather(source: str, **options: str) -> LocalPackage:
        calls.append(tmp_path / f"workspace-{len(calls)}")
        calls[-1].mkdir()
        [package] = collect([source], calls[-1], base=tmp_path / "dags", **options)
        assert isinstance(package, LocalPackage)
        return package

    return gather


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    return folder


def asks(dags: Path, *lines: str, name: str = "requirements.txt") -> None:
    path = dags / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OFFLINE + "".join(f"{line}\n" for line in lines))


def members(package: LocalPackage) -> list[str]:
    """Give the names of the files in a zip, without the folders."""
    with zipfile.ZipFile(package.path) as opened:
        return [name for name in opened.namelist() if not name.endswith("/")]


def test_requirements_become_a_zip_with_all_dependencies(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["beta>=1"])
    build(dags / "wheels", "beta", files={"beta.py": "", "beta.dat": "x"})
    asks(dags, "alpha")

    package = gather("requirements.txt")

    assert package.name == "requirements.zip"
    assert members(package) == [
        "alpha-1.0.dist-info/METADATA",
        "alpha-1.0.dist-info/WHEEL",
        "alpha/__init__.py",
        "beta-1.0.dist-info/METADATA",
        "beta-1.0.dist-info/WHEEL",
        "beta.dat",
        "beta.py",
    ]


def test_a_wheel_becomes_a_zip_with_its_dependencies(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(dags, "alpha", "1.2", needs=["beta"])
    build(dags / "wheels", "beta")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(dags / "wheels"))

    package = gather("alpha-1.2-py3-none-any.whl")

    assert package.name == "alpha-1.2.zip"
    assert {"alpha/__init__.py", "beta/__init__.py"} < set(members(package))


@pytest.mark.parametrize(
    ("version", "name"), [("1.0+g12ab", "alpha-1.0_g12ab.zip"), ("1.0-1", "alpha-1.0.zip")]
)
def test_local_versions_and_build_numbers_make_legal_names(
    dags: Path, gather: Callable[..., LocalPackage], version: str, name: str
) -> None:
    made = build(dags, "alpha", version.split("-")[0])
    made.rename(dags / f"alpha-{version}-py3-none-any.whl")

    assert gather("alpha-*.whl").name == name


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-job.txt", "requirements_3.txt"])
def test_a_requirements_file_gives_its_stem(
    dags: Path, gather: Callable[..., LocalPackage], name: str
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha", name=name)

    assert gather(name).name == name.replace(".txt", ".zip")


def test_other_text_files_stay_what_they_are(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    asks(dags, "alpha", name="my-requirements.txt")

    package = gather("my-requirements.txt")

    assert (package.name, package.path) == ("my-requirements.txt", dags / "my-requirements.txt")


def test_the_same_wheels_give_the_same_bytes(
    tmp_path: Path, dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    scripts = {"alpha/__init__.py": "", "alpha-1.0.data/scripts/run": "#!python\n"}
    build(dags / "wheels", "alpha", files=scripts)
    build(dags / "elsewhere" / "wheels", "alpha", files=scripts)
    asks(dags, "./wheels/alpha-1.0-py3-none-any.whl")
    asks(dags, "./wheels/alpha-1.0-py3-none-any.whl", name="elsewhere/requirements.txt")

    first = gather("requirements.txt")
    second = gather("elsewhere/requirements.txt")

    assert first.sha256 == second.sha256
    assert members(first) == [
        "alpha-1.0.dist-info/METADATA",
        "alpha-1.0.dist-info/WHEEL",
        "alpha/__init__.py",
    ]


def test_the_engines_python_chooses_the_version(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", "1.0")
    build(dags / "wheels", "alpha", "2.0", tag="py310-none-any")
    asks(dags, "alpha")

    older = gather("requirements.txt", python_version="3.7")
    newer = gather("requirements.txt", python_version="3.10")

    assert "alpha-1.0.dist-info/METADATA" in members(older)
    assert "alpha-2.0.dist-info/METADATA" in members(newer)


@pytest.mark.parametrize("value", ["3,9", "python3", "", "3.9.", 3.9, "4.0"])
def test_what_is_no_version_of_python_is_refused(
    dags: Path, gather: Callable[..., LocalPackage], value: object
) -> None:
    (dags / "a.jar").write_text("x")

    with pytest.raises(InputError, match=r"python_version is .*: give text like '3.9'"):
        gather("a.jar", python_version=value)


def test_relative_paths_count_from_the_requirements_file(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "job" / "wheels", "alpha")
    build(dags / "job" / "wheels", "beta")
    asks(
        dags, "-r more/base.txt", "./wheels/alpha-1.0-py3-none-any.whl", name="job/requirements.txt"
    )
    (dags / "job" / "more").mkdir()
    (dags / "job" / "more" / "base.txt").write_text("beta\n")

    package = gather("job/requirements.txt")

    assert {"alpha/__init__.py", "beta/__init__.py"} < set(members(package))


def test_modules_beside_the_requirements_do_not_disturb_pip(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha")
    (dags / "email.py").write_text("raise RuntimeError\n")

    assert "alpha/__init__.py" in members(gather("requirements.txt"))


def test_settings_of_pip_for_installing_do_not_count(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")

    assert "alpha/__init__.py" in members(gather("requirements.txt"))


def test_pip_leaves_nothing_outside_the_workspace(
    tmp_path: Path,
    dags: Path,
    gather: Callable[..., LocalPackage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha")
    before = sorted(dags.rglob("*"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))

    gather("requirements.txt")

    assert list(elsewhere.iterdir()) == []
    assert sorted(dags.rglob("*")) == before


def test_what_has_only_compiled_wheels_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", tag="cp311-cp311-linux_x86_64", pure=False)
    asks(dags, "alpha")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    text = str(caught.value)
    assert text.startswith("sources is 'requirements.txt': pip cannot collect it: ")
    assert "No matching distribution found for alpha. Only wheels of pure Python" in text
    assert "belongs into the image of the job; or take a version" in text


def test_a_compiled_wheel_is_refused(dags: Path, gather: Callable[..., LocalPackage]) -> None:
    build(dags, "alpha", tag="cp311-cp311-linux_x86_64", pure=False)

    with pytest.raises(InputError, match=r"alpha-1.0-cp311\S+ is not a supported wheel"):
        gather("alpha-1.0-cp311-cp311-linux_x86_64.whl")


@pytest.mark.parametrize("file", ["_fast.so", "_fast.abi3.so", "_fast.so.1.2", "_fast.pyd"])
def test_compiled_files_in_a_wheel_that_calls_itself_pure_are_named(
    dags: Path, gather: Callable[..., LocalPackage], file: str
) -> None:
    build(dags / "wheels", "alpha", files={"alpha/__init__.py": "", f"alpha/{file}": "ELF"})
    asks(dags, "alpha")

    with pytest.raises(InputError, match=rf"not pure Python: alpha 1.0 \(alpha/{file} is compi"):
        gather("requirements.txt")


def test_a_wheel_that_calls_itself_impure_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags, "alpha", pure=False)

    with pytest.raises(InputError, match=r"not pure Python: alpha 1.0 \(its wheel says so\)"):
        gather("alpha-1.0-py3-none-any.whl")


def test_versions_that_contradict_each_other_are_told(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["common>=2"])
    build(dags / "wheels", "beta", needs=["common<2"])
    build(dags / "wheels", "common", "1.0")
    build(dags / "wheels", "common", "2.0")
    asks(dags, "alpha", "beta")

    with pytest.raises(InputError, match=r"alpha 1.0 depends on common>=2; beta 1.0 depends on"):
        gather("requirements.txt")


def test_an_index_out_of_reach_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    (dags / "requirements.txt").write_text("--index-url https://127.0.0.1:1/simple\nalpha\n")
    monkeypatch.setenv("PIP_RETRIES", "1")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "pip cannot collect it: connection broken by " in str(caught.value)
    assert str(caught.value).endswith(
        "Check that this machine reaches the index that pip is to ask"
    )


@pytest.mark.parametrize(
    "line",
    [
        "alpha @ https://user:hidden@127.0.0.1:1/alpha-1.0-py3-none-any.whl;;",
        "--index-url https://user:hid/den@127.0.0.1:1/simple --hidden-is-no-option",
        f"alpha=={'1' * 180} https://user:hidden@127.0.0.1:1/simple",
    ],
)
def test_the_credentials_of_an_index_are_never_quoted(
    dags: Path, gather: Callable[..., LocalPackage], line: str
) -> None:
    (dags / "requirements.txt").write_text(f"{line}\n")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    words = told(caught.value).replace("hidden-is-no-option", "")
    assert "hidden" not in words
    assert "hid/den" not in words


def test_requirements_that_ask_for_nothing_are_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    asks(dags, "# nothing")

    with pytest.raises(InputError, match="it asks for nothing that could be collected"):
        gather("requirements.txt")


def test_a_broken_wheel_is_told_in_pips_words(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    (dags / "alpha-1.0-py3-none-any.whl").write_text("no zip")

    with pytest.raises(InputError, match=r"Wheel 'alpha' located at \S+ is invalid"):
        gather("alpha-1.0-py3-none-any.whl")


def test_a_pip_that_ends_without_a_word_is_told_by_its_status(
    tmp_path: Path,
    dags: Path,
    gather: Callable[..., LocalPackage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asks(dags, "alpha")
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(InputError, match=r"pip cannot collect it: status 7\. Only wheels"):
        gather("requirements.txt")


def test_a_wheel_with_another_name_than_its_own_is_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags, "alpha").rename(dags / "latest.whl")

    with pytest.raises(InputError, match=r"latest.whl is not named like a wheel.* keep the name"):
        gather("latest.whl")


def test_a_python_without_pip_is_told(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks(dags, "alpha")
    monkeypatch.setitem(sys.modules, "pip", None)

    with pytest.raises(InputError, match=r"has no pip; install it there \(\S+ -m ensurepip\)"):
        gather("requirements.txt")
