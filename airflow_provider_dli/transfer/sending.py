# SPDX-License-Identifier: Apache-2.0
"""Sends files to a bucket: a small one at once, a larger one in parts, several at a time.

No state is kept on this machine. A key names the bytes that are to lie under it, so an unfinished
upload of the same key has the same bytes, and the next run goes on with it.
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
"""Bytes of a part, and the most that goes in one request; others than OBS take no smaller ones."""

MOST_PARTS = 10_000
"""https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0099.html"""


class Sending:
    """One transfer of files to a bucket."""

    def __init__(self, bucket: Bucket, progress: TransferLog, log: Log) -> None:
        self.bucket = bucket
        self.progress = progress
        self.log = log
        self._begun: list[_Whole | _InParts] = []

    def round(
        self, files: Sequence[FileToSend], run: Run, workers: Workers, *, is_last: bool
    ) -> list[FileToSend]:
        """Send files; returns those whose upload somebody else ended without making the object.

        Those are begun anew in the last round, which gives none.
        """
        self._begun = []
        for file in files:
            kind = _InParts if file.size > PART else _Whole
            one = kind(self, run, file)
            self._begun.append(one)
            one.send(workers, is_fresh=is_last)
        workers.join()
        return [one.file for one in self._begun if not one.is_done]

    def clean_up(self, run: Run, bucket: Bucket) -> None:
        """After a failure, let no half object and no upload stay that nobody can go on with.

        `bucket` is asked by a client that does not repeat.
        """
        for one in self._begun:
            try:
                one.clean_up(run, bucket)
            except TransportError as error:
                self.log.warning("Nobody can look what lies in OBS by now: %s", error)
                return
            except DliError as error:
                self.log.warning(
                    "%s/%s could not be cleaned up: %s", self.bucket.name, one.key, error
                )


class _Whole:
    """A file that goes in one request."""

    def __init__(self, sending: Sending, run: Run, file: FileToSend) -> None:
        self.file = file
        self.key = file.key
        self.is_done = False
        self._run = run
        self._is_under_way = False
        self._sending = sending

    def send(self, workers: Workers, *, is_fresh: bool) -> None:
        workers.submit(self._put)

    def _put(self) -> None:
        sending = self._sending
        with _about(self.file):
            data = whole(self.file)
            self._is_under_way = True
            self._run(sending.bucket.put(self.key, data, self.file.sha256))
        self.is_done = True
        sending.progress.sent(self.file.size)
        sending.progress.file_done(self.key)

    def clean_up(self, run: Run, bucket: Bucket) -> None:
        if self.is_done or not self._is_under_way:
            return
        found = run(bucket.find(self.key))
        if found is not None and found.size != self.file.size:
            run(bucket.delete([self.key]))
            self._sending.log.warning(
                "Deleted %s/%s: there were %d of the %d bytes of %s.",
                bucket.name,
                self.key,
                found.size,
                self.file.size,
                self.file.path,
            )


class _InParts:
    """A file that goes in parts; whoever sends the last one makes the object of them."""

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
        with self._watched():
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
            "Going on with %s/%s: %d of %d parts lie there",
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
        with self._watched():
            if not self._is_gone:
                data = part_of(self.file, tags, start, size)
                was_sent = self._run(upload.send(number, data))
                (progress.sent if was_sent else progress.found)(len(data))
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            with self._watched():
                self._finish(upload)

    def _finish(self, upload: MultipartUpload) -> None:
        if self._is_gone:
            found = self._run(self._sending.bucket.find(self.key))
        else:
            found = self._run(upload.complete())
        self.is_done = found is not None and found.size == self.file.size
        if found is not None and not self._is_fresh:
            # An upload that somebody else began may say nothing of the digest.
            self.is_done = self.is_done and found.sha256 == self.file.sha256
        if self.is_done:
            self._sending.progress.file_done(self.key)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note what a failure means for the upload."""
        try:
            with _about(self.file):
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
        # What the network broke off is left for the next run to go on with.
        if self._is_refused and self._upload is not None:
            run(self._upload.abort(bucket))


def threads_for(files: Sequence[FileToSend], most: int) -> int:
    """Return how many of `most` threads send these: fewer where each holds a whole part.

    By default they hold 35 MiB together.
    """
    has_parts = any(file.size > PART for file in files)
    return max(most * 7 // 10, 1) if has_parts else most


def part_size(size: int) -> int:
    """Return how many bytes the parts of a file have: whole MiB, and not too many parts."""
    mebibyte = 1024 * 1024
    return max(PART, -(-size // (MOST_PARTS * mebibyte)) * mebibyte)


@contextmanager
def _about(file: FileToSend) -> Iterator[None]:
    """Name the file in what is raised."""
    try:
        yield
    except DliError as error:
        error.add_note(f"While {file.path} was sent.")
        raise
