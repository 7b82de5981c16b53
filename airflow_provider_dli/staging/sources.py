# SPDX-License-Identifier: Apache-2.0
"""The sources that users give, and the packages that they become."""

from __future__ import annotations

import ast
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import DliError, InputError
from airflow_provider_dli.staging import (
    archives,
    files,
    globs,
    remote_files,
    zip_limits,
)
from airflow_provider_dli.staging.content import LocalPackage, Package, StoredPackage
from airflow_provider_dli.staging.files import without_secrets
from airflow_provider_dli.staging.requirements import dependencies

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_LOG = logging.getLogger(__name__)
_RULE = "give files, globs, folders of Python code, OBS objects, or ObjectStoragePaths"
_RULE_FOR_TEXT = (
    "this is a list as text, which templates render; set render_template_as_native_obj=True on the "
    "DAG to get the list itself"
)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A package whose file is not made yet: `make` does that, in a folder of its own.

    `origin` is the local file or folder that it comes from, with all links resolved.
    """

    name: str
    source: str
    make: Callable[[Path], Path]
    origin: Path | None = None


def collect(
    sources: Sequence[str | os.PathLike[str] | object],
    workspace: Path,
    *,
    base: Path,
    python_version: str | None = None,
    warn: Callable[[str], object] = _LOG.warning,
) -> list[Package]:
    """Returns the packages of the sources, in their order, each file once.

    A source is the path of a local file, a glob, a folder of Python code, a wheel or a requirements
    file, relative to `base`; an OBS object, `obs://…` or `https://…`; or an `ObjectStoragePath`.
    Files that have to be made or fetched go into `workspace`, an empty folder that the caller
    removes. `python_version` is that of the engine, for dependencies. `warn` is called with what is
    known to fail when it is imported from a zip.

    Raises `InputError` for a source that cannot be staged, and `DliError` for a file that changes
    meanwhile or a full disk. All names are checked before anything is made.
    """
    if python_version is not None:
        dependencies.check_python_version(python_version)
    planner = _Planner(base.absolute(), python_version, warn)
    planned = list(_once(one for source in _listed(sources) for one in planner.plan(source)))
    _check_names(planned)
    local = [one for one in planned if isinstance(one, _Planned)]
    made = [
        (_made(one, workspace / str(number)), one.source) for number, one in enumerate(local, 1)
    ]
    packages = (
        LocalPackage(one.name, path, one.source, digest.size, digest.sha256, digest.tags)
        for one, (path, _), digest in zip(local, made, files.digests(made), strict=True)
    )
    return [one if isinstance(one, StoredPackage) else next(packages) for one in planned]


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans packages by the kinds of their sources."""

    base: Path
    python_version: str | None
    warn: Callable[[str], object]

    def plan(self, source: object) -> Iterator[_Planned | StoredPackage]:
        if isinstance(getattr(source, "protocol", None), str):
            return self._object_path(source)
        text = os.fspath(source) if isinstance(source, os.PathLike) else source
        if not isinstance(text, str) or not text or "\0" in text:
            raise InputError("sources", source, _RULE)
        if _is_text_of_list(text) and not os.path.lexists(self.base / text):
            raise InputError("sources", without_secrets(text), _RULE_FOR_TEXT)
        scheme = _SCHEME.match(text)
        match scheme and scheme["scheme"].lower():
            case None:
                return self._local(text)
            case "file":
                return self._local(_path_of(text))
            case "obs" | "https":
                return iter([_stored(text)])
        address = _public_address(text)
        rule = f"have Airflow fetch it: ObjectStoragePath({address!r})"
        raise InputError("sources", address, rule)

    def _object_path(self, path: Any) -> Iterator[_Planned | StoredPackage]:
        source = _public_address(str(path))
        if path.protocol in {"", "file", "local"}:
            yield from self._local(path.path)
        elif path.protocol == "obs":
            yield _stored(_without_connection(str(path)))
        else:
            remote_files.check_file(path, source)
            yield self._of_file(
                remote_files.name_of(path),
                source,
                lambda place: remote_files.fetch(path, place, source),
            )

    def _local(self, text: str) -> Iterator[_Planned]:
        for path in globs.expand(text, self.base):
            # A match is shown as if it had been given itself.
            yield self._local_package(path, text if path == self.base / text else str(path))

    def _local_package(self, path: Path, source: str) -> _Planned:
        if files.is_directory(path, source):
            # Names "." and "..", and a link by its own name and not by its target's.
            folder = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() follows links

            def packed(place: Path) -> Path:
                place.mkdir()
                return self._warned(archives.pack_code(folder, place, source), source)

            return _Planned(archives.code_name(folder), source, packed, path.resolve())
        files.check_filled(path, source)
        return self._of_file(path.name, source, lambda place: path, path.resolve())

    def _of_file(
        self, name: str, source: str, make: Callable[[Path], Path], origin: Path | None = None
    ) -> _Planned:
        archive = dependencies.archive_name(name, source)
        if archive is None:
            return _Planned(name, source, make, origin)

        def collected(place: Path) -> Path:
            place.mkdir()
            file = make(place / "fetched")
            made = dependencies.collect(file, place, archive, source, self.python_version)
            return self._warned(made, source)

        return _Planned(archive, source, collected, origin)

    def _warned(self, archive: Path, source: str) -> Path:
        """Returns the zip, after warnings about what will not work in it."""
        for sentence in zip_limits.limits(archive):
            self.warn(f"{archive.name}, made of {source!r}: {sentence}")
        return archive


