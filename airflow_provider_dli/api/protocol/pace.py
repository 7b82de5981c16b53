# SPDX-License-Identifier: Apache-2.0
"""How fast a process may ask one account's DLI: slower after each refusal, faster with success."""

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
    """One account's turns and retries, shared by all threads and loops of a process.

    Nobody waits before the service has refused a call for too many requests (429). Then calls get
    turns with a gap between them. It doubles when a call is refused that took its turn with
    the present gap, and shrinks a little with each success, so that the rate settles below the
    service's limit. Retries cost from a budget that only successes refill: a service in trouble is
    not asked ever more.
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
        """Take a turn; gives the seconds until it comes."""
        with self._lock:
            at = max(now, self._free_at) if self._gap else now
            self._free_at = at + self._gap
            return at - now

    def succeeded(self) -> None:
        """Learn that a call was answered."""
        with self._lock:
            self._budget = min(self._budget + 0.5, FULL_BUDGET)
            self._gap = self._gap * 0.998 if self._gap > 0.001 else 0.0

    def throttled(self, now: float, retry_after: float | None, gap: float = LONGEST_GAP) -> None:
        """Learn that a call was refused that had taken its turn with this `gap`.

        A smaller one than today's says nothing: the call is of the time before.
        """
        with self._lock:
            if gap >= self._gap:
                self._gap = min(max(self._gap * 2, FIRST_GAP), LONGEST_GAP)
            self._free_at = max(self._free_at, now + (retry_after or 0))

    def may_repeat(self) -> bool:
        """Take a retry out of the budget, if there is one."""
        with self._lock:
            if self._budget < 1:
                return False
            self._budget -= 1
            return True


_paces: WeakValueDictionary[tuple[object, ...], Pace] = WeakValueDictionary()
_lock = ProcessLock()


def pace_of(account: Account) -> Pace:
    """Give the pace of an account, the same to everybody in this process."""
    key = (account.origin, account.project_id, account.source)
    with _lock:
        return _paces.setdefault(key, Pace())
