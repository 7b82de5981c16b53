# SPDX-License-Identifier: Apache-2.0
"""The hook on OBS, the object storage from which DLI takes its packages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property, partial
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
    method is called. Methods raise ``InputError`` for wrong values before any request, and the
    other errors of ``airflow_provider_dli.exceptions`` for what came back. One hook serves several
    threads.

    .. code-block:: python

        @task
        def newest(bucket: str) -> str:
            objects = ObsHook().list_objects(bucket, prefix="jars/")
            return max(objects, key=lambda one: one.modified).key

    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param clock: tells the time and sleeps; a test may give its own
    :param concurrency: how many requests go out at a time, where there are many; of large files
        seven of ten, and each of these holds 5 MiB
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
            raise InputError("concurrency", concurrency, "give a number from 1 on")
        self.concurrency = concurrency

    @property
    def endpoint(self) -> str:
        """The address of OBS, such as ``https://obs.eu-de.otc.t-systems.com``."""
        return endpoint_of(self.account)

    def object_url(self, bucket: str, key: str) -> str:
        """Give the address of an object as DLI takes it.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        account = self.account
        if account.obs_origin is None or (account.cloud and account.region):
            return obs_url(bucket, key, account.cloud, account.region)
        host = account.obs_origin.partition("://")[2]
        return f"https://{bucket}.{host}/{quote(key, safe='/!')}"

    def check_bucket(self, bucket: str) -> None:
        """Raise ``NotFoundError`` or ``PermissionDeniedError`` where a bucket cannot be used.

        :param bucket: name of the bucket
        """
        self._run(self._bucket(bucket).check())

    def find_object(self, bucket: str, key: str) -> StoredObject | None:
        """Describe an object; ``None`` when there is none, or no such bucket.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        return self._run(self._bucket(bucket).find(checks.object_key(key)))

    def find_objects(self, bucket: str, keys: Iterable[str]) -> dict[str, StoredObject]:
        """Describe several objects at once, and give those that are there by their keys.

        :param bucket: name of the bucket
        :param keys: keys of the objects
        """
        asked = self._bucket(bucket)
        wanted = list(dict.fromkeys(map(checks.object_key, keys)))
        found: dict[str, StoredObject] = {}

        def look(run: Run, key: str) -> None:
            one = run(asked.find(key))
            if one is not None:
                found[key] = one

        with self._crowd() as (run, workers):
            for key in wanted:
                workers.submit(partial(look, run, key))
            workers.join()
        return {key: found[key] for key in wanted if key in found}

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Give the objects of a bucket, fetched page by page.

        :param bucket: name of the bucket
        :param prefix: what their keys begin with
        """
        for page in self._pages(self._bucket(bucket).listing(prefix)):
            yield from page.objects

    def list_folder(
        self, bucket: str, prefix: str, delimiter: str = "/"
    ) -> tuple[list[StoredObject], list[str]]:
        """Give the objects of one folder, and the prefixes of the folders in it.

        :param bucket: name of the bucket
        :param prefix: the folder, with the delimiter at its end; empty for the bucket itself
        :param delimiter: what ends a folder's name
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
        """Returns the bytes of an object, from ``start`` up to but without ``end``.

        They are as they are stored: nothing is unpacked. Raises ``ObjectChangedError`` where the
        object is not the one that ``etag`` names, and ``UnusableAnswerError`` where an answer does
        not prove that it has the bytes that were asked for.

        :param bucket: name of the bucket
        :param key: key of the object
        :param start: the first byte, from 0 on
        :param end: the byte after the last one; ``None`` for all
        :param etag: of the object that is meant, for who reads it in several parts
        """
        if start < 0 or (end is not None and end < 0):
            raise InputError("start and end", [start, end], "give numbers of bytes from 0 on")
        return self._run(self._bucket(bucket).read(checks.object_key(key), start, end, etag))

    def write_object(self, bucket: str, key: str, data: bytes) -> StoredObject:
        """Store bytes in one request, of up to 5 GB, in place of what lies there.

        :param bucket: name of the bucket
        :param key: key of the object
        :param data: what to store
        """
        target, data = self._bucket(bucket), bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return self._run(target.put(checks.new_key(key), data, digest))

    def upload_files(self, bucket: str, files: Sequence[FileToSend]) -> None:
        """Send files, several at once, and say in the log how far it is.

        A file of more than 8 MiB goes in parts, and a run that was broken off is gone on with. No
        object is made of a file that changed meanwhile. One failure stops all; what arrived stays.

        :param bucket: name of the bucket
        :param files: files with the keys that they are to have
        """
        # Imported here, since a hook that only looks needs neither.
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
                    with self._crowd(threads_for(left, self.concurrency)) as (run, workers):
                        left = sending.round(left, run, workers, is_last=is_last)
            except BaseException:
                once = replace(target.client, retry=Retry(attempts=1))
                sending.clean_up(self._run, replace(target, client=once))
                raise

    def copy_object(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object of up to 5 GB, with its metadata, inside of OBS.

        :param bucket: name of the bucket
        :param key: key of the object
        :param to_bucket: name of the bucket for the copy, in the same region
        :param to_key: key of the copy
        """
        source, target = self._bucket(bucket), self._bucket(to_bucket)
        self._run(source.copy(checks.object_key(key), target, checks.key_of_copy(key, to_key)))

    def delete_objects(self, bucket: str, keys: Iterable[str]) -> None:
        """Delete objects; absent ones count as done.

        :param bucket: name of the bucket
        :param keys: keys of the objects
        """
        self._run(self._bucket(bucket).delete([checks.object_key(key) for key in keys]))

    def start_multipart(self, bucket: str, key: str) -> OpenUpload:
        """Begin an object that is sent in parts: ``send(number, data)``, then ``complete()``.

        Until then nothing lies there; ``abort()`` throws the parts away.

        :param bucket: name of the bucket
        :param key: key of the object
        """
        from airflow_provider_dli.transfer.open_upload import OpenUpload

        begun = uploads.begin(self._bucket(bucket), checks.new_key(key))
        return OpenUpload(self._run(begun), self._run)

    def _bucket(self, name: str) -> Bucket:
        return Bucket(self._obs, checks.bucket(name))

    def _pages(self, listing: Listing) -> Iterator[Page]:
        while not listing.is_over:
            yield self._run(listing.next_page())

    @cached_property
    def _obs(self) -> Client:
        return Client(
            self.account,
            now=self._clock.now,
            log=self.log,
            reread=self._account_by_now,
            learn=mask_secret,
            service=OBS,
        )

    @cached_property
    def _transport(self) -> BulkTransport:
        return self._new_transport()

    def _new_transport(self) -> BulkTransport:
        # Imported here, so that a DAG file that imports the hook does not load requests.
        from airflow_provider_dli.transport.bulk import BulkTransport

        return BulkTransport(
            connections=self.concurrency,
            **self.account.network,
            sleep=self._clock.sleep,
        )

    @contextmanager
    def _crowd(self, number: int | None = None) -> Iterator[tuple[Run, Workers]]:
        """Return threads and what runs flows in them: breaking those off leaves others alone."""
        with (
            closing(self._new_transport()) as transport,
            Workers(number or self.concurrency, transport.break_off) as workers,
        ):
            yield transport.run, workers


def _by_key(files: Sequence[FileToSend]) -> list[FileToSend]:
    """Give each file once; two of other bytes must not have one key."""
    known: dict[str, FileToSend] = {}
    for file in files:
        other = known.setdefault(checks.new_key(file.key), file)
        if other.sha256 != file.sha256:
            both = f"{other.path} and {file.path} would both be it"
            raise InputError("key", file.key, both)
    return list(known.values())
