# SPDX-License-Identifier: Apache-2.0
"""Why pip failed, from its own output, and what helps in each case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from subprocess import CompletedProcess

from airflow_provider_dli.staging.files import without_secrets

IMPURE = (
    "Only wheels of pure Python can be imported from a zip. Put packages without one, or with "
    "compiled parts, into the image of the job; or use a version that has one for this Python"
)
"""What to do about packages with compiled parts."""

_RETRY = re.compile(r"WARNING: Retrying .* after (connection broken by .*)")
_NOISE = re.compile(r"WARNING|Usage:|hint:|note:|\[notice\]|$")
_CONFLICT = re.compile(r"^The conflict is caused by:\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|Errno (28|122|27)\b")
_DEPENDS = re.compile(r"depends on ([\w.-]+)")
_FOUND = "Found link"
_UNKNOWN = re.compile(r"No matching distribution found for (?P<name>[\w.-]+)")
_VERSIONS = re.compile(r"\(from versions: (?P<all>[^)]*)\)")
_MOST_VERSIONS = 5
_LONGEST_LINE = 200
_MOST_LINES = 6

_UNREAD = re.compile(r"Could not fetch URL .*(?= - skipping)")
_FAILING = re.compile(r"\b5\d\d (Server Error|error responses)")
_LATER = "The server has a problem; try again later"
# The first match counts.
_REMEDIES = (
    (
        r"Could not open requirements file|is not a valid .*file|looks like a filename, but the"
        r"|No such file or directory",
        "Paths start from the folder of the file that has them; a worker has only that folder",
    ),
    (r"conflicting dependencies|ResolutionImpossible", "Loosen one of these requirements"),
    (r"is not a supported wheel", IMPURE),
    (r"requires a different Python", "Use a version for this Python"),
    (
        r"DO NOT MATCH THE HASHES|--require-hashes|hashes are required",
        "Add the hashes of its wheels (pip hash) to each requirement, also of dependencies",
    ),
    (r"Invalid requirement|Invalid marker|no such option|Invalid URL", "Correct that line"),
    (r"HTTP error 404", "There is nothing at this address; correct it"),
    (r"HTTP error 5\d\d|\b5\d\d Server Error", _LATER),
)
_OUT_OF_REACH = "Check that this machine can reach the package index of pip"
_REFUSED = re.compile(r"\b(401|403|407) (Client )?Error|HTTP error (401|403)|failed: 407")
_CREDENTIALS = (
    "Check user and password of the index, or of the proxy: pip reads them from its settings, "
    "PIP_INDEX_URL, or .netrc of the worker's user"
)


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of pip: errors, standard output, and its log, which explains unusable links."""

    errors: str
    printed: str
    log: str


def is_disk_full(pip: CompletedProcess[str]) -> bool:
    """Whether pip failed because the disk is full."""
    return bool(_FULL.search(pip.stderr))


def cause(pip: CompletedProcess[str], log: str) -> str:
    """Returns what matters of pip's output, as one line, and what to do."""
    # Before anything is cut: half an address would not show where its password ends.
    output = _Output(*map(without_secrets, (pip.stderr, pip.stdout, log)))
    errors = [line.strip() for line in output.errors.splitlines()]
    retries = [found[1] for line in errors if (found := _RETRY.match(line))]
    lines = [line.removeprefix("ERROR: ") for line in errors if not _NOISE.match(line)]
    shown = [
        *retries[:1],
        *_refusals(output),
        *lines[-_MOST_LINES:],
        *_conflict(output).splitlines()[:_MOST_LINES],
        *(f"nothing usable was found for {name}" for name in _lacking(output)),
    ]
    quote = "; ".join(_cut(line.strip()).rstrip(".") for line in shown)
    return f"{quote or f'status {pip.returncode}'}. {_remedy(output, bool(retries))}"


def _refusals(output: _Output) -> Iterator[str]:
    """Yields the refusal of an index: pip does not print it, only that nothing was found."""
    if unknown := _UNKNOWN.search(output.errors):
        for line in _about(unknown["name"], output.log):
            refusal = _UNREAD.search(line)
            if refusal is not None and " 404 Client Error" not in line:
                yield refusal[0]
                return


def _conflict(output: _Output) -> str:
    return found[1] if (found := _CONFLICT.search(output.printed)) else ""


def _lacking(output: _Output) -> list[str]:
    """Returns the packages not found, if pip calls that a conflict of what depends on them."""
    names = dict.fromkeys(_DEPENDS.findall(_conflict(output)))
    return [name for name in names if not any(_FOUND in line for line in _about(name, output.log))]


def _remedy(output: _Output, is_retried: bool) -> str:
    refusal = next(_refusals(output), "")
    if _REFUSED.search(output.errors + refusal):
        return _CREDENTIALS
    if _FAILING.search(refusal):
        return _LATER
    if is_retried or refusal:
        return _OUT_OF_REACH
    if lacking := _lacking(output):
        return _of_unknown(lacking[0], output)
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, output.errors):
            return remedy
    if unknown := _UNKNOWN.search(output.errors):
        return _of_unknown(unknown["name"], output)
    return "Run pip download with this file on the worker to see more"


def _of_unknown(name: str, output: _Output) -> str:
    versions = _VERSIONS.search(output.errors)
    if versions and versions["all"] not in {"", "none"}:
        return "Use one of these versions: no other has a wheel of pure Python for this Python"
    lines = list(_about(name, output.log))
    if any("none of the wheel's tags" in line or "No sources permitted" in line for line in lines):
        return IMPURE
    if any("requires a different Python" in line for line in lines):
        return "All its versions are for another Python"
    return f"The index has nothing named {name}: correct it, or use the index that has it"


def _about(name: str, log: str) -> Iterator[str]:
    """Yields the lines of the log that name a package, in any spelling."""
    pattern = re.compile(re.sub(r"[-_.]+", "[-_.]+", name), re.IGNORECASE)
    return (line for line in log.splitlines() if pattern.search(line))


def _cut(line: str) -> str:
    if (versions := _VERSIONS.search(line)) and line.count(",") > _MOST_VERSIONS:
        last = ", ".join(versions["all"].split(", ")[-_MOST_VERSIONS:])
        line = line.replace(versions["all"], f"…, {last}")
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
