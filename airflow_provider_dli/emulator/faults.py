# SPDX-License-Identifier: Apache-2.0
"""Faults on demand: the calls that a fault affects, and what happens to them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal

from airflow_provider_dli.emulator.messages import Answer, Call, JsonObject
from airflow_provider_dli.emulator.presets import PRESETS
from airflow_provider_dli.emulator.settings import seconds

ACTIONS = ("answer", "reset", "cut-off", "hang", *PRESETS)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: the calls it affects, and what it does to them.

    `action` is "answer" (with `status`, `headers`, `body`), "reset" (the connection is reset),
    "cut-off" (all headers, half of the body), "hang" (no answer for `seconds`, then the call
    continues; without `seconds` no answer until the client disconnects) or the name of a preset,
    whose status, headers and body may be overridden.

    A call is hit when `method` and `path` match: a pattern for the path below the project, such as
    "/resources/*", or for the whole path. The pattern "*" means every call to DLI; IAM and the
    metadata service need other patterns, such as "/v3/auth/tokens". The first `skip`
    matching calls pass, the next `times` are hit (None = all). Of several faults the first that is
    due acts, and the others do not count that call. `when` is "after" if the service has
    carried out the call, "before" if the call never reached it.
    """

    action: str = "answer"
    method: str | None = field(default=None, kw_only=True)
    path: str = field(default="*", kw_only=True)
    skip: int = field(default=0, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    when: Literal["before", "after"] = field(default="before", kw_only=True)
    status: int | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    body: Any = field(default=None, kw_only=True)
    retry_after: str | float | None = field(default=None, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_matcher()
        self._check_outcome()

    @classmethod
    def from_json(cls, body: JsonObject) -> Fault:
        """Returns the fault for the JSON of the control path, which has the same fields."""
        known = [item.name for item in fields(cls)]
        for name in body:
            if name not in known:
                raise ValueError(f"{name} is not a field of a fault; these are: {', '.join(known)}")
        return cls(**body)

    def as_json(self) -> JsonObject:
        """Returns the fields as the control path prints them."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    def matches(self, call: Call) -> bool:
        """Whether method and path of the call match."""
        if self.method is not None and self.method.upper() != call.method.upper():
            return False
        if self.path == "*":
            return call.service == "dli"
        return any(fnmatchcase(path, self.path) for path in (call.path_in_project, call.path))

    def answer(self) -> Answer:
        """Returns the answer of the fault."""
        status, headers, body = PRESETS.get(self.action, (200, {}, None))
        headers = {**headers, **self.headers}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return Answer(
            status if self.status is None else self.status,
            body if self.body is None else self.body,
            headers,
        )

    def _check_matcher(self) -> None:
        _demand("action", self.action, self.action in ACTIONS, f"one of {', '.join(ACTIONS)}")
        _demand("method", self.method, _is_text(self.method, optional=True), "text such as 'POST'")
        _demand("path", self.path, _is_text(self.path), "a pattern such as '/resources/*'")
        _demand("skip", self.skip, _is_count(self.skip, 0), "a whole number from 0 on")
        fits = self.times is None or _is_count(self.times, 1)
        _demand("times", self.times, fits, "a whole number from 1 on, or null for always")
        _demand("when", self.when, self.when in ("before", "after"), "'before' or 'after'")

    def _check_outcome(self) -> None:
        fits = self.status is None or (_is_count(self.status, 200) and self.status < 600)
        _demand("status", self.status, fits, "a number from 200 to 599")
        fits = isinstance(self.headers, Mapping) and all(
            _is_text(part) for pair in self.headers.items() for part in pair
        )
        _demand("headers", self.headers, fits, "names and values as text")
        fits = self.retry_after is None or (
            isinstance(self.retry_after, str | int | float) and self.retry_after is not True
        )
        _demand("retry_after", self.retry_after, fits, "text or a number")
        if self.seconds is not None:
            seconds("seconds", self.seconds)


class Faults:
    """The current faults. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Adds a fault."""
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Removes all faults."""
        with self._lock:
            self._entries.clear()

    def take(self, call: Call) -> Fault | None:
        """Returns the fault that affects this call, and counts the call."""
        with self._lock:
            return next((e.fault for e in self._entries if e.is_hit_by(call)), None)

    def as_json(self) -> list[JsonObject]:
        """Returns every fault with the number of calls it saw and affected."""
        with self._lock:
            return [{**e.fault.as_json(), "seen": e.seen, "hit": e.hit} for e in self._entries]


@dataclass(slots=True)
class _Entry:
    fault: Fault
    seen: int = 0
    hit: int = 0

    def is_hit_by(self, call: Call) -> bool:
        exhausted = self.fault.times is not None and self.hit >= self.fault.times
        if exhausted or not self.fault.matches(call):
            return False
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        self.hit += 1
        return True


def _demand(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def _is_text(value: object, *, optional: bool = False) -> bool:
    return (isinstance(value, str) and value != "") or (optional and value is None)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value
