# SPDX-License-Identifier: Apache-2.0
"""The command `python -m airflow_provider_dli.emulator`, which runs in the foreground."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, get_args

from airflow_provider_dli.emulator.settings import Metadata, Settings, Spark

if TYPE_CHECKING:
    from airflow_provider_dli.emulator.emulator import Emulator

_NOT_INSTALLED = 2
_NOT_STARTED = 1
_SIGNAL_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        emulators = _emulators(options)
    except ModuleNotFoundError as missing:
        print(
            f"The emulator needs {missing.name}: pip install 'airflow-provider-dli[emulator]'",
            file=sys.stderr,
        )
        return _NOT_INSTALLED
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("airflow_provider_dli.emulator").setLevel(logging.INFO)
    try:
        with emulators as emulator:
            print(_welcome(emulator), flush=True)
            # In short waits: a signal that arrives just before a wait would not end it.
            while not stop.wait(_SIGNAL_SECONDS):
                pass
    except (OSError, ValueError) as error:
        place = f"{options.host}:{options.port}"
        print(f"The emulator cannot start on {place}: {error}", file=sys.stderr)
        return _NOT_STARTED
    return 0


def _emulators(options: argparse.Namespace) -> AbstractContextManager[Emulator]:
    from airflow_provider_dli.emulator.server import running

    defaults = Settings()
    projects = dict(one.partition("=")[::2] for one in options.project_id or ())
    return running(
        host=options.host,
        port=options.port,
        access_key=options.access_key,
        secret_key=options.secret_key,
        security_token=options.security_token,
        auth_token=options.auth_token,
        account=options.account,
        users=options.user or defaults.users,
        password=options.password,
        project_ids=list(projects) or defaults.project_ids,
        project_names={project_id: name for project_id, name in projects.items() if name},
        forbidden_projects=options.forbidden_project or (),
        agencies=options.agency or defaults.agencies,
        metadata=options.metadata,
        token_seconds=options.token_seconds,
        key_seconds=options.key_seconds,
        upload_seconds=options.upload_seconds,
        batch_seconds=options.batch_seconds,
        batch_retention=options.batch_retention,
        spark=options.spark,
        latency=options.latency,
        obs_endpoint=options.obs_endpoint,
        clock_offset=options.clock_offset,
    )


def _welcome(emulator: Emulator) -> str:
    return (
        f"DLI emulator on {emulator.url} (Ctrl-C stops it). For Airflow:\n"
        f"export AIRFLOW_CONN_DLI_DEFAULT={shlex.quote(json.dumps(emulator.airflow_connection))}"
    )


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_dli.emulator",
        description="Emulates DLI's package groups and batch jobs. All options have defaults.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=9099, help="port to listen on; 0 takes a free one")
    add("--access-key", default=defaults.access_key, help="the access key")
    add("--secret-key", default=defaults.secret_key, help="its secret key")
    add("--security-token", help="makes the key pair a temporary one")
    add("--auth-token", default=defaults.auth_token, help="the token accepted in X-Auth-Token")
    add("--user", action="append", help="name of an IAM user; may be repeated")
    add("--password", default=defaults.password, help="the password of the IAM users")
    add("--account", default=defaults.account, help="the name of their account")
    add("--project-id", action="append", help="a project, ID or ID=NAME; may be repeated")
    add(
        "--forbidden-project",
        action="append",
        help="a project without permissions; may be repeated",
    )
    add("--agency", action="append", help="name of an agency; may be repeated")
    add(
        "--metadata",
        choices=get_args(Metadata),
        default=defaults.metadata,
        help="kind of metadata service",
    )
    add(
        "--token-seconds",
        type=float,
        default=defaults.token_seconds,
        help="lifetime of an IAM token",
    )
    add(
        "--key-seconds",
        type=float,
        default=defaults.key_seconds,
        help="maximum lifetime of a temporary key",
    )
    add("--clock-offset", type=float, default=0, help="seconds by which the clock is ahead")
    add(
        "--upload-seconds",
        type=float,
        default=defaults.upload_seconds,
        help="duration of an asynchronous upload",
    )
    add(
        "--batch-seconds",
        type=float,
        default=defaults.batch_seconds,
        help="duration of a batch job",
    )
    add(
        "--batch-retention",
        type=float,
        default=defaults.batch_retention,
        help="seconds for which a successful batch job is kept",
    )
    add(
        "--spark",
        choices=get_args(Spark),
        help="run batch jobs on this machine; needs --obs-endpoint",
    )
    add("--latency", type=float, default=defaults.latency, help="delay of every request in seconds")
    add("--obs-endpoint", help="address of the object store with the objects")
    return parser


if __name__ == "__main__":  # pragma: no cover - runs in a process of its own
    sys.exit(main())