def _once(planned: Iterable[_Planned | StoredPackage]) -> Iterator[_Planned | StoredPackage]:
    """Skips files that two sources have in common, such as two globs."""
    seen: set[tuple[str, Path]] = set()
    for one in planned:
        if isinstance(one, _Planned) and one.origin is not None:
            if (one.name, one.origin) in seen:
                continue
            seen.add((one.name, one.origin))
        yield one


def _listed(sources: object) -> list[object]:
    if isinstance(sources, str) and _is_text_of_list(sources):
        raise InputError("sources", without_secrets(sources), _RULE_FOR_TEXT)
    if isinstance(sources, str | bytes | Mapping) or not isinstance(sources, Iterable):
        given = without_secrets(sources) if isinstance(sources, str) else sources
        raise InputError("sources", given, f"give a list; {_RULE}")
    listed = list(sources)
    if not listed:
        raise InputError("sources", sources, f"give at least one; {_RULE}")
    return listed


def _is_text_of_list(text: str) -> bool:
    if not re.match(r"\s*[\[(]", text):
        return False
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _path_of(address: str) -> str:
    host, slash, path = address[len("file://") :].partition("/")
    if host not in {"", "localhost"} or not slash:
        rule = "it does not name a local file; give file:///path"
        raise InputError("sources", address, rule)
    return unquote(f"/{path}")


def _stored(address: str) -> StoredPackage:
    try:
        checks.obs_location(address, "sources")
    except InputError:
        public = _public_address(address)
        if public == address:
            raise
        rule = "give the address alone, without user or query"
        raise InputError("sources", public, rule) from None
    return StoredPackage(checks.package_name(address), address)


def _without_connection(address: str) -> str:
    """Returns `obs://bucket/key` for Airflow's `obs://connection@bucket/key`."""
    bucket, _, key = address.removeprefix("obs://").partition("/")
    return f"obs://{bucket.rpartition('@')[2]}/{key}"


def _public_address(address: str) -> str:
    """Returns an address without what may be secret in it: a password, a signature."""
    bare, mark, _ = without_secrets(address).partition("?")
    return f"{bare}{mark}…" if mark else bare


def _check_names(planned: Sequence[_Planned | StoredPackage]) -> None:
    seen: dict[str, str] = {}
    for one in planned:
        source = one.url if isinstance(one, StoredPackage) else one.source
        try:
            checks.package("its package's name", one.name)
        except InputError as error:
            raise InputError("sources", source, f"rename it; {error}") from None
        if one.name in seen:
            rule = f"both would be the package {one.name!r}; rename one of them"
            raise InputError("sources", [seen[one.name], source], rule)
        seen[one.name] = source


def _made(planned: _Planned, place: Path) -> Path:
    try:
        return planned.make(place)
    except OSError as error:
        raise DliError(
            f"{planned.name}, made of {planned.source!r}, cannot be written to {place}: "
            f"{error.strerror or error}. Free some space there, or set TMPDIR to another folder."
        ) from error
