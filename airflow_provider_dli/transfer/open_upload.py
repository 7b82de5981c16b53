# SPDX-License-Identifier: Apache-2.0
"""An object that a caller sends in parts, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.api.obs.uploads import MultipartUpload
    from airflow_provider_dli.api.protocol.wire import Run


class OpenUpload:
    """An object that is sent in parts. It does not exist before they are completed.

    Parts may be sent by several threads and in any order. Sending a number again replaces the part.
    """

    def __init__(self, upload: MultipartUpload, run: Run) -> None:
        self._upload = upload
        self._run = run

    @property
    def size(self) -> int:
        """The number of bytes sent so far."""
        return self._upload.size

    def send(self, number: int, data: bytes) -> None:
        """Sends part ``number``, counted from 1.

        All parts but the last need at least 100 KB (5 MB on other S3-like services).
        """
        self._run(self._upload.send(number, bytes(data)))

    def complete(self) -> StoredObject:
        """Creates the object from the parts, and returns it as it is stored."""
        return self._run(self._upload.complete())

    def abort(self) -> None:
        """Discards the parts; an upload that no longer exists counts as aborted."""
        self._run(self._upload.abort())
