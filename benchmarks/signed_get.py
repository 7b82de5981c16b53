# SPDX-License-Identifier: Apache-2.0
"""One signed GET through the hook, against a bare `requests` session with the same headers."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import Any, cast

import requests
from report import Row, installed, options, publish, size, spread, verdict

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.wire import Call, Request
from airflow_provider_dli.hooks.dli import DliHook

GOAL = 1.15
WARM_UP_CALLS = size(100, 1)
BLOCKS = 5
CONNECTION = "AIRFLOW_CONN_DLI_DEFAULT"
RAW = "raw socket server"
EMULATOR = "bundled emulator"

# The documented listing, with one group:
# https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html
LISTING = {
    "resources": [],
    "groups": [
        {
            "group_name": "groupTest",
            "status": "READY",
            "resources": ["person.csv"],
            "details": [
                {
                    "create_time": 1547091098668,
                    "update_time": 1547091098668,
                    "resource_type": "file",
                    "resource_name": "person.csv",
                    "status": "READY",
                    "underlying_name": "a4243a8c-bca6-4e77-a968-1f3b00217474_person.csv",
                }
            ],
            "create_time": 1547090015131,
            "update_time": 1547091098666,
        }
    ],
    "modules": [],
}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, runs=2000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(_serve())
        return
    for name in list(os.environ):
        # Both servers are on this machine.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    rows = [
        _compare(RAW, [__file__, "--serve"], chosen.runs),
        _compare(EMULATOR, ["-m", "airflow_provider_dli.emulator", "--port", "0"], chosen.runs),
    ]
    publish(
        f"One signed GET of the listing, hook against bare session, median of {chosen.runs} calls",
        ["apache-airflow", "requests", "urllib3", "uvicorn"],
        rows,
        chosen.json,
    )


def _compare(server: str, command: list[str], runs: int) -> Row:
    row: Row = {"server": server, "hook us": None, "bare us": None, "ratio": None}
    row |= {f"range of {BLOCKS} blocks": None, "goal": f"<= {GOAL}", "holds": None}
    if server == EMULATOR and not (installed("starlette") and installed("uvicorn")):
        return row | {"holds": "not installed"}
    with _running(command) as connection, DliHook() as hook, requests.Session() as session:
        os.environ[CONNECTION] = connection
        if server == EMULATOR:
            _stage(hook.account, session)
        request = _signed(hook.account, calls.listing())
        headers = dict(request.headers)
        session.get(request.url, headers=headers).raise_for_status()

        def bare() -> object:
            return session.get(request.url, headers=headers)

        hooked, direct = _interleaved(hook.list_packages, bare, runs)
    ratio = median(hooked) / median(direct)
    ends = [runs * block // BLOCKS for block in range(BLOCKS + 1)]
    ratios = [
        median(hooked[start:end]) / median(direct[start:end])
        for start, end in pairwise(ends)
        if start < end
    ]
    return row | {
        "hook us": round(median(hooked)),
        "bare us": round(median(direct)),
        "ratio": ratio,
        f"range of {BLOCKS} blocks": spread(ratios),
        "holds": verdict(ratio <= GOAL),
    }


def _stage(account: Account, session: requests.Session) -> None:
    """Returns the emulator the group that the other server always has."""
    call = calls.upload(
        ["obs://bucket/person.csv"],
        "file",
        group="groupTest",
        is_async=False,
        cloud=account.cloud,
        region=account.region,
    )
    request = _signed(account, call)
    session.post(request.url, headers=dict(request.headers), data=request.body).raise_for_status()


def _signed(account: Account, call: Call[Any]) -> Request:
    key = cast("AccessKey", account.source)
    return key.authorise(account.request(call, account.project_id or ""), time.time())


def _interleaved(
    hook: Callable[[], object], bare: Callable[[], object], runs: int
) -> tuple[list[float], list[float]]:
    """Returns the microseconds of each call, taken in turns, so that noise strikes both alike."""
    hooked, direct = [], []
    for _ in range(WARM_UP_CALLS + runs):
        hooked.append(_microseconds(hook))
        direct.append(_microseconds(bare))
    return hooked[WARM_UP_CALLS:], direct[WARM_UP_CALLS:]


def _microseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1e6 * (time.perf_counter() - started)


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    """Run a server in a process of its own, so that it takes nobody's GIL; its connection."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        try:
            yield _connection(process)
        finally:
            process.terminate()


def _connection(process: subprocess.Popen[str]) -> str:
    """Read the connection that a server prints when it listens: a line for the shell."""
    for line in process.stdout or ():
        if line.startswith(f"export {CONNECTION}="):
            return line.split("=", 1)[1].strip().strip("'")
    raise RuntimeError("the server has not started")


class _Raw(asyncio.Protocol):
    """Answers each request with the same bytes and checks nothing: the cheapest server there is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio sets TCP_NODELAY by itself.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        # A GET ends with its head.
        *heads, self._seen = self._seen.split(b"\r\n\r\n")
        self._transport.write(_ANSWER * len(heads))


_BODY = json.dumps(LISTING).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Request-Id: 0123456789abcdef0123456789abcdef\r\n"
    b"Content-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Raw, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = {
        "conn_type": "dli",
        "login": "ACCESSKEY",
        "password": "secret-key-which-opens-nothing",
        "extra": {
            "cloud": "huawei",
            "region": "eu-west-101",
            "project_id": "0123456789abcdef0123456789abcdef",
            "endpoint": f"http://127.0.0.1:{port}",
        },
    }
    print(f"export {CONNECTION}='{json.dumps(connection)}'", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
