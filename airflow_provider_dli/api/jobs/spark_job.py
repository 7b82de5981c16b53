# SPDX-License-Identifier: Apache-2.0
"""A Spark batch job as it is asked for: what may be asked, and how DLI spells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.jobs import engines, fields
from airflow_provider_dli.api.protocol.errors import InputError

AGENCY = "spark.dli.job.agency.name"
"""The setting that names an agency where the field does not."""

_OBS_ONLY = (
    "Spark {} takes files as obs:// paths only: stage them with target='obs' and give its output "
    "as packages, or name them in file, jars, py_files and files as obs://bucket/key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """A batch job; wrong values, and what its engine refuses, are an `InputError` when it is made.

    Memory is text with its unit, 2G or 2048M. `tags` become settings in `conf`, for the API has
    none. `conf` and `args` may hold secrets, so they are not shown.

    Fields: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html
    """

    file: str
    queue: str
    class_name: str | None = None
    args: Sequence[object] | None = field(default=None, repr=False)
    name: str | None = None
    sc_type: str | None = None
    jars: Sequence[str] | None = None
    py_files: Sequence[str] | None = None
    files: Sequence[str] | None = None
    modules: Sequence[str] | None = None
    resources: Sequence[Mapping[str, str]] | None = None
    groups: Sequence[Mapping[str, Any] | str] | None = None
    conf: Mapping[str, object] | None = field(default=None, repr=False)
    tags: Mapping[str, str] | None = None
    driver_memory: str | None = None
    driver_cores: int | None = None
    executor_memory: str | None = None
    executor_cores: int | None = None
    num_executors: int | None = None
    obs_bucket: str | None = None
    auto_recovery: bool | None = None
    max_retry_times: int | None = None
    feature: str | None = None
    spark_version: str | None = None
    image: str | None = None
    catalog_name: str | None = None
    execution_agency_urn: str | None = None

    def __post_init__(self) -> None:
        for name in fields.FIELDS:
            object.__setattr__(self, name, checks.given(name, getattr(self, name)))
        object.__setattr__(self, "tags", checks.given("tags", self.tags))
        wire = self.as_wire()
        for required in ("file", "queue"):
            if required not in wire:
                raise InputError(required, None, "every job needs it")
        if wire["file"].lower().endswith(".jar") and not wire["className"]:
            raise InputError("class_name", self.class_name, f"name the main class of {self.file}")
        if wire.get("max_retry_times") is not None and not wire.get("auto_recovery"):
            rule = "it counts only with auto_recovery=True"
            raise InputError("max_retry_times", self.max_retry_times, rule)
        self._check_image()
        self._check_engine()

    def as_wire(self) -> dict[str, Any]:
        """Give the body of the request: what is not given is left out."""
        given = {
            **{name: getattr(self, name) for name in fields.FIELDS},
            # The page calls it mandatory, though a .py has none; so the vendor's own Terraform
            # provider always sends it.
            "class_name": self.class_name or "",
            "conf": self._settings(),
        }
        wire = {
            spelled: read(name, given[name])
            for name, (spelled, read) in fields.FIELDS.items()
            if given[name] is not None
        }
        return {key: value for key, value in wire.items() if value not in ([], {})}

    def _settings(self) -> Any:
        if not self.tags:
            return self.conf
        # What is no mapping is left for the check of the field to refuse.
        conf = self.conf or {}
        return {**conf, **fields.tags(self.tags)} if isinstance(conf, Mapping) else conf

    @property
    def agency(self) -> str | None:
        """The agency with which DLI reads OBS, wherever it is named."""
        return self.execution_agency_urn or str((self.conf or {}).get(AGENCY) or "") or None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What DLI takes and yet is likely to go wrong, a sentence each."""
        return tuple(self._warnings(self.spark_version)) if self.spark_version else ()

    def _warnings(self, version: str) -> Iterator[str]:
        if engines.wants_agency(version) and not self.agency:
            yield (
                f"Spark {version} needs an agency to read OBS, and the job names none: give "
                f"execution_agency_urn, or {AGENCY} in conf."
            )
        if self.execution_agency_urn and not engines.wants_agency(version):
            yield (
                f"execution_agency_urn is for Spark 3.3 and later; on Spark {version} it may not "
                "count."
            )
        if self.modules and not engines.takes_modules(version):
            yield (
                f"Spark {version} loads data sources by settings in conf, not by modules: "
                f"{', '.join(self.modules)} may not be found."
            )

    def _check_image(self) -> None:
        if self.image and self.feature != "custom":
            raise InputError("image", self.image, "it counts only with feature='custom'")
        if self.feature == "custom" and not self.image:
            raise InputError("image", None, "feature='custom' needs it, as organisation/name:tag")

    def _check_engine(self) -> None:
        version = self.spark_version
        if version is None and self.feature != "custom":
            rule = "name the engine, such as 3.3.1: without it DLI takes an old one"
            raise InputError("spark_version", None, rule)
        if version is not None and not engines.takes_groups(version):
            self._check_obs_only(_OBS_ONLY.format(version))

    def _check_obs_only(self, rule: str) -> None:
        for refused in ("groups", "resources"):
            if getattr(self, refused):
                raise InputError(refused, getattr(self, refused), rule)
        named = [("file", self.file)]
        named += [(name, one) for name in fields.TYPES for one in getattr(self, name) or ()]
        for name, place in named:
            if not fields.is_in_obs(place):
                raise InputError(name, place, rule)
