# SPDX-License-Identifier: Apache-2.0
"""One object as an open file: read in ranges, written in parts, and never stored by half."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fsspec.spec import AbstractBufferedFile

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.fs.failures import as_os_errors

if TYPE_CHECKING:
    from airflow_provider_dli.fs.listing import ObsListing
    from airflow_provider_dli.transfer.open_upload import OpenUpload

_log = logging.getLogger(__name__)

MIB = 1024 * 1024
# Fewer requests for who reads on; who jumps about gives a smaller block_size.
READ_AHEAD = 16 * MIB
PART = 8 * MIB
# A store that speaks S3 takes no smaller part but the last; OBS itself takes 100 KB.
SMALLEST_PART = 5 * MIB
# Parts double after each thousand, since an object has 10,000 at most:
# https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0099.html
GROW_AFTER = 1000


class ObsFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object that is read or written.

    It comes into being when it is closed, as a whole. Nothing is stored when a part cannot be sent,
    when the `with` block raises, or when the file is never closed.

    :param mode: ``rb``, ``wb``, or ``xb``, which looks for an object when it is opened and again
        when it is stored; another writer may still come in between
    :param block_size: bytes to fetch ahead, else 16 MiB; or of a part, else 8 MiB
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
                "an object is read (r) or written anew (w, x); it cannot be appended to or changed"
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
        """Read of the object that was there when this was opened, and of no later one."""
        with as_os_errors():
            hook = self.fs.hook
            return hook.read_object(self._bucket, self._key, start, end, etag=self.details["ETag"])

    def __reduce__(self) -> Any:
        reopen, (fs, path, mode, block_size, at, _, *rest) = super().__reduce__()
        # Without its size, so that it is read as the object that lies there by then.
        return reopen, (fs, path, mode, block_size, at, None, *rest)

    def _upload_chunk(self, final: bool = False) -> bool:
        """Send what is buffered, in parts of one size; keep the rest for the next."""
        try:
            if not final or self._upload is not None:
                self._send_parts(self.buffer.getvalue(), final)
            if final and self.autocommit:
                self.commit()
        except BaseException as error:
            self._give_up(error)
            raise
        return False  # the buffer is what it should be already

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
        """Let the object come into being; nothing happens if it was stored or given up before."""
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
            self._give_up(error)
            raise
        self._settled = True

    def discard(self) -> None:
        """Store nothing, and leave no parts behind."""
        self.closed = True
        if not self._settled:
            self._settled = True
            self.buffer = io.BytesIO()
            if self._upload is not None:
                with as_os_errors():
                    self._upload.abort()

    def _give_up(self, error: BaseException) -> None:
        """Discard because of an error, which is the one to be raised, whatever happens here."""
        try:
            self.discard()
        except Exception as second:
            error.add_note(f"Parts of {self.full_name} may be left in the bucket: {second}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._give_up(error)

    def __del__(self) -> None:
        if self.closed:
            return
        if not self._settled:
            _log.warning("%s was never closed: nothing is stored.", self.full_name)
        self.discard()


class LayeredFile:
    """A file with text or compression on top of an `ObsFile`, as one file.

    The layers of the standard library close what is below them also when a `with` block raises, or
    not at all; here an object is stored when all is well and only then.
    """

    def __init__(self, top: Any, stored: ObsFile) -> None:
        self._top = top
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._top, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._top)

    def close(self) -> None:
        """Write what the layers still hold, and store the object."""
        try:
            self._top.close()
        except BaseException as error:
            self._abandon(error)
            raise
        self._stored.close()

    def _abandon(self, error: BaseException) -> None:
        self._stored.__exit__(type(error), error, None)
        # The layer cannot write its end any more, which is intended.
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
