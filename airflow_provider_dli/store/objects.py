# SPDX-License-Identifier: Apache-2.0
"""What is asked of OBS about buckets and objects, one function each, given who asks.

https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0005.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_dli.api.answers import server_time
from airflow_provider_dli.api.errors import (
    AnswerError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_dli.api.objects import (
    StoredObject,
    described,
    etag,
    is_encrypted,
    listing_times,
)

if TYPE_CHECKING:
    from airflow_provider_dli.store.caller import ObsCaller, Reply

PAGE = 1000
"""Entries of a listing, and keys of a deletion, in one request: the most that OBS takes."""


def check_bucket(caller: ObsCaller, bucket: str) -> None:
    """Find out whether the bucket answers to this caller.

    HEAD, which needs the least of rights; where it is refused, a listing says why.
    """
    try:
        caller.perform(bucket, "", lambda sdk: sdk.headBucket(bucket))
    except (NotFoundError, PermissionDeniedError):
        caller.perform(bucket, "", lambda sdk: sdk.listObjects(bucket, max_keys=1))


def find(caller: ObsCaller, bucket: str, key: str) -> StoredObject | None:
    """Describe an object; also an absent bucket gives `None`."""
    try:
        reply = caller.perform(bucket, key, lambda sdk: sdk.getObjectMetadata(bucket, key))
    except NotFoundError:
        return None
    return reply.read(lambda: described(key, reply.headers))


def read(caller: ObsCaller, bucket: str, key: str, start: int, end: int | None) -> bytes:
    """Give the bytes from `start` up to `end`, or up to the object's own end."""
    if end is not None and end <= start:
        return b""
    last = "" if end is None else end - 1
    # A dictionary will not do: it asks for the attribute.
    from obs import GetObjectHeader

    headers = GetObjectHeader(range=f"{start}-{last}") if start or end is not None else None
    try:
        reply = caller.perform(
            bucket,
            key,
            lambda sdk: sdk.getObject(bucket, key, headers=headers, loadStreamInMemory=True),
        )
    except BadRequestError as error:
        if error.code != "InvalidRange":  # as an empty object has none at all
            raise
        return b""
    return bytes(reply.response.body)


def put(caller: ObsCaller, bucket: str, key: str, data: bytes, sha256: str) -> StoredObject:
    """Store an object in one request, and make sure that nothing else lies there."""
    md5 = hashlib.md5(data, usedforsecurity=False)
    reply = caller.perform(
        bucket,
        key,
        lambda sdk: sdk.putContent(
            bucket,
            key,
            content=data,
            metadata={"sha256": sha256},
            headers={"md5": base64.b64encode(md5.digest()).decode()},
        ),
    )
    if is_proven(reply, md5.hexdigest()):
        modified = server_time(reply.response) or caller.clock.now()
        return StoredObject(key, len(data), md5.hexdigest(), modified, sha256)
    found = find(caller, bucket, key)
    if not is_encrypted(reply.headers) or found is None or found.size != len(data):
        delete(caller, bucket, [key])
        raise reply.unusable(f"what lay there was not the {len(data)} bytes that were sent")
    return found


def is_proven(reply: Reply, md5: str) -> bool:
    """Whether the ETag shows that just these bytes lie there."""
    told = etag(reply.headers)
    if not told:
        raise reply.unusable("it has no ETag")
    return told == md5


def copy(caller: ObsCaller, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
    """Copy an object with its metadata; of up to 5 GB."""
    caller.perform(
        to_bucket,
        to_key,
        lambda sdk: sdk.copyObject(bucket, key, to_bucket, to_key),
        expected="CopyObjectResult",
    )


def delete(caller: ObsCaller, bucket: str, keys: Sequence[str]) -> None:
    """Delete objects; absent ones count as done."""
    for start in range(0, len(keys), PAGE):
        _delete_some(caller, bucket, keys[start : start + PAGE])


def _delete_some(caller: ObsCaller, bucket: str, keys: Sequence[str]) -> None:
    order = {"quiet": True, "objects": [{"key": key} for key in keys]}
    # Its answer has an `Error` for each key that failed.
    reply = caller.perform(bucket, "", lambda sdk: sdk.deleteObjects(bucket, order))
    if reply.body is None or b"<DeleteResult" not in reply.response.body:
        raise reply.unusable("it is no DeleteResult")
    failed = [one for one in reply.body.error if one.code != "NoSuchKey"]
    if failed:
        raise _not_deleted(reply, bucket, failed)


def pages(
    caller: ObsCaller, bucket: str, prefix: str, delimiter: str | None = None
) -> Iterator[tuple[list[StoredObject], list[str]]]:
    """List objects and, with a delimiter, what the keys of others begin with, page by page."""
    marker: str | None = None
    while True:
        reply = _page(caller, bucket, prefix, delimiter, marker)
        page = reply.body
        objects = _listed(reply)
        folders = [one.prefix for one in page.commonPrefixs]
        yield objects, folders
        if not page.is_truncated:
            return
        # Without a delimiter it is not told.
        last = max([one.key for one in objects] + folders, default=None)
        following = page.next_marker or last
        if following in {None, marker}:
            raise reply.unusable("it says that more follows, but not from where")
        marker = following


def _page(
    caller: ObsCaller, bucket: str, prefix: str, delimiter: str | None, marker: str | None
) -> Reply:
    return caller.perform(
        bucket,
        "",
        lambda sdk: sdk.listObjects(
            bucket, prefix=prefix, marker=marker, max_keys=PAGE, delimiter=delimiter
        ),
        expected="ListBucketResult",
    )


def _listed(reply: Reply) -> list[StoredObject]:
    entries = reply.body.contents
    # The vendor's client gives local time, an hour off in summer.
    times = reply.read(lambda: listing_times(reply.response.body))
    if len(times) != len(entries):
        raise reply.unusable("not each of its objects has a time")
    return [
        StoredObject(one.key, one.size, (one.etag or "").strip('"'), time)
        for one, time in zip(entries, times, strict=True)
    ]


def _not_deleted(reply: Reply, bucket: str, failed: Sequence[Any]) -> AnswerError:
    first = failed[0]
    kind = PermissionDeniedError if first.code == "AccessDenied" else BadRequestError
    error = kind(
        f'{reply.asked.what} did not delete {first.key}: {first.code} "{first.message}"',
        status=reply.response.status,
        code=first.code or "",
        message=first.message or "",
        caller=reply.asked.caller,
        remedy="",
    )
    error.add_note(f"Not deleted in {bucket}: {', '.join(one.key for one in failed)}.")
    return error
