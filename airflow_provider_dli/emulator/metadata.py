# SPDX-License-Identifier: Apache-2.0
"""The metadata service of a virtual machine: the temporary key of its agency.

Paths and headers: the module `auth/internal.py` of the package huaweicloudsdkcore. Validity: the
section "Security Key" of
https://docs.otc.t-systems.com/elastic-cloud-server/umn/instances/obtaining_metadata_and_passing_user_data/obtaining_metadata.html.
Status codes and texts are undocumented, except the text about a missing agency, which the package
above looks for.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

from airflow_provider_dli.emulator.credentials import Credentials, Key
from airflow_provider_dli.emulator.gateway import unknown_api
from airflow_provider_dli.emulator.iam import credential
from airflow_provider_dli.emulator.messages import Answer, Call
from airflow_provider_dli.emulator.settings import Settings

TOKEN_HEADER = "x-metadata-token"  # noqa: S105 - the name of a header
KEY_SECONDS = 60 * 60
# Seconds before the expiry of a key from which on a new one is issued; both are valid.
OVERLAP_SECONDS = 10 * 60
MAX_TOKEN_SECONDS = 6 * 60 * 60

_TEXT = {"Content-Type": "text/plain; charset=UTF-8"}


class MetadataService:
    """Answers the calls below /meta-data and /openstack."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._lock = threading.Lock()
        self._ends_of_tokens: dict[str, float] = {}

    def answer(self, call: Call) -> Answer:
        """Returns the answer to a call."""
        return self._operation(call)(call)

    def clear(self) -> None:
        """Removes the issued tokens."""
        with self._lock:
            self._ends_of_tokens.clear()

    def _operation(self, call: Call) -> Callable[[Call], Answer]:
        match call.method, call.segments:
            case "PUT", ("meta-data", "latest", "api", "token"):
                return self._token
            case "GET", ("openstack", "latest", "securitykey"):
                return self._key
        raise unknown_api()

    def _token(self, call: Call) -> Answer:
        if self._settings.metadata == "v1":
            return _refusal("404 Not Found", "The resource could not be found.")
        seconds = call.headers.get("x-metadata-token-ttl-seconds", "")
        if not seconds.isdecimal() or not 0 < int(seconds) <= MAX_TOKEN_SECONDS:
            return _refusal("400 Bad Request", "X-Metadata-Token-Ttl-Seconds is invalid")
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._ends_of_tokens[token] = self._settings.now() + int(seconds)
        return Answer(200, token, _TEXT)

    def _key(self, call: Call) -> Answer:
        if self._settings.metadata == "no-agency":
            return _refusal("401 Unauthorized", "Please configure Cloud Service Agency first")
        if self._settings.metadata == "v2" and not self._is_known(call.headers.get(TOKEN_HEADER)):
            return _refusal("401 Unauthorized", "X-Metadata-Token is missing or invalid")
        return Answer(200, {"credential": credential(self._current_key())})

    def _is_known(self, token: str | None) -> bool:
        with self._lock:
            return self._settings.now() < self._ends_of_tokens.get(token or "", float("-inf"))

    def _current_key(self) -> Key:
        with self._lock:
            given = [key for key in self._credentials.keys if key.source == "metadata"]
            if given and given[-1].expires_at - self._settings.now() > OVERLAP_SECONDS:
                return given[-1]
            return self._credentials.issue_key("metadata", KEY_SECONDS)


def _refusal(status: str, sentence: str) -> Answer:
    return Answer(int(status[:3]), f"{status}\n\n{sentence}\n", _TEXT)
