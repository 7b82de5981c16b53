# SPDX-License-Identifier: Apache-2.0
"""The known credentials: the permanent key pair, and all issued tokens and temporary keys."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.settings import Settings

# Real tokens have thousands of characters; two thousand also find the limits of a client.
_TOKEN_BYTES = 1500
_SECURITY_TOKEN_BYTES = 600


@dataclass(frozen=True, slots=True)
class Token:
    """An IAM token for one project, or with None for the account."""

    value: str = field(repr=False)
    user: str
    project_id: str | None
    issued_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair; only a temporary one has a security token and expires.

    `source` is where it was issued: "settings", "rotation", "agency", "token" or "metadata".
    """

    access_key: str
    secret_key: str = field(repr=False)
    security_token: str | None = field(repr=False)
    source: str
    issued_at: float
    expires_at: float = float("inf")


_Issued = TypeVar("_Issued", Token, Key)


class Credentials:
    """All credentials that the gateway accepts. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._keys: dict[str, Key] = {}
        self._main = self._first_key()

    @property
    def main_key(self) -> Key:
        """The key pair of the settings, or the one that replaced it."""
        with self._lock:
            return self._main

    @property
    def tokens(self) -> list[Token]:
        """The issued tokens, oldest first, including expired ones."""
        with self._lock:
            return list(self._tokens.values())

    @property
    def keys(self) -> list[Key]:
        """The issued temporary keys, oldest first, including expired ones."""
        with self._lock:
            return list(self._keys.values())

    def token(self, value: str) -> Token | None:
        """Returns the token with this text, if it was ever issued."""
        with self._lock:
            return self._tokens.get(value)

    def key(self, access_key: str) -> Key | None:
        """Returns the key pair of an access key, if it is valid now.

        An expired key is deleted, so it is unknown:
        https://support.huaweicloud.com/intl/en-us/usermanual-ca/ca_01_0005.html
        """
        with self._lock:
            if access_key == self._main.access_key:
                return self._main
            key = self._keys.get(access_key)
        return key if key is not None and self.works(key) else None

    def works(self, issued: Token | Key) -> bool:
        """Whether a credential has not expired yet."""
        return self._settings.now() < issued.expires_at

    def issue_token(self, user: str, project_id: str | None) -> Token:
        """Issues a token; older ones stay valid."""
        now = self._settings.now()
        value = "MII" + secrets.token_urlsafe(_TOKEN_BYTES)
        token = Token(value, user, project_id, now, now + self._settings.token_seconds)
        with self._lock:
            self._tokens[value] = token
        return token

    def issue_key(self, source: str, lifetime: float) -> Key:
        """Issues a temporary key for the requested seconds, limited by the settings."""
        now = self._settings.now()
        key = Key(
            access_key="HST" + secrets.token_hex(9).upper()[:17],
            secret_key=secrets.token_hex(20),
            security_token=secrets.token_urlsafe(_SECURITY_TOKEN_BYTES),
            source=source,
            issued_at=now,
            expires_at=now + min(lifetime, self._settings.key_seconds),
        )
        with self._lock:
            self._keys[key.access_key] = key
        return key

    def expire(self) -> None:
        """Expires all issued tokens and temporary keys."""
        now = self._settings.now()
        with self._lock:
            self._tokens = _ended(self._tokens, now)
            self._keys = _ended(self._keys, now)

    def rotate(self, access_key: str, secret_key: str) -> None:
        """Replaces the permanent key pair."""
        if not access_key or not secret_key:
            raise ValueError("access_key and secret_key must not be empty")
        key = Key(access_key, secret_key, None, "rotation", self._settings.now())
        with self._lock:
            self._main = key

    def clear(self) -> None:
        """Restores the keys of the settings and removes all issued credentials."""
        with self._lock:
            self._tokens, self._keys = {}, {}
            self._main = self._first_key()

    def as_json(self) -> JsonObject:
        """Returns the issued credentials without secrets."""
        return {
            "tokens": [
                {"user": token.user, "project_id": token.project_id, **_times(token)}
                for token in self.tokens
            ],
            "keys": [{"source": key.source, **_times(key)} for key in self.keys],
        }

    def _first_key(self) -> Key:
        known = self._settings
        return Key(
            known.access_key, known.secret_key, known.security_token, "settings", known.now()
        )


def timestamp(at: float) -> str:
    """Returns a time in the format of IAM, such as 2020-01-04T09:05:22.701000Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _ended(issued: dict[str, _Issued], now: float) -> dict[str, _Issued]:
    return {
        name: replace(item, expires_at=min(item.expires_at, now)) for name, item in issued.items()
    }


def _times(issued: Token | Key) -> JsonObject:
    return {"issued_at": timestamp(issued.issued_at), "expires_at": timestamp(issued.expires_at)}
