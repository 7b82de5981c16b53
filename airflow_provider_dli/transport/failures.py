# SPDX-License-Identifier: Apache-2.0
"""The errors of both transports: what was requested, what happened, and what to do.

How far the request got decides: unless it was certainly not sent, it may have been carried out.
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
    """The answer cannot be read; the message has the reason and quotes nothing."""


def not_sent(request: Request, why: object) -> NotSentError:
    """Returns the error for a request that was certainly not sent."""
    return NotSentError(
        f"{request.asked} was not sent: could not connect to {request.origin} ({why}). "
        "Check endpoint, region, network and proxy."
    )


def out_of_time(request: Request) -> NotSentError:
    """Returns the error for a request for which no time was left."""
    return NotSentError(f"{request.asked} was not sent: its time limit was reached.")


def untrusted(request: Request, why: object) -> ConnectionSetupError:
    """Returns the error for a server whose certificate is not trusted."""
    return ConnectionSetupError(
        f"{request.asked} was not sent: the certificate of {request.origin} is not trusted "
        f"({why}). Set ca_bundle in the connection to the CA that signed it."
    )


def unusable_setup(request: Request, error: Exception) -> ConnectionSetupError:
    """Returns the error for invalid settings of this machine.

    It names only the class of the original error, which must not be chained: its message may quote
    a header or the password of a proxy.
    """
    return ConnectionSetupError(
        f"{request.asked} was not sent: the network settings of this machine are invalid "
        f"({type(error).__name__}). Check the proxy variables and the CA bundle of the environment."
    )


def answer_lost(request: Request, why: object) -> AnswerLostError:
    """Returns the error for a request that was sent and got no complete answer."""
    return AnswerLostError(
        f"{request.asked} was sent to {request.origin}, but its answer was lost "
        f"({why}). The service may have carried it out."
    )


def broken_off(progress: Progress, why: object) -> TransportError:
    """Returns the error for a request that failed or timed out, by how far it got."""
    if progress.is_over:
        why = f"not finished after {progress.allowed:.0f} seconds"
    if progress.is_sent:
        return answer_lost(progress.send.request, why)
    return not_sent(progress.send.request, why)


def too_large(request: Request, most: int) -> AnswerTooLargeError:
    """Returns the error for an answer that is too large."""
    return AnswerTooLargeError(
        f"{request.asked} was answered by {request.origin} with more than {most} bytes, so reading "
        "was stopped. The service may have carried it out. Check what is in between, such as a "
        "proxy; if the answer may be that large, raise max_answer_size of the connection."
    )
