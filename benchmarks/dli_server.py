# SPDX-License-Identifier: Apache-2.0
"""A DLI that is as cheap as it gets, in a process of its own: prepared listings, given late.

It checks no signature, counts who asks when, and changes states at moments that the benchmark names
beforehand. Needs nothing but the standard library, and `report.py` beside it.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, cast
from urllib.request import Request, urlopen

from report import size

MEMBERS = 5
LARGE, SMALL = size((10_000, 100), (12, 10))
JOBS = size(1_000, 10)
NEVER = float("inf")

Fields = dict[str, Any]


def group_name(number: int) -> str:
    """Returns the name of a group."""
    return f"group-{number:05}"


def members(number: int) -> list[str]:
    """Returns the names of the packages of a group."""
    return [f"word-stats-{number:05}-{part}.jar" for part in range(MEMBERS)]


@contextmanager
def running(delay: float) -> Iterator[Control]:
    """Run the server in a process of its own; it answers after `delay` seconds."""
    with subprocess.Popen(
        [sys.executable, __file__, str(delay)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            yield Control(process.stdout.readline().strip())
        finally:
            process.terminate()


class Control:
    """Controls the server. Blocks: not for an event loop that is measured."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def schedule(self, project: str, ready_at: Mapping[str, float]) -> None:
        """Make groups or jobs of a project ready from a Unix time on."""
        self._tell({"project": project, "ready_at": ready_at})

    def ready(self, project: str, at: float = 0.0) -> None:
        """Make everything in a project ready from a Unix time on."""
        self._tell({"project": project, "all_ready_at": at})

    def asked(self, project: str) -> list[float]:
        """Returns the Unix times at which a project was asked for anything."""
        stamps: list[float] = self._tell({"project": project})
        return stamps

    def logs_asked(self, project: str) -> list[float]:
        """Returns those at which it was asked for the log of a job."""
        stamps: list[float] = self._tell({"project": project, "logs": True})
        return stamps

    def _tell(self, order: Fields) -> Any:
        request = Request(f"{self.origin}/control", json.dumps(order).encode())  # noqa: S310 - ours
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - ours
            return json.load(answer)


class _Project:
    """What one project has, and when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.logs_asked: list[float] = []
        self.ready_at: dict[str, float] = {}
        self.all_ready_at = NEVER

    def is_ready(self, name: str, now: float) -> bool:
        return now >= min(self.ready_at.get(name, NEVER), self.all_ready_at)


class _Listings:
    """Bodies of `GET /v2.0/{project_id}/resources`, put together from prepared pieces.

    Order and fields as in the documented answer:
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html
    """

    def __init__(self) -> None:
        random = Random(0)  # noqa: S311 - the names of packages are no secrets
        groups = [group(number, random, "UPLOADING") for number in range(LARGE)]
        self._numbers = {group_name(number): number for number in range(LARGE)}
        self._pending = [_encoded(group) for group in groups]
        self._ready = [piece.replace(b"UPLOADING", b"READY") for piece in self._pending]
        self._last: dict[int, tuple[object, bytes]] = {}

    def body(self, project: _Project, size: int, now: float) -> bytes:
        """Returns the listing as it is now; the last one of each size is kept."""
        names = [name for name in project.ready_at if project.is_ready(name, now)]
        ready = frozenset(self._numbers[name] for name in names if name in self._numbers)
        state = (now >= project.all_ready_at, ready)
        known, body = self._last.get(size, (None, b""))
        if known != state:
            pieces = (self._ready if state[0] else self._pending)[:size]
            for number in ready:
                pieces[number] = self._ready[number]
            body = b'{"resources":[],"groups":[' + b",".join(pieces) + b'],"modules":[]}'
            self._last[size] = state, body
        return body


def group(number: int, random: Random, status: str) -> Fields:
    """Returns a group whose packages are all in one state.

    Order and fields as in the documented answer:
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html
    """
    names = members(number)
    return {
        "group_name": group_name(number),
        "status": status,
        "resources": names,
        "details": [_member(name, random, status) for name in names],
        "create_time": 1547090015131,
        "update_time": 1547091098666,
    }


def _member(name: str, random: Random, status: str) -> Fields:
    return {
        "create_time": 1547090015132,
        "update_time": 1547090015132,
        "resource_type": "jar",
        "resource_name": name,
        "status": status,
        "underlying_name": f"{uuid.UUID(int=random.getrandbits(128), version=4)}_{name}",
    }


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class _Dli:
    """What all connections share. A project whose id begins with `large` has 10,000 groups."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._listings = _Listings()
        self._projects: defaultdict[str, _Project] = defaultdict(_Project)

    def control(self, order: Fields) -> bytes:
        project = self._projects[order["project"]]
        project.ready_at.update(order.get("ready_at", {}))
        project.all_ready_at = order.get("all_ready_at", project.all_ready_at)
        return _encoded(project.logs_asked if order.get("logs") else project.asked)

    def answer(self, path: str, query: str) -> bytes | None:
        """Returns what is true at the moment of asking; a change during the delay is not seen."""
        found = re.fullmatch(r"/v2\.0/(\w+)/(resources|batches(?:/([\w-]+)(/state|/log)?)?)", path)
        if found is None:
            return None
        name, what, job, part = found.groups()
        project, now = self._projects[name], time.time()
        project.asked.append(now)
        if what == "resources":
            return self._listings.body(project, LARGE if name.startswith("large") else SMALL, now)
        fields = {field: value for field, _, value in map(_halves, query.split("&"))}
        if job is None:
            return _encoded(_jobs(project, int(fields["from"]), int(fields["size"]), now))
        if part == "/log":
            project.logs_asked.append(now)
            return _encoded(_log(job, int(fields["from"])))
        # https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0127.html
        state = "success" if project.is_ready(job, now) else "running"
        return _encoded({"id": job, "state": state} if part else _job(job, state))


