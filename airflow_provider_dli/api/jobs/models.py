# SPDX-License-Identifier: Apache-2.0
"""The models of Spark batch jobs: one job, a page of the listing, lines of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any

from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import WireError


class BatchState(StrEnum):
    """The state of a batch job. `UNKNOWN` stands for any word that is not documented.

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
        """Whether the job has ended; an unknown state does not count as an end."""
        return self in {BatchState.SUCCESS, BatchState.DEAD}


_STATES = {state.value: state for state in BatchState}
# The fields of a request that name packages; `python_files` is the spelling of 2021.
_FILES = ("jars", "pyFiles", "python_files", "files", "modelFiles", "archives", "resources")


@dataclass(frozen=True, slots=True)
class SparkBatch:
    """One Spark batch job. Times are Unix milliseconds.

    `raw_state` is the state as the service spells it. `request` is the request that submitted the
    job, or `None` where the answer does not have it as JSON; its `conf` may have secrets, so `repr`
    leaves it out. `extra` has all other fields.
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
        """Returns the job of a JSON object."""
        rest = dict(fields)
        batch_id = lenient.take(rest, "id", lenient.text)
        if not batch_id:
            raise WireError("a batch job has no id")
        # Two names of the same field; the older one stays in `extra` where they differ.
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
        """The canonical state: the documentation has both success and Success."""
        return _STATES.get(self.raw_state.strip().lower(), BatchState.UNKNOWN)

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state.is_terminal

    @property
    def is_dead(self) -> bool:
        """Whether the job has ended without success."""
        return self.state is BatchState.DEAD

    @property
    def summary(self) -> dict[str, Any]:
        """The result of a task in XCom."""
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
            _name_of("groups", entry)
            for entry in lenient.entries("groups", (self.request or {}).get("groups"))
        ]
        # Group names may have dots, but no slash.
        paths = (name.partition("/") for name in self._files() if "://" not in name)
        return frozenset(chain(groups, (group for group, slash, _ in paths if slash)))

    @property
    def named_packages(self) -> frozenset[str]:
        """The packages that the request names without a group."""
        return frozenset(name for name in self._files() if "/" not in name)

    def _files(self) -> list[str]:
        request = self.request or {}
        files = [request["file"]] if request.get("file") else []
        for key in _FILES:
            files += lenient.entries(key, request.get(key))
        return [_name_of("the request", entry) for entry in files]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> SparkBatch:
        """Returns the job of an `as_dict`, also of another version of this package."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in plain.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON for XCom, without the request."""
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
    """A page of the listing. `total` is the number of all matching jobs, `None` if not sent."""

    batches: tuple[SparkBatch, ...]
    total: int | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> BatchListing:
        """Returns a page. Without the list of jobs it is refused: it would look as if all ended."""
        if fields.get("sessions") is None:
            raise WireError("the body has no sessions")
        sessions = lenient.objects("sessions", fields["sessions"])
        return cls(tuple(map(SparkBatch.from_wire, sessions)), lenient.number(fields.get("total")))


@dataclass(frozen=True, slots=True)
class BatchLog:
    """Lines of a driver's log, the oldest first.

    `start` is the number of the first line, `total` the number of all lines; `None` if not sent.
    """

    lines: tuple[str, ...]
    start: int | None = None
    total: int | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> BatchLog:
        """Returns the log of an answer; raises `WireError` if it has no field of a log."""
        if not fields.keys() & {"log", "from", "total"}:
            raise WireError("the body has none of log, from and total")
        return cls(
            tuple(map(_line, lenient.entries("log", fields.get("log") or None))),
            lenient.number(fields.get("from")),
            lenient.number(fields.get("total")),
        )


def _line(entry: object) -> str:
    # A null entry counts as a line, since lines are counted by their numbers.
    line = "" if entry is None else lenient.text(entry)
    if line is None:
        raise WireError("a line of the log is not text")
    return line


def _app_id(value: object) -> str | None:
    # Text in the current documentation, a list of texts in that of 2021.
    return lenient.text(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _request(value: object) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            return lenient.json_object(value.encode())
        except (WireError, UnicodeEncodeError):
            return None
    return value if isinstance(value, dict) else None


def _name_of(field: str, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise WireError(f"an entry of {field} has no name")
    return name.strip()
