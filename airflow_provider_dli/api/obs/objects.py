# SPDX-License-Identifier: Apache-2.0
"""Operations on the objects of a bucket, as flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from airflow_provider_dli.api.obs import calls, documents
from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.obs.refusals import OTHER_ANSWERS
from airflow_provider_dli.api.obs.service import signs_bodies
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    BadRequestError,
    NotFoundError,
    ObjectChangedError,
    PermissionDeniedError,
    UnusableAnswerError,
)
from airflow_provider_dli.api.protocol.wire import Flow


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and the client that accesses it."""

    client: Client
    name: str

    @property
    def signs_bodies(self) -> bool:
        """Whether the signature covers the SHA-256 of a body; otherwise its MD5 is sent."""
        return signs_bodies(self.client.account)

    def check(self) -> Flow[None]:
        """Checks that the bucket can be used; raises the error of listing it."""
        # Not HEAD alone: its answer has no reason, and it may succeed where all else fails.
        try:
            yield from self.client.perform(calls.list_page(self.name, most=1))
        except PermissionDeniedError as error:
            try:
                yield from self.client.perform(calls.head_bucket(self.name))
            except (NotFoundError, PermissionDeniedError):
                raise error from None

    def find(self, key: str) -> Flow[StoredObject | None]:
        """Returns the description of an object, or `None` if the object or bucket is missing."""
        try:
            return (yield from self.client.perform(calls.head(self.name, key)))
        except NotFoundError:
            return None

    def read(
        self, key: str, start: int = 0, end: int | None = None, etag: str | None = None
    ) -> Flow[bytes]:
        """Returns the bytes from `start` up to `end`, or up to the end of the object."""
        if end is not None and end <= start:
            return b""
        attempted = partial(self._read_once, key, start, end, etag)
        return (yield from self.client.repeated(attempted, f"GET {self.name}/{key}"))

    def _read_once(self, key: str, start: int, end: int | None, etag: str | None) -> Flow[bytes]:
        try:
            read = yield from self.client.once(calls.get(self.name, key, start, end, etag))
            self._check_same(key, etag, read.etag)
            return read.data
        except BadRequestError as error:
            if not (error.status == 416 or error.code == "InvalidRange"):
                raise
            refusal = error
        # Correct if the range begins at the end of the object, or the object is empty.
        found = yield from self.client.once(calls.head(self.name, key))
        self._check_same(key, etag, found.etag)
        if found.size <= start:
            return b""
        raise UnusableAnswerError(
            f"{self._request('GET', key)} was answered with HTTP {refusal.status} {refusal.code}, "
            f"but the object has {found.size} bytes",
            status=refusal.status,
            code=refusal.code,
            request_id=refusal.request_id,
            caller=self._caller,
            remedy=OTHER_ANSWERS,
        ) from refusal

    def _check_same(self, key: str, etag: str | None, actual: str) -> None:
        if etag is not None and actual != etag:
            raise ObjectChangedError(
                f"{self._request('GET', key)} was answered with an object whose ETag is {actual}, "
                f"not {etag}",
                status=200,
                caller=self._caller,
            )

    def put(self, key: str, body: bytes, sha256: str) -> Flow[StoredObject]:
        """Stores an object in one request, and checks what was stored."""
        md5 = None if self.signs_bodies else calls.md5_of(body)
        stored = yield from self.client.perform(calls.put(self.name, key, body, sha256, md5))
        if md5 is None or stored.etag == md5.hex():
            at = stored.at or self.client.now()
            return StoredObject(key, len(body), stored.etag, at, sha256)
        found = yield from self.find(key)
        if not stored.is_encrypted or found is None or found.size != len(body):
            yield from self.delete([key])
            raise self.unusable("PUT", key, f"what was stored is not the {len(body)} bytes sent")
        return found

    def copy(self, key: str, to: Bucket, to_key: str) -> Flow[None]:
        """Copies an object of up to 5 GB with its metadata."""
        yield from self.client.perform(calls.copy(self.name, key, to.name, to_key))

    def delete(self, keys: Sequence[str]) -> Flow[None]:
        """Deletes objects; missing ones count as deleted."""
        writable = [key for key in keys if documents.is_writable(key)]
        for start in range(0, len(writable), calls.PAGE):
            some = writable[start : start + calls.PAGE]
            failed = yield from self.client.perform(calls.delete_many(self.name, some))
            if failed:
                raise self._not_deleted(failed)
        for key in set(keys).difference(writable):
            yield from self.client.perform(calls.delete(self.name, key))

    def listing(self, prefix: str = "", delimiter: str | None = None) -> Listing:
        """Returns a listing of the objects whose keys begin with `prefix`; sends no request."""
        return Listing(self, prefix, delimiter)

    def unusable(self, method: str, key: str, why: str) -> UnusableAnswerError:
        """Returns the error for a success that turned out to be wrong."""
        return UnusableAnswerError(
            f"{self._request(method, key)} was answered with a success, but {why}",
            status=200,
            caller=self._caller,
            remedy=OTHER_ANSWERS,
        )

    def _not_deleted(self, failed: Sequence[calls.Undeleted]) -> AnswerError:
        first = failed[0]
        kind = PermissionDeniedError if first.code == "AccessDenied" else BadRequestError
        error = kind(
            f'{self._request("POST")} did not delete {first.key}: {first.code} "{first.message}"',
            status=200,
            code=first.code,
            message=first.message,
            caller=self._caller,
            remedy="",
        )
        error.add_note(f"Not deleted in {self.name}: {', '.join(one.key for one in failed)}.")
        return error

    def _request(self, method: str, key: str = "") -> str:
        return f"{method} {self.name}/{key}".rstrip("/")

    @property
    def _caller(self) -> str:
        return self.client.service.caller(self.client.account)


class Listing:
    """The objects of a bucket page by page, and with a delimiter their common prefixes."""

    def __init__(self, bucket: Bucket, prefix: str, delimiter: str | None) -> None:
        self.is_over = False
        self._bucket = bucket
        self._prefix = prefix
        self._delimiter = delimiter
        self._marker: str | None = None
        self._is_encoded = False
        self._markers: set[str] = set()
        self._folders: set[str] = set()

    def next_page(self) -> Flow[calls.Page]:
        """Returns the next page, without the prefixes of earlier pages."""
        bucket = self._bucket
        asked = partial(calls.list_page, bucket.name, self._prefix, self._delimiter, self._marker)
        page = yield from bucket.client.perform(asked(is_encoded=self._is_encoded))
        if page is None:
            # Only if necessary: services do not agree on how to encode keys.
            self._is_encoded = True
            page = yield from bucket.client.perform(asked(is_encoded=True))
        if page is None:
            raise TypeError("an encoded page is never None")
        following = page.following
        if following is not None and following in self._markers:
            raise bucket.unusable("GET", "", "it names a marker that it named before")
        self._marker, self.is_over = following, following is None
        self._markers.add(following or "")
        folders = [one for one in dict.fromkeys(page.folders) if one not in self._folders]
        self._folders.update(folders)
        return replace(page, folders=folders)
