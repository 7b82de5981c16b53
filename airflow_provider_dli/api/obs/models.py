# SPDX-License-Identifier: Apache-2.0
"""Objects in OBS, as answers describe them, and files that are to become some."""

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

    `size` is bytes, `modified` Unix seconds, `sha256` the hex digest that staging wrote into the
    object's metadata, or `None`; a listing never tells it.
    """

    key: str
    size: int
    etag: str
    modified: float
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file on this machine and the key that it is to have; `sha256` is the digest of its bytes.

    Nothing but these bytes may come to lie under the key. `tags` are those of `transfer.files`,
    where this process has hashed it before: then it need not be hashed again.
    """

    path: Path
    key: str
    size: int
    sha256: str
    tags: bytes = field(default=b"", repr=False, compare=False)


class Part(NamedTuple):
    """A part of an upload, as it lies in OBS; of what is not encrypted the ETag is the MD5."""

    etag: str
    size: int


def described(key: str, headers: Mapping[str, str]) -> StoredObject:
    """Read what the headers of an answer tell of an object; their names are lower case."""
    try:
        return StoredObject(
            key,
            int(headers["content-length"]),
            etag_of(headers),
            parsedate_to_datetime(headers["last-modified"]).timestamp(),
            headers.get("x-obs-meta-sha256") or headers.get("x-amz-meta-sha256"),
        )
    except (KeyError, ValueError):
        raise WireError("its headers describe no object") from None


def etag_of(headers: Mapping[str, str]) -> str:
    """Return the ETag without its quotes; empty where there is none."""
    return headers.get("etag", "").strip('"')


def is_encrypted(headers: Mapping[str, str]) -> bool:
    """Whether the service encrypts what it stores: then an ETag need not be the MD5 of the bytes.

    https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0080.html
    """
    return any(_ENCRYPTION.match(name) for name in headers)
