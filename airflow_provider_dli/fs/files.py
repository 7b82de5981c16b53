# SPDX-License-Identifier: Apache-2.0
"""One object as an open file: read in ranges, written in parts, and never stored halfway."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fsspec.spec import AbstractBufferedFile

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.fs.listing import as_os_errors

if TYPE_CHECKING:
    from airflow_provider_dli.fs.listing import ObsListing
    from airflow_provider_dli.transfer.open_upload import OpenUpload

_log = logging.getLogger(__name__)

MIB = 1024 * 1024
# Few requests for sequential reading. For random access give a smaller block_size.
READ_AHEAD = 16 * MIB
PART = 8 * MIB
# S3 stores accept no smaller parts but the last; OBS itself accepts 100 KB.
SMALLEST_PART = 5 * MIB
# The size of parts doubles after each thousand, since an object has at most 10,000:
# https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0099.html
GROW_AFTER = 1000


class ObsFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object that is read or written.

    A written object is stored as a whole when the file is closed. Nothing is stored if a part
    cannot be sent, the `with` block raises, or the file is never closed.

    :param mode: ``rb``, ``wb``, or ``xb``, which checks that there is no object when it is opened
        and again when it is stored; another writer may still come in between
    :param block_size: bytes to read ahead, by default 16 MiB; or of a part, by default 8 MiB
    """

    fs: ObsListing
    buffer: io.BytesIO

    def __init__(
        self,
        fs: ObsListing,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        **options: Any,
    ) -> None:
        if mode not in ("rb", "wb", "xb"):
            rule = (
                "use r, w or x: an object is read or replaced, and cannot be appended to or changed"
            )
            raise InputError("mode", mode, rule)
        if block_size is None or block_size < 1:
            block_size = READ_AHEAD if mode == "rb" else PART
        if mode != "rb":
            block_size = max(block_size, SMALLEST_PART)
        self._bucket, self._key = fs.object_of(path)
        self._upload: OpenUpload | None = None
        self._parts = 0
        self._settled = mode == "rb"
        if mode == "xb":
            fs.refuse_existing(path)
        super().__init__(fs, path, mode, block_size, **options)
        if mode == "rb" and self._details and self._details["type"] == "directory":
            raise fs.is_folder(path)

    def _fetch_range(self, start: int, end: int) -> bytes:
        """Reads from the object that existed when the file was opened, and from no later one."""
        with as_os_errors():
            hook = self.fs.hook
            return hook.read_object(self._bucket, self._key, start, end, etag=self.details["ETag"])

    def __reduce__(self) -> Any:
        reopen, (fs, path, mode, block_size, at, _, *rest) = super().__reduce__()
        # Without its size, so that the object that exists then is read.
        return reopen, (fs, path, mode, block_size, at, None, *rest)

    def _upload_chunk(self, final: bool = False) -> bool:
        """Sends the buffer in parts of one size, and keeps the rest for the next call."""
        try:
            if not final or self._upload is not None:
                self._send_parts(self.buffer.getvalue(), final)
            if final and self.autocommit:
                self.commit()
        except BaseException as error:
            self._discard_for(error)
            raise
        return False  # the buffer is already as it should be

    def _send_parts(self, data: bytes, final: bool) -> None:
        begin = 0
        while len(data) - begin >= self.blocksize or (final and begin < len(data)):
            end = begin + self.blocksize
            self._send(data[begin:end])
            begin = end
        self.buffer = io.BytesIO(data[begin:])
        self.buffer.seek(0, io.SEEK_END)

    def _send(self, part: bytes) -> None:
        with as_os_errors():
            if self._upload is None:
                self._upload = self.fs.hook.start_multipart(self._bucket, self._key)
            self._parts += 1
            self._upload.send(self._parts, part)
        if self._parts % GROW_AFTER == 0:
            self.blocksize *= 2

    def commit(self) -> None:
        """Stores the object, unless it was stored or discarded before."""
        if self._settled:
            return
        try:
            if self.mode == "xb":
                self.fs.refuse_existing(self.path)
            with as_os_errors():
                if self._upload is None:
                    data = self.buffer.getvalue()
                    self.fs.hook.write_object(self._bucket, self._key, data)
                else:
                    self._upload.complete()
        except BaseException as error:
            self._discard_for(error)
            raise
        self._settled = True

    def discard(self) -> None:
        """Stores nothing and deletes the parts that were sent."""
        self.closed = True
        if not self._settled:
            self._settled = True
            self.buffer = io.BytesIO()
            if self._upload is not None:
                with as_os_errors():
                    self._upload.abort()

    def _discard_for(self, error: BaseException) -> None:
        """Discards because of an error, which stays the one that is raised."""
        try:
            self.discard()
        except Exception as second:
            error.add_note(f"Parts of {self.full_name} may still be in the bucket: {second}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._discard_for(error)

    def __del__(self) -> None:
        if self.closed:
            return
        if not self._settled:
            _log.warning("%s was never closed, so nothing is stored.", self.full_name)
        self.discard()


class LayeredFile:
    """A file with text or compression on top of an `ObsFile`, as one file.

    The layers of the standard library close the file below them even if a `with` block raises, or
    never. Here the object is stored only if everything succeeds.
    """

    def __init__(self, top: Any, stored: ObsFile) -> None:
        self._top = top
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._top, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._top)

    def close(self) -> None:
        """Writes what the layers still hold, and stores the object."""
        try:
            self._top.close()
        except BaseException as error:
            self._abandon(error)
            raise
        self._stored.close()

    def _abandon(self, error: BaseException) -> None:
        self._stored.__exit__(type(error), error, None)
        # The layer can no longer write its end, which is intended.
        with suppress(Exception):
            self._top.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon(error)

    def __del__(self) -> None:
        self._stored.__del__()
        with suppress(Exception):
            self._top.close()
