# SPDX-License-Identifier: Apache-2.0
"""An object that a caller sends in parts, one call after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.api.obs.models import StoredObject
    from airflow_provider_dli.api.obs.uploads import MultipartUpload
    from airflow_provider_dli.api.protocol.wire import Run


class OpenUpload:
    """An object that is being sent in parts; it appears when they are completed, and not before.

    Parts may be sent from several threads and in any order; a number that is sent again replaces
    what it was.
    """

    def __init__(self, upload: MultipartUpload, run: Run) -> None:
        self._upload = upload
        self._run = run

    @property
    def size(self) -> int:
        """The bytes that were sent so far."""
        return self._upload.size

    def send(self, number: int, data: bytes) -> None:
        """Send part ``number``, from 1 on.

        All parts but the last have at least 100 KB (5 MB on other services of this kind).
        """
        self._run(self._upload.send(number, bytes(data)))

    def complete(self) -> StoredObject:
        """Make the object of the parts, and return it as it lies there."""
        return self._run(self._upload.complete())

    def abort(self) -> None:
        """Throw the parts away; an upload that is gone already counts as done."""
        self._run(self._upload.abort())
