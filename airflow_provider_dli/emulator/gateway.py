# SPDX-License-Identifier: Apache-2.0
"""The API gateway in front of DLI: who may come in, and its own errors.

Codes and texts: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-errorcode.html.
Not emulated: the lock of an access key after five wrong signatures in a row.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

from airflow_provider_dli.emulator.messages import Call, RefusedError
from airflow_provider_dli.emulator.settings import Settings
from airflow_provider_dli.emulator.signature import DATE_HEADER, Authorization, is_genuine

MAX_BODY_BYTES = 12 * 1024 * 1024
MAX_CLOCK_SKEW_SECONDS = 15 * 60

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class Gateway:
    """Lets signed calls and calls with the token through, for the projects it knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def admit(self, call: Call, project_id: str) -> None:
        """Pass the call or raise RefusedError as the gateway does."""
        if call.oversize:
            raise RefusedError(413, "APIGW.0201", "Request entity too large")
        self._authenticate(call)
        if project_id not in self._settings.project_ids:
            # The code is documented, its text for a foreign project is not.
            raise RefusedError(
                403, "APIGW.0302", f"The project {project_id} is not allowed to be accessed"
            )

    def _authenticate(self, call: Call) -> None:
        token = call.headers.get("x-auth-token")
        authorization = call.headers.get("authorization")
        if token is not None:
            if not _same(token, self._settings.auth_token):
                raise _not_authentic("decrypt token fail")
        elif authorization is not None:
            self._check_signature(call, authorization)
        else:
            # Documented with DLI's own code, although the call never gets as far as DLI.
            raise RefusedError(
                401,
                "DLI.0013",
                "X-Auth-Token is not defined in request. It is mandatory. "
                "Please define and send the request.",
            )

    def _check_signature(self, call: Call, header: str) -> None:
        authorization = Authorization.parse(header)
        if authorization is None:
            raise _not_authentic("authorization header has an unknown format")  # text undocumented
        if not _same(authorization.access_key, self._settings.access_key):
            raise _not_authentic(f"ak {authorization.access_key} not exist")
        self._check_date(call.headers.get(DATE_HEADER, ""))
        self._check_security_token(call.headers.get("x-security-token", ""))
        if not is_genuine(call, authorization, self._settings.secret_key):
            raise _not_authentic("verify aksk signature fail")

    def _check_date(self, signed_at: str) -> None:
        now = self._settings.clock()
        try:
            then = datetime.strptime(signed_at.strip(), _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise _not_authentic("x-sdk-date is missing or invalid") from None  # text undocumented
        if abs(now - then.timestamp()) > MAX_CLOCK_SKEW_SECONDS:
            server_time = datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)
            raise _not_authentic(
                f"AK/SK signature expired, signature time: {signed_at}, server time: {server_time}"
            )

    def _check_security_token(self, token: str) -> None:
        expected = self._settings.security_token
        if expected is not None and not _same(token, expected):
            raise _not_authentic("security token is missing or wrong")  # text undocumented


def unknown_api() -> RefusedError:
    """The refusal of a path or method that does not exist."""
    return RefusedError(404, "APIGW.0101", "The API does not exist or has not been published")


def _not_authentic(reason: str) -> RefusedError:
    return RefusedError(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
