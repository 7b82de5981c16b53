# SPDX-License-Identifier: Apache-2.0
"""A Spark batch job as it is submitted: its fields, what each may hold, and what an engine takes.

Reference: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html. Values may come
from templates, so numbers and booleans may be text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.fields import declared, optional, table_of
from airflow_provider_dli.api.protocol.errors import InputError

if TYPE_CHECKING:
    from airflow_provider_dli.api.jobs.engines import Engine

TYPES = {"jars": "jar", "py_files": "pyFile", "files": "file"}
"""The lists of files that a job has, and the type of the packages in each."""

AGENCY = "spark.dli.job.agency.name"
"""The setting that names an agency when the field does not."""

_MEMORY = r"[1-9]\d*[MGmg]"
_OBS = r"obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/](.*[^/])?"
# Older packages and groups have names that new ones may not have. A local path is not a name.
_PACKAGE = r"((?!\.{1,2}/|~/)[^/:]+/)?[^/:]+"
_TAG = r"[A-Za-z0-9._-]{1,128}"
_MAX_NAME = 128
_MAX_TAG = 255

_OBS_ONLY = (
    "Spark {} takes files as obs:// paths only: stage them with target='obs' and pass its output "
    "as packages, or name them in file, jars, py_files and files as obs://bucket/key"
)


def is_in_obs(path: str) -> bool:
    """Whether a file is named by its path in OBS."""
    return path.startswith("obs://")


def entries(name: str, value: object) -> list[Any]:
    """Returns the entries of a list, which may be a lazy sequence of Airflow's."""
    if not _is_list(value):
        raise InputError(name, value, "use a list")
    return list(value)


def file_path(name: str, value: object) -> str:
    """Returns `value` if it names a file of a job: a path in OBS, or a package in DLI."""
    path = _text(name, value)
    if path.startswith("https://"):
        raise InputError(name, value, "jobs take files in OBS as obs://bucket/key")
    if is_in_obs(path) and not re.fullmatch(_OBS, path):
        rule = (
            "use obs://bucket/key: the bucket has 3 to 63 lower-case letters, digits, dots or "
            "hyphens, the key does not begin or end with a slash"
        )
        raise InputError(name, value, rule)
    if not is_in_obs(path) and not re.fullmatch(_PACKAGE, path):
        rule = "use obs://bucket/key, group/package, or the name of a package in DLI"
        raise InputError(name, value, rule)
    return path


def file_paths(name: str, value: object) -> list[str]:
    """Returns the files of a list."""
    return [file_path(name, entry) for entry in entries(name, value)]


def group(entry: object) -> dict[str, Any]:
    """Returns a group as it is sent; given by its name alone, the job uses all its packages."""
    if isinstance(entry, str):
        return {"name": checks.stored_name("groups", entry)}
    if not isinstance(entry, Mapping) or not set(entry) <= {"name", "resources"}:
        rule = 'use {"name": …, "resources": [{"name": …, "type": …}]}, or the name of a group'
        raise InputError("groups", entry, rule)
    sent: dict[str, Any] = {"name": checks.stored_name("groups", entry.get("name"))}
    if entry.get("resources"):
        sent["resources"] = _resources("groups", entry["resources"], checks.stored_name)
    return sent


