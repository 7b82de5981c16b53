# SPDX-License-Identifier: Apache-2.0
"""Checks that what pip collected fits the Python of the engine.

pip can choose wheels for another Python, but evaluates the markers of dependencies, such as
`python_version < "3.11"`, for the Python that it runs on:
https://pip.pypa.io/en/stable/cli/pip_download/#cmdoption-python-version
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from airflow_provider_dli.staging.files import without_secrets

_PATCHES = range(40)
# DLI's engines: https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0534.html
_LINUX = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}


def unmet(
    collected: Iterable[Distribution], required: Iterable[Requirement], python_version: str
) -> list[str]:
    """Returns what is missing, or for another Python, if this version of Python imports it all."""
    distributions = {canonicalize_name(one.metadata["Name"]): one for one in collected}
    walk = _Walk(distributions, python_version)
    return list(dict.fromkeys(walk.faults(required)))


@dataclass(slots=True)
class _Walk:
    """Follows the requirements from the given ones on, as the engine's Python would."""

    distributions: Mapping[NormalizedName, Distribution]
    python_version: str
    seen: set[tuple[str, str]] = field(default_factory=set)

    def faults(self, required: Iterable[Requirement]) -> Iterator[str]:
        waiting = deque((requirement, "the file", "") for requirement in required)
        while waiting:
            requirement, by, extra = waiting.popleft()
            if not self._applies(requirement, extra):
                continue
            name = canonicalize_name(requirement.name)
            distribution = self.distributions.get(name)
            if distribution is None:
                yield f"{without_secrets(str(requirement))}, which {by} requires, is missing"
                continue
            if not requirement.specifier.contains(distribution.version, prereleases=True):
                yield f"{by} requires {requirement}, and {distribution.version} was collected"
            if (name, "") not in self.seen:
                yield from self._own_fault(distribution)
            for extra in sorted({"", *requirement.extras}):
                if (name, extra) in self.seen:
                    continue
                self.seen.add((name, extra))
                waiting.extend((need, _named(distribution), extra) for need in _needs(distribution))

    def _applies(self, requirement: Requirement, extra: str) -> bool:
        """Whether a requirement applies to the engine's Python, and to this extra of its owner."""
        if requirement.marker is None:
            return not extra
        with_extra = requirement.marker.evaluate(self._environment(extra))
        # What applies without the extra was followed before.
        return with_extra and not (extra and requirement.marker.evaluate(self._environment("")))

    def _environment(self, extra: str) -> dict[str, str]:
        major, minor, patch = [*self.python_version.split("."), "0", "0"][:3]
        whole = f"{major}.{minor}.{patch}"
        of_python = {
            "python_version": f"{major}.{minor}",
            "python_full_version": whole,
            "implementation_version": whole,
        }
        return {**_LINUX, **of_python, "extra": extra}

    def _own_fault(self, distribution: Distribution) -> Iterator[str]:
        needed = distribution.metadata.get_all("Requires-Python", [])
        if not all(_allows(versions, self.python_version) for versions in needed):
            yield f"{_named(distribution)} is for Python {', '.join(needed)}"


def _needs(distribution: Distribution) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        try:
            yield Requirement(text)
        except InvalidRequirement:
            # An old form, such as `beta (>=1.0.*)`, which pip understands.
            continue


def _allows(needed: str, python_version: str) -> bool:
    try:
        specifiers = SpecifierSet(needed)
    except InvalidSpecifier:
        # pip ignores it, too.
        return True
    version = python_version if "." in python_version else f"{python_version}.0"
    if version.count(".") > 1:
        return specifiers.contains(version)
    # `3.9` may be any 3.9.
    return any(specifiers.contains(f"{version}.{patch}") for patch in _PATCHES)


def _named(distribution: Distribution) -> str:
    return f"{distribution.metadata['Name']} {distribution.version}"
