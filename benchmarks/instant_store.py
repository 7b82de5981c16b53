# SPDX-License-Identifier: Apache-2.0
"""An object store, a process of its own: it reads what it is sent, drops it and answers at once.

It knows what a client of S3 or OBS needs to put objects there, alone or in parts, and to find, list
and delete them; of the bytes it keeps none, so that nobody can read one back. Signatures are not
looked at. `obs_server.py` runs it.
"""

# A client that proves what lies in the store compares the ETag with an MD5 of its own. To compute
# it would make the store dearer than the clients, and to say that all is encrypted, where any ETag
# will do, would excuse us from the proof and cost us a HEAD instead. So the store hashes the body
# of a key, a part's number and a length when it first comes, which is in the turn that warms up,
# and knows the answer from then on: a file of the benchmark never changes under its key.

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from itertools import count
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

Answer: TypeAlias = tuple[int, dict[str, str], bytes]

BUFFER = 1024 * 1024
COUNTS = "/-/counts"
"""The path of the counts of requests since it was asked last; not counted itself."""
_NOW = "2026-11-20T08:00:00.000Z"
_META = re.compile(r"x-(amz|obs)-meta-")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as the store cares; the body is there only where it is short XML."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    size: int = 0
    body: bytes = b""

    @property
    def key(self) -> str:
        """The path behind the bucket; empty for the bucket itself."""
        return self.path.lstrip("/").partition("/")[2]


@dataclass(slots=True)
class Stored:
    """What is remembered of an object or of an upload in parts."""

    size: int
    etag: str
    meta: dict[str, str]
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)


