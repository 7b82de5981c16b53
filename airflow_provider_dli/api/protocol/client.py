# SPDX-License-Identifier: Apache-2.0
"""The client: sends the calls of one account, with retries, turns, renewed credentials and waits.

Everything here is a flow, which yields `Send` and `Sleep`: the worker and the triggerer run the
same lines.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import Lease
from airflow_provider_dli.api.access.identity import Identity, identity_of, is_of_credential
from airflow_provider_dli.api.access.projects import find_project
from airflow_provider_dli.api.access.service import DLI, Service
from airflow_provider_dli.api.protocol.deadline import Deadline
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    DliError,
    PermissionDeniedError,
    TransportError,
)
from airflow_provider_dli.api.protocol.log import Log
from airflow_provider_dli.api.protocol.pace import Pace
from airflow_provider_dli.api.protocol.retry import DEFAULT_RETRY, Retry
from airflow_provider_dli.api.protocol.wait import LAST_LOOK, Subscriber
from airflow_provider_dli.api.protocol.wire import Call, Flow, sleep

T = TypeVar("T")
F = TypeVar("F")

LONG_PAUSE = 5.0
"""Pauses of so many seconds and more are logged."""

_log: Log = logging.getLogger(__name__)


@dataclass(slots=True)
class Client:
    """Sends calls to one service on one account. `now` returns Unix seconds.

    `log` gets a line for each retry and each long pause. `reread` reads the account again after
    the credential was refused; `learn` is called with each secret that logs have to mask.
    `own_identity` replaces the identity that all callers of an account share in this process, for
    a caller that must not wait for the others. `has_answered` is true once the service has answered
    a call of this client with a success.
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
        self, call: Call[T], find_result: Callable[[float], Flow[T | None]] | None = None
    ) -> Flow[T]:
        """Sends a call until it is answered; returns what its parser makes of the answer.

        `find_result` is for calls that are not repeatable. After a lost answer it is called with
        the Unix time of sending, and returns the result if the service has carried out the call,
        or else `None`. Without it such a call is sent only once.
        """
        return (
            yield from self.repeated(
                partial(self.once, call),
                f"{call.method} {call.path}",
                is_repeatable=call.repeatable or find_result is not None,
                is_urgent=call.is_urgent,
                find_result=find_result,
            )
        )

    def perform_at_once(self, call: Call[T]) -> Flow[T]:
        """Sends a call as `perform` does, but without a turn, also if the service asked to wait."""
        return (yield from self.perform(replace(call, is_urgent=True)))

    def find_project(self) -> Flow[str]:
        """Returns the project's id as `project` does, with retries."""
        return (yield from self.repeated(self.project, "The look-up of the project"))

    def repeated(
        self,
        attempt: Callable[[], Flow[T]],
        what: str,
        *,
        is_repeatable: bool = True,
        is_urgent: bool = False,
        find_result: Callable[[float], Flow[T | None]] | None = None,
    ) -> Flow[T]:
        """Makes attempts until one has a result; returns that. `what` is its name in the log."""
        started = self.now()
        number = 0
        while True:
            number += 1
            sent = self.now()
            try:
                return (yield from attempt())
            except DliError as error:
                failure = error
            pause = self.retry.pause(
                failure,
                attempt=number,
                elapsed=self.now() - started,
                repeatable=is_repeatable,
                is_urgent=is_urgent,
            )
            if pause is not None and self.pace.may_repeat():
                self.log.warning("%s", self.retry.log_line(what, failure, pause, number))
                yield from _rest(pause, failure)
            else:
                pause = None
            if find_result is not None and failure.may_be_done:
                try:
                    found = yield from find_result(sent)
                except DliError as error:
                    raise error from failure
                if found is not None:
                    return found
            if pause is None:
                raise failure

    def wait_for(
        self,
        wait: Subscriber[Any, F],
        call: Call[F | None],
        meanwhile: Callable[[], Flow[None]] | None = None,
    ) -> Flow[F]:
        """Sends a call until the wait ends, and returns what the last look found.

        Each look is sent once, for the wait repeats it. `meanwhile` runs after each look that
        succeeded. Raises what the wait raises.
        """
        while True:
            now = self.now()
            yield from sleep(wait.next_look(now) - now)
            ended = yield from self.look_for(wait, call, meanwhile)
            if ended is not None:
                return ended

    def look_for(
        self,
        wait: Subscriber[Any, F],
        call: Call[F | None],
        meanwhile: Callable[[], Flow[None]] | None = None,
    ) -> Flow[F | None]:
        """Takes one look of a wait. Returns what it found if that ends the wait, else `None`."""
        began = self.now()
        deadline = _end_of_look(wait, self.now)
        try:
            seen = yield from deadline.cut(self._last_in_time(call, wait.deadline))
        except DliError as error:
            # Its time is that of its beginning: one more look follows at the deadline.
            wait.on_error(error, began)
            return None
        ended = wait.on_result(seen, began)
        if meanwhile is not None:
            yield from _end_of_look(wait, self.now).cut(meanwhile())
        return ended

    def _last_in_time(self, call: Call[T], before: float | None) -> Flow[T]:
        """Sends a call once, and at once from `before` on."""
        if before is not None and self.now() >= before:
            call = replace(call, is_urgent=True)
        return (yield from self.once(call, before))

    def once(self, call: Call[T], before: float | None = None) -> Flow[T]:
        """Sends a call once, when its turn comes, at `before` at the latest."""
        account = self.account
        try:
            return (yield from self._send(call, before))
        except (AuthenticationError, PermissionDeniedError) as error:
            if not (is_of_credential(error, call) and self._is_reread(account)):
                raise
        return (yield from self._send(call, before))

    def _is_reread(self, refused: Account) -> bool:
        """Whether the account has another credential by now, so that a second try makes sense."""
        if self.account.source != refused.source:  # another thread has read it again
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
        except DliError as error:
            if error.is_throttling:
                self.pace.throttled(self.now(), error.retry_after, gap)
            raise
        self.pace.succeeded()
        self.has_answered = True
        return value

    def _turn(self, what: str, before: float | None) -> Flow[None]:
        """Waits until a call's turn comes, or until `before`."""
        now = self.now()
        pause = self.pace.turn(now)
        if before is not None:
            pause = min(pause, max(before - now, 0.0))
        if pause >= LONG_PAUSE:
            self.log.info("%s waits %.0f s after too many requests (429)", what, pause)
        if pause > 0:
            yield from sleep(pause)

    def project(self) -> Flow[str]:
        """Returns the project's id: from the connection, from the token, or from IAM."""
        lease = yield from self._signed_in()
        known = self.account.project_id or lease.project_id
        return known or (yield from find_project(self.account, self.identity, self.now))

    def _signed_in(self) -> Flow[Lease]:
        """Returns the credential, fetched if need be, once its secrets are known to the log."""
        lease = yield from self.identity.lease(self.now)
        if lease is not self._lease:
            self._lease = lease
            for secret in lease.credential.secrets:
                self.learn(secret)
        return lease


def _end_of_look(wait: Subscriber[Any, F], now: Callable[[], float]) -> Deadline:
    """Returns when a look that begins now has to end: at the wait's deadline, or soon after."""
    at = math.inf if wait.deadline is None else max(wait.deadline, now() + LAST_LOOK)
    return Deadline(at, now)


def _rest(seconds: float, failure: DliError) -> Flow[None]:
    """Waits before the next attempt; raises the failure where no time is left for that."""
    try:
        yield from sleep(seconds)
    except TransportError:
        raise failure from None
