# SPDX-License-Identifier: Apache-2.0
"""Objects in OBS as answers describe them, and files to send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from airflow_provider_dli.api.protocol.errors import WireError

_ENCRYPTION = re.compile(r"x-(obs|amz)-server-side-encryption")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket.

    `size` is in bytes, `modified` in Unix seconds. `sha256` is the hex digest that staging wrote
    into the object's metadata, or `None`; a listing does not contain it.
    """

    key: str
    size: int
    etag: str
    modified: float
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file on this machine, the key to store it under, and the SHA-256 of its bytes.

    Only these bytes may be stored under the key. `tags` are those of `transfer.files` if this
    process has hashed the file before; it is then not hashed again.
    """

    path: Path
    key: str
    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False, compare=False)


class Part(NamedTuple):
    """A part of an upload as stored in OBS; its ETag is the MD5 unless it is encrypted."""

    etag: str
    size: int


def described(key: str, headers: Mapping[str, str]) -> StoredObject:
    """Returns the object that the headers of an answer describe; their names are lower case."""
    try:
        return StoredObject(
            key,
            int(headers["content-length"]),
            etag_of(headers),
            parsedate_to_datetime(headers["last-modified"]).timestamp(),
            headers.get("x-obs-meta-sha256") or headers.get("x-amz-meta-sha256"),
        )
    except (KeyError, ValueError):
        raise WireError("its headers do not describe an object") from None


def etag_of(headers: Mapping[str, str]) -> str:
    """Returns the ETag without its quotes, or an empty string."""
    return headers.get("etag", "").strip('"')


def is_encrypted(headers: Mapping[str, str]) -> bool:
    """Whether the service encrypts what it stores; the ETag may then differ from the MD5.

    https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0080.html
    """
    return any(_ENCRYPTION.match(name) for name in headers)
