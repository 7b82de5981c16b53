# SPDX-License-Identifier: Apache-2.0
"""What both transports raise when no whole answer came: what was asked, what happened, what to do.

How far the request got decides: whatever was not certainly kept from being sent may have been
carried out.
"""

from __future__ import annotations

from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    AnswerTooLargeError,
    ConnectionSetupError,
    NotSentError,
    TransportError,
)
from airflow_provider_dli.api.protocol.wire import Request
from airflow_provider_dli.transport.progress import Progress


class UnreadableAnswerError(Exception):
    """What came back is no answer that can be read; the text says why, and quotes nothing."""


def not_sent(request: Request, why: object) -> NotSentError:
    """Return the error for a request that reached nobody."""
    return NotSentError(
        f"{request.asked} was not sent: no connection to {request.origin} ({why}). "
        "Check endpoint, region, network and proxy."
    )


def out_of_time(request: Request) -> NotSentError:
    """Return the error for a request for which no time was left."""
    return NotSentError(f"{request.asked} was not sent: its time was up.")


def untrusted(request: Request, why: object) -> ConnectionSetupError:
    """Return the error for a server whose certificate is not trusted."""
    return ConnectionSetupError(
        f"{request.asked} was not sent: the certificate of {request.origin} is not trusted "
        f"({why}). Set ca_bundle in the connection to the CA that signed it."
    )


def unusable_setup(request: Request, error: Exception) -> ConnectionSetupError:
    """Return the error for a setup of this machine that stands in the way.

    Only the kind of the error is told, and it must not be chained: its words may quote a header
    or a proxy's password.
    """
    return ConnectionSetupError(
        f"{request.asked} was not sent: this machine's setup does not allow it "
        f"({type(error).__name__}). Check the proxy variables and the CA bundle of the environment."
    )


def answer_lost(request: Request, why: object) -> AnswerLostError:
    """Return the error for a request that went out and whose answer did not come back whole."""
    return AnswerLostError(
        f"{request.asked} was sent to {request.origin}, but its answer was lost "
        f"({why}). The service may have carried it out."
    )


def broken_off(progress: Progress, why: object) -> TransportError:
    """Return the error for a request that failed, or whose time was up, by how far it got."""
    if progress.is_over:
        why = f"not done after {progress.allowed:.0f} seconds"
    if progress.is_sent:
        return answer_lost(progress.send.request, why)
    return not_sent(progress.send.request, why)


def too_large(request: Request, most: int) -> AnswerTooLargeError:
    """Return the error for an answer that was broken off for its size."""
    return AnswerTooLargeError(
        f"{request.asked} was answered by {request.origin} with more than {most} bytes, and the "
        "answer was broken off. The service may have carried it out. Check what stands in between; "
        "if the answer may be that large, raise max_answer_size of the connection."
    )