def _halves(field: str) -> tuple[str, str, str]:
    return field.partition("=")


def _jobs(project: _Project, start: int, size: int, now: float) -> Fields:
    """Returns a page: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0125.html."""
    names = [group_name(number) for number in range(start, min(start + size, JOBS))]
    states = ["success" if project.is_ready(name, now) else "running" for name in names]
    return {"from": start, "total": JOBS, "sessions": list(map(_job, names, states))}


def _job(job: str, state: str) -> Fields:
    """Returns a job: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0126.html."""
    return {
        "id": job,
        "appId": "",
        "name": f"daily-count-{job}",
        "owner": "somebody",
        "proxyUser": "",
        "state": state,
        "kind": "",
        "log": ["stdout: ", "stderr: ", "YARN Diagnostics: "],
        "sc_type": "A",
        "cluster_name": "spark",
        "queue": "spark",
        "image": "",
        "create_time": 1547090015131,
        "update_time": 1547091098666 + (state == "success"),
        "req_body": json.dumps({"file": "obs://bucket/count.py", "conf": {"spark.x": "y" * 400}}),
        "duration": 1083535,
    }


def _log(job: str, start: int) -> Fields:
    """Returns a log: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0128.html."""
    lines = [f"line {number} of the driver" for number in range(20)]
    return {"id": job, "from": start, "total": len(lines), "log": lines[start:]}


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with kept connections; asyncio sets TCP_NODELAY by itself."""

    def __init__(self, dli: _Dli) -> None:
        self._dli = dli
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while True:
            head, end, rest = self._seen.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
            size = int(length[1]) if length else 0
            if not end or len(rest) < size:
                return
            self._seen = rest[size:]
            self._asked(head.split(b" ", 2)[1].decode(), rest[:size])

    def _asked(self, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        if path == "/control":
            self._send(self._dli.control(json.loads(body)))
            return
        answer = self._dli.answer(path, query)
        asyncio.get_running_loop().call_later(self._dli.delay, self._send, answer)

    def _send(self, body: bytes | None) -> None:
        status = b"404 Not Found" if body is None else b"200 OK"
        head = (
            b"HTTP/1.1 %b\r\n"
            b"Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n"
        )
        body = body or b""
        self._transport.writelines([head % (status, len(body)), body])


async def _serve(delay: float) -> None:
    dli = _Dli(delay)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(dli), "127.0.0.1", 0
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
