# SPDX-License-Identifier: Apache-2.0
"""Reads the body of an answer: decompressed, complete, and within the size limit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from airflow_provider_dli.api.protocol.wire import Request
from airflow_provider_dli.transport import failures
from airflow_provider_dli.transport.failures import UnreadableAnswerError


def accepted(request: Request) -> dict[str, str]:
    """Returns the `Accept-Encoding` of a request; nothing else is decompressed.

    An object is read as it is stored, compressed or not.
    """
    return {"Accept-Encoding": "identity" if request.is_bulk else "gzip"}


_PACKED = {"gzip", "x-gzip", "deflate"}
_GZIP_OR_ZLIB = 47
# A server may declare a length that does not fit into memory.
_LONGEST_PLACE = 32 * 1024 * 1024


class Body:
    """Collects the pieces of a body; `most` is its maximum size in bytes, decompressed.

    Header names are lower case. Raises `UnreadableAnswerError` if status or headers are invalid.
    """

    def __init__(
        self, request: Request, status: int, headers: Mapping[str, str], most: int
    ) -> None:
        _check_head(status, headers)
        length = _announced(headers)
        self._request = request
        # An object may be as large as it declares; other answers have the common limit.
        self._most = max(most, length) if request.is_bulk else most
        if length > self._most and request.method != "HEAD":
            raise failures.too_large(request, most)
        is_object = request.is_bulk and 200 <= status < 300
        encoding = "" if is_object else headers.get("content-encoding", "").strip().lower()
        self._unpacker = _unpacker(encoding)
        # Pieces are copied into one buffer: joining them at the end would need twice the memory.
        place = 0 if self._unpacker or request.method == "HEAD" else length
        self._bytes = bytearray(min(place, _LONGEST_PLACE, most))
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Adds the next piece as received; raises `AnswerTooLargeError`."""
        if self._unpacker is None:
            self._put(piece)
            return
        while piece:
            try:
                self._put(self._unpacker.decompress(piece, self._most - self._size + 1))
            except zlib.error:
                raise UnreadableAnswerError("it cannot be decompressed") from None
            # One compressed stream may follow another.
            piece = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            if self._unpacker.eof and piece:
                self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)

    def whole(self) -> bytearray:
        """Returns the body after its last piece."""
        if self._unpacker is not None and not self._unpacker.eof and self._size:
            raise UnreadableAnswerError("it is compressed, and its end is missing")
        del self._bytes[self._size :]
        return self._bytes

    def _put(self, piece: bytes) -> None:
        size = self._size + len(piece)
        if size > self._most:
            raise failures.too_large(self._request, self._most)
        self._bytes[self._size : size] = piece
        self._size = size


def _check_head(status: int, headers: Mapping[str, str]) -> None:
    if status < 200:
        raise UnreadableAnswerError(f"its last status is the interim {status}")
    if 300 <= status < 400:
        try:
            urlsplit(headers.get("location", ""))
        except ValueError:
            raise UnreadableAnswerError(
                f"it has status {status} and a Location that is not an address"
            ) from None


def _announced(headers: Mapping[str, str]) -> int:
    """Returns the length that the headers declare, 0 if they declare none."""
    if "transfer-encoding" in headers or "content-length" not in headers:
        return 0
    return length_of(headers["content-length"])


def length_of(text: str) -> int:
    """Returns the value of a Content-Length; raises `UnreadableAnswerError`."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        raise UnreadableAnswerError("its Content-Length is not a single number")
    return int(text)


def _unpacker(encoding: str) -> zlib._Decompress | None:
    if encoding in {"", "identity"}:
        return None
    if encoding not in _PACKED:
        raise UnreadableAnswerError("its compression was not requested")
    return zlib.decompressobj(_GZIP_OR_ZLIB)
