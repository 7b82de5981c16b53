# SPDX-License-Identifier: Apache-2.0
"""The lines of requirements files: what they require, and what pip would have to build.

Building runs code of the package on the worker, so only wheels are accepted.
Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import argparse
import codecs
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.files import unusable, without_secrets

WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
"""The file name of a wheel."""

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION = re.compile(r"(^|\s)-")
_NAMED = re.compile(r"[\w.-]+\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<address>\S+)")
_EXTRAS = re.compile(r"\[[^\]]*\]$")
_VERSION_CONTROL = re.compile(r"(git|hg|svn|bzr)\+", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(zip|whl|tar|t?[gx]z|tar\.\w+|tbz2?|tlz)$", re.IGNORECASE)
_REMEDY = (
    "Only wheels are accepted, since building anything else would run its code on the worker. Make "
    "a wheel of it (pip wheel --no-deps) and require that, or give its folder as a source"
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as `written`, its `text` with variables replaced, and its place in the file."""

    written: str
    text: str
    file: Path
    place: str

    def refused(self, source: str, what: str, remedy: str = _REMEDY) -> InputError:
        line = without_secrets(self.written)
        return InputError("sources", source, f"{line!r} ({self.place}) {what}. {remedy}")


@dataclass(frozen=True, slots=True)
class _Reader:
    source: str
    seen: set[Path] = field(default_factory=set)

    def required(self, file: Path, name: str) -> Iterator[Requirement]:
        """Yields what a file, and those that it includes, require; constraints are only checked."""
        if file in self.seen or not file.is_file():
            # pip reports the missing file.
            return
        self.seen.add(file)
        for line in _lines(file, name, self.source):
            if line.text.startswith("-"):
                yield from self._of_options(line)
            else:
                yield from self._of_requirement(line)

    def _of_options(self, line: _Line) -> Iterator[Requirement]:
        try:
            options, _ = _OPTIONS.parse_known_args(shlex.split(line.text))
        except (argparse.ArgumentError, ValueError):
            # pip reports what is wrong.
            return
        if options.editable:
            raise line.refused(
                self.source, "is editable, so it links to code without containing it"
            )
        if set(options.no_binary) - {":none:"}:
            raise line.refused(self.source, "requires packages that have to be built")
        for name in options.constraint:
            if (file := _beside(line.file, name)) is not None:
                list(self.required(file, name))
        for name in options.requirement:
            if (file := _beside(line.file, name)) is None:
                raise line.refused(
                    self.source,
                    "is an address, and its content cannot be checked",
                    "Keep a copy of it next to this file, and include that",
                )
            yield from self.required(file, name)

    def _of_requirement(self, line: _Line) -> Iterator[Requirement]:
        text = line.text[: found.start()] if (found := _OPTION.search(line.text)) else line.text
        address = _address(text)
        if address is not None:
            wheel = _wheel(line, address, self.source)
            marker = re.split(r"\s;|;\s", text, maxsplit=1)[1:]
            text = "; ".join([wheel, *marker])
        try:
            yield Requirement(text)
        except InvalidRequirement:
            # pip reports what is wrong. Old forms that it still accepts are not checked.
            return


def required(file: Path, source: str) -> list[Requirement]:
    """Returns what a requirements file requires; a wheel with a path or address by its name.

    Raises `InputError` for a line for which pip would have to build something: an editable one, a
    folder, a source archive, an address of a version control system.
    """
    return list(_Reader(source).required(file, file.name))


def _lines(file: Path, name: str, source: str) -> Iterator[_Line]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise unusable(file, source, error) from error
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_utf_16 else "utf-8-sig", "replace")
    begun = ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.endswith("\\") and not _COMMENT.match(line):
            begun += line.removesuffix("\\")
            continue
        whole, begun = _COMMENT.sub("", begun + line).strip(), ""
        if whole:
            replaced = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), whole)
            yield _Line(whole, replaced, file, f"line {number} of {without_secrets(name)}")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-e", "--editable", action="append", default=[])
    parser.add_argument("-r", "--requirement", action="append", default=[])
    parser.add_argument("-c", "--constraint", action="append", default=[])
    parser.add_argument("--no-binary", action="append", default=[])
    return parser


_OPTIONS = _options()


def _beside(file: Path, name: str) -> Path | None:
    """Returns the file that another one includes, unless that is an address."""
    if name.startswith("file:"):
        return Path(
            unquote(name.removeprefix("file:").removeprefix("//").removeprefix("localhost"))
        )
    return None if "://" in name else Path(os.path.normpath(file.parent / name))


def _address(text: str) -> str | None:
    """Returns the address or path of a requirement that has one, with its extras."""
    if named := _NAMED.match(text):
        return f"{named['address']}{named['extras'] or ''}"
    bare = re.split(r"\s;|;\s|;", text, maxsplit=1)[0].strip()
    path = _EXTRAS.sub("", bare)
    is_path = "/" in path or "\\" in path or path.startswith((".", "file:"))
    return bare if is_path or _ARCHIVE.search(path) else None


def _wheel(line: _Line, address: str, source: str) -> str:
    """Returns the name, extras and version of a wheel; raises `InputError` for anything else."""
    if _VERSION_CONTROL.match(address):
        raise line.refused(source, "is in a version control system")
    extras = found[0] if (found := _EXTRAS.search(address)) else ""
    file = re.split(r"[?#]", _EXTRAS.sub("", address))[0]
    if not file.endswith(".whl"):
        kind = "a source archive" if _ARCHIVE.search(file) else "a folder"
        raise line.refused(source, f"is {'not a wheel' if '://' in file else kind}")
    named = WHEEL.fullmatch(unquote(file.replace("\\", "/").rpartition("/")[2]))
    return f"{named['name']}{extras}=={named['version']}" if named else ""
