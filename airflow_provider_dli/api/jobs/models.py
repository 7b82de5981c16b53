# SPDX-License-Identifier: Apache-2.0
"""What DLI's answers say of Spark batch jobs: one job, a page of the listing, lines of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any

from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import WireError


class BatchState(StrEnum):
    """The state of a batch job. `UNKNOWN` stands for any word not documented.

    Source: table 7 of https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html
    """

    STARTING = "starting"
    RUNNING = "running"
    RECOVERING = "recovering"
    SUCCESS = "success"
    DEAD = "dead"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; a state that nobody knows is not taken for an end."""
        return self in {BatchState.SUCCESS, BatchState.DEAD}


_STATES = {state.value: state for state in BatchState}
# Where a request names packages; `python_files` is how it was spelled in 2021.
_FILES = ("jars", "pyFiles", "python_files", "files", "modelFiles", "archives", "resources")


@dataclass(frozen=True, slots=True)
class SparkBatch:
    """One Spark batch job. Times are Unix milliseconds.

    `raw_state` is the state as it was sent; `request` is what the job was submitted with, `None`
    where the answer does not tell it or not as JSON; its `conf` may hold secrets, so it is not
    shown. `extra` holds every field that is not one of these.
    """

    id: str
    name: str | None = None
    raw_state: str = ""
    queue: str | None = None
    owner: str | None = None
    app_id: str | None = None
    create_time: int | None = None
    update_time: int | None = None
    request: Mapping[str, Any] | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> SparkBatch:
        """Read one job object."""
        rest = dict(fields)
        batch_id = lenient.take(rest, "id", lenient.text)
        if not batch_id:
            raise WireError("a batch job has no id")
        # Two names of the same thing; the older one is left where they differ.
        queue = lenient.take(rest, "queue", lenient.text)
        if not queue or rest.get("cluster_name") == queue:
            queue = lenient.take(rest, "cluster_name", lenient.text) or queue
        return cls(
            id=batch_id,
            name=lenient.take(rest, "name", lenient.text),
            raw_state=lenient.take(rest, "state", lenient.text) or "",
            queue=queue,
            owner=lenient.take(rest, "owner", lenient.text),
            app_id=lenient.take(rest, "appId", _app_id),
            create_time=lenient.take(rest, "create_time", lenient.number),
            update_time=lenient.take(rest, "update_time", lenient.number),
            request=_request(rest.pop("req_body", None)),
            extra=rest,
        )

    @property
    def state(self) -> BatchState:
        """The state in its canonical form: the documentation prints both success and Success."""
        return _STATES.get(self.raw_state.strip().lower(), BatchState.UNKNOWN)

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state.is_terminal

    @property
    def summary(self) -> dict[str, Any]:
        """What XCom keeps of the job as the result of a task."""
        return {
            "batch_id": self.id,
            "name": self.name,
            "state": self.state.value,
            "queue": self.queue,
        }

    @property
    def named_groups(self) -> frozenset[str]:
        """The package groups that the request names, whole or as `group/package`."""
        groups = [
            _named("groups", entry)
            for entry in lenient.entries("groups", (self.request or {}).get("groups"))
        ]
        # Group names may have dots, but no slash.
        paths = (name.partition("/") for name in self._files() if "://" not in name)
        return frozenset(chain(groups, (group for group, slash, _ in paths if slash)))

    @property
    def named_packages(self) -> frozenset[str]:
        """The packages that the request names without their group."""
        return frozenset(name for name in self._files() if "/" not in name)

    def _files(self) -> list[str]:
        request = self.request or {}
        named = [request["file"]] if request.get("file") else []
        for spelled in _FILES:
            named += lenient.entries(spelled, request.get(spelled))
        return [_named("the request", entry) for entry in named]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> SparkBatch:
        """Read what `as_dict` gave, of another version of this package as well."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in plain.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON, fit for XCom, without the request."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state.value,
            "raw_state": self.raw_state,
            "queue": self.queue,
            "owner": self.owner,
            "app_id": self.app_id,
            "create_time": self.create_time,
            "update_time": self.update_time,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class BatchListing:
    """A page of the listing. `total` counts all jobs that match, `None` where nobody says."""

    batches: tuple[SparkBatch, ...]
    total: int | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> BatchListing:
        """Read one page. One without the list of jobs is none: it must not look as if all ended."""
        if fields.get("sessions") is None:
            raise WireError("the body has no sessions")
        sessions = lenient.objects("sessions", fields["sessions"])
        return cls(tuple(map(SparkBatch.from_wire, sessions)), lenient.number(fields.get("total")))


@dataclass(frozen=True, slots=True)
class BatchLog:
    """Lines of a driver's log, the oldest first.

    `start` is the number of the first line, `total` counts all lines; `None` where nobody says.
    """

    lines: tuple[str, ...]
    start: int | None = None
    total: int | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> BatchLog:
        """Read an answer. One that has none of the fields of a log is none."""
        if not fields.keys() & {"log", "from", "total"}:
            raise WireError("the body has none of log, from and total")
        return cls(
            tuple(map(_line, lenient.entries("log", fields.get("log") or None))),
            lenient.number(fields.get("from")),
            lenient.number(fields.get("total")),
        )


def _line(entry: object) -> str:
    # One that is null still counts: lines are found again by their numbers.
    line = "" if entry is None else lenient.text(entry)
    if line is None:
        raise WireError("a line of the log is no text")
    return line


def _app_id(value: object) -> str | None:
    # Text on the current pages, a list of texts on those of 2021.
    return lenient.text(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _request(value: object) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            return lenient.json_object(value.encode())
        except (WireError, UnicodeEncodeError):
            return None
    return value if isinstance(value, dict) else None


def _named(place: str, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise WireError(f"an entry of {place} has no name")
    return name.strip()
