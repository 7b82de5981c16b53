# SPDX-License-Identifier: Apache-2.0
"""A client of an object store (S3 or OBS) that looks up, reads and writes objects."""

from __future__ import annotations

import hashlib
import hmac
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from airflow_provider_dli.emulator.checks import StoredObject
from airflow_provider_dli.emulator.messages import RefusedError
from airflow_provider_dli.emulator.settings import Settings

TIMEOUT_SECONDS = 5.0


class ObjectStore:
    """The object store behind `obs_endpoint`, addressed as ENDPOINT/BUCKET/KEY."""

    def __init__(self, endpoint: str, settings: Settings) -> None:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"obs_endpoint must be an http or https address, not {endpoint!r}")
        self._connection_type = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._address = url.netloc
        self._prefix = url.path.rstrip("/")
        self._settings = settings

    def check(self, objects: Iterable[StoredObject]) -> None:
        """Raises RefusedError, the answer to an upload, unless all objects can be read.

        The answers of DLI are undocumented; the codes are those of the general table,
        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
        """
        for item in objects:
            with self._answer("HEAD", item.bucket, item.key) as response:
                _judge(response.status, item.bucket, item.key)

    def sizes(self, bucket: str, page_size: int = 1000) -> Iterator[tuple[str, int]]:
        """Returns the keys of all objects of a bucket with their sizes in bytes."""
        marker, more = "", True
        while more:
            query = {"marker": marker, "max-keys": str(page_size)}
            with self._answer("GET", bucket, query=query) as response:
                _judge(response.status, bucket)
                body = response.read()
            try:
                page = ElementTree.fromstring(body)  # noqa: S314 - it is the developer's own store
            except ElementTree.ParseError as error:
                raise _unreachable("what answers lists no bucket") from error
            for entry in page.iterfind("{*}Contents"):
                marker = entry.findtext("{*}Key", "")
                yield marker, int(entry.findtext("{*}Size", "0"))
            more = page.findtext("{*}IsTruncated") == "true"

    def fetch(self, bucket: str, key: str, target: Path) -> None:
        """Reads an object into a file."""
        with target.open("wb") as file, self._answer("GET", bucket, key) as response:
            _judge(response.status, bucket, key)
            shutil.copyfileobj(response, file)
            # A connection that breaks looks like the end of the object.
            if response.length:
                raise _unreachable(f"{response.length} bytes are missing")

    def send(self, bucket: str, key: str, source: Path) -> None:
        """Writes an object from a file."""
        with source.open("rb") as file, self._answer("PUT", bucket, key, body=file) as response:
            _judge(response.status, bucket, key)

    def delete(self, bucket: str, key: str) -> None:
        """Deletes an object; a missing one is not an error."""
        with self._answer("DELETE", bucket, key) as response:
            _judge(response.status, bucket, key)

    @contextmanager
    def _answer(
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: BinaryIO | None = None,
    ) -> Iterator[HTTPResponse]:
        path = f"{self._prefix}/{bucket}" + (f"/{quote(key, safe='/~')}" if key else "")
        text = urlencode(query or {}, quote_via=quote, safe="~")
        headers = self._headers(method, path, text)
        if body is not None:
            headers["Content-Length"] = str(Path(body.name).stat().st_size)
        connection = self._connection_type(self._address, timeout=TIMEOUT_SECONDS)
        with closing(connection):
            try:
                connection.request(method, f"{path}?{text}" if text else path, body, headers)
                response = connection.getresponse()
            except (OSError, HTTPException) as error:
                raise _unreachable(type(error).__name__) from error
            with response:
                yield response

    def _headers(self, method: str, path: str, query: str) -> dict[str, str]:
        # Version 4 of the S3 signature, which OBS also accepts:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        now = datetime.fromtimestamp(self._settings.clock(), UTC)
        day = f"{now:%Y%m%d}"
        signed = {
            "host": self._address,
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        }
        names = ";".join(signed)
        lines = [f"{name}:{value}" for name, value in signed.items()]
        request = "\n".join([method, path, query, *lines, "", names, "UNSIGNED-PAYLOAD"])
        scope = f"{day}/{self._settings.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{signed['x-amz-date']}\n{scope}\n{digest}"
        key = f"AWS4{self._settings.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return {
            **signed,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._settings.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={key.hex()}",
        }


def _judge(status: int, bucket: str, key: str = "") -> None:
    place = f"OBS object {bucket}/{key}" if key else f"OBS bucket {bucket}"
    if status == 404:
        raise RefusedError(400, "DLI.0002", f"The {place} does not exist.")
    if status == 403:
        raise RefusedError(400, "DLI.0011", f"No permission to access the {place}.")
    if status not in (200, 204):
        raise _unreachable(f"status {status}")


def _unreachable(reason: str) -> RefusedError:
    return RefusedError(500, "DLI.0999", f"The object store cannot be reached: {reason}")
