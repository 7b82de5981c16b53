# SPDX-License-Identifier: Apache-2.0
"""What both transports say when no whole answer came: what was asked, what happened, what to do."""

from __future__ import annotations

from airflow_provider_dli.api.errors import AnswerLostError, ConnectionSetupError, NotSentError
from airflow_provider_dli.api.wire import Request


def not_sent(request: Request, why: object) -> NotSentError:
    """Say that nobody was reached."""
    return NotSentError(
        f"{request.asked} was not sent: no connection to {request.origin} ({why}). "
        "Check endpoint, region, network and proxy."
    )


def untrusted(request: Request, why: object) -> ConnectionSetupError:
    """Say that the server's certificate is not trusted."""
    return ConnectionSetupError(
        f"{request.asked} was not sent: the certificate of {request.origin} is not trusted "
        f"({why}). Set ca_bundle in the connection to the CA that signed it."
    )


def unusable_setup(request: Request, error: Exception) -> ConnectionSetupError:
    """Say that this machine's setup stands in the way.

    Only the kind of the error is told, and it must not be chained: its words may quote a header
    or a proxy's password.
    """
    return ConnectionSetupError(
        f"{request.asked} was not sent: this machine's setup does not allow it "
        f"({type(error).__name__}). Check the proxy variables and the CA bundle of the environment."
    )


def answer_lost(request: Request, why: object) -> AnswerLostError:
    """Say that the request went out and its answer did not come back whole."""
    return AnswerLostError(
        f"{request.asked} was sent to {request.origin}, but its answer was lost "
        f"({why}). The service may have carried it out."
    )
