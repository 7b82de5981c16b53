# SPDX-License-Identifier: Apache-2.0
"""The requests for buckets and objects. Each function returns a `Call`.

https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0005.html
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airflow_provider_dli.api.obs import documents
from airflow_provider_dli.api.obs.models import StoredObject, described, etag_of, is_encrypted
from airflow_provider_dli.api.obs.refusals import to_error
from airflow_provider_dli.api.obs.signatures import BODY_HASH, encoded_key
from airflow_provider_dli.api.protocol.answers import server_time
from airflow_provider_dli.api.protocol.errors import WireError
from airflow_provider_dli.api.protocol.wire import Call, Query, Response

T = TypeVar("T")

PAGE = 1000
"""The maximum of entries in a page of a listing, and of keys in a deletion."""

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Stored:
    """The result of storing a body; `at` is the service's time in Unix seconds, if known."""

    etag: str
    is_encrypted: bool
    at: float | None


@dataclass(frozen=True, slots=True)
class Read:
    """Bytes of an object, and the ETag of that object."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: objects, common prefixes, and the marker of the next page."""

    objects: Sequence[StoredObject]
    folders: Sequence[str]
    following: str | None


@dataclass(frozen=True, slots=True)
class Undeleted:
    """An object that was not deleted, with the reason."""

    key: str
    code: str
    message: str


def call(
    method: str,
    bucket: str,
    key: str | None,
    parse: Callable[[Response], T],
    *,
    query: Query = (),
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    is_bulk: bool = False,
) -> Call[T]:
    """Returns a request to OBS; every request of this package may be repeated."""
    return Call(
        method,
        f"/{bucket}" if key is None else f"/{bucket}/{key}",
        parse,
        query,
        body,
        repeatable=True,
        headers=headers or {},
        is_bulk=is_bulk,
        to_error=to_error,
    )


def head_bucket(bucket: str) -> Call[None]:
    """Checks that a bucket exists; needs few permissions, and its answer has no reason."""
    return call("HEAD", bucket, None, lambda _: None)


def head(bucket: str, key: str) -> Call[StoredObject]:
    """Returns the description of an object."""
    return call("HEAD", bucket, key, lambda response: described(key, response.headers))


def get(
    bucket: str, key: str, start: int = 0, end: int | None = None, etag: str | None = None
) -> Call[Read]:
    """Returns the bytes from `start` up to, not including, `end`; `None` is the end of the object.

    With `etag`, fails if the object has another ETag.
    """
    headers = {} if etag is None else {"If-Match": f'"{etag}"'}
    is_part = start > 0 or end is not None
    if is_part:
        headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"

    def parse(response: Response) -> Read:
        its_etag = etag_of(response.headers)
        if not its_etag:
            raise WireError("it has no ETag")
        if is_part:
            _check_part(response, start, end)
        else:
            _check_whole(response)
        return Read(bytes(response.body), its_etag)

    return call("GET", bucket, key, parse, headers=headers, is_bulk=True)


def _check_whole(response: Response) -> None:
    declared = response.headers.get("content-length", "").strip()
    if response.status != 200 or not declared.isdigit():
        raise WireError("it does not state that it is the whole object, and its length")
    if int(declared) != len(response.body):
        raise WireError(f"it has {len(response.body)} bytes, not the declared {declared}")


def _check_part(response: Response, start: int, end: int | None) -> None:
    declared = response.headers.get("content-range", "").strip()
    found = _RANGE.fullmatch(declared)
    if response.status != 206 or found is None:
        raise WireError("it is not the requested range: this store does not support ranges")
    first, last, size = map(int, found.groups())
    wanted = size if end is None else min(end, size)
    if (first, last + 1) != (start, wanted):
        raise WireError(f"it is not the requested range but {declared}")
    if len(response.body) != wanted - start:
        raise WireError(f"it has {len(response.body)} bytes, not the declared {declared}")


def put(bucket: str, key: str, body: bytes, sha256: str, md5: bytes | None) -> Call[Stored]:
    """Stores an object with its hex SHA-256 in the metadata.

    The signature covers that digest, or `md5` is sent. OBS compares either with what arrives.
    """
    headers = {**proof(sha256, md5), "x-amz-meta-sha256": sha256}
    return call("PUT", bucket, key, stored, headers=headers, body=body, is_bulk=True)


