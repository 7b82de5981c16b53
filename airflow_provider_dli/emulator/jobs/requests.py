# SPDX-License-Identifier: Apache-2.0
"""DLI's checks of a submitted Spark batch job that need only the body.

Fields and their limits: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html and the
vendor's SDK. Their older spelling: https://github.com/huaweicloudDocs/dli, in
cn.zh-cn/API参考/创建批处理作业.md. The texts of the refusals are not documented. Undocumented
fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_dli.emulator.checks import KINDS, invalid
from airflow_provider_dli.emulator.messages import JsonObject, RefusedError

MAX_NAME = 128
MAX_RETRY_TIMES = 100
DEFAULT_RETRY_TIMES = 20
# The fields with lists of files, besides `file`.
FILE_LISTS = ("jars", "pyFiles", "files")

# The vendor's guide to a first job has maxRetryTimes, and req_body autoRecovery.
_SPELLED_TODAY = {
    "class_name": "className",
    "python_files": "pyFiles",
    "driver_memory": "driverMemory",
    "driver_cores": "driverCores",
    "executor_memory": "executorMemory",
    "executor_cores": "executorCores",
    "num_executors": "numExecutors",
    "autoRecovery": "auto_recovery",
    "maxRetryTimes": "max_retry_times",
}
_MEMORY = re.compile(r"[1-9]\d*[kmgt]b?", re.I)
_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+)*")
_FIRST_WITHOUT_GROUPS = (3, 3)


@dataclass(frozen=True, slots=True)
class Submission:
    """A valid submission: the body, and its fields with their current names."""

    body: JsonObject
    fields: JsonObject

    @property
    def retries(self) -> int:
        """How often the job is run again after a failure."""
        if not self.fields.get("auto_recovery"):
            return 0
        return int(self.fields.get("max_retry_times", DEFAULT_RETRY_TIMES))

    @property
    def flaw(self) -> str | None:
        """The reason why the job is accepted but does not start, or None."""
        for name in ("driverMemory", "executorMemory"):
            if name in self.fields and not _MEMORY.fullmatch(self.fields[name]):
                return f"{name} must have a unit, such as 2G or 2048M, not {self.fields[name]!r}"
        return None


def read_submission(body: JsonObject) -> Submission:
    """Reads the body of POST /batches."""
    for older, today in _SPELLED_TODAY.items():
        if body.get(older) is not None and body.get(today) is not None:
            raise invalid(f"{older} and {today} are the same field and cannot both be given")
    fields = spelled_today(body)
    for name, value in fields.items():
        fits, wanted = _RULES.get(name, _ANYTHING)
        if not fits(value):
            raise invalid(f"{name} must be {wanted}, not {value!r}")
    _check_together(fields)
    _check_engine(fields)
    return Submission(body, fields)


def spelled_today(body: JsonObject) -> JsonObject:
    """Returns the fields that have a value, with their current names."""
    return {
        _SPELLED_TODAY.get(name, name): value for name, value in body.items() if value is not None
    }


def named_files(fields: JsonObject) -> Iterator[str]:
    """Returns every file and package that a job names, except those in `groups`."""
    yield fields["file"]
    for name in FILE_LISTS:
        yield from fields.get(name, ())
    for entry in fields.get("resources", ()):
        yield entry["name"]


def is_in_obs(name: str) -> bool:
    """Whether a file is named by its location in OBS, not as a package."""
    return name.startswith("obs://")


def _check_together(fields: JsonObject) -> None:
    if not fields.get("file"):
        raise invalid("file is mandatory")
    # Mandatory by the page, but a Python file without it was accepted:
    # https://github.com/qzkinhit/huaweitest (a log of DataArts Studio).
    if fields["file"].endswith(".jar") and not fields.get("className"):
        raise invalid("className is mandatory for a JAR file")
    if fields.get("feature") == "custom" and not fields.get("image"):
        raise invalid("image is mandatory where feature is custom")


def _check_engine(fields: JsonObject) -> None:
    """Refuses packages if the engine accepts only files in OBS.

    The fields that Spark 3.3 and later do not accept are documented: `file`, `groups` and
    `resources` on the page of the call, all packages in the guide to developing jobs. The answer is
    not: its code is the one for unsupported features in the general table.
    """
    version = _VERSION.fullmatch(fields.get("spark_version", ""))
    if version is None or (int(version[1]), int(version[2])) < _FIRST_WITHOUT_GROUPS:
        return
    for name in ("groups", "resources"):
        if fields.get(name):
            raise RefusedError(400, "DLI.0007", f"{name} is not supported on Spark {version[0]}")
    for name in named_files(fields):
        if not is_in_obs(name):
            text = f"{name!r} is not supported on Spark {version[0]}, only obs:// paths are"
            raise RefusedError(400, "DLI.0007", text)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_resources(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and _is_text(entry.get("name"))
        # No type, or one of the four; it is not compared with that of the package.
        and entry.get("type") in (None, *KINDS)
        for entry in value
    )


def _is_groups(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and _is_text(entry.get("name"))
        and _is_resources(entry.get("resources") or [])
        for entry in value
    )


_Rule = tuple[Callable[[Any], bool], str]

_ANYTHING: _Rule = (lambda _: True, "anything")
_TEXT: _Rule = (_is_text, "text")
_TEXTS: _Rule = (_is_texts, "a list of texts")
_COUNT: _Rule = (_is_count, "a whole number from 0 on")
_RESOURCES = f"a list of objects with name and type, one of {', '.join(KINDS)}"

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("file", "className", "queue", "cluster_name", "driverMemory"), _TEXT),
    **dict.fromkeys(("executorMemory", "obs_bucket", "image", "catalog_name"), _TEXT),
    "execution_agency_urn": _TEXT,
    **dict.fromkeys(("args", "modules", *FILE_LISTS), _TEXTS),
    **dict.fromkeys(("driverCores", "executorCores", "numExecutors"), _COUNT),
    "name": (lambda v: _is_text(v) and len(v) <= MAX_NAME, f"text of at most {MAX_NAME} letters"),
    "sc_type": (lambda value: value in ("A", "B", "C"), "A, B or C"),
    "feature": (lambda value: value in ("basic", "custom", "ai"), "basic, custom or ai"),
    "spark_version": (
        lambda value: _is_text(value) and (value == "" or _VERSION.fullmatch(value) is not None),
        "a version such as 3.1.1",
    ),
    "auto_recovery": (lambda value: isinstance(value, bool), "a Boolean"),
    "max_retry_times": (
        lambda value: _is_count(value) and value <= MAX_RETRY_TIMES,
        f"a whole number from 0 to {MAX_RETRY_TIMES}",
    ),
    # A list of objects on the older pages, but an object in every example.
    "conf": (lambda value: isinstance(value, dict), "an object"),
    "resources": (_is_resources, _RESOURCES),
    "groups": (_is_groups, f"a list of objects with name and resources, {_RESOURCES}"),
}
