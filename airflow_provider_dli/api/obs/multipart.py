# SPDX-License-Identifier: Apache-2.0
"""The requests for uploads in parts. Each function returns a `Call`.

https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0096.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from airflow_provider_dli.api.obs import documents
from airflow_provider_dli.api.obs.calls import PAGE, Stored, call, proof, stored
from airflow_provider_dli.api.obs.models import Part
from airflow_provider_dli.api.protocol.errors import WireError
from airflow_provider_dli.api.protocol.wire import Call, Response


class PartsPage(NamedTuple):
    """A page of the parts of an upload, by their numbers, and the marker of the next page."""

    parts: Mapping[int, Part]
    following: int | None


def begin(bucket: str, key: str, sha256: str | None) -> Call[str]:
    """Starts an upload and returns its id; the object's metadata will have the hex SHA-256."""

    def parse(response: Response) -> str:
        upload_id = documents.text(
            documents.document(response, "InitiateMultipartUploadResult"), "UploadId"
        )
        if not upload_id:
            raise WireError("it has no UploadId")
        return upload_id

    metadata = {} if sha256 is None else {"x-amz-meta-sha256": sha256}
    return call("POST", bucket, key, parse, query=(("uploads", None),), headers=metadata)


def list_uploads(bucket: str, key: str) -> Call[Sequence[str]]:
    """Returns the ids of the unfinished uploads of a key."""

    def parse(response: Response) -> Sequence[str]:
        root = documents.document(response, "ListMultipartUploadsResult")
        return [
            documents.text(entry, "UploadId")
            for entry in root.findall("Upload")
            if documents.text(entry, "Key") == key
        ]

    return call("GET", bucket, None, parse, query=(("uploads", None), ("prefix", key)))


def send_part(
    bucket: str, key: str, upload_id: str, number: int, body: bytes, sha256: str, md5: bytes | None
) -> Call[Stored]:
    """Stores a part; the digests are as for an object."""
    query = (("partNumber", str(number)), ("uploadId", upload_id))
    headers = proof(sha256, md5)
    return call("PUT", bucket, key, stored, query=query, headers=headers, body=body, is_bulk=True)


def list_parts(bucket: str, key: str, upload_id: str, after: int | None) -> Call[PartsPage]:
    """Returns the page of an upload's parts after a part number."""

    def parse(response: Response) -> PartsPage:
        # `ListPartsResult` in OBS; other services use another name.
        root = documents.document(response, "ListParts")
        parts = {
            documents.number(entry, "PartNumber"): Part(
                documents.text(entry, "ETag", "").strip('"'), documents.number(entry, "Size")
            )
            for entry in root.findall("Part")
        }
        if not documents.flag(root, "IsTruncated", "false"):
            return PartsPage(parts, None)
        following = documents.number(root, "NextPartNumberMarker")
        if following <= (after or 0):
            raise WireError("it is truncated and does not name the next marker")
        return PartsPage(parts, following)

    marker = () if after is None else (("part-number-marker", str(after)),)
    query = (("uploadId", upload_id), ("max-parts", str(PAGE)), *marker)
    return call("GET", bucket, key, parse, query=query)


def complete(
    bucket: str, key: str, upload_id: str, parts: Sequence[tuple[int, Part]]
) -> Call[None]:
    """Creates the object from its numbered parts."""

    def parse(response: Response) -> None:
        documents.document(response, "CompleteMultipartUploadResult")

    query = (("uploadId", upload_id),)
    return call("POST", bucket, key, parse, query=query, body=documents.completion(parts))


def abort(bucket: str, key: str, upload_id: str) -> Call[None]:
    """Discards an upload and its parts."""
    return call("DELETE", bucket, key, lambda _: None, query=(("uploadId", upload_id),))
