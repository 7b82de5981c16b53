# SPDX-License-Identifier: Apache-2.0
"""An object store in place of OBS, in a process of its own: moto's, with a pause for the network.

Each request waits for its pause in a thread of its own, as many answers travel at once.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(pause: float) -> Iterator[str]:
    """Run the store in a process of its own and give its address; it answers `pause` s late."""
    with subprocess.Popen(
        [sys.executable, __file__, str(pause)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _serve(pause: float) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = DomainDispatcherApplication(create_backend_app)

    def paused(environment: Any, respond: Callable[..., Any]) -> Any:
        time.sleep(pause)
        return store(environment, respond)

    server = make_server("127.0.0.1", 0, paused, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
