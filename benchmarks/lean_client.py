# SPDX-License-Identifier: Apache-2.0
"""What Python's standard library can do: files sent to a store of the kind of S3, and no more.

Each byte is read once, hashed once and sent, with that hash in the signature. The client repeats
nothing, keeps no time, checks no file against what it was, and cannot go on after a break: no
rival, but a mark of how much there is to gain.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

THREADS = 4
PART = 8 * 1024 * 1024
REGION = "us-east-1"


class LeanClient:
    """Sends to a store at an address of plain HTTP, signed with Signature V4."""

    def __init__(self, address: str, access_key: str, secret_key: str) -> None:
        self._host = address.removeprefix("http://")
        self._access_key = access_key
        self._secret_key = secret_key
        self._here = threading.local()

    def send(self, bucket: str, files: Sequence[Path]) -> None:
        """Send files, each under its name."""
        with ThreadPoolExecutor(THREADS) as threads:
            small = [file for file in files if file.stat().st_size <= PART]
            sent = [threads.submit(self._put, f"/{bucket}/{file.name}", "", file) for file in small]
            for file in files:
                if file.stat().st_size > PART:
                    self._send_in_parts(f"/{bucket}/{file.name}", file, threads)
            for one in sent:
                one.result()

    def _send_in_parts(self, path: str, file: Path, threads: ThreadPoolExecutor) -> None:
        text, _ = self._ask("POST", path, "uploads=")
        upload = text.partition("<UploadId>")[2].partition("<")[0]
        starts = range(0, file.stat().st_size, PART)
        sent = [
            threads.submit(self._put, path, f"partNumber={number}&uploadId={upload}", file, start)
            for number, start in enumerate(starts, 1)
        ]
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{one.result()}</ETag></Part>"
            for number, one in enumerate(sent, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._ask("POST", path, f"uploadId={upload}", body)

    def _put(self, path: str, query: str, file: Path, start: int = 0) -> str:
        """Send up to a part of a file, and give its ETag."""
        with file.open("rb", buffering=0) as stream:
            stream.seek(start)
            return self._ask("PUT", path, query, stream.read(PART))[1]

    def _ask(self, method: str, path: str, query: str, body: bytes = b"") -> tuple[str, str]:
        """Returns the body and the ETag of an answer."""
        connection: HTTPConnection | None = getattr(self._here, "connection", None)
        if connection is None:
            connection = self._here.connection = HTTPConnection(self._host)
        headers = self._signed(method, path, query, hashlib.sha256(body).hexdigest())
        connection.request(method, f"{path}?{query}".rstrip("?"), body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise ConnectionError(f"HTTP {answer.status}: {text}")
        return text, answer.getheader("ETag", "")

    def _signed(self, method: str, path: str, query: str, digest: str) -> dict[str, str]:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self._host, "x-amz-content-sha256": digest, "x-amz-date": now}
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = "\n".join((method, path, query, lines, ";".join(headers), digest))
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self._secret_key}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}"):
            key = hmac.digest(key, part.encode(), "sha256")
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, "
            f"SignedHeaders={';'.join(headers)}, Signature={key.hex()}"
        )
        return headers
