"""What pip would have to build is refused by name, before pip is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from staging.requirements.wheels import asks, build, members
from told import told

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-e ./mylib", "is editable, so it links to code without containing it"),
        ("--editable=mylib", "is editable"),
        ("-e git+https://host/repository#egg=mylib", "is editable"),
        ("./mylib", "is a folder"),
        ("mylib/  # ours", "is a folder"),
        ("./mylib[extra] ; python_version > '3'", "is a folder"),
        ("file:mylib", "is a folder"),
        ("mylib @ file:///home/me/mylib", "is not a wheel"),
        ("mylib-1.0.tar.gz", "is a source archive"),
        ("./mylib-1.0.zip", "is a source archive"),
        ("https://host/mylib-1.0.tar.gz", "is not a wheel"),
        ("git+https://host/repository", "is in a version control system"),
        ("mylib[extra] @ git+ssh://git@host/repository@main", "is in a version control"),
        ("--pre --no-binary mylib", "requires packages that have to be built"),
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
    assert "Only wheels are accepted" in text
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

    with pytest.raises(InputError, match=r"\(line 3 of more.txt\) is in a version") as caught:
        gather("requirements.txt")

    assert "hidden" not in told(caught.value)


def test_requirements_at_an_address_are_refused(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    asks(dags, "-r https://host/more.txt")

    with pytest.raises(InputError, match=r"is an address, .* Keep a copy of it next to this file"):
        gather("requirements.txt")


def test_variables_in_requirements_are_replaced_and_not_shown(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPOSITORY", "git+https://host/hidden")
    asks(dags, "mylib @ ${REPOSITORY}")

    with pytest.raises(InputError, match=r"'mylib @ \$\{REPOSITORY\}' .* is in a version"):
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
    assert not [
        name for name in seen if name.startswith(("AIRFLOW_CONN", "AIRFLOW_VAR", "AIRFLOW__"))
    ]