def boolean(name: str, value: object) -> bool:
    """Returns a boolean, which may be text."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    return checks.boolean(name, value)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    # Not every iterable: a set has no order, and a generator can be read only once.
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _text(name: str, value: object) -> str:
    checks.given(name, value)
    if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not value:
        raise InputError(name, value, "use text without blanks around it")
    return value


def _main_file(name: str, value: object) -> str:
    # https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0384.html
    path = file_path(name, value)
    if not path.lower().endswith((".jar", ".py")):
        raise InputError(name, value, "a job runs a .jar or a .py file")
    return path


def _resources(
    name: str, value: object, check_name: Callable[[str, object], str] = file_path
) -> list[dict[str, str]]:
    return [_resource(name, entry, check_name) for entry in entries(name, value)]


def _resource(name: str, entry: object, check_name: Callable[[str, object], str]) -> dict[str, str]:
    if not isinstance(entry, Mapping) or set(entry) != {"name", "type"}:
        raise InputError(name, entry, 'each package is {"name": …, "type": …}')
    kind = checks.choice(f"{name}: a type", entry["type"], checks.KINDS)
    return {"name": check_name(name, entry["name"]), "type": kind}


def _groups(name: str, value: object) -> list[dict[str, Any]]:
    return [group(entry) for entry in entries(name, value)]


def _texts(name: str, value: object) -> list[str]:
    return [_text(name, entry) for entry in entries(name, value)]


def _name(name: str, value: object) -> str:
    if len(_text(name, value)) > _MAX_NAME:
        raise InputError(name, value, f"use at most {_MAX_NAME} characters")
    return str(value)


def _class_name(name: str, value: object) -> str:
    return "" if value == "" else _text(name, value)


def _arguments(name: str, value: object) -> list[str]:
    if not _is_list(value):
        raise InputError(name, type(value), "use a list of texts and numbers")
    return [_scalar(f"{name}[{index}]", entry) for index, entry in enumerate(value)]


def _settings(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InputError(name, type(value), 'use {"spark.…": value}')
    return {
        _text(f"{name}: a key", key): _setting(f"{name}[{key!r}]", entry)
        for key, entry in value.items()
    }


def _setting(name: str, value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else _scalar(name, value)


def _scalar(name: str, value: object) -> str:
    # The error does not show the value: arguments and settings may hold secrets.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(name, None if value is None else type(value), "use text or a number")
    try:
        str(value).encode()
    except UnicodeEncodeError:
        # From None: the error would hold the text.
        raise InputError(name, type(value), "it is not valid Unicode text") from None
    return str(value)


def _tags(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InputError(name, value, 'use {"key": "value"}')
    for key, entry in value.items():
        if not isinstance(key, str) or not re.fullmatch(_TAG, key):
            rule = "use 1 to 128 letters, digits, dots, underscores or hyphens"
            raise InputError(f"{name} key", key, rule)
        if not isinstance(entry, str) or not entry.isprintable() or len(entry) > _MAX_TAG:
            rule = f"use one line of at most {_MAX_TAG} characters"
            raise InputError(f"{name}[{key!r}]", entry, rule)
    return {f"spark.airflow.tag.{key}": str(entry) for key, entry in value.items()}


def _memory(name: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_MEMORY, value):
        rule = "use a whole number with its unit, such as 2G or 2048M: without one no job starts"
        raise InputError(name, value, rule)
    return value


def _whole(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    try:
        number = int(value) if isinstance(value, int | str) else None
    except ValueError:
        number = None
    if isinstance(value, bool) or number is None or not least <= number <= (most or number):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(name, value, f"use a whole number {limits}")
    return number


def _engine_of(spark_version: str) -> Engine:
    # Imported when a job is made: DAG files import this module for its table of fields.
    from airflow_provider_dli.api.jobs.engines import find_engine

    return find_engine(spark_version)


def _spark_version(_: str, value: Any) -> str:
    return _engine_of(value).version


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """A batch job; raises `InputError` for wrong values, and for what its engine does not take.

    `conf` and `args` may hold secrets, so they are not shown.
    """

    file: str = field(
        metadata=declared(
            "the main file, ``.py`` or ``.jar``: an object ``obs://bucket/key``, the name of one "
            "of the ``packages``, or ``group/package`` before Spark 3.3",
            _main_file,
        )
    )
    class_name: str | None = optional("the main class of a JAR", _class_name, wire="className")
    args: Sequence[object] | None = optional(
        "arguments of the application", _arguments, is_json=True, is_shown=False
    )
    queue: str = field(
        metadata=declared(
            "general-purpose queue of DLI on which the job runs; ``queue`` is Airflow's own, of "
            "its workers",
            _text,
            operator_name="queue_name",
        )
    )
    name: str | None = optional("the name of the job", _name)
    sc_type: str | None = optional(
        "``A``, ``B`` or ``C``: 8, 16 or 32 vCPU in all", choices=("A", "B", "C")
    )
    jars: Sequence[str] | None = optional("more JARs, ``obs://`` or names of packages", file_paths)
    py_files: Sequence[str] | None = optional(
        "more Python files, zips and eggs", file_paths, wire="pyFiles"
    )
    files: Sequence[str] | None = optional("more plain files", file_paths)
    modules: Sequence[str] | None = optional(
        "system modules of DLI, such as ``sys.datasource.hbase``; before Spark 3.1", _texts
    )
    resources: Sequence[Mapping[str, str]] | None = optional(
        'packages, ``[{"name": …, "type": …}]``; before Spark 3.3',
        _resources,
        operator_name="package_resources",
        is_json=True,
    )
    groups: Sequence[Mapping[str, Any] | str] | None = optional(
        'package groups, ``[{"name": …, "resources": […]}]``; before Spark 3.3',
        _groups,
        is_json=True,
    )
    conf: Mapping[str, object] | None = optional(
        'settings of Spark, ``{"spark.x": "y"}``', _settings, is_json=True, is_shown=False
    )
    # The API has no tags for batch jobs.
    tags: Mapping[str, str] | None = optional(
        '``{"key": "value"}``; sent in ``conf`` as ``spark.airflow.tag.key``',
        _tags,
        wire="",
        is_json=True,
    )
    driver_memory: str | None = optional(
        "memory of the driver, with its unit, such as ``2G``", _memory, wire="driverMemory"
    )
    driver_cores: int | None = optional("cores of the driver", _whole, wire="driverCores")
    executor_memory: str | None = optional(
        "memory of each executor, with its unit", _memory, wire="executorMemory"
    )
    executor_cores: int | None = optional("cores of each executor", _whole, wire="executorCores")
    num_executors: int | None = optional("number of executors", _whole, wire="numExecutors")
    obs_bucket: str | None = optional("bucket for the logs of the job", _text)
    auto_recovery: bool | None = optional("DLI restarts the job when its driver fails", boolean)
    max_retry_times: int | None = optional(
        "maximum number of these restarts, up to 100", partial(_whole, least=0, most=100)
    )
    feature: str | None = optional(
        "``basic``, ``custom`` or ``ai``", choices=("basic", "custom", "ai")
    )
    spark_version: str | None = optional("the engine, such as ``3.3.1``", _spark_version)
    image: str | None = optional("``organisation/name:tag``, with feature ``custom``", _text)
    catalog_name: str | None = optional("``dli`` to use its metadata", choices=("dli",))
    execution_agency_urn: str | None = optional(
        "name of the agency with which Spark 3.3 and later read OBS", _text
    )

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, checks.given(name, getattr(self, name)))
        wire = self.as_wire()
        for required in ("file", "queue"):
            if required not in wire:
                raise InputError(required, None, "every job needs it")
        if wire["file"].lower().endswith(".jar") and not wire["className"]:
            raise InputError("class_name", self.class_name, f"name the main class of {self.file}")
        if wire.get("max_retry_times") is not None and not wire.get("auto_recovery"):
            rule = "it has no effect without auto_recovery=True"
            raise InputError("max_retry_times", self.max_retry_times, rule)
        self._check_image()
        self._check_engine()

    def as_wire(self) -> dict[str, Any]:
        """Returns the body of the request, without the fields that are not given."""
        given = {name: getattr(self, name) for name in FIELDS} | {
            # The page calls it mandatory, though a .py has none; so the vendor's own Terraform
            # provider always sends it.
            "class_name": self.class_name or "",
            "conf": self._settings(),
        }
        wire = {
            field.wire: field.read(given[name])
            for name, field in FIELDS.items()
            if field.wire and given[name] is not None
        }
        return {key: value for key, value in wire.items() if value not in ([], {})}

    def _settings(self) -> Any:
        if not self.tags:
            return self.conf
        conf = self.conf or {}
        # If it is not a mapping, the check of the field raises.
        return {**conf, **FIELDS["tags"].read(self.tags)} if isinstance(conf, Mapping) else conf

    @property
    def engine(self) -> Engine | None:
        """The engine; `None` for an image without a version."""
        return _engine_of(self.spark_version) if self.spark_version else None

    @property
    def agency(self) -> str | None:
        """The agency with which DLI reads OBS, from the field or from `conf`."""
        return self.execution_agency_urn or str((self.conf or {}).get(AGENCY) or "") or None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What DLI accepts but is likely to fail, one sentence each."""
        return tuple(self._warnings(self.engine)) if self.engine else ()

    def warnings_on(self, cloud: str | None, today: date) -> tuple[str, ...]:
        """The warnings, and one more if the cloud no longer supports the engine."""
        ended = self.engine and self.engine.support_warning(cloud, today)
        return (*self.warnings, ended) if ended else self.warnings

    def _warnings(self, engine: Engine) -> Iterator[str]:
        version = engine.version
        if engine.needs_agency and not self.agency:
            yield (
                f"Spark {version} needs an agency to read OBS, and the job names none: set "
                f"execution_agency_urn, or {AGENCY} in conf."
            )
        if self.execution_agency_urn and not engine.needs_agency:
            yield (
                "execution_agency_urn is for Spark 3.3 and later; it may have no effect on Spark "
                f"{version}."
            )
        if self.modules and not engine.takes_modules:
            yield (
                f"Spark {version} loads data sources by settings in conf, not by modules: "
                f"{', '.join(self.modules)} may not be found."
            )

    def _check_image(self) -> None:
        if self.image and self.feature != "custom":
            rule = "it has no effect without feature='custom'"
            raise InputError("image", self.image, rule)
        if self.feature == "custom" and not self.image:
            raise InputError("image", None, "feature='custom' needs it, as organisation/name:tag")

    def _check_engine(self) -> None:
        if self.engine is None and self.feature != "custom":
            rule = "name the engine, such as 3.3.1: without it DLI uses an old one"
            raise InputError("spark_version", None, rule)
        if self.engine and not self.engine.takes_groups:
            self._check_obs_only(_OBS_ONLY.format(self.engine.version))

    def _check_obs_only(self, rule: str) -> None:
        for refused in ("groups", "resources"):
            if getattr(self, refused):
                raise InputError(refused, getattr(self, refused), rule)
        named = [("file", self.file)]
        named += [(name, one) for name in TYPES for one in getattr(self, name) or ()]
        for name, path in named:
            if not is_in_obs(path):
                raise InputError(name, path, rule)


FIELDS = table_of(SparkJob)
