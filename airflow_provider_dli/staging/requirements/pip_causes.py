# SPDX-License-Identifier: Apache-2.0
"""Why pip collected nothing, in its own words, and what helps against each cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from subprocess import CompletedProcess

from airflow_provider_dli.staging.secrecy import without_secrets

IMPURE = (
    "Only wheels of pure Python can be imported from a zip. What has none, or compiled parts, "
    "belongs into the image of the job; or take a version that has one for this Python"
)
"""What to do about packages that have compiled parts."""

_RETRY = re.compile(r"WARNING: Retrying .* after (connection broken by .*)")
_NOT_TELLING = re.compile(r"WARNING|Usage:|hint:|note:|\[notice\]|$")
_CONFLICT = re.compile(r"^The conflict is caused by:\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|Errno (28|122|27)\b")
_DEPENDS = re.compile(r"depends on ([\w.-]+)")
_FOUND = "Found link"
_UNKNOWN = re.compile(r"No matching distribution found for (?P<name>[\w.-]+)")
_VERSIONS = re.compile(r"\(from versions: (?P<all>[^)]*)\)")
_VERSIONS_SHOWN = 5
_LINE_SHOWN = 200
_LINES_SHOWN = 6

_UNREAD = re.compile(r"Could not fetch URL .*(?= - skipping)")
_FAILING = re.compile(r"\b5\d\d (Server Error|error responses)")
_LATER = "The server fails; try again later"
# The first that fits.
_REMEDIES = (
    (
        r"Could not open requirements file|is not a valid .*file|looks like a filename, but the"
        r"|No such file or directory",
        "Paths count from the folder of the file that names them; a worker has that folder only",
    ),
    (r"conflicting dependencies|ResolutionImpossible", "Loosen one of these requirements"),
    (r"is not a supported wheel", IMPURE),
    (r"requires a different Python", "Take a version that is made for this Python"),
    (
        r"DO NOT MATCH THE HASHES|--require-hashes|hashes are required",
        "Give each requirement, also those of dependencies, the hashes of its wheels (pip hash)",
    ),
    (r"Invalid requirement|Invalid marker|no such option|Invalid URL", "Correct that line"),
    (r"HTTP error 404", "Nothing is at this address; correct it"),
    (r"HTTP error 5\d\d|\b5\d\d Server Error", _LATER),
)
_OUT_OF_REACH = "Check that this machine reaches the index that pip is to ask"
_REFUSED = re.compile(r"\b(401|403|407) (Client )?Error|HTTP error (401|403)|failed: 407")
_CREDENTIALS = (
    "Check user and password of the index, or of the proxy: pip takes them from its settings, "
    "PIP_INDEX_URL, or .netrc of the worker's user"
)


@dataclass(frozen=True, slots=True)
class _Said:
    """What pip said: its errors, what it printed, and its log, which tells why links are no use."""

    errors: str
    printed: str
    log: str


def is_disk_full(pip: CompletedProcess[str]) -> bool:
    """Whether pip failed for want of room."""
    return bool(_FULL.search(pip.stderr))


def cause(pip: CompletedProcess[str], log: str) -> str:
    """Return what matters of pip's words, as one line, and what to do."""
    # Before anything is cut: half an address would hide where its password ends.
    said = _Said(*map(without_secrets, (pip.stderr, pip.stdout, log)))
    errors = [line.strip() for line in said.errors.splitlines()]
    retries = [found[1] for line in errors if (found := _RETRY.match(line))]
    lines = [line.removeprefix("ERROR: ") for line in errors if not _NOT_TELLING.match(line)]
    told = [
        *retries[:1],
        *_refusals(said),
        *lines[-_LINES_SHOWN:],
        *_conflict(said).splitlines()[:_LINES_SHOWN],
        *(f"nothing that could be used was found of {name}" for name in _lacking(said)),
    ]
    quote = "; ".join(_cut(line.strip()).rstrip(".") for line in told)
    return f"{quote or f'status {pip.returncode}'}. {_remedy(said, bool(retries))}"


def _refusals(said: _Said) -> Iterator[str]:
    """Return the refusal of an index: pip does not print it, and says that nothing was found."""
    if unknown := _UNKNOWN.search(said.errors):
        for line in _about(unknown["name"], said.log):
            refusal = _UNREAD.search(line)
            if refusal is not None and " 404 Client Error" not in line:
                yield refusal[0]
                return


def _conflict(said: _Said) -> str:
    return found[1] if (found := _CONFLICT.search(said.printed)) else ""


def _lacking(said: _Said) -> list[str]:
    """Name what nothing was found of, where pip calls that a conflict of what depends on it."""
    names = dict.fromkeys(_DEPENDS.findall(_conflict(said)))
    return [name for name in names if not any(_FOUND in line for line in _about(name, said.log))]


def _remedy(said: _Said, is_retried: bool) -> str:
    refusal = next(_refusals(said), "")
    if _REFUSED.search(said.errors + refusal):
        return _CREDENTIALS
    if _FAILING.search(refusal):
        return _LATER
    if is_retried or refusal:
        return _OUT_OF_REACH
    if lacking := _lacking(said):
        return _of_unknown(lacking[0], said)
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, said.errors):
            return remedy
    if unknown := _UNKNOWN.search(said.errors):
        return _of_unknown(unknown["name"], said)
    return "Run pip download with this file on the worker to see more"


def _of_unknown(name: str, said: _Said) -> str:
    versions = _VERSIONS.search(said.errors)
    if versions and versions["all"] not in {"", "none"}:
        return "Take one of these versions: no other has a wheel of pure Python for this Python"
    lines = list(_about(name, said.log))
    if any("none of the wheel's tags" in line or "No sources permitted" in line for line in lines):
        return IMPURE
    if any("requires a different Python" in line for line in lines):
        return "All its versions are for another Python"
    return f"The index has nothing of the name {name}: correct it, or ask the index that has it"


def _about(name: str, log: str) -> Iterator[str]:
    """Return the lines of the log in which a package is named, however its name is written."""
    pattern = re.compile(re.sub(r"[-_.]+", "[-_.]+", name), re.IGNORECASE)
    return (line for line in log.splitlines() if pattern.search(line))


def _cut(line: str) -> str:
    if (versions := _VERSIONS.search(line)) and line.count(",") > _VERSIONS_SHOWN:
        last = ", ".join(versions["all"].split(", ")[-_VERSIONS_SHOWN:])
        line = line.replace(versions["all"], f"…, {last}")
    return line if len(line) <= _LINE_SHOWN else f"{line[:_LINE_SHOWN]}…"
