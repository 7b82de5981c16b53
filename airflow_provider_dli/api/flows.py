# SPDX-License-Identifier: Apache-2.0
"""What is done with DLI's endpoints, each written once: call, upload, delete, wait.

Everything here is a flow: it asks for `Send` and `Sleep` and waits for nobody, so the worker and
the triggerer run the same lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from airflow_provider_dli.api import packages
from airflow_provider_dli.api.account import Account
from airflow_provider_dli.api.answers import interpret
from airflow_provider_dli.api.errors import (
    DliError,
    NotFoundError,
    PackageGroupFailedError,
    PackageGroupTimeoutError,
)
from airflow_provider_dli.api.models import PackageGroup
from airflow_provider_dli.api.readiness import ABSENT, Readiness, Verdict, judge
from airflow_provider_dli.api.retry import DEFAULT_RETRY, Retry
from airflow_provider_dli.api.wire import Call, Flow, send, sleep

T = TypeVar("T")

FIRST_LOOK = 1.0
"""Seconds until a wait looks for the first time: small uploads are done by then."""

ABSENT_FOR = 60.0
"""Seconds that an accepted package may be absent from the listing before it counts as missing."""


@dataclass(frozen=True, slots=True)
class Client:
    """The flows on one account. `now` gives Unix seconds."""

    account: Account
    retry: Retry = DEFAULT_RETRY
    now: Callable[[], float] = time.time

    def perform(
        self, call: Call[T], done: Callable[[float], Flow[T | None]] | None = None
    ) -> Flow[T]:
        """Send a call until it has an answer, and give what its parser makes of that.

        `done` is for calls that are not repeatable: when an answer was lost it is given the Unix
        time of sending and finds out whether the service acted on it. It gives the result, or
        `None` when it did not. Without `done` such a call is sent only once.
        """
        repeatable = call.repeatable or done is not None
        started = self.now()
        attempt = 0
        while True:
            attempt += 1
            sent = self.now()
            try:
                return (yield from self._exchange(call))
            except DliError as error:
                failure = error
            elapsed = self.now() - started
            pause = self.retry.pause(
                failure, attempt=attempt, elapsed=elapsed, repeatable=repeatable
            )
            if pause is not None:
                yield from sleep(pause)
            if done is not None and failure.may_be_done:
                try:
                    found = yield from done(sent)
                except DliError as error:
                    raise error from failure
                if found is not None:
                    return found
            if pause is None:
                raise failure

    def upload(
        self, call: Call[PackageGroup], group: str | None, names: Sequence[str]
    ) -> Flow[PackageGroup]:
        """Upload `names` into `group`; after a lost answer the listing is looked at first."""
        return (yield from self.perform(call, partial(self._arrived, group, names)))

    def find(
        self, group: str | None, names: Collection[str] = (), kind: str | None = None
    ) -> Flow[PackageGroup | None]:
        """Find a group in the listing; for `None`, the ungrouped packages of these names."""
        found, _ = yield from self.perform(packages.find(group, names, kind))
        return found

    def delete(self, name: str, group: str | None = None) -> Flow[bool]:
        """Delete one package; raises `NotFoundError` when there was none."""
        return (
            yield from self.perform(packages.delete(name, group), partial(self._gone, name, group))
        )

    def delete_group(
        self, group: str, names: Collection[str] | None = None
    ) -> Flow[tuple[str, ...]]:
        """Delete the packages of a group one by one, since DLI has no call for the whole.

        Gives the names that were deleted; absent ones count as done. It stops at the first
        failure, and the error has a note that names what is left.
        """
        if names is None:
            found = yield from self.find(group)
            names = [package.name for package in found.packages] if found else []
        deleted: list[str] = []
        for place, name in enumerate(names):
            try:
                yield from self.delete(name, group)
            except NotFoundError:
                continue
            except DliError as error:
                left = ", ".join(list(names)[place:])
                error.add_note(f"Of group {group} not deleted: {left}; deleted: {deleted}.")
                raise
            deleted.append(name)
        return tuple(deleted)

    def until_ready(
        self,
        group: str | None,
        names: Collection[str],
        *,
        poll_interval: float,
        timeout: float,
        observe: Callable[[Readiness], None],
    ) -> Flow[PackageGroup]:
        """Look at the listing until every one of `names` is READY, and give the group.

        `observe` sees each look. Raises `PackageGroupFailedError` for a package that is FAILED, is
        gone after it was seen, or stays absent for `ABSENT_FOR` seconds, and
        `PackageGroupTimeoutError` after `timeout` seconds.
        """
        started = self.now()
        shown = _title(group)
        seen: set[str] = set()
        pauses = _pauses(poll_interval, self.retry.jitter)
        while True:
            yield from sleep(min(next(pauses), max(started + timeout - self.now(), 0)))
            found = yield from self.find(group, names)
            readiness = judge(found, names)
            observe(readiness)
            if found is not None and readiness.verdict is Verdict.READY:
                return found
            waited = self.now() - started
            absent = {name for name, state in readiness.states.items() if state == ABSENT}
            missing = absent if waited >= min(ABSENT_FOR, timeout) else absent & seen
            seen.update(readiness.states.keys() - absent)
            if readiness.verdict is Verdict.FAILED or missing:
                raise failed(group, readiness)
            if waited >= timeout:
                raise PackageGroupTimeoutError(
                    f"{shown} was not READY after {timeout:g} seconds: {readiness}. DLI may still "
                    "be at work; look at the group before you upload it again."
                )

    def _exchange(self, call: Call[T]) -> Flow[T]:
        request = self.account.request(call, self.now())
        response = yield from send(request)
        return interpret(call, request.asked, response, now=self.now(), caller=self.account.caller)

    def _arrived(
        self, group: str | None, names: Sequence[str], sent: float
    ) -> Flow[PackageGroup | None]:
        """Find out whether an upload arrived whose answer was lost: its packages are newer."""
        looked = self.now()
        found, server_now = yield from self.perform(packages.find(group, names))
        if found is None or server_now is None:
            return None
        # On the server's clock, where its Date header shows that it differs; that header counts
        # whole seconds, so a second is added. An upload taken for lost is sent again and overwrites
        # itself; one taken for arrived would leave older bytes there.
        skew = server_now - looked
        since = 1000 * (sent + (skew + 1 if abs(skew) > 1 else 0))
        newer = {p.name for p in found.packages if p.update_time and p.update_time >= since}
        return found if newer.issuperset(names) else None

    def _gone(self, name: str, group: str | None, sent: float) -> Flow[bool | None]:
        """Find out whether a package is gone, after the answer to its deletion was lost."""
        try:
            yield from self.perform(packages.show(name, group))
        except NotFoundError:
            return True
        return None


def failed(group: str | None, readiness: Readiness) -> PackageGroupFailedError:
    """Say which packages failed. DLI itself gives no reason anywhere."""
    return PackageGroupFailedError(
        f"{_title(group)} failed: {readiness}. DLI gives no reason; check that each object exists "
        "in OBS, is readable for DLI, and that nobody deletes the group meanwhile."
    )


def _title(group: str | None) -> str:
    return "The upload without a group" if group is None else f"Package group {group!r}"


def _pauses(poll_interval: float, jitter: Callable[[], float]) -> Iterator[float]:
    """Give seconds between looks: soon at first, growing to `poll_interval`, never in step."""
    pause = min(FIRST_LOOK, poll_interval)
    while True:
        yield pause * (0.9 + 0.2 * jitter())
        pause = min(pause * 1.6, poll_interval)