def md5_of(body: bytes) -> bytes:
    """Returns the MD5 of a body."""
    return hashlib.md5(body, usedforsecurity=False).digest()


def proof(sha256: str, md5: bytes | None) -> dict[str, str]:
    """Returns the header by which the service checks that a body arrived unchanged."""
    return {BODY_HASH: sha256} if md5 is None else _content_md5(md5)


def _content_md5(md5: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(md5).decode()}


def stored(response: Response) -> Stored:
    """Reads the answer to a stored body; it has no body itself."""
    if response.body.strip():
        raise WireError("it has a body, which such an answer never has")
    etag = etag_of(response.headers)
    if not etag:
        raise WireError("it has no ETag")
    return Stored(etag, is_encrypted(response.headers), server_time(response))


def copy(bucket: str, key: str, to_bucket: str, to_key: str) -> Call[None]:
    """Copies an object of up to 5 GB with its metadata."""

    def parse(response: Response) -> None:
        documents.document(response, "CopyObjectResult")

    source = {"x-amz-copy-source": f"/{bucket}/{encoded_key(key)}"}
    return call("PUT", to_bucket, to_key, parse, headers=source)


def delete(bucket: str, key: str) -> Call[None]:
    """Deletes an object; a missing one counts as deleted."""
    return call("DELETE", bucket, key, lambda _: None)


def delete_many(bucket: str, keys: Iterable[str]) -> Call[Sequence[Undeleted]]:
    """Deletes up to `PAGE` objects whose keys can be written in XML."""
    body = documents.deletion(keys)
    return call(
        "POST",
        bucket,
        None,
        _undeleted,
        query=(("delete", None),),
        headers=_content_md5(md5_of(body)),
        body=body,
    )


def _undeleted(response: Response) -> Sequence[Undeleted]:
    root = documents.document(response, "DeleteResult")
    failed = [
        Undeleted(*(documents.text(entry, name, "") for name in ("Key", "Code", "Message")))
        for entry in root.findall("Error")
    ]
    return [one for one in failed if one.code != "NoSuchKey"]


def list_page(
    bucket: str,
    prefix: str = "",
    delimiter: str | None = None,
    marker: str | None = None,
    most: int = PAGE,
    is_encoded: bool = False,
) -> Call[Page | None]:
    """Returns the page of a listing after `marker`, grouped by a delimiter.

    Returns `None` if the page has keys that XML cannot represent and they are not encoded.
    """
    encoding = "url" if is_encoded else None
    given = {"prefix": prefix or None, "delimiter": delimiter, "marker": marker}
    given["encoding-type"] = encoding
    query = (
        ("max-keys", str(most)),
        *((name, value) for name, value in given.items() if value is not None),
    )

    def parse(response: Response) -> Page | None:
        try:
            return _page(response, bucket, prefix)
        except documents.UnwritableError:
            if is_encoded:
                raise
            return None

    return call("GET", bucket, None, parse, query=query)


def _page(response: Response, bucket: str, prefix: str) -> Page:
    root = documents.document(response, "ListBucketResult")
    name = documents.text(root, "Name")
    if name != bucket:
        raise WireError(f"it lists the bucket {name!r}")
    is_encoded = documents.has_encoded_keys(root)
    objects = [
        StoredObject(
            documents.key(entry, "Key", is_encoded=is_encoded),
            documents.number(entry, "Size"),
            documents.text(entry, "ETag", "").strip('"'),
            documents.time(entry, "LastModified"),
        )
        for entry in root.findall("Contents")
    ]
    folders = [
        documents.key(entry, "Prefix", is_encoded=is_encoded)
        for entry in root.findall("CommonPrefixes")
    ]
    listed = [*(one.key for one in objects), *folders]
    strange = next((key for key in listed if not key.startswith(prefix)), None)
    if strange is not None:
        raise WireError(f"it lists {strange!r}, which does not begin with {prefix!r}")
    if not documents.flag(root, "IsTruncated"):
        return Page(objects, folders, None)
    # Without a delimiter it is missing.
    has_marker = documents.text(root, "NextMarker", "") != ""
    following = (
        documents.key(root, "NextMarker", is_encoded=is_encoded)
        if has_marker
        else max(listed, default="")
    )
    if not following:
        raise WireError("it is truncated and does not name the next marker")
    return Page(objects, folders, following)