class Store:
    """Objects without their bytes. Only single steps of dictionaries, so threads may share it."""

    def __init__(self) -> None:
        self.requests = self.bytes = 0
        self._known: dict[tuple[str, str, int], str] = {}
        self._objects: dict[str, Stored] = {}
        self._uploads: dict[str, Stored] = {}
        self._numbers = count(1)

    def name(self, asked: Asked) -> tuple[str, str, int]:
        """Returns the key of a body, whatever its bucket and upload."""
        return asked.key, asked.query.get("partNumber", ""), asked.size

    def knows(self, asked: Asked) -> bool:
        """Whether the ETag of a body is known."""
        return self.name(asked) in self._known

    def learn(self, asked: Asked, etag: str) -> None:
        """Take note of the ETag of a body."""
        self._known[self.name(asked)] = etag

    def answer(self, asked: Asked) -> Answer:
        """Do what is asked."""
        if asked.path == COUNTS:
            told = json.dumps({"requests": self.requests, "bytes": self.bytes}).encode()
            self.requests = self.bytes = 0
            return 200, {}, told
        self.requests += 1
        self.bytes += asked.size
        if not asked.key:
            return self._of_bucket(asked)
        if "uploads" in asked.query or "uploadId" in asked.query:
            return self._of_upload(asked)
        return self._of_object(asked)

    def _of_bucket(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            for key in re.findall(r"<Key>([^<]+)</Key>", asked.body.decode()):
                self._objects.pop(f"{asked.path.rstrip('/')}/{key}", None)
            return _xml("DeleteResult", "")
        if asked.method == "GET" and "uploads" in asked.query:
            return _xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>")
        if asked.method == "GET":
            return self._listing(asked)
        return 200, {}, b""

    def _listing(self, asked: Asked) -> Answer:
        bucket, prefix = asked.path.strip("/"), asked.query.get("prefix", "")
        marker = asked.query.get("marker") or asked.query.get("start-after", "")
        begin, after = f"/{bucket}/{prefix}", f"/{bucket}/{marker}"
        known = sorted(self._objects.items())
        found = [(path, one) for path, one in known if path.startswith(begin) and path > after]
        most = int(asked.query.get("max-keys", 1000))
        entries = "".join(
            f"<Contents><Key>{escape(path.split('/', 2)[2])}</Key><LastModified>{_NOW}"
            f'</LastModified><ETag>"{one.etag}"</ETag><Size>{one.size}</Size></Contents>'
            for path, one in found[:most]
        )
        is_cut = str(len(found) > most).lower()
        head = f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
        return _xml("ListBucketResult", f"{head}<IsTruncated>{is_cut}</IsTruncated>{entries}")

    def _of_upload(self, asked: Asked) -> Answer:
        if "uploads" in asked.query:
            upload = f"upload-{next(self._numbers)}"
            self._uploads[upload] = Stored(0, "", _meta(asked))
            inside = f"<Key>{escape(asked.key)}</Key><UploadId>{upload}</UploadId>"
            return _xml("InitiateMultipartUploadResult", inside)
        upload = asked.query["uploadId"]
        found = self._uploads.get(upload)
        if found is None:
            return _error(404, "NoSuchUpload")
        if asked.method == "PUT":
            etag = self._known[self.name(asked)]
            found.parts[int(asked.query["partNumber"])] = asked.size, etag
            return 200, {"ETag": f'"{etag}"'}, b""
        del self._uploads[upload]
        if asked.method == "DELETE":
            return 204, {}, b""
        return self._completed(asked, found)

    def _completed(self, asked: Asked, found: Stored) -> Answer:
        parts = [part for _, part in sorted(found.parts.items())]
        digests = b"".join(bytes.fromhex(etag) for _, etag in parts)
        found.size = sum(size for size, _ in parts)
        found.etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        self._objects[asked.path] = found
        inside = f'<Key>{escape(asked.key)}</Key><ETag>"{found.etag}"</ETag>'
        return _xml("CompleteMultipartUploadResult", inside)

    def _of_object(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            etag = self._known[self.name(asked)]
            self._objects[asked.path] = Stored(asked.size, etag, _meta(asked))
            return 200, {"ETag": f'"{etag}"'}, b""
        if asked.method == "DELETE":
            self._objects.pop(asked.path, None)
            return 204, {}, b""
        found = self._objects.get(asked.path)
        if found is None:
            return _error(404, "NoSuchKey")
        if asked.method == "GET":
            return _error(501, "NotImplemented")
        length = {"Content-Length": str(found.size), "ETag": f'"{found.etag}"'}
        return 200, length | {"Last-Modified": formatdate(usegmt=True)} | found.meta, b""


def _serve(pause: float) -> None:
    store = Store()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_converse, args=(connection, store, pause), daemon=True).start()


def _converse(connection: socket.socket, store: Store, pause: float) -> None:
    """Answer the requests of one connection."""
    buffer, had = memoryview(bytearray(BUFFER)), b""
    with connection:
        while True:
            while b"\r\n\r\n" not in had:
                data = connection.recv(65536)
                if not data:
                    return
                had += data
            head, _, begun = had.partition(b"\r\n\r\n")
            asked = _read(connection, store, _parsed(head), begun, buffer)
            status, headers, body = store.answer(asked)
            if asked.path != COUNTS:
                time.sleep(pause)
            connection.sendall(_written(status, headers, body))
            had = b""


def _read(
    connection: socket.socket, store: Store, asked: Asked, begun: bytes, buffer: memoryview
) -> Asked:
    """Read the body; drop it, unless it is an order in XML or its ETag is yet to be learned."""
    is_order = asked.method == "POST"
    is_new = asked.method == "PUT" and bool(asked.key) and not store.knows(asked)
    digest = hashlib.md5(begun, usedforsecurity=False)
    body, left = begun, asked.size - len(begun)
    while left:
        read = connection.recv_into(buffer, min(BUFFER, left))
        if not read:
            raise ConnectionError("the client closed in the middle of a body")
        left -= read
        if is_order:
            body += buffer[:read]
        elif is_new:
            digest.update(buffer[:read])
    if is_new:
        store.learn(asked, digest.hexdigest())
    if not is_order:
        return asked
    return Asked(asked.method, asked.path, asked.query, asked.headers, asked.size, body)


def _parsed(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    if "transfer-encoding" in headers:
        raise NotImplementedError("a body without Content-Length")
    return Asked(
        method,
        unquote(path),
        dict(parse_qsl(query, keep_blank_values=True)),
        headers,
        int(headers.get("content-length", 0)),
    )


def _written(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = {"Content-Length": str(len(body)), "Date": formatdate(usegmt=True)} | headers
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{text}\r\n".encode() + body


def _meta(asked: Asked) -> dict[str, str]:
    return {name: value for name, value in asked.headers.items() if _META.match(name)}


def _xml(name: str, inside: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inside}</{name}>'
    return 200, {"Content-Type": "application/xml"}, text.encode()


def _error(status: int, code: str) -> Answer:
    return status, *_xml("Error", f"<Code>{code}</Code><Message>{code}</Message>")[1:]


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
