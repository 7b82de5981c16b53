# SPDX-License-Identifier: Apache-2.0
"""The account that a flow works on: address, project and identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.access.identity import Source
from airflow_provider_dli.api.protocol.wire import Call, Request


@dataclass(frozen=True, slots=True)
class Account:
    """Address, project and identity of one caller, with the settings of the network.

    `origin` is the address of DLI without a trailing slash; `iam_origin` and `obs_origin` are those
    of IAM and OBS. These two, `cloud` and `region` are `None` if unknown; `project_id` is `None` if
    it has to be looked up by the region. `verify` is a boolean or the path of a CA bundle. `proxy`
    takes precedence over the environment. Timeouts are in seconds: to connect, between two bytes
    of the answer, and for a whole call. `max_answer_size` is in bytes.
    """

    origin: str
    project_id: str | None
    source: Source = field(repr=False)
    cloud: Cloud | None = None
    region: str | None = None
    conn_id: str = ""
    verify: bool | str = True
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    iam_origin: str | None = None
    proxy: str | None = field(default=None, repr=False)
    obs_origin: str | None = None
    total_timeout: float = 120.0
    max_answer_size: int = 256 * 1024 * 1024

    @property
    def network(self) -> dict[str, Any]:
        """The settings of the network, as the arguments of every transport."""
        return {
            "verify": self.verify,
            "connect_timeout": self.connect_timeout,
            "read_timeout": self.read_timeout,
            "total_timeout": self.total_timeout,
            "max_answer_size": self.max_answer_size,
            "proxy": self.proxy,
        }

    @property
    def caller(self) -> str:
        """Connection, region and project for messages, without secrets."""
        region = f"region {self.region}" if self.region else f"endpoint {self.origin}"
        return f"connection {self.conn_id}, {region}, {self.project}"

    @property
    def project(self) -> str:
        """The project, for messages."""
        return f"project {self.project_id}" if self.project_id else "the region's project"

    def request(self, call: Call[Any], project_id: str) -> Request:
        """Returns the unsigned request to DLI for a call."""
        # X-Project-Id is needed for sub-projects and harmless elsewhere:
        # https://support.huaweicloud.com/eu/devg-apisign/api-sign-provide-start.html
        return Request(
            method=call.method,
            origin=self.origin,
            path=f"/v2.0/{project_id}{call.path}",
            query=call.query,
            headers={
                "Content-Type": "application/json",
                "X-Project-Id": project_id,
                **call.headers,
            },
            body=call.body,
        )
