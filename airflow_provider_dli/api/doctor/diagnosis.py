# SPDX-License-Identifier: Apache-2.0
"""The checks of the doctor, from the address of an account to its permissions.

They are a flow, so that both transports can run them. Each request is sent once, and a run stops at
the first signed call that is refused, since five wrong signatures lock an access key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_dli.api.access import iam
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Lease, Token
from airflow_provider_dli.api.access.identity import Source, request_context
from airflow_provider_dli.api.access.sources import Agency, Password
from airflow_provider_dli.api.doctor.causes import Cause, Check
from airflow_provider_dli.api.doctor.findings import Finding, Report, Result, failure
from airflow_provider_dli.api.doctor.symptoms import (
    of_answer,
    of_fetching,
    of_refusal,
    of_stranger,
    of_transport,
    words,
)
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.answers import RequestContext, interpret, server_time
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AuthenticationError,
    DliError,
    PermissionDeniedError,
    TransportError,
)
from airflow_provider_dli.api.protocol.wire import Call, Flow, Request, Response, send

T = TypeVar("T")

MAX_DIFFERENCE = 300.0
"""Seconds by which the clocks may differ; signatures are refused from 15 minutes on."""


def diagnose(
    account: Account,
    now: Callable[[], float],
    learn: Callable[[str], None] = lambda _: None,
) -> Flow[Report]:
    """Checks an account; `now` returns Unix seconds, `learn` receives fetched secrets to mask."""
    examination = _Examination(account, now, learn)
    try:
        yield from examination.run()
    except _FailedError as failed:
        examination.note(failed.cause, failed.detail)
    return Report.of(account.conn_id, examination.findings)


class _FailedError(Exception):
    """Ends the checks with a cause."""

    def __init__(self, cause: Cause, error: DliError | None = None, detail: str = "") -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.detail = words(error) if error else detail


class _Examination:
    def __init__(
        self, account: Account, now: Callable[[], float], learn: Callable[[str], None]
    ) -> None:
        self.findings: dict[Check, Finding] = {}
        self._account = account
        self._clock = now
        self._learn = learn
        # Added to the clock, so that a wrong clock does not hide other problems.
        self._behind = 0.0

    def run(self) -> Flow[None]:
        caller, origin = _caller(self._account.source), self._account.origin
        self._passed(Check.CONNECTION, f"Airflow can read the connection: {caller}.")
        answered = yield from self._reach()
        self._passed(Check.ADDRESS, f"{origin} answers.")
        self._passed(Check.TLS, self._trust())
        self._compare(answered)
        lease = yield from self._fetch()
        project_id = yield from self._project(lease)
        yield from self._list(lease, project_id)
        self._passed(Check.CREDENTIAL, "The credential is accepted.")
        self._passed(Check.PROJECT, f"The project {project_id} is accepted with this credential.")
        self._passed(Check.PERMISSION, "The packages of the project can be listed.")

    def note(self, cause: Cause, detail: str) -> None:
        undecided = [check for check in Check if check not in self.findings]
        check = cause.check or undecided[0]
        self.findings[check] = failure(check, cause, detail)

    def _passed(self, check: Check, found: str) -> None:
        self.findings[check] = Finding(check, Result.OK, found)

    def _now(self) -> float:
        return self._clock() + self._behind

    def _reach(self) -> Flow[tuple[Response, float]]:
        """Sends a request without a credential; returns the answer and this machine's time."""
        account = self._account
        call = Call("GET", "/resources", lambda response: lenient.answer_object(response.body))
        request = account.request(call, account.project_id or "unknown")
        sent = self._clock()
        try:
            response = yield from send(request)
        except TransportError as error:
            cause = of_transport(error, account.origin)
            if cause.check is Check.TLS:
                self._passed(Check.ADDRESS, f"The connection to {account.origin} was established.")
            raise _FailedError(cause, error) from error
        at = (sent + self._clock()) / 2
        try:
            interpret(call, RequestContext(request.asked, at), response)
        except AnswerError as error:
            # A call without a credential is expected to be refused.
            stranger = of_stranger(error)
            if stranger is not None:
                raise _FailedError(stranger, error) from error
        return response, at

    def _trust(self) -> str:
        if self._account.origin.startswith("http:"):
            return "TLS is not used: the address begins with http:."
        if self._account.verify is False:
            return "The certificate is not verified: verify is false in the connection."
        return "The certificate is trusted."

    def _compare(self, answered: tuple[Response, float]) -> None:
        response, at = answered
        theirs = server_time(response)
        if theirs is None:
            self._passed(Check.CLOCK, "The answer has no time to compare with.")
            return
        behind = theirs - at
        if abs(behind) <= MAX_DIFFERENCE:
            self._passed(
                Check.CLOCK, f"The clock differs from the service's by {abs(behind):.0f} s."
            )
            return
        self._behind = behind
        which = "behind" if behind > 0 else "ahead of"
        self.note(Cause.CLOCK_WRONG, f"It is {abs(behind):.0f} s {which} the service's.")

    def _fetch(self) -> Flow[Lease]:
        source = self._account.source
        try:
            lease = yield from source.fetch(self._now)
        except DliError as error:
            raise _FailedError(of_fetching(error, source), error) from error
        for secret in lease.credential.secrets:
            self._learn(secret)
        return lease

    def _project(self, lease: Lease) -> Flow[str]:
        """Returns the id of the project; looking it up in IAM also checks the credential."""
        account = self._account
        known = account.project_id or lease.project_id
        if known is not None:
            return known
        if account.iam_origin is None or account.region is None:
            rule = "The connection has neither project_id nor a region and the address of IAM."
            raise _FailedError(Cause.PROJECT_NOT_LOOKED_UP, detail=rule)
        call = iam.projects(account.region)
        try:
            ids = yield from self._ask(call, iam.request(call, account.iam_origin), lease)
        except AuthenticationError as error:
            raise _FailedError(of_refusal(error, lease.credential), error) from error
        except DliError as error:
            raise _FailedError(Cause.PROJECT_NOT_LOOKED_UP, error) from error
        self._passed(Check.CREDENTIAL, "The credential is accepted by IAM.")
        if not ids:
            raise _FailedError(Cause.NO_PROJECT, detail=f"No project is named {account.region}.")
        if len(ids) > 1:
            detail = f"These are named {account.region}: {', '.join(ids)}."
            raise _FailedError(Cause.SEVERAL_PROJECTS, detail=detail)
        self._passed(Check.PROJECT, f"IAM has the project {ids[0]} for the region.")
        return ids[0]

    def _list(self, lease: Lease, project_id: str) -> Flow[None]:
        call = calls.listing()
        try:
            yield from self._ask(call, self._account.request(call, project_id), lease)
        except TransportError as error:
            cause = of_transport(error, self._account.origin)
            raise _FailedError(cause, error) from error
        except AnswerError as error:
            cause = of_answer(error, lease.credential)
            if cause is Cause.OTHER and isinstance(error, PermissionDeniedError):
                self._passed(Check.CREDENTIAL, "The credential is accepted.")
                cause, detail = yield from self._forbidden(lease, project_id)
                raise _FailedError(cause, detail=f"{words(error)} {detail}".strip()) from error
            raise _FailedError(cause, error) from error

    def _forbidden(self, lease: Lease, project_id: str) -> Flow[tuple[Cause, str]]:
        """Distinguishes a wrong project from a missing permission; DLI answers both alike."""
        account = self._account
        if Check.PROJECT in self.findings:
            return Cause.NO_PERMISSION, ""
        if account.iam_origin is None:
            return Cause.PROJECT_OR_PERMISSION, ""
        try:
            call = iam.all_projects()
            names = yield from self._ask(call, iam.request(call, account.iam_origin), lease)
        except DliError:
            return Cause.PROJECT_OR_PERMISSION, ""
        if project_id not in names:
            return Cause.OTHER_PROJECT, f"Its projects are: {', '.join(names) or 'none'}."
        name = names[project_id]
        # The main project of a region has its name, any other is named REGION_NAME:
        # https://docs.otc.t-systems.com/identity-access-management/api-ref/apis/project_management/creating_a_project.html
        if account.region is not None and name.partition("_")[0] != account.region:
            return Cause.OTHER_REGION, f"Its name is {name}, the region is {account.region}."
        self._passed(
            Check.PROJECT, f"The project {project_id} ({name}) belongs to this credential."
        )
        return Cause.NO_PERMISSION, ""

    def _ask(self, call: Call[T], request: Request, lease: Lease) -> Flow[T]:
        signed = lease.credential.authorise(request, self._now())
        response = yield from send(signed)
        asked = request_context(lease, self._account.source, signed, self._now())
        return interpret(call, asked, response)


def _caller(source: Source) -> str:
    """Returns a description of a source, without secrets."""
    if isinstance(source, AccessKey):
        kind = "a temporary access key" if source.security_token else "an access key"
        return f"{kind} with its secret key"
    if isinstance(source, Token):
        return "a token"
    if isinstance(source, Password):
        return f"user {source.user} of account {source.account}"
    if isinstance(source, Agency):
        return f"agency {source.agency} of account {source.account}"
    return "the agency of this machine"
