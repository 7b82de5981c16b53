# SPDX-License-Identifier: Apache-2.0
"""The lock of an access key after too many wrong signatures in a row.

"AK/SK authentication fails for more than five consecutive times, and the AK/SK pair is locked for
five minutes": https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-0001.html.

Interpreted as: five wrong signatures get their usual answer, and later calls find the key locked.
Whether an expired signature counts is undocumented; here it does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

ATTEMPTS = 5
LOCK_SECONDS = 5 * 60


class Lockout:
    """Counts wrong signatures by access key. Safe to use from several threads."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}
        self._closed_until: dict[str, float] = {}

    def is_closed(self, access_key: str) -> bool:
        """Whether an access key is locked."""
        with self._lock:
            return self._now() < self._closed_until.get(access_key, float("-inf"))

    def failed(self, access_key: str) -> None:
        """Counts a wrong signature; the fifth in a row locks the key."""
        with self._lock:
            self._failures[access_key] = self._failures.get(access_key, 0) + 1
            if self._failures[access_key] == ATTEMPTS:
                self._failures[access_key] = 0
                self._closed_until[access_key] = self._now() + LOCK_SECONDS

    def succeeded(self, access_key: str) -> None:
        """Resets the count of an access key."""
        with self._lock:
            self._failures.pop(access_key, None)

    def clear(self) -> None:
        """Resets all counts and locks."""
        with self._lock:
            self._failures.clear()
            self._closed_until.clear()
