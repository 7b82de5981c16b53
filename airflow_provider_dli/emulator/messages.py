# SPDX-License-Identifier: Apache-2.0
"""Requests and answers, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """An HTTP request: path and query as received, header names in lower case."""

    method: str
    raw_path: str
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    oversize: bool = False

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path; an encoded slash does not split a part."""
        return tuple(unquote(part) for part in self.raw_path.split("/")[1:])

    @cached_property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    @cached_property
    def path_in_project(self) -> str:
        """The decoded path below `/v2.0/{project_id}`, or all of it if there is no project."""
        if len(self.segments) > 1 and self.segments[0] == "v2.0":
            return "".join(f"/{segment}" for segment in self.segments[2:])
        return self.path

    @cached_property
    def service(self) -> Literal["dli", "iam", "metadata"]:
        """The service, determined by the path; no path of DLI begins like those of the others."""
        first = self.segments[0] if self.segments else ""
        if first in ("v3", "v3.0"):
            return "iam"
        return "metadata" if first in ("meta-data", "openstack") else "dli"

    @cached_property
    def query(self) -> dict[str, str]:
        """The decoded query; a repeated name has its last value."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. A body of None is empty, text is sent as it is, anything else as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The service or its gateway refuses a call: HTTP status, code and text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """Returns the answer with the refusal.

        The format is documented at
        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
        """
        return Answer(self.status, {"error_code": self.code, "error_msg": self.message})
