# SPDX-License-Identifier: Apache-2.0
"""What the triggers share: fields that are declared once, and the one event of a task's wait.

Airflow imports triggers in DAG files and on the event loop of its triggerer, so this module and
those of the triggers are light: `run` loads what a wait needs.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from importlib import import_module
from inspect import get_annotations
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import DliError
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggerer.loop import SharedAnswers
from airflow_provider_dli.triggers.events import failed_event
from airflow_provider_dli.triggers.task_log import task_log

# In this order, from the small to the large. Airflow reads connections with asgiref.
_MODULES = (
    "airflow_provider_dli.hooks.progress",
    "airflow_provider_dli.api.packages.wait",
    "airflow_provider_dli.api.jobs.driver_log",
    "airflow_provider_dli.api.jobs.wait",
    "airflow_provider_dli.api.jobs.cancelling",
    "asgiref.sync",
    "aiohttp",
    "airflow_provider_dli.triggers.account",
)
_loading: SharedAnswers[str, bool] = SharedAnswers()
_is_loaded = False


async def load_modules() -> None:
    """Import what a wait needs, in a thread: on the loop it would hold up every other trigger."""
    global _is_loaded
    if not _is_loaded:
        _is_loaded = await _loading.ask("modules", partial(asyncio.to_thread, _load))


def _load() -> bool:
    for name in _MODULES:
        import_module(name)
    return True


class DliTrigger(BaseTrigger):
    """A trigger whose annotated attributes are the fields of its row.

    A row of another version may lack fields, which then have their defaults, may have more, which
    are logged and ignored, and may hold any value: `run` checks what it uses.
    """

    fields: ClassVar[Mapping[str, Any]]
    """Every field with its default, those of the class itself first."""

    dli_conn_id: str = "dli_default"
    region: str | None = None
    project_id: str | None = None
    poll_interval: float = 10.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        classes = (base for base in cls.__mro__ if issubclass(base, DliTrigger))
        names = [
            name
            for base in classes
            for name, kind in get_annotations(base).items()
            if "ClassVar" not in str(kind)
        ]
        # Airflow tells the triggers of assets apart by their rows, with the fields in this order.
        cls.fields = {name: getattr(cls, name) for name in names}

    def __init__(self, **row: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow does not type it
        for name in row.keys() & self.fields.keys():
            setattr(self, name, row[name])
        self._unknown_fields = sorted(row.keys() - self.fields.keys())

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Returns the path of the class and its fields, which are plain JSON without secrets."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.fields}

    def _warn_of_unknown_fields(self) -> None:
        if self._unknown_fields:
            task_log.warning("Ignored unknown fields: %s", ", ".join(self._unknown_fields))


class WaitTrigger(DliTrigger):
    """A trigger that waits for one task, and ends with one event."""

    deadline: float | None = None
    max_unknown_time: float = MAX_UNKNOWN_TIME
    limit: str = "timeout"
    looked: bool = False
    silent_fail: bool = False

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields the one event."""
        await load_modules()
        self._warn_of_unknown_fields()
        try:
            payload = await self._wait(steady())
        except DliError as error:
            payload = failed_event(error, self.limit)
        await task_log.written()
        yield TriggerEvent(self._event_fields() | payload)  # type: ignore[no-untyped-call]  # Airflow's

    @abstractmethod
    async def _wait(self, now: Callable[[], float]) -> dict[str, Any]:
        """Returns the event of a wait that succeeded; raises `DliError` for one that did not."""

    def _event_fields(self) -> dict[str, Any]:
        """Returns the fields of the row that every event repeats."""
        return {}

    def _wait_arguments(self) -> dict[str, Any]:
        """Returns the checked arguments that a wait for anything takes."""
        deadline = self.deadline
        return {
            "deadline": None if deadline is None else checks.seconds("deadline", deadline),
            "poll_interval": checks.seconds("poll_interval", self.poll_interval),
            "max_unknown_time": checks.seconds("max_unknown_time", self.max_unknown_time),
            "looked": bool(self.looked),
        }
