# SPDX-License-Identifier: Apache-2.0
"""Finds the cause of an error, for the doctor. Only this module reads the texts of messages.

Nothing but the text distinguishes an unknown key from a wrong secret. If no rule matches, the class
of the error decides, and the report shows the message.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from airflow_provider_dli.api.access.auth import AccessKey, Credential
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.access.sources import Agency, Metadata, Password
from airflow_provider_dli.api.doctor.causes import Cause
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AuthenticationError,
    ConnectionSetupError,
    DliError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    TransportError,
    UnusableAnswerError,
)

# Names of classes, since this package imports neither requests nor aiohttp.
_OF_A_PROXY = {"ProxyError", "ClientProxyConnectionError"}
_PROXY_STATUS = re.compile(r"(?:Tunnel connection failed:|the proxy answered) (\d{3})")
_NO_SERVER = {socket.EAI_AGAIN, socket.EAI_FAIL}

# Texts of OpenSSL.
_CERTIFICATE_WORDS = (
    (re.compile(r"mismatch|is not valid for"), Cause.OTHER_CERTIFICATE),
    (re.compile(r"has expired|not yet valid"), Cause.CERTIFICATE_OUTDATED),
)

# Texts of the gateway: https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-0001.html
# and https://docs.otc.t-systems.com/api-gateway/umn/faqs/ ("Common Errors Related to IAM
# Authentication Information"); "Token info for token is null" is DLI's own.
_CREDENTIAL_WORDS = (
    (re.compile("signature expired"), Cause.CLOCK_WRONG),
    (re.compile("access failed to reach the limit"), Cause.KEY_LOCKED),
    (re.compile("verify aksk signature fail"), Cause.WRONG_SECRET),
    (re.compile(r"\bak\b.* not exist"), Cause.UNKNOWN_KEY),
    (re.compile("token expires"), Cause.TOKEN_EXPIRED),
    (re.compile("decrypt token fail|Token info for token is null"), Cause.TOKEN_UNREADABLE),
)
# Texts of IAM: the examples in the folder cn.zh-cn of https://github.com/huaweicloudDocs/iam; those
# about a project are from OpenStack, which IAM is based on.
_PASSWORD_WORDS = (
    (re.compile("username or password is wrong"), Cause.WRONG_PASSWORD),
    (re.compile("Could not find project"), Cause.NO_PROJECT),
)
# The vendor's SDK looks for this text: `auth/internal.py` of huaweicloudsdkcore.
_METADATA_WORDS = ((re.compile("configure Cloud Service Agency"), Cause.NO_AGENCY),)

# Undocumented; in public examples every temporary access key begins with it.
_TEMPORARY = "HST"
# A quoted body that begins as a web page.
_PAGE = re.compile(r': "\s*<')

_Words = tuple[tuple[re.Pattern[str], Cause], ...]


def words(error: DliError) -> str:
    """Returns the text of an error without its general remedy, since the cause has a better one."""
    text = str(error)
    if isinstance(error, AnswerError):
        text = text.removesuffix(f" {error.remedy}").removesuffix(f" Used: {error.caller}.")
    return text


def of_transport(error: TransportError, origin: str) -> Cause:
    """Returns the cause if no complete answer came from an address."""
    text = str(error)
    links = tuple(_links(error))
    if isinstance(error, ConnectionSetupError):
        if "certificate" not in text:
            return Cause.UNUSABLE_SETUP
        return _by_words(_CERTIFICATE_WORDS, text, Cause.UNTRUSTED_CA)
    if _is_of_a_proxy(links, text, origin):
        answered = _PROXY_STATUS.search(text)
        if answered is None:
            return Cause.PROXY_UNREACHABLE
        return Cause.PROXY_LOGIN if answered[1] == "407" else Cause.PROXY_REFUSES
    for link in links:
        if isinstance(link, socket.gaierror):
            return Cause.NO_NAME_SERVER if link.errno in _NO_SERVER else Cause.UNKNOWN_HOST
        if isinstance(link, ssl.SSLError):
            return Cause.NO_TLS
    return Cause.NO_ANSWER if error.may_be_done else Cause.NO_CONNECTION


def of_stranger(error: AnswerError) -> Cause | None:
    """Returns the cause if something else answers; `None` if it may be DLI."""
    if error.status == 407:
        return Cause.PROXY_LOGIN
    if 300 <= error.status < 400:
        return Cause.REDIRECT
    if error.status < 500 and _PAGE.search(str(error)):
        return Cause.WEB_PAGE
    if isinstance(error, EndpointError):
        return Cause.UNKNOWN_API if error.code.endswith(".0101") else Cause.NOT_DLI
    return Cause.NOT_DLI if isinstance(error, UnusableAnswerError) else None


def of_answer(error: AnswerError, credential: Credential) -> Cause:
    """Returns the cause if a call with this credential failed."""
    stranger = of_stranger(error)
    if stranger is not None:
        return stranger
    if isinstance(error, AuthenticationError):
        return of_refusal(error, credential)
    if error.is_throttling:
        return Cause.THROTTLED
    return Cause.SERVICE_FAULT if error.fault == "service" else Cause.OTHER


def of_fetching(error: DliError, source: Source) -> Cause:
    """Returns the cause if a source could not fetch a credential."""
    if isinstance(error, AnswerError) and of_stranger(error) is None:
        if isinstance(source, Agency):
            if isinstance(error, AuthenticationError):
                return of_refusal(error, source.keys)
            if isinstance(error, PermissionDeniedError | NotFoundError):
                return Cause.AGENCY_REFUSED
        if isinstance(source, Metadata):
            return _by_words(_METADATA_WORDS, words(error), Cause.NO_CREDENTIAL)
        if isinstance(source, Password) and isinstance(error, AuthenticationError):
            return _by_words(_PASSWORD_WORDS, error.message, Cause.CREDENTIAL_REFUSED)
    return Cause.NO_CREDENTIAL


def of_refusal(error: AuthenticationError, credential: Credential) -> Cause:
    """Returns the cause if a credential was refused."""
    if error.code.endswith(".0307"):
        return Cause.TOKEN_OF_OTHER_REGION
    cause = _by_words(_CREDENTIAL_WORDS, error.message, Cause.CREDENTIAL_REFUSED)
    if not isinstance(credential, AccessKey):
        return cause
    if credential.security_token is not None:
        # An expired key is deleted, so the gateway does not know it any more.
        # https://support.huaweicloud.com/intl/en-us/usermanual-ca/ca_01_0005.html
        temporary = {
            Cause.UNKNOWN_KEY: Cause.KEY_EXPIRED,
            Cause.TOKEN_EXPIRED: Cause.KEY_EXPIRED,
            Cause.TOKEN_UNREADABLE: Cause.SECURITY_TOKEN_WRONG,
        }
        return temporary.get(cause, cause)
    if cause is Cause.UNKNOWN_KEY and credential.access_key.startswith(_TEMPORARY):
        return Cause.SECURITY_TOKEN_MISSING
    return cause


def _by_words(table: _Words, text: str, otherwise: Cause) -> Cause:
    return next((cause for pattern, cause in table if pattern.search(text)), otherwise)


def _is_of_a_proxy(links: tuple[BaseException, ...], text: str, origin: str) -> bool:
    host = urlsplit(origin).hostname
    return (
        any(type(link).__name__ in _OF_A_PROXY for link in links)
        or _PROXY_STATUS.search(text) is not None
        # If the proxy has no DNS entry, aiohttp names only its host.
        or any(getattr(link, "host", host) != host for link in links)
    )


def _links(error: object) -> Iterator[BaseException]:
    """Yields an error and everything that caused it; each library stores that differently."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    yield from found
