"""Wheels and requirements files become one zip of pure Python; nothing here needs a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from staging.requirements.wheels import asks, build, members

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage


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


def test_namespaces_of_several_wheels_are_imported_from_the_zip(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", files={"space/alpha/__init__.py": "", "alpha-nspkg.pth": ""})
    build(dags / "wheels", "beta", files={"space/beta.py": "from space import alpha\n"})
    asks(dags, "alpha", "beta")

    archive = gather("requirements.txt").path

    code = f"import sys; sys.path[:0] = [{str(archive)!r}]; import space.beta"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_named_bin_is_kept_and_scripts_are_not(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    files = {
        "bin/__init__.py": "",
        "bin/tool.py": "",
        "alpha-1.0.data/scripts/run": "#!python\n",
        "alpha-1.0.data/purelib/more.py": "",
        "alpha-1.0.data/data/share/words.dat": "",
        "alpha-1.0.data/headers/alpha.h": "",
    }
    build(dags / "wheels", "alpha", files=files)
    asks(dags, "alpha")

    found = [name for name in members(gather("requirements.txt")) if "dist-info" not in name]

    assert found == ["bin/__init__.py", "bin/tool.py", "more.py", "share/words.dat"]


def test_modules_without_their_source_are_kept(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    files = {
        "alpha/__init__.py": "",
        "alpha/__init__.pyc": "",
        "alpha/closed.pyc": "",
        "alpha/__pycache__/closed.cpython-311.pyc": "",
    }
    build(dags / "wheels", "alpha", files=files)
    asks(dags, "alpha")

    found = [name for name in members(gather("requirements.txt")) if "dist-info" not in name]

    assert found == ["alpha/__init__.py", "alpha/closed.pyc"]


@pytest.mark.parametrize("name", ["../alpha.py", "/alpha.py", "alpha/../../x.py"])
def test_a_wheel_that_leads_out_of_itself_is_refused(
    dags: Path, gather: Callable[..., LocalPackage], name: str
) -> None:
    build(dags, "alpha", files={name: ""})

    with pytest.raises(InputError, match=r"py3-none-any.whl has a path that points outside of it"):
        gather("alpha-1.0-py3-none-any.whl")


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

    with pytest.raises(
        InputError, match=r"not pure Python: alpha 1.0 \(marked so in its metadata\)"
    ):
        gather("alpha-1.0-py3-none-any.whl")


def test_requirements_that_ask_for_nothing_are_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    asks(dags, "# nothing")

    with pytest.raises(InputError, match="it requires nothing that can be collected"):
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

    with pytest.raises(InputError, match=r"has no pip; install it \(\S+ -m ensurepip\)"):
        gather("requirements.txt")
