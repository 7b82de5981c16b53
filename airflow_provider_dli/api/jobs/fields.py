# SPDX-License-Identifier: Apache-2.0
"""The fields of a Spark batch job: what each may hold, and what is sent for it.

Reference: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html. Values may come
from templates, so numbers and booleans may be text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeGuard

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs import engines
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import InputError

TYPES = {"jars": "jar", "py_files": "pyFile", "files": "file"}
"""The lists of files that a job has, and the type of the packages in each."""

_MEMORY = re.compile(r"[1-9]\d*[MGmg]")
_OBS = re.compile(r"obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/](.*[^/])?")
# Names of older packages and groups break the rules for new ones; paths of a machine are no names.
_PACKAGE = re.compile(r"((?!\.{1,2}/|~/)[^/:]+/)?[^/:]+")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LONGEST_NAME = 128
_LONGEST_TAG = 255
_MOST_RETRIES = 100


def is_in_obs(place: str) -> bool:
    """Say whether a file is named by where it lies in OBS."""
    return place.startswith("obs://")


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    # Not all that can be gone through: a set has no order, and a generator is read once.
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def entries(field: str, value: object) -> list[Any]:
    """Give the entries of a list, which may be one of Airflow's that are read late."""
    if not _is_list(value):
        raise InputError(field, value, "give a list")
    return list(value)


def text(field: str, value: object) -> str:
    """Give `value` when it is text in one line, without blanks around it."""
    checks.given(field, value)
    if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not value:
        raise InputError(field, value, "give text without blanks around it")
    return value


def place(field: str, value: object) -> str:
    """Give `value` when it names a file of a job."""
    named = text(field, value)
    if named.startswith("https://"):
        raise InputError(field, value, "jobs take files of OBS as obs://bucket/key")
    if is_in_obs(named) and not _OBS.fullmatch(named):
        rule = (
            "give obs://bucket/key: the bucket has 3 to 63 small letters, digits, dots or hyphens, "
            "the key no slash at its beginning or end"
        )
        raise InputError(field, value, rule)
    if not is_in_obs(named) and not _PACKAGE.fullmatch(named):
        rule = "give obs://bucket/key, group/package, or the name of a package in DLI"
        raise InputError(field, value, rule)
    return named


def main_file(field: str, value: object) -> str:
    """Give `value` when it names a program: a .jar or a .py.

    Source: https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0384.html
    """
    named = place(field, value)
    if not named.lower().endswith((".jar", ".py")):
        raise InputError(field, value, "a job runs a .jar or a .py file")
    return named


def places(field: str, value: object) -> list[str]:
    """Give the files of a list."""
    return [place(field, entry) for entry in entries(field, value)]


def group(entry: object) -> dict[str, Any]:
    """Give a group as it is sent, from its name alone too: then a job uses all its packages."""
    if isinstance(entry, str):
        return {"name": checks.stored_name("groups", entry)}
    if not isinstance(entry, Mapping) or not set(entry) <= {"name", "resources"}:
        rule = 'give {"name": …, "resources": [{"name": …, "type": …}]}, or the name of a group'
        raise InputError("groups", entry, rule)
    sent: dict[str, Any] = {"name": checks.stored_name("groups", entry.get("name"))}
    if entry.get("resources"):
        sent["resources"] = _resources("groups", entry["resources"], checks.stored_name)
    return sent


def _resources(
    field: str, value: object, name: Callable[[str, object], str] = place
) -> list[dict[str, str]]:
    return [_resource(field, entry, name) for entry in entries(field, value)]


def _resource(field: str, entry: object, name: Callable[[str, object], str]) -> dict[str, str]:
    if not isinstance(entry, Mapping) or set(entry) != {"name", "type"}:
        raise InputError(field, entry, 'each package is {"name": …, "type": …}')
    kind = checks.choice(f"{field}: a type", entry["type"], checks.KINDS)
    return {"name": name(field, entry["name"]), "type": kind}


def _groups(field: str, value: object) -> list[dict[str, Any]]:
    return [group(entry) for entry in entries(field, value)]


def _texts(field: str, value: object) -> list[str]:
    return [text(field, entry) for entry in entries(field, value)]


def _name(field: str, value: object) -> str:
    if len(text(field, value)) > _LONGEST_NAME:
        raise InputError(field, value, f"use at most {_LONGEST_NAME} characters")
    return str(value)


