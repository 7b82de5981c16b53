# SPDX-License-Identifier: Apache-2.0
"""An emulator with a clock that moves when it is told to, and two ways to talk to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from airflow_provider_dli.emulator import Emulator, running


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Api:
    """Calls the emulator with its ready-made token, below a project."""

    emulator: Emulator
    session: requests.Session = field(default_factory=requests.Session)

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        project_id = more.pop("project_id", self.emulator.project_id)
        headers = {"X-Auth-Token": self.emulator.auth_token, **more.pop("headers", {})}
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            more["data"] = body if isinstance(body, str | bytes) else json.dumps(body)
        url = f"{self.emulator.url}/v2.0/{project_id}{path}"
        return self.session.request(method, url, headers=headers, **{"timeout": 10, **more})

    def upload(self, *names: str, **body: Any) -> requests.Response:
        paths = [f"https://bucket.obs.eu-west-101.myhuaweicloud.eu/lib/{name}" for name in names]
        return self("POST", "/resources", {"paths": paths, "kind": "file", **body})

    def submit(self, **body: Any) -> requests.Response:
        return self("POST", "/batches", {"file": "obs://bucket/job.py", **body})

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        url = f"{self.emulator.url}/_emulator{path}"
        return self.session.request(method, url, json=body, timeout=60)


@pytest.fixture
def golden() -> Callable[[str], Any]:
    """Returns a documented request or answer by its name, parsed."""
    folder = Path(__file__).parents[1] / "golden"
    return lambda name: json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with running(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    api = Api(emulator)
    with api.session:
        yield api


@pytest.fixture
def start(clock: Clock) -> Iterator[Callable[..., Api]]:
    """Starts a differently configured emulator, and stops it after the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Api:
            emulator = stack.enter_context(running(**{"clock": clock, **options}))
            api = Api(emulator)
            stack.enter_context(api.session)
            return api

        yield start


@pytest.fixture
def call_signed(clock: Clock) -> Iterator[Callable[..., requests.Response]]:
    """Calls an emulator with a signature made by the vendor's own signer."""
    with requests.Session() as session:

        def call(
            emulator: Emulator,
            method: str = "GET",
            path: str = "/resources",
            *,
            whole_path: str | None = None,
            access_key: str | None = None,
            secret_key: str | None = None,
            signed_at: float | None = None,
            headers: dict[str, str] | None = None,
            spoil: Callable[[dict[str, str]], None] = lambda headers: None,
            body: str = "",
            query: list[tuple[str, str]] | None = None,
        ) -> requests.Response:
            at = datetime.fromtimestamp(clock.now if signed_at is None else signed_at, UTC)
            signed = Signer(
                BasicCredentials(
                    access_key or emulator.access_key, secret_key or emulator.secret_key, "-"
                )
            ).sign(
                SdkRequest(
                    method=method,
                    schema="http",
                    host=urlsplit(emulator.url).netloc,
                    resource_path=whole_path or f"/v2.0/{emulator.project_id}{path}",
                    query_params=query or [],
                    header_params={
                        "Content-Type": "application/json",
                        "X-Sdk-Date": at.strftime("%Y%m%dT%H%M%SZ"),
                        **(headers or {}),
                    },
                    body=body,
                )
            )
            spoil(signed.header_params)
            return session.request(
                method,
                f"{emulator.url}{signed.uri}",
                headers=signed.header_params,
                data=signed.body,
                timeout=60,
            )

        yield call
