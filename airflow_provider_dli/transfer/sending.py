# SPDX-License-Identifier: Apache-2.0
"""Sends files to a bucket: small ones in one request, larger ones in parts, several at a time.

No state is kept on this machine. Keys are made from the content, so an unfinished upload with the
same key has the same bytes, and the next run resumes it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dli.api.obs import uploads
from airflow_provider_dli.api.obs.refusals import is_gone
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    DliError,
    InputError,
    NotFoundError,
    TransportError,
)
from airflow_provider_dli.transfer.files import part_of, tags_of, whole

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import FileToSend
    from airflow_provider_dli.api.obs.objects import Bucket
    from airflow_provider_dli.api.obs.uploads import MultipartUpload
    from airflow_provider_dli.api.protocol.log import Log
    from airflow_provider_dli.api.protocol.wire import Run
    from airflow_provider_dli.transfer.transfer_log import TransferLog
    from airflow_provider_dli.transfer.workers import Workers

PART = 5 * 1024 * 1024
"""Bytes of a part, and the most that is sent in one request. Other services than OBS accept no
smaller parts."""

MOST_PARTS = 10_000
"""https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0099.html"""


class Sending:
    """One transfer of files to a bucket."""

    def __init__(self, bucket: Bucket, progress: TransferLog, log: Log) -> None:
        self.bucket = bucket
        self.progress = progress
        self.log = log
        self._begun: list[_SingleRequest | _Multipart] = []

    def round(
        self, files: Sequence[FileToSend], run: Run, workers: Workers, *, is_last: bool
    ) -> list[FileToSend]:
        """Sends files; returns those whose upload someone else ended without creating the object.

        The last round starts those anew, and returns none.
        """
        self._begun = []
        for file in files:
            kind = _Multipart if file.size > PART else _SingleRequest
            upload = kind(self, run, file)
            self._begun.append(upload)
            upload.send(workers, is_fresh=is_last)
        workers.join()
        return [upload.file for upload in self._begun if not upload.is_done]

    def clean_up(self, run: Run, bucket: Bucket) -> None:
        """Removes, after a failure, incomplete objects and uploads that cannot be resumed.

        The client of `bucket` does not retry.
        """
        for upload in self._begun:
            try:
                upload.clean_up(run, bucket)
            except TransportError as error:
                self.log.warning("Could not check what is stored in OBS: %s", error)
                return
            except DliError as error:
                self.log.warning(
                    "%s/%s could not be cleaned up: %s", self.bucket.name, upload.key, error
                )


class _SingleRequest:
    """A file that is sent in one request."""

    def __init__(self, sending: Sending, run: Run, file: FileToSend) -> None:
        self.file = file
        self.key = file.key
        self.is_done = False
        self._run = run
        self._was_sent = False
        self._sending = sending

    def send(self, workers: Workers, *, is_fresh: bool) -> None:
        workers.submit(self._put)

    def _put(self) -> None:
        sending = self._sending
        with _naming(self.file):
            data = whole(self.file)
            self._was_sent = True
            self._run(sending.bucket.put(self.key, data, self.file.sha256))
        self.is_done = True
        sending.progress.sent(self.file.size)
        sending.progress.file_done(self.key)

    def clean_up(self, run: Run, bucket: Bucket) -> None:
        if self.is_done or not self._was_sent:
            return
        found = run(bucket.find(self.key))
        if found is not None and found.size != self.file.size:
            run(bucket.delete([self.key]))
            self._sending.log.warning(
                "Deleted %s/%s: it had %d of the %d bytes of %s.",
                bucket.name,
                self.key,
                found.size,
                self.file.size,
                self.file.path,
            )


class _Multipart:
    """A file that is sent in parts; the thread that sends the last one completes the object."""

    def __init__(self, sending: Sending, run: Run, file: FileToSend) -> None:
        self.file = file
        self.key = file.key
        self.is_done = False
        self._run = run
        self._sending = sending
        self._upload: MultipartUpload | None = None
        self._part_size = part_size(file.size)
        self._count = self._left = -(-file.size // self._part_size)
        self._is_fresh = self._is_gone = self._is_refused = False
        self._lock = threading.Lock()

    def send(self, workers: Workers, *, is_fresh: bool) -> None:
        self._is_fresh = is_fresh
        with self._noting_failures():
            tags = tags_of(self.file)
            upload = self._upload = self._begin()
        for number in range(1, self._count + 1):
            workers.submit(partial(self._send_part, upload, number, tags))

    def _begin(self) -> MultipartUpload:
        sending = self._sending
        known = (sending.bucket, self.key, self.file.sha256)
        found = None if self._is_fresh else self._run(uploads.take_up(*known))
        if found is None:
            return self._run(uploads.begin(*known))
        sending.log.info(
            "Resuming %s/%s: %d of %d parts are there already",
            sending.bucket.name,
            self.key,
            found.parts_there,
            self._count,
        )
        return found

    def _send_part(self, upload: MultipartUpload, number: int, tags: bytes) -> None:
        progress = self._sending.progress
        start = (number - 1) * self._part_size
        size = min(self._part_size, self.file.size - start)
        with self._noting_failures():
            if not self._is_gone:
                data = part_of(self.file, tags, start, size)
                was_sent = self._run(upload.send(number, data))
                (progress.sent if was_sent else progress.found)(len(data))
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            with self._noting_failures():
                self._finish(upload)

    def _finish(self, upload: MultipartUpload) -> None:
        if self._is_gone:
            found = self._run(self._sending.bucket.find(self.key))
        else:
            found = self._run(upload.complete())
        self.is_done = found is not None and found.size == self.file.size
        if found is not None and not self._is_fresh:
            # An upload that someone else began may not have the digest.
            self.is_done = self.is_done and found.sha256 == self.file.sha256
        if self.is_done:
            self._sending.progress.file_done(self.key)

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Records what a failure means for the upload."""
        try:
            with _naming(self.file):
                yield
        except NotFoundError as error:
            if self._is_fresh or not is_gone(error):
                self._is_refused = True
                raise
            self._is_gone = True
        except (AnswerError, InputError) as error:
            self._is_refused = not error.is_transient
            raise

    def clean_up(self, run: Run, bucket: Bucket) -> None:
        # What the network interrupted is left for the next run to resume.
        if self._is_refused and self._upload is not None:
            run(self._upload.abort(bucket))


def threads_for(files: Sequence[FileToSend], most: int) -> int:
    """Returns how many of `most` threads to use: fewer if each holds a whole part in memory.

    By default they hold 35 MiB together.
    """
    has_parts = any(file.size > PART for file in files)
    return max(most * 7 // 10, 1) if has_parts else most


def part_size(size: int) -> int:
    """Returns the size of a file's parts: whole MiB, and not too many parts."""
    mebibyte = 1024 * 1024
    return max(PART, -(-size // (MOST_PARTS * mebibyte)) * mebibyte)


@contextmanager
def _naming(file: FileToSend) -> Iterator[None]:
    """Adds the file to any error raised."""
    try:
        yield
    except DliError as error:
        error.add_note(f"Raised while {file.path} was sent.")
        raise
