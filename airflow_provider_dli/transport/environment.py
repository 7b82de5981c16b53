# SPDX-License-Identifier: Apache-2.0
"""Proxies and CA bundle of the environment, read as requests reads them, for both transports."""

from __future__ import annotations

from dataclasses import dataclass

import requests
from requests.utils import prepend_scheme_if_needed, select_proxy

from airflow_provider_dli.api.protocol.wire import Request


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says for one origin.

    `verify` is a boolean or the path of a CA bundle; `proxy` is the address of the one proxy that
    counts for the origin.
    """

    proxies: dict[str, str]
    proxy: str | None
    verify: bool | str | None


def read(request: Request, verify: bool | str, proxy: str | None = None) -> Environment:
    """Read the environment for a request; `proxy`, and a `verify` that is not `True`, win over it.

    Raises `OSError` or `ValueError` for a variable that cannot be used; its words may quote it.
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
