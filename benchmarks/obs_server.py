# SPDX-License-Identifier: Apache-2.0
"""An object store in place of OBS, in a process of its own: moto's, or one that answers at once.

It answers after a pause, which stands for the network. Each request waits for it in a thread of its
own, as many answers travel at once.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from instant_store import COUNTS

INSTANT, MOTO = Path(__file__).with_name("instant_store.py"), Path(__file__)


class Counts(NamedTuple):
    """What a store was asked: how many requests, with how many bytes of bodies."""

    requests: int
    bytes: int


@contextmanager
def running(pause: float, program: Path = MOTO) -> Iterator[str]:
    """Run a store and give its address; it answers `pause` s late."""
    with subprocess.Popen(
        [sys.executable, program, str(pause)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def counted(address: str) -> Counts:
    """Returns what a store was asked since the last time that its counts were asked for."""
    with urlopen(address + COUNTS) as answer:  # noqa: S310 - it is ours
        return Counts(**json.load(answer))


def _serve(pause: float) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = DomainDispatcherApplication(create_backend_app)
    counts = {"requests": 0, "bytes": 0}

    def paused(environment: Any, respond: Callable[..., Any]) -> Any:
        if environment["PATH_INFO"] == COUNTS:
            told = json.dumps(counts).encode()
            counts.update(requests=0, bytes=0)
            respond("200 OK", [("Content-Length", str(len(told)))])
            return [told]
        counts["requests"] += 1
        counts["bytes"] += int(environment.get("CONTENT_LENGTH") or 0)
        time.sleep(pause)
        return store(environment, respond)

    server = make_server("127.0.0.1", 0, paused, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
