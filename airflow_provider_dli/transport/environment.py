# SPDX-License-Identifier: Apache-2.0
"""Reads proxies and CA bundle from the environment as requests does, for both transports."""

from __future__ import annotations

from dataclasses import dataclass

import requests
from requests.utils import prepend_scheme_if_needed, select_proxy

from airflow_provider_dli.api.protocol.wire import Request


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings of the environment for one origin.

    `verify` is a boolean or the path of a CA bundle, `proxy` the address of the proxy to use.
    """

    proxies: dict[str, str]
    proxy: str | None
    verify: bool | str | None


def read(request: Request, verify: bool | str, proxy: str | None = None) -> Environment:
    """Reads the environment for a request; `proxy`, and `verify` unless `True`, take precedence.

    Raises `OSError` or `ValueError` for an invalid variable; the message may quote its value.
    """
    with requests.Session() as session:
        merged = session.merge_environment_settings(request.url, {}, None, verify, None)
    proxies = dict(merged["proxies"])
    if request.direct:
        proxies = {}
    elif proxy:
        proxies = {"http": proxy, "https": proxy}
    proxy = select_proxy(request.url, proxies)
    if proxy:
        proxy = prepend_scheme_if_needed(proxy, "http")  # type: ignore[no-untyped-call]  # requests
    return Environment(proxies, proxy or None, merged["verify"])
