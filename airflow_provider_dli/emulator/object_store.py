# SPDX-License-Identifier: Apache-2.0
"""Looks the objects of an upload up in an object store that speaks S3 or OBS."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

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
        """Pass when every object can be read; else RefusedError, as an upload answers it.

        What DLI answers for these is undocumented; the codes are those of the general table,
        https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
        """
        connection = self._connection_type(self._address, timeout=TIMEOUT_SECONDS)
        try:
            for item in objects:
                _judge(item, self._status(connection, item))
        except (OSError, HTTPException) as error:
            raise _unreachable(type(error).__name__) from error
        finally:
            connection.close()

    def _status(self, connection: HTTPConnection, item: StoredObject) -> int:
        path = f"{self._prefix}/{item.bucket}/{quote(item.key, safe='/~')}"
        connection.request("HEAD", path, headers=self._headers(path))
        with connection.getresponse() as response:
            return response.status

    def _headers(self, path: str) -> dict[str, str]:
        # Version 4 of the S3 signature, which OBS takes as well:
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
        request = "\n".join(["HEAD", path, "", *lines, "", names, "UNSIGNED-PAYLOAD"])
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


def _judge(item: StoredObject, status: int) -> None:
    place = f"{item.bucket}/{item.key}"
    if status == 404:
        raise RefusedError(400, "DLI.0002", f"The OBS object {place} does not exist.")
    if status == 403:
        raise RefusedError(400, "DLI.0011", f"No permission to read the OBS object {place}.")
    if status != 200:
        raise _unreachable(f"status {status}")


def _unreachable(reason: str) -> RefusedError:
    return RefusedError(500, "DLI.0999", f"The object store cannot be reached: {reason}")
