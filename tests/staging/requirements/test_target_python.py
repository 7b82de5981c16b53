"""What is collected suits the Python of the engine, or what does not is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from staging.requirements.wheels import asks, build, members

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage


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
    assert text.startswith("sources is 'requirements.txt': it does not fit Python 3.9: ")
    assert 'groups>=1; python_version < "3.11", which alpha 1.0 requires, is missing' in text
    assert 'old; python_full_version < "3.10", which beta 1.0 requires, is missing' in text
    assert "list in a requirements file, without a marker, what 3.9 needs" in text


def test_what_the_file_asks_for_under_a_marker_counts_for_the_engine(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    build(dags / "wheels", "beta")
    asks(dags, "alpha", 'beta; python_version < "3.10"')

    with pytest.raises(InputError, match=r"beta; python_version < .3.10., which the file requires"):
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

    with pytest.raises(InputError, match=r"alpha 1.0 requires beta<2; .*, and 2.0 was collected"):
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

    with pytest.raises(
        InputError, match=r"python_version is .*: give the engine's Python as text, such as '3.9'"
    ):
        gather("a.jar", python_version=value)
