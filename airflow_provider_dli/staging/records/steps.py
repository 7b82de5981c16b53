# SPDX-License-Identifier: Apache-2.0
"""What staging into a group asks of the bucket and of DLI, one step at a time.

The rules are generators that yield these steps and are sent their results, or are thrown the error
that came: so they can be carried out by hooks, or walked through in every order by a test.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListObjects:
    """List the objects whose keys begin so: a list of `StoredObject`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ReadObject:
    """Read an object: bytes. Raises `NotFoundError` where there is none."""

    key: str


@dataclass(frozen=True, slots=True)
class WriteObject:
    """Write an object."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeleteObjects:
    """Delete objects, in this order as far as the service keeps it; absent ones count as done."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindGroup:
    """Look for a group in DLI's listing: a `PackageGroup` or `None`."""

    group: str


@dataclass(frozen=True, slots=True)
class UploadGroup:
    """Have DLI upload what was announced: the `PackageGroup` of its answer."""

    group: str


Step = ListObjects | ReadObject | WriteObject | DeleteObjects | FindGroup | UploadGroup
Steps = Generator[Step, Any, T]
