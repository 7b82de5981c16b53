# SPDX-License-Identifier: Apache-2.0
"""Wheels and requirements files: pip collects what they require into one zip for Spark.

Spark imports from the zip, which works only for pure Python, so pip takes no other wheels:
https://pip.pypa.io/en/stable/cli/pip_download/#cmdoption-platform
"""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging import archives
from airflow_provider_dli.staging.requirements import lines, pip_causes, target_python
from airflow_provider_dli.staging.zip_limits import COMPILED

_REQUIREMENTS = re.compile(r"requirements.*\.txt", re.DOTALL)
_PYTHON = re.compile(r"[23](\.\d{1,2}(\.\d{1,2})?)?")
# Metadata of an installation: paths and checksums of one machine.
_OF_INSTALLATION = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
# Connections, variables and settings of Airflow, which pip does not need.
_OF_AIRFLOW = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")


def archive_name(name: str, source: str) -> str | None:
    """Returns the name of the zip for a wheel or a requirements file, `None` for other files."""
    if _REQUIREMENTS.fullmatch(name):
        return f"{name.removesuffix('.txt')}.zip"
    if not name.endswith(".whl"):
        return None
    wheel = lines.WHEEL.fullmatch(name)
    if wheel is None:
        rule = f"{name} is not named like a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
        raise InputError("sources", source, f"{rule}; keep the name of its build")
    # Local versions have a plus sign, which is not allowed in the names of packages.
    return f"{wheel['name']}-{wheel['version']}.zip".replace("+", "_")


def check_python_version(value: object) -> None:
    """Raises `InputError` for what pip does not accept as a version of Python."""
    if not isinstance(value, str) or not _PYTHON.fullmatch(value):
        raise InputError("python_version", value, "give the engine's Python as text, such as '3.9'")


def collect(file: Path, place: Path, archive: str, source: str, python_version: str | None) -> Path:
    """Makes a zip in `place` of what a wheel or a requirements file requires.

    Relative paths in a requirements file start from its folder, as if pip were run there. Raises
    `InputError` if pip fails, would have to build something, or collects something that is not pure
    Python or for another Python; and `OSError` for a full disk.
    """
    required = _required(file, source)
    wheels = place / "wheels"
    wheels.mkdir()
    _download(file, wheels, source, python_version)
    folder = place / "collected"
    found = sorted(wheels.glob("*.whl"))
    impure = [impurity for wheel in found if (impurity := _unpack(wheel, folder, source))]
    if impure:
        rule = f"not pure Python: {', '.join(impure)}. {pip_causes.IMPURE}"
        raise InputError("sources", source, rule)
    if not found:
        raise InputError("sources", source, "it requires nothing that can be collected")
    if python_version is not None:
        _check_fits(folder, required, source, python_version)
    members = {path.relative_to(folder).as_posix(): path for path in _code(folder)}
    archives.write(members, place / archive, source)
    return place / archive


def _required(file: Path, source: str) -> list[Requirement]:
    if wheel := lines.WHEEL.fullmatch(file.name):
        return [Requirement(f"{wheel['name']}=={wheel['version']}")]
    return lines.required(file, source)


def _download(file: Path, wheels: Path, source: str, python_version: str | None) -> None:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        remedy = f"install it ({sys.executable} -m ensurepip), or give a zip"
        raise InputError("sources", source, f"the Python of this process has no pip; {remedy}")
    temporary = wheels.with_name("temporary")
    temporary.mkdir()
    log = wheels.with_name("pip.log")
    command = [
        # -P: modules in its working directory do not shadow those of Python.
        *(sys.executable, "-P", "-m", "pip", "download", "--dest", str(wheels)),
        *("--only-binary", ":all:"),
        *("--platform", "any", "--implementation", "py", "--abi", "none"),
        *(("--python-version", python_version) if python_version else ()),
        *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *("--log", str(log)),
        *([f"./{file.name}"] if file.suffix == ".whl" else ["--requirement", file.name]),
    ]
    pip = subprocess.run(  # noqa: S603  # our own interpreter, and no shell
        command,
        cwd=file.parent,
        env=_environment() | {"TMPDIR": str(temporary), "PIP_REQUIRE_VIRTUALENV": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if not pip.returncode:
        return
    if pip_causes.is_disk_full(pip):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    cause = pip_causes.cause(pip, log.read_text("utf-8", "replace") if log.exists() else "")
    raise InputError("sources", source, f"pip cannot collect it: {cause}")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_AIRFLOW)}


def _unpack(wheel: Path, folder: Path, source: str) -> str | None:
    """Unpacks what can be imported from a wheel; returns why it is not pure Python, else `None`.

    Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    named = lines.WHEEL.fullmatch(wheel.name)
    name = f"{named['name']} {named['version']}" if named else wheel.name
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                path = _unpacked_path(member.filename, wheel, source)
                if member.is_dir() or path is None:
                    continue
                if COMPILED.search(path.name):
                    return f"{name} ({path} is compiled)"
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, archives.CHUNK)
                if path.match("*.dist-info/WHEEL") and _is_marked_impure(target):
                    return f"{name} (marked so in its metadata)"
    except zipfile.BadZipFile as error:
        raise InputError("sources", source, f"the wheel {wheel.name} is broken: {error}") from error
    return None


def _unpacked_path(name: str, wheel: Path, source: str) -> PurePosixPath | None:
    """Returns where a file of a wheel is installed, `None` for scripts and headers."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(
            "sources", source, f"the wheel {wheel.name} has a path that points outside of it"
        )
    if not path.parts[0].endswith(".data"):
        return path
    if path.parts[1:2] in (("purelib",), ("platlib",), ("data",)) and path.parts[2:]:
        return PurePosixPath(*path.parts[2:])
    return None


def _is_marked_impure(file: Path) -> bool:
    return bool(re.search(rb"(?im)^Root-Is-Purelib:\s*false", file.read_bytes()))


def _code(folder: Path) -> Iterator[Path]:
    """Yields the files to pack: without metadata of an installation, and Python's caches."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        is_about = place.endswith(".dist-info") and Path(place).parent == folder
        for name in names:
            is_needed = not name.endswith(".pyc") or archives.is_sourceless(name, names)
            if is_needed and not (is_about and name in _OF_INSTALLATION):
                yield Path(place) / name


def _check_fits(
    folder: Path, required: Sequence[Requirement], source: str, python_version: str
) -> None:
    found = distributions(path=[str(folder)])
    if unmet := target_python.unmet(found, required, python_version):
        here = ".".join(map(str, sys.version_info[:2]))
        rule = (
            f"it does not fit Python {python_version}: {'; '.join(unmet)}. pip evaluates markers "
            f"for the Python of this process, {here}: list in a requirements file, without a "
            f"marker, what {python_version} needs"
        )
        raise InputError("sources", source, rule)
