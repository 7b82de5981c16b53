# SPDX-License-Identifier: Apache-2.0
"""The vendor's client of OBS as we use it: it composes, signs and reads, and sends nothing itself.

What it would do on the way is not for us: it verifies no host name of a certificate, reads neither
proxies nor CA bundles of the environment, follows redirects with the signature, repeats by itself
and, for a log line that nobody sees, writes out each body as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from obs import ObsClient

from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.wire import Response

Exchange = Callable[[str, str, Mapping[str, str], bytes], Response]
"""Sends method, path with query, headers and body; raises for all that is no success."""


class Composer(ObsClient):  # type: ignore[misc]  # it has no types
    """Makes one request of a method call, signed with `keys` at Unix time `now`."""

    def __init__(
        self,
        keys: AccessKey,
        origin: str,
        *,
        path_style: bool,
        region: str | None,
        now: float,
        exchange: Exchange,
    ) -> None:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        # Without its TLS, which is deprecated; the signature does not cover the scheme.
        super().__init__(
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            security_token=keys.security_token,
            server="obs",
            port=parts.port or {"http": 80, "https": 443}[parts.scheme],
            is_secure=False,
            # Of what is not OBS itself, all know this one.
            signature="obs" if host.startswith("obs.") else "v4",
            region=region or "us-east-1",
            path_style=path_style,
            is_signature_negotiation=False,
            max_retry_count=0,
            max_redirect_count=0,
        )
        # Given above, the colons of IPv6 would be taken for that of a port.
        self.server = f"[{host}]" if ":" in host else host
        self._now = now
        self._exchange = exchange

    def _add_auth_headers(self, headers: dict[str, str], *request: Any, **options: Any) -> Any:
        # Else it takes this machine's time, which may be wrong.
        if self.signature == "v4":
            date = datetime.fromtimestamp(self._now, UTC).strftime("%Y%m%dT%H%M%SZ")
        else:
            date = formatdate(self._now, usegmt=True)
        headers[self.ha.date_header()] = date
        return super()._add_auth_headers(headers, *request, **options)

    def _send_request(
        self,
        server: str,
        method: str,
        path: str,
        header: Mapping[str, str],
        entity: bytes | None = None,
        *_: Any,
        **__: Any,
    ) -> _Answer:
        headers = {name: str(value) for name, value in header.items()}
        # What is compressed on the way would not be the object.
        headers["Accept-Encoding"] = "identity"
        return _Answer(self._exchange(method, path, headers, entity or b""))


class _Answer:
    """An answer that was read already, as the vendor's client reads it from a connection."""

    reason = ""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self._headers = response.headers
        self._unread = bytes(response.body)

    def getresponse(self) -> _Answer:
        return self

    def getheaders(self) -> list[tuple[str, str]]:
        return list(self._headers.items())

    def getheader(self, name: str, default: str = "") -> str:
        return self._headers.get(name.lower(), default)

    def read(self, _: int = 0) -> bytes:
        body, self._unread = self._unread, b""
        return body

    def close(self) -> None:
        pass
