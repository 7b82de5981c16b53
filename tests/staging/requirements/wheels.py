"""Wheels made by hand, for the tests of dependencies; nothing here needs a network."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from airflow_provider_dli.staging.content import LocalPackage

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


def asks(dags: Path, *lines: str, name: str = "requirements.txt") -> None:
    path = dags / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OFFLINE + "".join(f"{line}\n" for line in lines))


def members(package: LocalPackage) -> list[str]:
    """Give the names of the files in a zip, without the folders."""
    with zipfile.ZipFile(package.path) as opened:
        return [name for name in opened.namelist() if not name.endswith("/")]
