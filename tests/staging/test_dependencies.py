"""Wheels and requirements files become one zip of pure Python; nothing here needs a network."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
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
    python: str | None = None,
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
        lines += [f"Requires-Python: {python}\n"] if python else []
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

    with pytest.raises(InputError, match=r"py3-none-any.whl has a path that leads out of it"):
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


def test_a_wheel_for_another_python_than_the_workers_is_collected(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", python="<3.10")
    asks(dags, "alpha")

    assert "alpha/__init__.py" in members(gather("requirements.txt", python_version="3.9"))


def test_a_wheel_for_another_python_than_the_engines_is_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", python=">=3.10")
    asks(dags, "alpha")

    with pytest.raises(InputError, match=r"requires a different Python: 3\.9\.0 not in '>=3\.10'"):
        gather("requirements.txt", python_version="3.9")


def test_what_only_the_engines_python_needs_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["beta", 'groups>=1; python_version < "3.11"'])
    build(dags / "wheels", "beta", needs=['old; python_full_version < "3.10"'])
    asks(dags, "alpha")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt", python_version="3.9")

    text = str(caught.value)
    assert text.startswith("sources is 'requirements.txt': this does not suit Python 3.9: ")
    assert 'groups>=1; python_version < "3.11", which alpha 1.0 asks for, is missing' in text
    assert 'old; python_full_version < "3.10", which beta 1.0 asks for, is missing' in text
    assert "ask in a requirements file, without a marker, for what 3.9 needs" in text


def test_what_the_file_asks_for_under_a_marker_counts_for_the_engine(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    build(dags / "wheels", "beta")
    asks(dags, "alpha", 'beta; python_version < "3.10"')

    with pytest.raises(InputError, match=r"beta; python_version < .3.10., which the file asks for"):
        gather("requirements.txt", python_version="3.9")


def test_what_is_asked_for_besides_suits_the_engine(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=['groups>=1; python_version < "3.11"'])
    build(dags / "wheels", "groups")
    asks(dags, "alpha", "groups")

    assert "groups/__init__.py" in members(gather("requirements.txt", python_version="3.9"))


def test_a_version_that_the_engines_python_cannot_have_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=['beta<2; python_version < "3.11"'])
    build(dags / "wheels", "beta", "2.0")
    asks(dags, "alpha", "beta")

    with pytest.raises(InputError, match=r"alpha 1.0 asks for beta<2; .*, and 2.0 was collected"):
        gather("requirements.txt", python_version="3.9")


def test_what_extras_ask_for_counts_for_the_engine(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    needs = ['beta; extra == "more"', 'old; extra == "more" and python_version < "3.10"']
    build(dags / "wheels", "alpha", needs=[*needs, 'unasked; extra == "other"'])
    build(dags / "wheels", "beta")
    asks(dags, "alpha[more]")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt", python_version="3.9")

    assert "old; extra" in str(caught.value)
    assert "unasked" not in str(caught.value)


def test_what_only_the_worker_needs_is_not_held_against_the_engine(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=['newer<2; python_version >= "3.11"'])
    build(dags / "wheels", "newer", needs=['gone; python_version < "3.10"'])
    asks(dags, "alpha")

    assert "alpha/__init__.py" in members(gather("requirements.txt", python_version="3.9"))


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


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-e ./mylib", "is editable, and links to code instead of having it"),
        ("--editable=mylib", "is editable"),
        ("-e git+https://host/repository#egg=mylib", "is editable"),
        ("./mylib", "is a folder"),
        ("mylib/  # ours", "is a folder"),
        ("./mylib[extra] ; python_version > '3'", "is a folder"),
        ("file:mylib", "is a folder"),
        ("mylib @ file:///home/me/mylib", "is no wheel"),
        ("mylib-1.0.tar.gz", "is an archive of sources"),
        ("./mylib-1.0.zip", "is an archive of sources"),
        ("https://host/mylib-1.0.tar.gz", "is no wheel"),
        ("git+https://host/repository", "is kept in a version control system"),
        ("mylib[extra] @ git+ssh://git@host/repository@main", "is kept in a version control"),
        ("--pre --no-binary mylib", "asks for packages that have to be built"),
    ],
)
def test_what_would_have_to_be_built_is_refused_by_name(
    dags: Path, gather: Callable[..., LocalPackage], line: str, what: str
) -> None:
    (dags / "mylib").mkdir()
    (dags / "mylib" / "setup.py").write_text("open('was-run', 'w')\n")
    asks(dags, line)

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    text = str(caught.value)
    assert f"(line 3 of requirements.txt) {what}" in text
    assert "Only wheels are taken" in text
    assert "or give its folder as a source" in text
    assert not list(dags.rglob("was-run"))


@pytest.mark.parametrize(
    "line",
    [
        "./wheels/alpha-1.0-py3-none-any.whl ; python_version > '3'",
        "alpha \\\n  == 1.0  # pinned",
        "--no-binary=:none:\nalpha",
    ],
)
def test_what_needs_no_building_is_let_through(
    dags: Path, gather: Callable[..., LocalPackage], line: str
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, line)

    assert "alpha/__init__.py" in members(gather("requirements.txt", python_version="3.9"))


@pytest.mark.parametrize("option", ["-r more.txt", "--requirement=more.txt", "-c more.txt"])
def test_what_another_file_would_have_built_is_refused_with_its_place(
    dags: Path, gather: Callable[..., LocalPackage], option: str
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha", option)
    (dags / "more.txt").write_text("# ours\nmylib @ \\\n  git+https://me:hidden@host/x\n")

    with pytest.raises(InputError, match=r"\(line 3 of more.txt\) is kept in a version") as caught:
        gather("requirements.txt")

    assert "hidden" not in told(caught.value)


def test_requirements_at_an_address_are_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    asks(dags, "-r https://host/more.txt")

    with pytest.raises(InputError, match=r"is an address, .* Keep a copy of it beside this file"):
        gather("requirements.txt")


def test_variables_in_requirements_are_replaced_and_not_shown(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPOSITORY", "git+https://host/hidden")
    asks(dags, "mylib @ ${REPOSITORY}")

    with pytest.raises(InputError, match=r"'mylib @ \$\{REPOSITORY\}' .* is kept in a version"):
        gather("requirements.txt")


def test_a_file_that_two_others_name_is_no_circle(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "-r alpha.txt", "-c limits.txt")
    (dags / "alpha.txt").write_text("-c limits.txt\nalpha\n")
    (dags / "limits.txt").write_text("alpha<2\n")

    assert "alpha/__init__.py" in members(gather("requirements.txt", python_version="3.9"))


def test_what_a_dependency_builds_does_not_see_the_settings_of_airflow(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    mylib = dags / "mylib"
    mylib.mkdir()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (mylib / "pyproject.toml").write_text(system)
    names = dags / "names.txt"
    code = f"import os\nopen({str(names)!r}, 'w').write('\\n'.join(os.environ))\n"
    (mylib / "backend.py").write_text(code)
    build(dags / "wheels", "alpha", needs=[f"mylib @ {mylib.as_uri()}"])
    asks(dags, "alpha")
    for name in ("AIRFLOW_CONN_MY_DATABASE", "AIRFLOW_VAR_KEY", "AIRFLOW__CORE__FERNET_KEY"):
        monkeypatch.setenv(name, "hidden")

    with pytest.raises(InputError):
        gather("requirements.txt")

    seen = names.read_text().splitlines()
    assert "TMPDIR" in seen
    assert not [name for name in seen if name.startswith(("AIRFLOW_C", "AIRFLOW_V", "AIRFLOW__"))]


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


def test_a_name_that_no_index_has_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "requests")
    asks(dags, "requsts")

    with pytest.raises(InputError, match="index has nothing of the name requsts: correct it, or"):
        gather("requirements.txt")


def test_a_version_that_there_is_not_is_told_with_those_that_there_are(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    for minor in range(9):
        build(dags / "wheels", "alpha", f"1.{minor}")
    asks(dags, "alpha==2.0")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "(from versions: …, 1.4, 1.5, 1.6, 1.7, 1.8)" in str(caught.value)
    assert str(caught.value).endswith(
        "Take one of these versions: no other has a wheel of pure Python for this Python"
    )


def test_a_dependency_that_has_only_compiled_wheels_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["beta"])
    build(dags / "wheels", "beta", tag="cp311-cp311-linux_x86_64", pure=False)
    asks(dags, "alpha")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "beta" in str(caught.value)
    assert ". Only wheels of pure Python can be imported from a zip" in str(caught.value)


def test_a_constraints_file_that_is_not_there_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha", "-c gone.txt")

    with pytest.raises(InputError, match=r"gone\.txt'\. Paths count from the folder of"):
        gather("requirements.txt")


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        (["alpha beta"], "Correct that line"),
        (["--no-such-option"], "Correct that line"),
        (["./wheels/gone-1.0-py3-none-any.whl"], "Paths count from the folder of the file"),
        ([f"alpha==1.0 --hash=sha256:{'0' * 64}"], "Give each requirement, also those of depend"),
        (["alpha==1.0", "alpha<1"], "Loosen one of these requirements"),
    ],
)
def test_each_cause_has_its_remedy(
    dags: Path, gather: Callable[..., LocalPackage], lines: list[str], remedy: str
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, *lines)

    with pytest.raises(InputError, match=rf"\. {remedy}"):
        gather("requirements.txt")


@pytest.fixture
def index() -> Iterator[Callable[[int], str]]:
    """Start an index that answers everything with one status, and give its address."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int) -> str:
        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "Check user and password of the index"),
        (403, "Check user and password of the index"),
        (404, "The index has nothing of the name alpha"),
        (503, "The server fails; try again later"),
    ],
)
def test_each_answer_of_an_index_has_its_remedy(
    dags: Path,
    gather: Callable[..., LocalPackage],
    index: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    remedy: str,
) -> None:
    address = f"http://user:hidden@{index(status)}/simple"
    (dags / "requirements.txt").write_text(f"--index-url {address}\nalpha\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")

    with pytest.raises(InputError, match=remedy) as caught:
        gather("requirements.txt")

    assert str(status) in str(caught.value) or status == 404
    assert "hidden" not in told(caught.value)


@pytest.mark.parametrize(("status", "remedy"), [(403, "Check user"), (404, "Nothing is at this")])
def test_the_signature_of_an_address_is_never_quoted(
    dags: Path,
    gather: Callable[..., LocalPackage],
    index: Callable[[int], str],
    status: int,
    remedy: str,
) -> None:
    address = f"http://{index(status)}/alpha-1.0-py3-none-any.whl?AccessKeyId=a&Signature=hidden"
    (dags / "requirements.txt").write_text(f"alpha @ {address}\n")

    with pytest.raises(InputError, match=remedy) as caught:
        gather("requirements.txt")

    assert "alpha-1.0-py3-none-any.whl?…" in str(caught.value)
    assert "hidden" not in told(caught.value)


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

    with pytest.raises(InputError, match=r"it: status 7\. Run pip download with this file"):
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
