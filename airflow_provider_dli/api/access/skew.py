# SPDX-License-Identifier: Apache-2.0
"""How far the clocks of a service and of this machine are apart, as refusals tell."""

from __future__ import annotations

import logging

from airflow_provider_dli.api.protocol.locks import ProcessLock

MAX_SKEW = 600.0
"""Seconds by which the clocks may differ before a refusal is put down to them; the service itself
allows 15 minutes."""

_log = logging.getLogger(__name__)


class Skew:
    """How many seconds a service is ahead of this machine's clock; one for all threads."""

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self.seconds = 0.0

    def explains(self, ahead: float | None, assumed: float, service: str) -> bool:
        """Whether a signature failed for the clock; remembers the difference if so.

        :param ahead: seconds that the service says it is ahead, `None` where it says nothing
        :param assumed: seconds that the signature was made with
        :param service: which one that is, for the log
        """
        if ahead is None or abs(ahead - assumed) <= MAX_SKEW:
            return False
        with self._lock:
            if abs(ahead - self.seconds) > MAX_SKEW:  # else somebody else has found out by now
                self.seconds = ahead
                _log.warning(
                    "This machine's clock is %.0f s %s that of %s, which refused the signature. "
                    "It is signed again with the service's time; set the clock.",
                    abs(ahead),
                    "behind" if ahead > 0 else "ahead of",
                    service,
                )
        return True