def _class_name(field: str, value: object) -> str:
    return "" if value == "" else text(field, value)


def _arguments(field: str, value: object) -> list[str]:
    if not _is_list(value):
        raise InputError(field, type(value), "give a list of texts and numbers")
    return [_scalar(f"{field}[{index}]", entry) for index, entry in enumerate(value)]


def _settings(field: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InputError(field, type(value), 'give {"spark.…": value}')
    return {_key(field, key): _setting(f"{field}[{key!r}]", entry) for key, entry in value.items()}


def _key(field: str, key: object) -> str:
    return text(f"{field}: a key", key)


def _setting(field: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _scalar(field, value)


def _scalar(field: str, value: object) -> str:
    # No refusal shows a value: arguments and settings may hold secrets.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(field, None if value is None else type(value), "give text or a number")
    try:
        str(value).encode()
    except UnicodeEncodeError:
        # From None: the error would hold the text.
        raise InputError(field, type(value), "it is no Unicode text") from None
    return str(value)


def tags(value: object) -> dict[str, str]:
    """Give the settings that stand for tags: a batch job has none of its own."""
    if not isinstance(value, Mapping):
        raise InputError("tags", value, 'give {"key": "value"}')
    for key, entry in value.items():
        if not isinstance(key, str) or not _TAG.fullmatch(key):
            rule = "use 1 to 128 letters, digits, dots, underscores or hyphens"
            raise InputError("tags key", key, rule)
        if not isinstance(entry, str) or not entry.isprintable() or len(entry) > _LONGEST_TAG:
            rule = f"give text of at most {_LONGEST_TAG} characters, in one line"
            raise InputError(f"tags[{key!r}]", entry, rule)
    return {f"spark.airflow.tag.{key}": str(entry) for key, entry in value.items()}


def _memory(field: str, value: object) -> str:
    if not isinstance(value, str) or not _MEMORY.fullmatch(value):
        rule = "give a whole number with its unit, such as 2G or 2048M: without one no job starts"
        raise InputError(field, value, rule)
    return value


def _whole(field: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    is_whole = isinstance(value, int | str) and not isinstance(value, bool)
    number = lenient.number(value) if is_whole else None
    if number is None or number < least or (most is not None and number > most):
        limits = f"from {least} on" if most is None else f"from {least} to {most}"
        raise InputError(field, value, f"give a whole number {limits}")
    return number


def boolean(field: str, value: object) -> bool:
    """Give what `value` says, also as text."""
    read = lenient.boolean(value)
    return checks.boolean(field, value if read is None else read)


def _spark_version(_: str, value: Any) -> str:
    engines.takes_groups(value)
    return str(value)


def _choice(*words: str) -> Callable[[str, object], str]:
    return partial(_chosen, words)


def _chosen(words: tuple[str, ...], field: str, value: object) -> str:
    return checks.choice(field, value, words)


FIELDS: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "file": ("file", main_file),
    "class_name": ("className", _class_name),
    "args": ("args", _arguments),
    "queue": ("queue", text),
    "name": ("name", _name),
    "sc_type": ("sc_type", _choice("A", "B", "C")),
    "jars": ("jars", places),
    "py_files": ("pyFiles", places),
    "files": ("files", places),
    "modules": ("modules", _texts),
    "resources": ("resources", _resources),
    "groups": ("groups", _groups),
    "conf": ("conf", _settings),
    "driver_memory": ("driverMemory", _memory),
    "driver_cores": ("driverCores", _whole),
    "executor_memory": ("executorMemory", _memory),
    "executor_cores": ("executorCores", _whole),
    "num_executors": ("numExecutors", _whole),
    "obs_bucket": ("obs_bucket", text),
    "auto_recovery": ("auto_recovery", boolean),
    "max_retry_times": ("max_retry_times", partial(_whole, least=0, most=_MOST_RETRIES)),
    "feature": ("feature", _choice("basic", "custom", "ai")),
    "spark_version": ("spark_version", _spark_version),
    "image": ("image", text),
    "catalog_name": ("catalog_name", _choice("dli")),
    "execution_agency_urn": ("execution_agency_urn", text),
}
"""How each field is spelled on the wire, and what gives the value that is sent or refuses it."""
