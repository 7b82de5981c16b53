# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts, as flows: started, resumed, completed, and checked after a lost answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

from airflow_provider_dli.api.obs import multipart
from airflow_provider_dli.api.obs.calls import md5_of
from airflow_provider_dli.api.obs.models import Part, StoredObject
from airflow_provider_dli.api.obs.objects import Bucket
from airflow_provider_dli.api.obs.refusals import is_gone
from airflow_provider_dli.api.protocol.errors import (
    BadRequestError,
    DliError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_dli.api.protocol.wire import Flow

_NOT_OFFERED = {405, 501}
"""The statuses of a service that does not support a request."""


class MultipartUpload:
    """An object that is sent in parts; it does not exist until they are completed.

    Parts may be sent by several threads and in any order; a number that is sent again replaces its
    part. `there` are the parts of an earlier run, `sha256` is the digest in the metadata.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        upload_id: str,
        *,
        sha256: str | None = None,
        there: Mapping[int, Part] | None = None,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self._id = upload_id
        self._sha256 = sha256
        self._there = dict(there or {})
        self._parts: dict[int, Part] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The bytes stored so far, including those of an earlier run."""
        return sum(part.size for part in self._parts.values())

    @property
    def parts_there(self) -> int:
        """The number of parts that an earlier run stored."""
        return len(self._there)

    def send(self, number: int, body: bytes) -> Flow[bool]:
        """Sends part `number`, from 1 on; returns whether it had to be sent.

        All parts but the last need at least 100 KB (5 MB on other services of this kind).
        """
        bucket, known = self.bucket, self._there.get(number)
        is_signed = bucket.signs_bodies
        md5 = None if is_signed and known is None else md5_of(body)
        if known is not None and md5 is not None and known == (md5.hex(), len(body)):
            self._note(number, known)
            return False
        digests = (hashlib.sha256(body).hexdigest(), None) if is_signed else ("", md5)
        call = multipart.send_part(bucket.name, self.key, self._id, number, body, *digests)
        stored = yield from bucket.client.perform(call)
        # If the object is encrypted, the ETag may differ from the MD5.
        if not (is_signed or stored.is_encrypted or md5 is None or stored.etag == md5.hex()):
            why = f"part {number} is not what was sent"
            raise bucket.unusable("PUT", self.key, why)
        self._note(number, Part(stored.etag, len(body)))
        return True

    def _note(self, number: int, part: Part) -> None:
        with self._lock:
            self._parts[number] = part

    def complete(self) -> Flow[StoredObject]:
        """Creates the object from the parts, and returns it.

        If the answer is lost or the upload is gone, the object itself decides about success.
        """
        bucket = self.bucket
        numbered = sorted(self._parts.items())
        try:
            call = multipart.complete(bucket.name, self.key, self._id, numbered)
            yield from bucket.client.perform(call)
        except DliError as error:
            if not (error.may_be_done or is_gone(error)):
                raise
            found = yield from bucket.find(self.key)
            if found is None or not self._is_ours(found):
                raise
            return found
        found = yield from bucket.find(self.key)
        if found is None or found.size != self.size:
            yield from bucket.delete([self.key])
            there = "no bytes" if found is None else f"{found.size} bytes"
            why = f"the object has {there} instead of the {self.size} sent"
            raise bucket.unusable("POST", self.key, why)
        return found

    def abort(self, bucket: Bucket | None = None) -> Flow[None]:
        """Discards the parts; an upload that is already gone counts as discarded.

        `bucket` is the same bucket with another client.
        """
        client = (bucket or self.bucket).client
        try:
            yield from client.perform(multipart.abort(self.bucket.name, self.key, self._id))
        except NotFoundError:
            return

    def _is_ours(self, found: StoredObject) -> bool:
        if self._sha256 is not None:
            return (found.size, found.sha256) == (self.size, self._sha256)
        digests = b"".join(bytes.fromhex(part.etag) for _, part in sorted(self._parts.items()))
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return (found.size, found.etag) == (self.size, f"{whole}-{len(self._parts)}")


def begin(bucket: Bucket, key: str, sha256: str | None = None) -> Flow[MultipartUpload]:
    """Starts an upload in parts.

    If an answer is lost, an empty upload may be left behind.
    """
    upload_id = yield from bucket.client.perform(multipart.begin(bucket.name, key, sha256))
    return MultipartUpload(bucket, key, upload_id, sha256=sha256)


def take_up(bucket: Bucket, key: str, sha256: str) -> Flow[MultipartUpload | None]:
    """Returns an unfinished upload of a key with its parts, or `None`.

    Only for keys that name their content, since every run then sends the same bytes. Returns `None`
    if the service does not list uploads, or not for this caller.
    """
    try:
        ids = yield from bucket.client.perform(multipart.list_uploads(bucket.name, key))
        if not ids:
            return None
        there = yield from _parts(bucket, key, ids[-1])
    except NotFoundError as error:
        if not is_gone(error):
            raise
        return None  # completed or aborted just now
    except PermissionDeniedError:
        return None  # listing needs another permission than writing
    except BadRequestError as error:
        if error.status not in _NOT_OFFERED:
            raise
        return None
    return MultipartUpload(bucket, key, ids[-1], sha256=sha256, there=there)


def _parts(bucket: Bucket, key: str, upload_id: str) -> Flow[dict[int, Part]]:
    found: dict[int, Part] = {}
    after: int | None = None
    while True:
        page = yield from bucket.client.perform(
            multipart.list_parts(bucket.name, key, upload_id, after)
        )
        found |= page.parts
        if page.following is None:
            return found
        after = page.following
