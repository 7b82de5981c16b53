# SPDX-License-Identifier: Apache-2.0
"""What is done with DLI's endpoints, each written once: call, upload, delete, wait.

Everything here is a flow: it asks for `Send` and `Sleep` and waits for nobody, so the worker and
the triggerer run the same lines.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import Lease
from airflow_provider_dli.api.access.identity import Identity, identity_of, is_of_credential
from airflow_provider_dli.api.access.projects import find_project
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import PackageGroup, PackageListing
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.deadline import Deadline
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
    TransportError,
)
from airflow_provider_dli.api.protocol.log import Log
from airflow_provider_dli.api.protocol.pace import Pace
from airflow_provider_dli.api.protocol.retry import DEFAULT_RETRY, Retry
from airflow_provider_dli.api.protocol.service import DLI, Service
from airflow_provider_dli.api.protocol.wait import LAST_LOOK
from airflow_provider_dli.api.protocol.wire import Call, Flow, sleep

T = TypeVar("T")
S = TypeVar("S")
F = TypeVar("F")
S_contra = TypeVar("S_contra", contravariant=True)
F_co = TypeVar("F_co", covariant=True)

LONG = 5.0
"""Seconds of a pause from which on it is logged."""

_log: Log = logging.getLogger(__name__)


class Waiting(Protocol[S_contra, F_co]):
    """What looks at one thing until it is as it should be, or time is up."""

    deadline: float | None

    def next_look(self, now: float) -> float:
        """Return the Unix time of the next look."""
        ...

    def on_result(self, found: S_contra, now: float) -> F_co | None:
        """Take a look; returns what was found when the wait is over."""
        ...

    def on_error(self, error: DliError, now: float) -> None:
        """Take an error in place of a look."""
        ...


@dataclass(slots=True)
class Client:
    """The flows on one account, to one service. `now` gives Unix seconds.

    `log` is told of repeats and of long pauses. `reread` gives the account as it is by now, for
    when the credential is refused; `learn` is told what no log may show. `own_identity` is for who
    must wait for no other caller of this process, who share one otherwise. `has_answered` tells
    whether DLI has answered a call of this client with a success.
    """

    account: Account
    retry: Retry = DEFAULT_RETRY
    now: Callable[[], float] = time.time
    pace: Pace = field(default_factory=Pace)
    log: Log = _log
    reread: Callable[[], Account] | None = None
    learn: Callable[[str], None] = lambda _: None
    own_identity: Identity | None = None
    service: Service = DLI
    identity: Identity = field(init=False)
    has_answered: bool = False
    _lease: Lease | None = None

    def __post_init__(self) -> None:
        self.identity = self.own_identity or identity_of(self.service.source(self.account))

    def perform(
        self, call: Call[T], done: Callable[[float], Flow[T | None]] | None = None
    ) -> Flow[T]:
        """Send a call until it has an answer, and give what its parser makes of that.

        `done` is for calls that are not repeatable: when an answer was lost it is given the Unix
        time of sending and finds out whether the service acted on it. It gives the result, or
        `None` when it did not. Without `done` such a call is sent only once.
        """
        return (
            yield from self.repeated(
                partial(self.once, call),
                f"{call.method} {call.path}",
                is_repeatable=call.repeatable or done is not None,
                is_urgent=call.is_urgent,
                done=done,
            )
        )

    def hurry(self, call: Call[T]) -> Flow[T]:
        """Send a call until it has an answer, and wait for no turn, whatever the service asked."""
        return (yield from self.perform(replace(call, is_urgent=True)))

    def find_project(self) -> Flow[str]:
        """Return the project's id as `project` does, asked for again where it cannot be had."""
        return (yield from self.repeated(self.project, "The look-up of the project"))

    def repeated(
        self,
        attempted: Callable[[], Flow[T]],
        what: str,
        *,
        is_repeatable: bool = True,
        is_urgent: bool = False,
        done: Callable[[float], Flow[T | None]] | None = None,
    ) -> Flow[T]:
        """Attempt something until it has a result; returns that. `what` is its name for the log."""
        started = self.now()
        attempt = 0
        while True:
            attempt += 1
            sent = self.now()
            try:
                return (yield from attempted())
            except DliError as error:
                failure = error
            pause = self.retry.pause(
                failure,
                attempt=attempt,
                elapsed=self.now() - started,
                repeatable=is_repeatable,
                is_urgent=is_urgent,
            )
            # Retries of the whole process come out of one budget.
            pause = pause if pause is None or self.pace.may_repeat() else None
            if pause is not None:
                self.log.warning("%s", self.retry.log_line(what, failure, pause, attempt))
                yield from _rest(pause, failure)
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
        found, _ = yield from self.perform(calls.find(group, names, kind))
        return found

    def delete(self, name: str, group: str | None = None) -> Flow[bool]:
        """Delete one package; raises `NotFoundError` when there was none."""
        return (
            yield from self.perform(calls.delete(name, group), partial(self._gone, name, group))
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

    def until_ready(self, wait: GroupWait) -> Flow[PackageGroup]:
        """Look at the listing until the wait is over, and return the group."""
        return (yield from self.wait_for(wait, calls.find_group(wait.group, wait.names or ())))

    def wait_for(
        self,
        wait: Waiting[S, F],
        call: Call[S],
        meanwhile: Callable[[], Flow[None]] | None = None,
    ) -> Flow[F]:
        """Send a call until the wait is over, and return what it saw last.

        The wait itself repeats, so each look is sent once. `meanwhile` follows each look that had
        an answer. Raises what the wait raises.
        """
        while True:
            now = self.now()
            yield from sleep(wait.next_look(now) - now)
            ended = yield from self.look_for(wait, call, meanwhile)
            if ended is not None:
                return ended

    def look_for(
        self,
        wait: Waiting[S, F],
        call: Call[S],
        meanwhile: Callable[[], Flow[None]] | None = None,
    ) -> Flow[F | None]:
        """Take one look of a wait; returns what it saw when the wait is over, `None` before."""
        began = self.now()
        deadline = _end_of_look(wait, self.now)
        try:
            seen = yield from deadline.cut(self._last_in_time(call, wait.deadline))
        except DliError as error:
            # Of when it began: at the deadline there is one more.
            wait.on_error(error, began)
            return None
        ended = wait.on_result(seen, began)
        if meanwhile is not None:
            yield from _end_of_look(wait, self.now).cut(meanwhile())
        return ended

    def _last_in_time(self, call: Call[T], before: float | None) -> Flow[T]:
        """Send a call once; at `before`, or when its turn would come later, it waits for none."""
        if before is not None and self.now() >= before:
            call = replace(call, is_urgent=True)
        return (yield from self.once(call, before))

    def look(self, kind: str | None = None) -> Flow[PackageListing]:
        """Fetch the listing once: for who looks again anyway."""
        return (yield from self.once(calls.listing(kind)))

    def once(self, call: Call[T], before: float | None = None) -> Flow[T]:
        """Send a call once, when its turn comes, at `before` at the latest."""
        account = self.account
        try:
            return (yield from self._send(call, before))
        except (AuthenticationError, PermissionDeniedError) as error:
            if not (is_of_credential(error, call) and self._is_reread(account)):
                raise
        return (yield from self._send(call, before))

    def _is_reread(self, refused: Account) -> bool:
        """Whether the account says something else by now: then the call is worth another try."""
        if self.account.source != refused.source:  # another thread has read it
            return True
        fresh = None if self.reread is None else self.reread()
        if fresh is None or fresh.source == refused.source:
            return False
        source = self.service.source(fresh)
        self.identity = Identity(source) if self.own_identity else identity_of(source)
        self.account = fresh
        return True

    def _send(self, call: Call[T], before: float | None) -> Flow[T]:
        account, identity, service = self.account, self.identity, self.service
        if service.has_projects:
            project_id = yield from self.project()
        else:
            project_id = ""
            yield from self._signed_in()
        gap = self.pace.gap
        if not call.is_urgent:
            yield from self._turn(f"{call.method} {call.path}", before)
        try:
            value = yield from identity.exchange(
                call,
                service.request(account, call, project_id),
                self.now,
                service.caller(account),
                service=service.name,
                authorise=partial(service.authorise, account),
            )
        except ThrottledError as error:
            self.pace.throttled(self.now(), error.retry_after, gap)
            raise
        self.pace.succeeded()
        self.has_answered = True
        return value

    def _turn(self, what: str, before: float | None) -> Flow[None]:
        """Wait until a call's turn comes, or until `before`."""
        now = self.now()
        pause = self.pace.turn(now)
        if before is not None:
            pause = min(pause, max(before - now, 0.0))
        if pause >= LONG:
            self.log.info("%s waits for %.0f s, after too many requests (429)", what, pause)
        if pause > 0:
            yield from sleep(pause)

    def project(self) -> Flow[str]:
        """Give the project's id: of the connection, of the token, or as IAM knows it."""
        lease = yield from self._signed_in()
        known = self.account.project_id or lease.project_id
        return known or (yield from find_project(self.account, self.identity, self.now))

    def _signed_in(self) -> Flow[Lease]:
        """Return the credential, fetched if need be; no log may show its secrets."""
        lease = yield from self.identity.lease(self.now)
        if lease is not self._lease:
            self._lease = lease
            for secret in lease.credential.secrets:
                self.learn(secret)
        return lease

    def _arrived(
        self, group: str | None, names: Sequence[str], sent: float
    ) -> Flow[PackageGroup | None]:
        """Find out whether an upload arrived whose answer was lost: its packages are newer."""
        looked = self.now()
        found, server_now = yield from self.perform(calls.find(group, names))
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
            yield from self.perform(calls.show(name, group))
        except NotFoundError:
            return True
        return None


def _end_of_look(wait: Waiting[S, F], now: Callable[[], float]) -> Deadline:
    """Return when a look that begins now has to end: at the wait's deadline, or soon."""
    at = math.inf if wait.deadline is None else max(wait.deadline, now() + LAST_LOOK)
    return Deadline(at, now)


def _rest(seconds: float, failure: DliError) -> Flow[None]:
    """Wait before the next try; raises the failure where there is no time for it."""
    try:
        yield from sleep(seconds)
    except TransportError:
        raise failure from None
