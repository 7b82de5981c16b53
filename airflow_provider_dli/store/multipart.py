# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts: begun, taken up again, completed, and looked after when an answer was lost.

https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0096.html
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_dli.api.errors import DliError, NotFoundError
from airflow_provider_dli.api.objects import StoredObject, etag, is_encrypted, is_gone
from airflow_provider_dli.store import objects

if TYPE_CHECKING:
    from airflow_provider_dli.store.caller import ObsCaller, Reply


class Part(NamedTuple):
    """A part that lies in OBS."""

    etag: str
    size: int


class MultipartUpload:
    """An object that is sent in parts; it appears when they are completed, and not before.

    Parts may be sent from several threads and in any order; a number that is sent again replaces
    what it was. `there` are parts of an earlier run, `sha256` what the object's metadata says.
    """

    def __init__(
        self,
        caller: ObsCaller,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        sha256: str | None = None,
        there: Mapping[int, Part] | None = None,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self._caller = caller
        self._id = upload_id
        self._sha256 = sha256
        self._there = dict(there or {})
        self._parts: dict[int, Part] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The bytes that were sent so far, or lay there."""
        return sum(part.size for part in self._parts.values())

    @property
    def parts_there(self) -> int:
        """How many parts an earlier run left."""
        return len(self._there)

    def send(self, number: int, data: bytes) -> bool:
        """Send part `number`, from 1 on; gives whether it had to be sent.

        All parts but the last have at least 100 KB (5 MB on other services of this kind).
        """
        data = bytes(data)  # of a view the vendor's client would send the name
        digest = hashlib.md5(data, usedforsecurity=False)
        known = self._there.get(number)
        if known is not None and known == (digest.hexdigest(), len(data)):
            self._note(number, known)
            return False
        reply = self._caller.perform(
            self.bucket,
            self.key,
            lambda sdk: sdk.uploadPart(
                self.bucket,
                self.key,
                number,
                self._id,
                content=data,
                md5=base64.b64encode(digest.digest()).decode(),
            ),
        )
        # Of what is encrypted the ETag need not be the MD5.
        if not (objects.is_proven(reply, digest.hexdigest()) or is_encrypted(reply.headers)):
            raise reply.unusable(f"part {number} is not the bytes that were sent")
        self._note(number, Part(etag(reply.headers), len(data)))
        return True

    def _note(self, number: int, part: Part) -> None:
        with self._lock:
            self._parts[number] = part

    def complete(self) -> StoredObject:
        """Make the object of the parts, and give it as it lies there.

        When the answer was lost, or somebody else was faster, it is looked at before it is judged.
        """
        try:
            reply = self._merge()
        except DliError as error:
            if not (error.may_be_done or is_gone(error)):
                raise
            found = objects.find(self._caller, self.bucket, self.key)
            if found is None or not self._is_ours(found):
                raise
            return found
        found = objects.find(self._caller, self.bucket, self.key)
        if found is None or found.size != self.size:
            objects.delete(self._caller, self.bucket, [self.key])
            there = "nothing" if found is None else f"{found.size} bytes"
            raise reply.unusable(f"there was {there} where {self.size} bytes were sent")
        return found

    def abort(self, caller: ObsCaller | None = None) -> None:
        """Throw the parts away; one that is gone already counts as done."""
        try:
            (caller or self._caller).perform(
                self.bucket,
                self.key,
                lambda sdk: sdk.abortMultipartUpload(self.bucket, self.key, self._id),
            )
        except NotFoundError:
            return

    def _merge(self) -> Reply:
        from obs import CompletePart

        numbered = sorted(self._parts.items())
        parts = [CompletePart(number, f'"{part.etag}"') for number, part in numbered]
        return self._caller.perform(
            self.bucket,
            self.key,
            lambda sdk: sdk.completeMultipartUpload(
                self.bucket, self.key, self._id, {"parts": parts}
            ),
            expected="CompleteMultipartUploadResult",
        )

    def _is_ours(self, found: StoredObject) -> bool:
        if self._sha256 is not None:
            return (found.size, found.sha256) == (self.size, self._sha256)
        digests = b"".join(bytes.fromhex(part.etag) for _, part in sorted(self._parts.items()))
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return (found.size, found.etag) == (self.size, f"{whole}-{len(self._parts)}")


def begin(caller: ObsCaller, bucket: str, key: str, sha256: str | None = None) -> MultipartUpload:
    """Begin an upload in parts.

    When the answer was lost, another one may be left behind, which holds no bytes.
    """
    metadata = None if sha256 is None else {"sha256": sha256}
    reply = caller.perform(
        bucket,
        key,
        lambda sdk: sdk.initiateMultipartUpload(bucket, key, metadata=metadata),
        expected="InitiateMultipartUploadResult",
    )
    return MultipartUpload(caller, bucket, key, reply.body.uploadId, sha256=sha256)


def take_up(caller: ObsCaller, bucket: str, key: str, sha256: str) -> MultipartUpload | None:
    """Find an upload of this very key that was begun and not ended, with the parts it has.

    For keys that name their content: whoever began it sent the same bytes.
    """
    order = {"prefix": key}
    reply = caller.perform(
        bucket,
        key,
        lambda sdk: sdk.listMultipartUploads(bucket, order),
        expected="ListMultipartUploadsResult",
    )
    ids = [one.uploadId for one in reply.body.upload if one.key == key]
    if not ids:
        return None
    try:
        there = _parts(caller, bucket, key, ids[-1])
    except NotFoundError:  # ended just now
        return None
    return MultipartUpload(caller, bucket, key, ids[-1], sha256=sha256, there=there)


def _parts(caller: ObsCaller, bucket: str, key: str, upload_id: str) -> dict[int, Part]:
    found: dict[int, Part] = {}
    marker: int | None = None
    while True:
        body = _page(caller, bucket, key, upload_id, marker)
        for one in body.parts:
            found[one.partNumber] = Part((one.etag or "").strip('"'), one.size)
        following = body.nextPartNumberMarker
        if not body.isTruncated or following in {None, marker}:
            return found
        marker = following


def _page(caller: ObsCaller, bucket: str, key: str, upload_id: str, marker: int | None) -> Any:
    reply = caller.perform(
        bucket,
        key,
        lambda sdk: sdk.listParts(
            bucket, key, upload_id, maxParts=objects.PAGE, partNumberMarker=marker
        ),
        # `ListPartsResult`; others call it otherwise.
        expected="ListParts",
    )
    return reply.body
