# SPDX-License-Identifier: Apache-2.0
"""The hook on OBS, the object storage that DLI reads packages from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.endpoints import obs_url
from airflow_provider_dli.api.obs import uploads
from airflow_provider_dli.api.obs.models import FileToSend, StoredObject
from airflow_provider_dli.api.obs.objects import Bucket
from airflow_provider_dli.api.obs.service import OBS, endpoint_of
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.api.protocol.retry import Retry
from airflow_provider_dli.hooks.base import DliBaseHook
from airflow_provider_dli.transfer.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.calls import Page
    from airflow_provider_dli.api.obs.objects import Listing
    from airflow_provider_dli.api.protocol.wire import Run
    from airflow_provider_dli.transfer.open_upload import OpenUpload
    from airflow_provider_dli.transport.bulk import BulkTransport
    from airflow_provider_dli.transport.clock import Clock


class ObsHook(DliBaseHook):
    """Buckets and objects of OBS on Huawei Cloud or Open Telekom Cloud.

    It uses the same connection as ``DliHook``. Nothing is looked up or connected before the first
    method is called. Methods raise ``InputError`` for invalid values before any request is sent,
    and the other errors of ``airflow_provider_dli.exceptions`` for what came back. Threads may
    share a hook.

    .. code-block:: python

        @task
        def newest(bucket: str) -> str:
            objects = ObsHook().list_objects(bucket, prefix="jars/")
            return max(objects, key=lambda one: one.modified).key

    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param clock: source of time and sleep; tests may pass their own
    :param concurrency: number of requests sent at a time; for large files seven tenths of it, and
        each of these holds 5 MiB in memory
    """

    def __init__(
        self,
        dli_conn_id: str | None = DliBaseHook.default_conn_name,
        *,
        region: str | None = None,
        project_id: str | None = None,
        clock: Clock | None = None,
        concurrency: int = 10,
    ) -> None:
        super().__init__(dli_conn_id, region=region, project_id=project_id, clock=clock)
        if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
            raise InputError("concurrency", concurrency, "give a whole number of at least 1")
        self.concurrency = concurrency

    @property
    def endpoint(self) -> str:
        """The address of OBS, such as ``https://obs.eu-de.otc.t-systems.com``."""
        return endpoint_of(self.account)

    def object_url(self, bucket: str, key: str) -> str:
        """Returns the HTTPS address of an object, as DLI accepts it.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        account = self.account
        if account.obs_origin is None or (account.cloud and account.region):
            return obs_url(bucket, key, account.cloud, account.region)
        host = account.obs_origin.partition("://")[2]
        return f"https://{bucket}.{host}/{quote(key, safe='/!')}"

    def check_bucket(self, bucket: str) -> None:
        """Raises ``NotFoundError`` or ``PermissionDeniedError`` if a bucket cannot be used.

        :param bucket: name of the bucket
        """
        self._run(self._bucket(bucket).check())

    def find_object(self, bucket: str, key: str) -> StoredObject | None:
        """Returns an object's size, time and digest; ``None`` if it or its bucket does not exist.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        return self._run(self._bucket(bucket).find(checks.object_key(key)))

    def find_objects(self, bucket: str, keys: Iterable[str]) -> dict[str, StoredObject]:
        """Looks up several objects concurrently, and returns those that exist, by their keys.

        :param bucket: name of the bucket
        :param keys: keys of the objects
        """
        source = self._bucket(bucket)
        found: dict[str, StoredObject | None] = dict.fromkeys(map(checks.object_key, keys))

        def look_up(run: Run, key: str) -> None:
            found[key] = run(source.find(key))

        with self._threads() as (run, workers):
            for key in tuple(found):
                workers.submit(partial(look_up, run, key))
            workers.join()
        return {key: one for key, one in found.items() if one is not None}

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Yields the objects of a bucket, fetched page by page.

        :param bucket: name of the bucket
        :param prefix: only objects whose keys start with it
        """
        for page in self._pages(self._bucket(bucket).listing(prefix)):
            yield from page.objects

    def list_folder(
        self, bucket: str, prefix: str, delimiter: str = "/"
    ) -> tuple[list[StoredObject], list[str]]:
        """Returns the objects of one folder, and the prefixes of the folders in it.

        :param bucket: name of the bucket
        :param prefix: the folder, ending with the delimiter; empty for the bucket itself
        :param delimiter: the character that ends a folder's name
        """
        objects: list[StoredObject] = []
        folders: list[str] = []
        for page in self._pages(self._bucket(bucket).listing(prefix, delimiter)):
            objects += page.objects
            folders += page.folders
        return objects, folders

    def read_object(
        self,
        bucket: str,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
    ) -> bytes:
        """Returns the bytes of an object, from ``start`` up to but not including ``end``.

        The bytes are returned as stored; nothing is decompressed. Raises ``ObjectChangedError`` if
        the object's ETag is not ``etag``, and ``UnusableAnswerError`` if the answer does not prove
        that it has the requested bytes.

        :param bucket: name of the bucket
        :param key: key of the object
        :param start: offset of the first byte, counted from 0
        :param end: offset after the last byte; ``None`` for the end of the object
        :param etag: ETag that the object must have, for reading one object in several parts
        """
        if start < 0 or (end is not None and end < 0):
            raise InputError("start and end", [start, end], "give offsets of at least 0")
        return self._run(self._bucket(bucket).read(checks.object_key(key), start, end, etag))

    def write_object(self, bucket: str, key: str, data: bytes) -> StoredObject:
        """Writes an object of up to 5 GB in one request, replacing any object of that key.

        :param bucket: name of the bucket
        :param key: key of the object
        :param data: the content
        """
        target, data = self._bucket(bucket), bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return self._run(target.put(checks.new_key(key), data, digest))

    def upload_files(self, bucket: str, files: Sequence[FileToSend]) -> None:
        """Uploads files, several at a time, and logs the progress.

        A file larger than 5 MiB is sent in parts, and an interrupted upload is resumed. A file that
        changes while it is sent becomes no object. One failure stops all uploads; the objects that
        are complete stay.

        :param bucket: name of the bucket
        :param files: files with the keys of their objects
        """
        # Imported here since a hook that only reads needs neither.
        from airflow_provider_dli.transfer.sending import Sending, threads_for
        from airflow_provider_dli.transfer.transfer_log import TransferLog

        target = self._bucket(bucket)
        left = _by_key(files)
        size = sum(file.size for file in left)
        log = TransferLog(self.log, self.now, bucket=bucket, files=len(left), size=size)
        with log as progress:
            sending = Sending(target, progress, self.log)
            try:
                for is_last in (False, True):
                    with self._threads(threads_for(left, self.concurrency)) as (run, workers):
                        left = sending.round(left, run, workers, is_last=is_last)
            except BaseException:
                once = replace(target.client, retry=Retry(attempts=1))
                sending.clean_up(self._run, replace(target, client=once))
                raise

    def copy_object(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copies an object of up to 5 GB, with its metadata, inside OBS.

        :param bucket: name of the bucket
        :param key: key of the object
        :param to_bucket: name of the bucket of the copy, in the same region
        :param to_key: key of the copy
        """
        source, target = self._bucket(bucket), self._bucket(to_bucket)
        self._run(source.copy(checks.object_key(key), target, checks.key_of_copy(key, to_key)))

    def delete_objects(self, bucket: str, keys: Iterable[str]) -> None:
        """Deletes objects; absent ones count as deleted.

        :param bucket: name of the bucket
        :param keys: keys of the objects
        """
        self._run(self._bucket(bucket).delete([checks.object_key(key) for key in keys]))

    def start_multipart(self, bucket: str, key: str) -> OpenUpload:
        """Starts an object that is sent in parts: ``send(number, data)``, then ``complete()``.

        The object does not exist until then; ``abort()`` discards the parts.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        from airflow_provider_dli.transfer.open_upload import OpenUpload

        begun = uploads.begin(self._bucket(bucket), checks.new_key(key))
        return OpenUpload(self._run(begun), self._run)

    def _bucket(self, name: str) -> Bucket:
        name = checks.bucket(name)
        return Bucket(self._once("obs client", self._new_obs_client), name)

    def _new_obs_client(self) -> Client:
        return Client(
            self.account,
            now=self._clock.now,
            log=self.log,
            reread=self._read_account,
            learn=mask_secret,
            service=OBS,
        )

    def _pages(self, listing: Listing) -> Iterator[Page]:
        while not listing.is_over:
            yield self._run(listing.next_page())

    def _new_transport(self) -> BulkTransport:
        # Imported here so that a DAG file that imports the hook does not load requests.
        from airflow_provider_dli.transport.bulk import BulkTransport

        return BulkTransport(
            connections=self.concurrency, **self.account.network, sleep=self._clock.sleep
        )

    @contextmanager
    def _threads(self, number: int | None = None) -> Iterator[tuple[Run, Workers]]:
        """Yields threads, and a function that runs flows in them, with a transport of their own."""
        with (
            closing(self._new_transport()) as transport,
            Workers(number or self.concurrency, transport.break_off) as workers,
        ):
            yield transport.run, workers


def _by_key(files: Sequence[FileToSend]) -> list[FileToSend]:
    """Returns each file once; two files with one key must have the same bytes."""
    known: dict[str, FileToSend] = {}
    for file in files:
        other = known.setdefault(checks.new_key(file.key), file)
        if other.sha256 != file.sha256:
            rule = f"{other.path} and {file.path} would both have it; give each its own key"
            raise InputError("key", file.key, rule)
    return list(known.values())
