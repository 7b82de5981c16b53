# SPDX-License-Identifier: Apache-2.0
"""An emulator of DLI and IAM on a local port, for tests and for trying things out.

    from airflow_provider_dli.emulator import Fault, running

    with running() as emulator:
        emulator.add_fault(Fault("throttled", path="/resources", times=2, retry_after=1))
        ...  # point a client at emulator.url

The emulator was written from the public documentation only and shares no code with the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.emulator.emulator import Emulator
    from airflow_provider_dli.emulator.faults import Fault
    from airflow_provider_dli.emulator.record import Record
    from airflow_provider_dli.emulator.server import running

__all__ = ["Emulator", "Fault", "Record", "running"]

_HOME = {"Emulator": "emulator", "Fault": "faults", "Record": "record", "running": "server"}


def __getattr__(name: str) -> object:
    # Imported late, so that `python -m airflow_provider_dli.emulator` can explain what to install
    # if Starlette or uvicorn is missing.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
