# SPDX-License-Identifier: Apache-2.0
"""The account a flow works on: where, which project, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dli.api.auth import Credential
from airflow_provider_dli.api.endpoints import Cloud
from airflow_provider_dli.api.wire import Call, Request


@dataclass(frozen=True, slots=True)
class Account:
    """Address, project and credential of one caller, and how to connect.

    `origin` is the address of DLI without a slash at its end. `cloud` and `region` are `None`
    where only an address is known. `verify` is `True` or the path of a CA bundle. The timeouts
    are seconds: to connect, and between two bytes of the answer.
    """

    origin: str
    project_id: str
    credential: Credential = field(repr=False)
    cloud: Cloud | None = None
    region: str | None = None
    conn_id: str = ""
    verify: bool | str = True
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    @property
    def caller(self) -> str:
        """Who asked, for messages: connection, region and project, nothing secret."""
        region = f"region {self.region}" if self.region else f"endpoint {self.origin}"
        return f"connection {self.conn_id}, {region}, project {self.project_id}"

    def request(self, call: Call[Any], now: float) -> Request:
        """Turn a call into a request of this account, signed at Unix time `now`."""
        # X-Project-Id is needed for sub-projects and harmless elsewhere:
        # https://support.huaweicloud.com/eu/devg-apisign/api-sign-provide-start.html
        request = Request(
            method=call.method,
            origin=self.origin,
            path=f"/v2.0/{self.project_id}{call.path}",
            query=call.query,
            headers={"Content-Type": "application/json", "X-Project-Id": self.project_id},
            body=call.body,
        )
        return self.credential.authorise(request, now)
