# SPDX-License-Identifier: Apache-2.0
"""How fast a process calls DLI on one account: slower after each 429, faster after successes."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.protocol.locks import ProcessLock

FIRST_GAP = 0.05
LONGEST_GAP = 5.0
FULL_BUDGET = 20.0


@dataclass(eq=False)
class Pace:
    """The turns and the retries of one account, shared by all threads and loops of a process.

    Calls are sent at once until the service refuses one for too many requests (429). From then on
    they take turns with a gap between them. The gap doubles when a call is refused that had taken
    its turn with the present gap, and shrinks a little with each success, so that the rate settles
    below the service's limit. A `Retry-After` of a 429 holds back all of them. Each retry takes
    from a budget that only successes refill, so that a service in trouble does not get more and
    more calls.
    """

    _gap: float = 0.0
    _free_at: float = 0.0
    _budget: float = FULL_BUDGET
    _lock: ProcessLock = field(default_factory=ProcessLock, repr=False)

    @property
    def gap(self) -> float:
        """Seconds between two turns."""
        return self._gap

    def turn(self, now: float) -> float:
        """Takes a turn; returns the seconds until it comes."""
        with self._lock:
            at = max(now, self._free_at) if self._gap else now
            self._free_at = at + self._gap
            return at - now

    def succeeded(self) -> None:
        """Records that a call was answered with a success."""
        with self._lock:
            self._budget = min(self._budget + 0.5, FULL_BUDGET)
            self._gap = self._gap * 0.998 if self._gap > 0.001 else 0.0

    def throttled(self, now: float, retry_after: float | None, gap: float = LONGEST_GAP) -> None:
        """Records that a call was refused that had taken its turn with this `gap`.

        A smaller gap than the present one changes nothing: the call is older than that.
        """
        with self._lock:
            if gap >= self._gap:
                self._gap = min(max(self._gap * 2, FIRST_GAP), LONGEST_GAP)
            self._free_at = max(self._free_at, now + (retry_after or 0))

    def may_repeat(self) -> bool:
        """Takes a retry out of the budget; returns whether there was one."""
        with self._lock:
            if self._budget < 1:
                return False
            self._budget -= 1
            return True


_paces: WeakValueDictionary[tuple[object, ...], Pace] = WeakValueDictionary()
_lock = ProcessLock()


def pace_of(account: Account) -> Pace:
    """Returns the pace of an account, the same for all callers in this process."""
    key = (account.origin, account.project_id, account.source)
    with _lock:
        return _paces.setdefault(key, Pace())
