# SPDX-License-Identifier: Apache-2.0
"""The API gateway in front of DLI and IAM: authentication, and its errors.

Codes: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-errorcode.html. Texts of
APIGW.0301: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-0001.html.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

from airflow_provider_dli.emulator.credentials import Credentials, Key, Token, timestamp
from airflow_provider_dli.emulator.lockout import Lockout
from airflow_provider_dli.emulator.messages import Call, RefusedError
from airflow_provider_dli.emulator.settings import Settings
from airflow_provider_dli.emulator.signature import DATE_HEADER, Authorization, is_genuine

MAX_BODY_BYTES = 12 * 1024 * 1024
MAX_CLOCK_SKEW_SECONDS = 15 * 60

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class Gateway:
    """Accepts signed calls and calls with a token for the known projects."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._lockout = Lockout(settings.now)

    def admit(self, call: Call, project_id: str) -> None:
        """Raises RefusedError as the gateway does, unless the call may go to DLI."""
        check_size(call)
        value = call.headers.get("x-auth-token")
        if value is not None:
            token = self.known_token(value)
            self._check_scope(token, project_id)
        elif "authorization" in call.headers:
            self.check_signature(call)
        else:
            # Documented with a code of DLI, although the call never reaches DLI.
            raise RefusedError(
                401,
                "DLI.0013",
                "X-Auth-Token is not defined in request. It is mandatory. "
                "Please define and send the request.",
            )
        self._check_project(project_id)

    def known_token(self, value: str) -> Token | None:
        """Returns a valid token, None for the predefined one; raises RefusedError otherwise."""
        if _same(value, self._settings.auth_token):
            return None
        token = self._credentials.token(value)
        if token is None:
            raise _not_authentic("decrypt token fail")
        if not self._credentials.works(token):
            # https://support.huaweicloud.com/intl/en-us/ocr_faq/ocr_01_0063.html
            raise _not_authentic(f"token expires, expires_at: {timestamp(token.expires_at)}")
        return token

    def check_signature(self, call: Call) -> None:
        """Raises RefusedError unless the call is signed with a known key."""
        authorization = Authorization.parse(call.headers.get("authorization", ""))
        if authorization is None:
            raise _not_authentic("authorization header has an unknown format")  # text undocumented
        access_key = authorization.access_key
        security_token = call.headers.get("x-security-token")
        key = self._credentials.key(access_key)
        # A temporary key without its token is looked up among the permanent ones:
        # https://github.com/iits-consulting/otc-auth/issues/139
        if key is None or (key.security_token is not None and security_token is None):
            raise _not_authentic(f"ak {access_key} not exist")
        if self._lockout.is_closed(access_key):
            raise _not_authentic("AK access failed to reach the limit,forbidden.")
        self._check_date(call.headers.get(DATE_HEADER, ""))
        _check_security_token(key, security_token)
        if not is_genuine(call, authorization, key.secret_key):
            self._lockout.failed(access_key)
            raise _not_authentic("verify aksk signature fail")
        self._lockout.succeeded(access_key)

    def clear(self) -> None:
        """Resets the count of wrong signatures."""
        self._lockout.clear()

    def _check_date(self, signed_at: str) -> None:
        now = self._settings.now()
        try:
            then = datetime.strptime(signed_at.strip(), _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise _not_authentic("x-sdk-date is missing or invalid") from None  # text undocumented
        if abs(now - then.timestamp()) > MAX_CLOCK_SKEW_SECONDS:
            server_time = datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)
            raise _not_authentic(
                f"AK/SK signature expired, signature time: {signed_at}, server time: {server_time}"
            )

    def _check_scope(self, token: Token | None, project_id: str) -> None:
        if token is None or token.project_id == project_id:
            return
        scope = token.project_id
        if scope is not None and self._settings.region_of(scope) != self._settings.region:
            # The table gives "an API of another region may have been called" as a reason.
            raise RefusedError(401, "APIGW.0307", "The token must be updated.")
        # The answer to a token for another project or for the whole account is undocumented.
        raise _not_allowed()

    def _check_project(self, project_id: str) -> None:
        known = self._settings
        if project_id in known.forbidden_projects:
            raise _not_allowed()
        if project_id not in known.project_ids or known.region_of(project_id) != known.region:
            # The code is documented, its text for a foreign project is not.
            raise RefusedError(
                403, "APIGW.0302", f"The project {project_id} is not allowed to be accessed"
            )


def check_size(call: Call) -> None:
    """Raises RefusedError if the body is too large."""
    if call.oversize:
        raise RefusedError(413, "APIGW.0201", "Request entity too large")


def unknown_api() -> RefusedError:
    """Returns the error for a path or method that does not exist."""
    return RefusedError(404, "APIGW.0101", "The API does not exist or has not been published")


def _check_security_token(key: Key, given: str | None) -> None:
    # The answers to a wrong token, and to one with a permanent key, are undocumented: the first
    # gets the text for unreadable tokens, the second is ignored.
    if key.security_token is not None and not _same(given or "", key.security_token):
        raise _not_authentic("decrypt token fail")


def _not_authentic(reason: str) -> RefusedError:
    return RefusedError(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


def _not_allowed() -> RefusedError:
    return RefusedError(403, "APIGW.0302", "The IAM user is not authorized to access the API.")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
