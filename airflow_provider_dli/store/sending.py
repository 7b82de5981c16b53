# SPDX-License-Identifier: Apache-2.0
"""Sends files to OBS: each is read once, in parts, and threads send what was read.

No state is kept on this machine. A key names the bytes that are to lie under it, so an unfinished
upload of the same key has the same bytes, and the next run goes on with it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dli.api.errors import (
    AnswerError,
    DliError,
    InputError,
    NotFoundError,
    TransportError,
)
from airflow_provider_dli.api.objects import is_gone
from airflow_provider_dli.api.retry import TRANSIENT
from airflow_provider_dli.store import multipart, objects

if TYPE_CHECKING:
    from airflow_provider_dli.api.log import Log
    from airflow_provider_dli.api.objects import FileToSend
    from airflow_provider_dli.store.caller import ObsCaller
    from airflow_provider_dli.store.multipart import MultipartUpload
    from airflow_provider_dli.store.transfer_log import TransferLog
    from airflow_provider_dli.store.workers import Workers

PART = 8 * 1024 * 1024
"""Bytes of a part, and the most that goes in one request."""

MOST_PARTS = 10_000
"""https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0099.html"""


class Sending:
    """One transfer of files to a bucket."""

    def __init__(self, bucket: str, progress: TransferLog, log: Log) -> None:
        self.bucket = bucket
        self.progress = progress
        self.log = log
        self._begun: list[_Whole | _InParts] = []

    def round(
        self, files: Sequence[FileToSend], caller: ObsCaller, workers: Workers, *, is_last: bool
    ) -> list[FileToSend]:
        """Send files, and give those whose upload somebody else ended without making the object.

        Those are begun anew in the last round, which gives none.
        """
        self._begun = []
        for file in files:
            kind = _InParts if file.size > PART else _Whole
            one = kind(self, caller, file)
            self._begun.append(one)
            one.send(workers, is_fresh=is_last)
        workers.join()
        return [one.file for one in self._begun if not one.is_done]

    def clean_up(self, caller: ObsCaller) -> None:
        """After a failure, let no half object and no upload stay that nobody can go on with."""
        for one in self._begun:
            try:
                one.clean_up(caller)
            except TransportError as error:
                self.log.warning("Nobody can look what lies in OBS by now: %s", error)
                return
            except DliError as error:
                self.log.warning("%s/%s could not be cleaned up: %s", self.bucket, one.key, error)


class _Whole:
    """A file that goes in one request."""

    def __init__(self, sending: Sending, caller: ObsCaller, file: FileToSend) -> None:
        self.file = file
        self.key = file.key
        self.is_done = False
        self._caller = caller
        self._is_under_way = False
        self._sending = sending

    def send(self, workers: Workers, *, is_fresh: bool) -> None:
        for data in _parts(self.file, max(self.file.size, 1)):
            workers.submit(partial(self._put, data))

    def _put(self, data: bytes) -> None:
        sending = self._sending
        self._is_under_way = True
        with _about(self.file):
            objects.put(self._caller, sending.bucket, self.key, data, self.file.sha256)
        self.is_done = True
        sending.progress.sent(len(data))
        sending.progress.file_done()

    def clean_up(self, caller: ObsCaller) -> None:
        if self.is_done or not self._is_under_way:
            return
        bucket = self._sending.bucket
        found = objects.find(caller, bucket, self.key)
        if found is not None and found.size != self.file.size:
            objects.delete(caller, bucket, [self.key])
            self._sending.log.warning(
                "Deleted %s/%s: there were %d of the %d bytes of %s.",
                bucket,
                self.key,
                found.size,
                self.file.size,
                self.file.path,
            )


class _InParts:
    """A file that goes in parts; whoever sends the last one makes the object of them."""

    def __init__(self, sending: Sending, caller: ObsCaller, file: FileToSend) -> None:
        self.file = file
        self.key = file.key
        self.is_done = False
        self._caller = caller
        self._sending = sending
        self._upload: MultipartUpload | None = None
        self._part_size = part_size(file.size)
        self._count = self._left = -(-file.size // self._part_size)
        self._is_fresh = self._is_gone = self._is_refused = False
        self._lock = threading.Lock()

    def send(self, workers: Workers, *, is_fresh: bool) -> None:
        self._is_fresh = is_fresh
        with self._watched():
            upload = self._upload = self._begin()
        for number, data in enumerate(self._parts(), 1):
            workers.submit(partial(self._send_part, upload, number, data))
            del data  # or it would stay while the next one is read

    def _parts(self) -> Iterator[bytes]:
        with self._watched():
            yield from _parts(self.file, self._part_size)

    def _begin(self) -> MultipartUpload:
        sending = self._sending
        known = (self._caller, sending.bucket, self.key, self.file.sha256)
        found = None if self._is_fresh else multipart.take_up(*known)
        if found is None:
            return multipart.begin(*known)
        sending.log.info(
            "Going on with %s/%s: %d of %d parts lie there",
            sending.bucket,
            self.key,
            found.parts_there,
            self._count,
        )
        return found

    def _send_part(self, upload: MultipartUpload, number: int, data: bytes) -> None:
        progress = self._sending.progress
        with self._watched():
            if not self._is_gone:
                note = progress.sent if upload.send(number, data) else progress.found
                note(len(data))
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            with self._watched():
                self._finish(upload)

    def _finish(self, upload: MultipartUpload) -> None:
        if self._is_gone:
            found = objects.find(self._caller, self._sending.bucket, self.key)
        else:
            found = upload.complete()
        self.is_done = found is not None and found.size == self.file.size
        if found is not None and not self._is_fresh:
            # An upload that somebody else began may say nothing of the digest.
            self.is_done = self.is_done and found.sha256 == self.file.sha256
        if self.is_done:
            self._sending.progress.file_done()

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
            self._is_refused = not isinstance(error, TRANSIENT)
            raise

    def clean_up(self, caller: ObsCaller) -> None:
        # What the network broke off is left for the next run to go on with.
        if self._is_refused and self._upload is not None:
            self._upload.abort(caller)


def part_size(size: int) -> int:
    """Give how many bytes the parts of a file have: whole MiB, and not too many parts."""
    mebibyte = 1024 * 1024
    return max(PART, -(-size // (MOST_PARTS * mebibyte)) * mebibyte)


def _parts(file: FileToSend, size: int) -> Iterator[bytes]:
    """Read a file once; the last part comes only when all was what it should be."""
    rule = "it changed while it was read; nothing of it was kept. Send it again when it is done"
    changed = InputError("files", str(file.path), rule)
    digest, left = hashlib.sha256(), file.size
    try:
        with file.path.open("rb") as stream:
            while True:
                data = stream.read(min(size, left))
                left -= len(data)
                digest.update(data)
                if not left:
                    break
                if len(data) < size:
                    raise changed
                yield data
                del data
            if stream.read(1) or digest.hexdigest() != file.sha256:
                raise changed
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or type(error).__name__})"
        raise InputError("files", str(file.path), rule) from error
    yield data


@contextmanager
def _about(file: FileToSend) -> Iterator[None]:
    """Name the file in what is raised."""
    try:
        yield
    except DliError as error:
        error.add_note(f"While {file.path} was sent.")
        raise
