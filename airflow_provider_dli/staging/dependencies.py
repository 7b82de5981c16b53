# SPDX-License-Identifier: Apache-2.0
"""Wheels and requirements files: pip collects what they ask for into one zip for Spark.

Spark imports from a zip, which only pure Python allows. pip is told to take no other wheels:
https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-platform
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from airflow_provider_dli.api.errors import InputError
from airflow_provider_dli.staging import archives

_REQUIREMENTS = re.compile(r"requirements.*\.txt", re.DOTALL)
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
_PYTHON = re.compile(r"[23](\.\d{1,2}(\.\d{1,2})?)?")
_COMPILED = re.compile(r"\.(so(\.[\d.]+)?|pyd|dll|dylib)$")
# What an installation says of itself: paths and checksums of this machine.
_OF_INSTALLATION = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_RETRY = re.compile(r"WARNING: Retrying .* after (connection broken by .*)")
_NOT_TELLING = re.compile(r"WARNING|Usage:|hint:|note:|$")
_CONFLICT = re.compile(r"^The conflict is caused by:\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_LINE_SHOWN = 200
_LINES_SHOWN = 6
_REMEDY = (
    "Only wheels of pure Python can be imported from a zip. What has none, or compiled parts, "
    "belongs into the image of the job; or take a version that has one for this Python"
)
_REMEDY_OUT_OF_REACH = "Check that this machine reaches the index that pip is to ask"


def archive_name(name: str, source: str) -> str | None:
    """Give the name of the zip that is made of a wheel or a requirements file, else `None`."""
    if _REQUIREMENTS.fullmatch(name):
        return f"{name.removesuffix('.txt')}.zip"
    if not name.endswith(".whl"):
        return None
    wheel = _WHEEL.fullmatch(name)
    if wheel is None:
        rule = f"{name} is not named like a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
        raise InputError("sources", source, f"{rule}; keep the name that it was built with")
    # Local versions have a plus sign, which no package's name may have.
    return f"{wheel['name']}-{wheel['version']}.zip".replace("+", "_")


def check_python_version(value: object) -> None:
    """Refuse what pip would not take for a version of Python."""
    if not isinstance(value, str) or not _PYTHON.fullmatch(value):
        raise InputError("python_version", value, "give text like '3.9', the engine's Python")


def collect(file: Path, place: Path, archive: str, source: str, python_version: str | None) -> Path:
    """Make a zip in `place` of what a wheel or a requirements file asks for.

    Relative paths in a requirements file count from its folder, as if pip were run there. Markers
    such as `python_version < "3.8"` hold or not for the Python of this process: pip has no option
    for that. Raises `InputError` where pip fails, or brings something that is not pure Python.
    """
    folder = place / "installed"
    _install(file, folder, source, python_version)
    impure = sorted(filter(None, map(_impurity, distributions(path=[str(folder)]))))
    if impure:
        raise InputError("sources", source, f"not pure Python: {', '.join(impure)}. {_REMEDY}")
    members = {path.relative_to(folder).as_posix(): path for path in _installed(folder)}
    if not members:
        raise InputError("sources", source, "it asks for nothing that could be collected")
    archives.write(members, place / archive, source)
    return place / archive


def _install(file: Path, folder: Path, source: str, python_version: str | None) -> None:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        way_out = f"install it there ({sys.executable} -m ensurepip), or give a zip"
        raise InputError("sources", source, f"the Python of this process has no pip; {way_out}")
    temporary = folder.with_name("temporary")
    temporary.mkdir()
    command = [
        # -P: modules of the folder that it runs in are not taken for those of Python.
        *(sys.executable, "-P", "-m", "pip", "install", "--target", str(folder)),
        *("--no-compile", "--only-binary", ":all:"),
        *("--platform", "any", "--implementation", "py", "--abi", "none"),
        *(("--python-version", python_version) if python_version else ()),
        *("--no-user", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *([f"./{file.name}"] if file.suffix == ".whl" else ["--requirement", file.name]),
    ]
    pip = subprocess.run(  # noqa: S603  # our own interpreter, and no shell
        command,
        cwd=file.parent,
        env={**os.environ, "TMPDIR": str(temporary), "PIP_REQUIRE_VIRTUALENV": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if pip.returncode:
        raise InputError("sources", source, f"pip cannot collect it: {_said(pip)}")


def without_credentials(text: str) -> str:
    """Give text without the user and password of any address in it; rather too little than them."""
    return re.sub(r"//\S*@", "//***@", text)


def _installed(folder: Path) -> Iterator[Path]:
    """Give what is to be packed: no scripts, and nothing of the installation itself."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        of_installation = parts[0].endswith(".dist-info") and path.name in _OF_INSTALLATION
        if path.is_file() and parts[0] != "bin" and not of_installation and path.suffix != ".pyc":
            yield path


def _impurity(distribution: Distribution) -> str | None:
    name = f"{distribution.metadata['Name']} {distribution.version}"
    for file in distribution.files or ():
        if _COMPILED.search(file.name):
            return f"{name} ({file} is compiled)"
    if re.search(r"(?im)^Root-Is-Purelib:\s*false", distribution.read_text("WHEEL") or ""):
        return f"{name} (its wheel says so)"
    return None


def _said(pip: subprocess.CompletedProcess[str]) -> str:
    """Give what matters of pip's words, as one line, and what to do."""
    # Before anything is cut: half an address would hide where its password ends.
    errors = [line.strip() for line in without_credentials(pip.stderr).splitlines()]
    retries = [found[1] for line in errors if (found := _RETRY.match(line))]
    lines = [line.removeprefix("ERROR: ") for line in errors if not _NOT_TELLING.match(line)]
    conflict = _CONFLICT.search(without_credentials(pip.stdout))
    told = [*retries[:1], *lines[-_LINES_SHOWN:], *(conflict[1].splitlines() if conflict else ())]
    quote = "; ".join(_cut(line.strip()).rstrip(".") for line in told)
    remedy = _REMEDY_OUT_OF_REACH if retries else _REMEDY
    return f"{quote or f'status {pip.returncode}'}. {remedy}"


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_SHOWN else f"{line[:_LINE_SHOWN]}…"
